//! Unix accounts of this host: is there one, whose own are there, and making one.

use std::path::Path;
use std::process::{Command, Stdio};

use jit_ssh_api::reserved::is_reserved;

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

/// People's own accounts of this host: those with the uid of a person, and not of a service or an
/// image by their name. Directories that do not list their members are not seen.
///
/// Where the list cannot be had whole, it is the accounts that have a file in `principals` now: a
/// directory that is away is no order to close anybody's account.
pub(crate) fn own(principals: &Path) -> Vec<AccountName> {
    let output = Command::new("getent")
        .arg("passwd")
        .stdin(Stdio::null())
        .stderr(Stdio::null())
        .output();
    let passwd = output
        .ok()
        .filter(|output| output.status.success())
        .and_then(|output| whole(output.stdout));
    let Some(passwd) = passwd else {
        return named_in(principals);
    };
    let login_defs = std::fs::read_to_string("/etc/login.defs").unwrap_or_default();
    of_people(&passwd, first_uid(&login_defs))
}

/// A list that was not cut off: its last line ends, and somebody has uid 0.
fn whole(passwd: Vec<u8>) -> Option<String> {
    let text = String::from_utf8(passwd).ok()?;
    let is_root = |line: &str| line.split(':').nth(2) == Some("0");
    (text.ends_with('\n') && text.lines().any(is_root)).then_some(text)
}

fn named_in(principals: &Path) -> Vec<AccountName> {
    let entries = std::fs::read_dir(principals).into_iter().flatten();
    let mut accounts: Vec<AccountName> = entries
        .filter_map(|entry| AccountName::new(&entry.ok()?.file_name().into_string().ok()?).ok())
        .collect();
    accounts.sort();
    accounts
}

/// `UID_MIN` of login.defs(5).
fn first_uid(login_defs: &str) -> u32 {
    let said = login_defs.lines().find_map(|line| {
        let mut words = line.split_whitespace();
        (words.next() == Some("UID_MIN")).then(|| words.next())?
    });
    said.and_then(|uid| uid.parse().ok()).unwrap_or(1000)
}

fn of_people(passwd: &str, first_uid: u32) -> Vec<AccountName> {
    // `nobody`, systemd's DynamicUser, and -1.
    let of_systems = |uid: u32| matches!(uid, 61_184..=65_519 | 65_534 | 65_535 | u32::MAX);
    let mut accounts: Vec<AccountName> = passwd
        .lines()
        .filter_map(|line| {
            let mut fields = line.split(':');
            let name = AccountName::new(fields.next()?).ok()?;
            let uid: u32 = fields.nth(1)?.parse().ok()?;
            let person = uid >= first_uid && !of_systems(uid) && !is_reserved(&name);
            person.then_some(name)
        })
        .collect();
    accounts.sort();
    accounts.dedup();
    accounts
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_account_of_a_service_or_an_image_is_nobodys_own() {
        let passwd = "root:x:0:0::/root:/bin/sh\nwww-data:x:33:33::/:/bin/sh\n\
                      alice:x:1000:1000::/home/alice:/bin/sh\nubuntu:x:1001:1001::/:/bin/sh\n\
                      low:x:999:999::/:/bin/sh\nnobody:x:65534:65534::/:/bin/sh\n\
                      dyn:x:61200:61200::/:/bin/sh\n+nis:x:1002:1:::\nAda:x:1003:1:::\nbob:x:1004:1:::\n\
                      toor:x:0:0:::\nbad\n";
        let names = |first| {
            let accounts = of_people(passwd, first);
            let names: Vec<String> = accounts.iter().map(ToString::to_string).collect();
            names.join(" ")
        };
        assert_eq!(
            names(first_uid("# UID_MIN 5\nUID_MIN\t\t 1000\n")),
            "alice bob"
        );
        assert_eq!(names(first_uid("UID_MIN 999\n")), "alice bob low");
        assert_eq!(first_uid("UID_MIN x\n"), 1000);
    }

    #[test]
    fn a_list_of_accounts_that_is_cut_off_closes_nobodys_account() {
        let good = b"root:x:0:0::/root:/bin/sh\nalice:x:1000:1000:::\n";
        assert!(whole(good.to_vec()).is_some());
        for bad in [
            &b""[..],
            b"root:x:0:0::/root:/bin/sh\nalice:x:10",
            b"alice:x:1000:1000:::\n",
            b"root:x:0:0:::\n\xff\n",
        ] {
            assert_eq!(whole(bad.to_vec()), None);
        }
        let folder = tempfile::tempdir().unwrap();
        for name in ["bob", "alice", ".hidden", "Not-One"] {
            std::fs::File::create(folder.path().join(name)).unwrap();
        }
        let names: Vec<String> = named_in(folder.path())
            .iter()
            .map(ToString::to_string)
            .collect();
        assert_eq!(names, ["alice", "bob"]);
        assert!(named_in(&folder.path().join("none")).is_empty());
    }
}
