//! `jit-ssh-ca`: arguments in, exit code out. Everything else is in the library.

fn main() -> std::process::ExitCode {
    jit_ssh_ca::cli::main(std::env::args_os())
}
