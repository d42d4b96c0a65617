//! Unix accounts of this host: is there one, and making one.

use std::path::Path;
use std::process::{Command, Stdio};

use crate::trust::AccountName;

/// Why an account could not be made.
#[derive(Debug, thiserror::Error)]
#[error("the account {account} could not be made: {cause}")]
pub(crate) struct AccountError {
    account: AccountName,
    cause: String,
}

/// Whether the host knows the account, from whatever source (files, SSSD, LDAP).
pub(crate) fn exists(account: &AccountName) -> bool {
    Command::new("getent")
        .args(["passwd", account.as_str()])
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status()
        .is_ok_and(|status| status.success())
}

/// Makes an account with a home folder, a shell, and no password that could ever match. `*` and
/// not `!`: sshd takes the latter for a locked account where it runs without PAM.
pub(crate) fn make(account: &AccountName) -> Result<(), AccountError> {
    let name = account.as_str();
    let bash = Path::new("/bin/bash").exists();
    let shell = if bash { "/bin/bash" } else { "/bin/sh" };
    let mut command = if Path::new("/usr/sbin/useradd").exists() {
        let mut command = Command::new("/usr/sbin/useradd");
        command.args(["--create-home", "--shell", shell, "--password", "*", name]);
        command
    } else {
        // BusyBox (Alpine); it leaves `!`, and its sshd runs without PAM: see below.
        let mut command = Command::new("adduser");
        command.args(["-D", "-s", shell, name]);
        command
    };
    run(account, &mut command)?;
    if !Path::new("/usr/sbin/useradd").exists() {
        let mut unlock = Command::new("sh");
        unlock.args(["-c", "printf '%s:*\\n' \"$1\" | chpasswd -e", "sh", name]);
        run(account, &mut unlock)?;
    }
    Ok(())
}

fn run(account: &AccountName, command: &mut Command) -> Result<(), AccountError> {
    let failed = |cause: String| AccountError {
        account: account.clone(),
        cause,
    };
    let output = command
        .stdin(Stdio::null())
        .output()
        .map_err(|error| failed(error.to_string()))?;
    if output.status.success() {
        return Ok(());
    }
    Err(failed(
        String::from_utf8_lossy(&output.stderr)
            .trim()
            .replace('\n', "; "),
    ))
}
