//! The command line from inside; tests/cli/ has every `--help` and the errors as people meet them.

use clap::CommandFactory as _;
use jit_ssh_terminal::Captured;

use super::*;

/// Runs a command as `main` does, without a process.
pub(super) fn run_captured(arguments: &[&str]) -> (Result<(), Failure>, Captured) {
    let cli = Cli::try_parse_from([&["jit-ssh-ca"], arguments].concat()).unwrap();
    let (mut terminal, captured) = Terminal::captured(cli.global.json);
    (run(cli, &mut terminal), captured)
}

#[test]
fn the_command_line_is_consistent() {
    Cli::command().debug_assert();
}

#[test]
fn an_admin_command_without_a_ca_says_how_to_start_one() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("none").display().to_string();
    for command in [
        vec!["login", "list"],
        vec!["login", "end", "abc"],
        vec!["audit", "list"],
        vec!["policy", "show"],
        vec!["policy", "explain", "--group", "Ops"],
        vec!["backup", "/nowhere/backup"],
    ] {
        let arguments = [&["--data", data.as_str()], command.as_slice()].concat();
        let failure = run_captured(&arguments).0.unwrap_err();
        assert_eq!(
            failure.to_string(),
            format!(
                "error: No CA serves {data} on this machine.\n  \
                 next: Start it: `systemctl start jit-ssh-ca`, or `jit-ssh-ca serve`.\n  \
                 next: For a CA on another machine: `--ca https://ca.example.com`."
            )
        );
        assert_eq!(failure.exit(), Exit::Unreachable);
    }
}

#[test]
fn a_login_that_is_no_identifier_never_reaches_a_path() {
    let folder = tempfile::tempdir().unwrap();
    let _socket = std::os::unix::net::UnixListener::bind(folder.path().join("admin.sock")).unwrap();
    let data = folder.path().display().to_string();
    for wrong in ["../policy", "A", "a/b", "a%2f", "é"] {
        let failure = run_captured(&["--data", &data, "login", "end", wrong])
            .0
            .unwrap_err();
        assert_eq!(failure.exit(), Exit::Usage, "{wrong}");
    }
}

#[test]
fn a_backup_over_a_file_that_is_there_is_refused() {
    let file = tempfile::NamedTempFile::new().unwrap();
    let failure = run_captured(&["backup", &file.path().display().to_string()])
        .0
        .unwrap_err();
    assert!(failure.to_string().contains("nothing is overwritten"));
}

#[test]
fn policy_check_says_every_fault_with_its_line() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("policy.toml");
    init::folder::new_file(&path, b"ordr = []\n[roles.x]\naccounts = []\n", 0o600).unwrap();
    let failure = run_captured(&["policy", "check", &path.display().to_string()])
        .0
        .unwrap_err();
    assert_eq!(failure.exit(), Exit::Usage);
    let text = failure.to_string();
    assert!(text.contains("policy.toml:1:"), "{text}");
}

#[test]
fn policy_explain_answers_from_a_bare_file() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("policy.toml");
    let policy = crate::policy::example("https://idp.example.com", &[]);
    init::folder::new_file(&path, policy.as_bytes(), 0o600).unwrap();
    let path = path.display().to_string();
    let (result, captured) = run_captured(&["policy", "explain", "--group", "Ops", &path]);
    result.unwrap();
    let out = captured.out();
    assert!(out.contains("production-observer  yes"), "{out}");
    assert!(out.contains("production-admin     no"), "{out}");
    let (result, captured) = run_captured(&["--json", "policy", "check", &path]);
    result.unwrap();
    assert!(captured.out().contains("\"tests\":3"), "{}", captured.out());
}

#[test]
fn the_owner_s_commands_go_over_the_socket_and_a_backup_comes_back_as_a_new_epoch() {
    let parent = tempfile::tempdir().unwrap();
    let text = |name: &str| parent.path().join(name).display().to_string();
    let (data, passphrase, backup) = (text("ca"), text("passphrase"), text("backup"));
    let ok = |arguments: &[&str]| {
        let (result, captured) = run_captured(arguments);
        result.unwrap();
        captured.out()
    };
    ok(&[
        "init",
        "--data",
        &data,
        "--generate-passphrase",
        &passphrase,
        "--url",
        "https://localhost",
        "--issuer",
        "http://127.0.0.1:1",
        "--client-id",
        "x",
    ]);
    let read = passphrase::Passphrase {
        passphrase_file: Some(passphrase.clone().into()),
    };
    let serving = tokio::runtime::Runtime::new().unwrap();
    let options = crate::server::ServeOptions {
        data: data.clone().into(),
        clock: crate::time::Clock::System,
        passphrase: read.stored().unwrap(),
        listen: Some(std::net::SocketAddr::from(([127, 0, 0, 1], 0))),
    };
    let running = serving.block_on(crate::server::start(options)).unwrap();

    assert_eq!(
        ok(&["login", "list", "--data", &data]),
        "Nobody is signed in.\n"
    );
    assert!(ok(&["policy", "explain", "--group", "Ops", "--data", &data]).contains("yes"));
    assert!(ok(&["policy", "show", "--data", &data]).contains("[[grants]]"));
    assert!(ok(&["key", "list", "--data", &data]).contains("epoch 1, number 1"));
    assert!(ok(&["doctor", "--offline", "--data", &data]).contains("answers on its socket"));
    let audit = ok(&[
        "audit", "list", "--kind", "admin", "--limit", "0", "--data", &data,
    ]);
    assert!(
        audit.contains("action=") && audit.contains("by=local:"),
        "{audit}"
    );
    let lines = ok(&["audit", "list", "--json", "--limit", "2", "--data", &data]);
    assert_eq!(lines.lines().count(), 2, "{lines}");
    let unknown = run_captured(&["login", "end", "abcdefgh", "--data", &data])
        .0
        .unwrap_err();
    assert_eq!(
        unknown.to_json()["error"]["type"],
        "https://jit-ssh.dev/problems/not-found"
    );
    ok(&["backup", &backup, "--data", &data]);
    let left: Vec<_> = std::fs::read_dir(&data)
        .unwrap()
        .flatten()
        .map(|e| e.file_name())
        .collect();
    assert!(
        !left
            .iter()
            .any(|name| name.to_string_lossy().contains("backup")),
        "{left:?}"
    );
    serving.block_on(running.stop()).unwrap();

    let again = text("again");
    ok(&[
        "restore",
        &backup,
        "--data",
        &again,
        "--passphrase-file",
        &passphrase,
    ]);
    let keys = ok(&["key", "list", "--data", &again]);
    assert!(
        keys.contains(", number 1,") && !keys.contains("epoch 1,"),
        "{keys}"
    );
    let failure = run_captured(&[
        "restore",
        &backup,
        "--data",
        &data,
        "--passphrase-file",
        &passphrase,
    ])
    .0;
    assert!(
        failure
            .unwrap_err()
            .to_string()
            .contains("is not empty; nothing was changed")
    );
    let half = text("half");
    let failure = run_captured(&["restore", &passphrase, "--data", &half])
        .0
        .unwrap_err();
    assert!(
        failure
            .to_string()
            .contains("cannot be restored; nothing was changed"),
        "{failure}"
    );
    assert!(!std::path::Path::new(&half).exists());
}
