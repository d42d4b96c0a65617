//! Exact outputs: `--help` of every command, and the errors that a person meets without a CA. Each
//! case is a file of `tests/cli/PROGRAM/`. After a wanted change write them again, and look:
//!
//! ```text
//! TRYCMD=overwrite cargo nextest run -p jit-ssh-tests exact_outputs
//! ```

use jit_ssh_tests::dir::Dir;
use jit_ssh_tests::process::{asset, program};

#[test]
fn exact_outputs_of_every_help_and_of_errors_without_a_ca() {
    let home = Dir::new();
    let cases = trycmd::TestCases::new();
    for name in ["jit-ssh", "jit-ssh-ca", "jit-ssh-host"] {
        cases.register_bin(name, program(name));
    }
    cases
        .env("HOME", home.path().display().to_string())
        .insert_var("[HOME]", home.path().display().to_string())
        .unwrap()
        .insert_var("[VERSION]", env!("CARGO_PKG_VERSION"))
        .unwrap()
        .case(asset("cli/*/*.toml"))
        .run();
    // None of them has anything to write for plain ssh.
    for path in [".ssh", ".config/jit-ssh/ssh_config"] {
        assert!(!home.join(path).exists(), "{path}");
    }
}
