//! The lines of sshd's configuration, and where they stand: in a drop-in that stands first, or,
//! where sshd reads no drop-ins (OpenSSH 8.0–8.1, or a main file without `Include`), in a marked
//! block at the top of the main file. The first value that sshd reads wins (sshd_config(5)).

use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use super::Admission;

/// First line of the block in a main file.
pub(crate) const BLOCK_BEGIN: &str = "# BEGIN jit-ssh-host";
/// Last line of the block in a main file.
pub(crate) const BLOCK_END: &str = "# END jit-ssh-host";

/// What the lines refer to.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Files<'a> {
    /// The CA keys.
    pub(crate) ca_keys: &'a Path,
    /// The folder of principals files.
    pub(crate) principals: &'a Path,
    /// The revocation list, of a host that has one.
    pub(crate) krl: Option<&'a Path>,
    /// The host's certificates.
    pub(crate) host_certificates: &'a [PathBuf],
}

/// The directives, for the accounts that are opened and nobody else: every other account trusts no
/// key of ours (A58), and a CA that sshd trusts for it, in whatever `Match`, goes on as it was. For
/// everybody, our `AuthorizedPrincipalsFile` would refuse that CA's certificates. The host's own
/// certificates are for every connection, since nobody has said who he is when they are shown.
pub(crate) fn render(admissions: &[Admission], files: Files<'_>) -> String {
    let mut lines =
        "# Trust of jit-ssh. Written by jit-ssh-host: changes are overwritten.\n".to_owned();
    for certificate in files.host_certificates {
        let _ = writeln!(lines, "HostCertificate {}", certificate.display());
    }
    if admissions.is_empty() {
        return lines;
    }
    let names: Vec<&str> = admissions
        .iter()
        .map(|admission| admission.account.as_str())
        .collect();
    let _ = write!(
        lines,
        "Match User {}\n    TrustedUserCAKeys {}\n    AuthorizedPrincipalsFile {}/%u\n",
        names.join(","),
        files.ca_keys.display(),
        files.principals.display(),
    );
    if let Some(krl) = files.krl {
        let _ = writeln!(lines, "    RevokedKeys {}", krl.display());
    }
    lines.push_str("Match all\n");
    lines
}

/// The main file with the block at its top, replacing an earlier one.
pub(crate) fn with_block(main: &str, lines: &str) -> String {
    format!("{BLOCK_BEGIN}\n{lines}{BLOCK_END}\n{}", without_block(main))
}

/// The main file without the block.
pub(crate) fn without_block(main: &str) -> String {
    replace_block(main, "")
}

/// The main file with empty lines for the block: each other line has the number that it has there.
pub(crate) fn blank_block(main: &str) -> String {
    replace_block(main, "\n")
}

/// Index of the line where the block begins.
pub(crate) fn block_at(main: &str) -> Option<usize> {
    let begin = |line: &str| line.trim_end() == BLOCK_BEGIN;
    (without_block(main) != main).then(|| main.lines().position(begin))?
}

fn replace_block(main: &str, line_instead: &str) -> String {
    let mut kept = String::with_capacity(main.len());
    let mut inside = false;
    for line in main.split_inclusive('\n') {
        match line.trim_end() {
            BLOCK_BEGIN => {
                inside = true;
                kept.push_str(line_instead);
            }
            BLOCK_END if inside => {
                inside = false;
                kept.push_str(line_instead);
            }
            _ if inside => kept.push_str(line_instead),
            _ => kept.push_str(line),
        }
    }
    // A block without its end would swallow the file: then nothing is ours to remove.
    if inside { main.to_owned() } else { kept }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_block_is_replaced_not_repeated_and_removed_without_a_trace() {
        let main = "Port 22\nMatch User x\n    X11Forwarding no\n";
        let once = with_block(main, "A\n");
        let twice = with_block(&once, "B\n");
        assert_eq!(twice.matches(BLOCK_BEGIN).count(), 1);
        assert!(twice.contains("\nB\n") && !twice.contains("\nA\n"));
        assert_eq!(without_block(&twice), main);
        assert_eq!(blank_block(&twice), format!("\n\n\n{main}"));
        assert_eq!(block_at(&format!("# x\n{twice}")), Some(1));
        assert_eq!(block_at(main), None);
    }

    #[test]
    fn a_block_whose_end_is_gone_does_not_swallow_the_file() {
        let main = format!("{BLOCK_BEGIN}\nA\nPort 22\n");
        assert_eq!(without_block(&main), main);
        assert_eq!(block_at(&main), None);
    }

    #[test]
    fn the_lines_hold_for_the_accounts_alone_and_nothing_leaks_into_the_main_file() {
        let admissions = vec!["observer=a".parse().unwrap(), "admin".parse().unwrap()];
        let files = Files {
            ca_keys: Path::new("/c"),
            principals: Path::new("/p"),
            krl: None,
            host_certificates: &[],
        };
        let text = render(&admissions, files);
        assert!(text.contains("Match User observer,admin\n    TrustedUserCAKeys /c\n"));
        let first = text.lines().find(|line| !line.starts_with('#')).unwrap();
        assert!(first.starts_with("Match User "), "{text}");
        assert!(text.ends_with("Match all\n"));
    }

    #[test]
    fn what_is_revoked_is_for_our_accounts_and_the_host_certificate_for_every_connection() {
        let certificate = [PathBuf::from("/k-cert.pub")];
        let files = Files {
            ca_keys: Path::new("/c"),
            principals: Path::new("/p"),
            krl: Some(Path::new("/krl")),
            host_certificates: &certificate,
        };
        let text = render(&["observer=a".parse().unwrap()], files);
        let at = |line: &str| text.find(line).unwrap();
        assert!(at("HostCertificate /k-cert.pub\n") < at("Match User observer\n"));
        assert!(at("    RevokedKeys /krl\n") < at("Match all\n"));
        // `Match User` without a name is an error that keeps sshd from starting.
        assert!(!render(&[], files).contains("Match"));
    }
}
