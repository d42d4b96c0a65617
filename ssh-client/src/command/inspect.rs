//! `inspect FILE`: a certificate in words, ours or anybody's, with what is dangerous about it said
//! plainly.

use jit_ssh_terminal::{Failure, Terminal, escape, span, utc};
use serde::Serialize;

use crate::certificate::{
    ACCESS_UNTIL_EXTENSION, Certificate, CertificateError, LOGIN_EXTENSION, POLICY_EXTENSION,
    fingerprint,
};
use crate::cli::Inspect;
use crate::state;

/// What is printed.
#[derive(Serialize)]
struct Shown {
    kind: &'static str,
    algorithm: String,
    key: String,
    ca_key: String,
    serial: String,
    key_id: String,
    role: Option<String>,
    principals: Vec<String>,
    valid_after: Option<u64>,
    valid_before: Option<u64>,
    state: String,
    critical_options: Vec<(String, String)>,
    extensions: Vec<(String, String)>,
    #[serde(flatten)]
    ours: Ours,
    remarks: Vec<String>,
}

/// What a jit-ssh CA says in extensions of its own.
#[derive(Default, Serialize)]
struct Ours {
    #[serde(skip_serializing_if = "Option::is_none")]
    access_until: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    login: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    policy: Option<String>,
}

impl Ours {
    /// Takes out of the extensions what it can read.
    fn take_from(extensions: &mut Vec<(String, String)>) -> Self {
        let mut ours = Ours::default();
        extensions.retain(|(name, value)| {
            match name.as_str() {
                ACCESS_UNTIL_EXTENSION => match value.parse() {
                    Ok(until) => ours.access_until = Some(until),
                    Err(_) => return true,
                },
                LOGIN_EXTENSION => ours.login = Some(value.clone()),
                POLICY_EXTENSION => ours.policy = Some(value.clone()),
                _ => return true,
            }
            false
        });
        ours
    }
}

/// Reads and prints.
pub(crate) fn run(arguments: &Inspect, terminal: &mut Terminal) -> Result<(), Failure> {
    let text = if arguments.file.as_os_str() == "-" {
        state::read_whole(std::io::stdin(), "standard input".as_ref())?
    } else {
        state::read_to_string(&arguments.file)?.ok_or_else(|| {
            Failure::usage(format_args!(
                "There is no file {}.",
                arguments.file.display()
            ))
            .next("Certificates end in `-cert.pub`.")
        })?
    };
    let certificate = Certificate::parse(&text).map_err(|error| {
        let failure = Failure::failed(format_args!("{}: {error}.", arguments.file.display()));
        match error {
            CertificateError::PrivateKey | CertificateError::PublicKey => {
                failure.next("The certificate is the file beside it that ends in `-cert.pub`.")
            }
            _ => failure.next("Certificates are one line, as `ssh-keygen -s` writes them."),
        }
    })?;
    let shown = describe(&certificate, jit_ssh_connect::now());
    terminal.answer(&shown, in_words)
}

fn describe(certificate: &Certificate, now: u64) -> Shown {
    let forever = certificate.valid_before == u64::MAX;
    let state = if now < certificate.valid_after {
        format!("valid in {}", span(certificate.valid_after - now))
    } else if forever {
        "valid for ever".to_owned()
    } else if now >= certificate.valid_before {
        format!("expired {} ago", span(now - certificate.valid_before))
    } else {
        format!("valid for {} more", span(certificate.valid_before - now))
    };
    let values = |options: &[(String, Vec<u8>)]| -> Vec<(String, String)> {
        options
            .iter()
            .map(|(name, value)| (name.clone(), String::from_utf8_lossy(value).into_owned()))
            .collect()
    };
    let mut extensions = values(&certificate.extensions);
    let ours = Ours::take_from(&mut extensions);
    Shown {
        kind: match certificate.kind {
            1 => "user",
            2 => "host",
            _ => "unknown",
        },
        algorithm: certificate.algorithm.clone(),
        key: fingerprint(&certificate.public_key),
        ca_key: fingerprint(&certificate.ca_key),
        serial: certificate.serial.to_string(),
        key_id: certificate.key_id.clone(),
        role: certificate.role().map(str::to_owned),
        principals: certificate.principals.clone(),
        valid_after: (certificate.valid_after != 0).then_some(certificate.valid_after),
        valid_before: (!forever).then_some(certificate.valid_before),
        state,
        critical_options: values(&certificate.critical_options),
        extensions,
        ours,
        remarks: remarks(certificate),
    }
}

fn remarks(certificate: &Certificate) -> Vec<String> {
    let mut remarks = Vec::new();
    let has = |name: &str| {
        certificate
            .extensions
            .iter()
            .any(|(known, _)| known == name)
    };
    if certificate.principals.is_empty() {
        remarks.push(
            if certificate.kind == 2 {
                "it has no principals: it can stand for any host"
            } else {
                "it has no principals: where sshd lists none either, it opens every account"
            }
            .to_owned(),
        );
    }
    if certificate.valid_before == u64::MAX {
        remarks.push("it never expires: only a revocation list ends it".to_owned());
    } else if certificate
        .valid_before
        .saturating_sub(certificate.valid_after)
        > 7 * 86_400
        && certificate.kind == 1
    {
        remarks.push("it is valid for more than a week".to_owned());
    }
    if certificate.serial == 0 {
        remarks.push("its serial is 0: it cannot be revoked by number".to_owned());
    }
    if has("permit-agent-forwarding") {
        remarks.push("the server may use the agent (permit-agent-forwarding)".to_owned());
    }
    if has("permit-user-rc") {
        remarks.push("~/.ssh/rc runs on the server (permit-user-rc)".to_owned());
    }
    if certificate.algorithm.starts_with("ssh-dss") {
        remarks.push("DSA: no current OpenSSH accepts it".to_owned());
    }
    remarks
}

fn in_words(shown: &Shown) -> String {
    let list = |items: &[String]| {
        if items.is_empty() {
            "none".to_owned()
        } else {
            items.join(", ")
        }
    };
    let options = |options: &[(String, String)]| {
        let items: Vec<String> = options
            .iter()
            .map(|(name, value)| {
                if value.is_empty() {
                    name.clone()
                } else {
                    format!("{name} = {value}")
                }
            })
            .collect();
        list(&items)
    };
    let time = |time: Option<u64>, open: &str| time.map_or_else(|| open.to_owned(), utc);
    let mut lines = vec![
        format!("A {} certificate, {}.", shown.kind, shown.state),
        format!("  key         {} ({})", shown.key, shown.algorithm),
        format!("  signed by   {}", shown.ca_key),
        format!("  key id      {}", shown.key_id),
        format!("  serial      {}", shown.serial),
    ];
    if let Some(role) = &shown.role {
        lines.push(format!("  role        {role}"));
    }
    lines.extend([
        format!("  principals  {}", list(&shown.principals)),
        format!("  from        {}", time(shown.valid_after, "always")),
        format!("  until       {}", time(shown.valid_before, "for ever")),
        format!("  limits      {}", options(&shown.critical_options)),
        format!("  allows      {}", options(&shown.extensions)),
    ]);
    if let Some(until) = shown.ours.access_until {
        lines.push(format!("  sessions    until {}", utc(until)));
    }
    if let Some(login) = &shown.ours.login {
        lines.push(format!("  login       {login}"));
    }
    if let Some(policy) = &shown.ours.policy {
        lines.push(format!("  policy      {policy} (SHA-256)"));
    }
    lines.extend(
        shown
            .remarks
            .iter()
            .map(|remark| format!("  note: {remark}")),
    );
    // A line feed in what others chose would begin a line that looks like ours.
    let lines: Vec<String> = lines.iter().map(|line| escape(line)).collect();
    lines.join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::certificate::tests::keygen;

    #[test]
    fn a_foreign_certificate_for_ever_is_described_with_its_dangers() {
        let folder = tempfile::tempdir().unwrap();
        let at = folder.path();
        keygen(at, &["-q", "-t", "ed25519", "-N", "", "-f", "ca"]);
        keygen(at, &["-q", "-t", "ecdsa", "-N", "", "-f", "user"]);
        keygen(
            at,
            &["-q", "-s", "ca", "-I", "evil\u{1b}[2Jname", "user.pub"],
        );
        let file = at.join("user-cert.pub");
        let (mut terminal, captured) = Terminal::captured(false);
        run(&Inspect { file }, &mut terminal).unwrap();
        let text = captured.out();
        for expected in [
            "A user certificate, valid for ever.",
            "no principals: where sshd lists none",
            "never expires",
            "serial is 0",
            "permit-user-rc",
            "until       for ever",
        ] {
            assert!(text.contains(expected), "{expected} in {text}");
        }
        assert!(!text.contains('\u{1b}'));
    }

    #[test]
    fn what_the_ca_says_of_login_and_policy_is_in_words() {
        let folder = tempfile::tempdir().unwrap();
        let at = folder.path();
        keygen(at, &["-q", "-t", "ed25519", "-N", "", "-f", "ca"]);
        keygen(at, &["-q", "-t", "ed25519", "-N", "", "-f", "user"]);
        let describe = |until: &str, json: bool| {
            let until = format!("extension:access-until@jit-ssh.dev={until}");
            let options = [
                ["-O", until.as_str()],
                ["-O", "extension:login@jit-ssh.dev=L1"],
                ["-O", "extension:policy@jit-ssh.dev=abcd"],
            ];
            let sign = [
                "-q",
                "-s",
                "ca",
                "-I",
                "x",
                "-O",
                "clear",
                "-O",
                "permit-pty",
            ];
            keygen(at, &[&sign[..], &options.concat(), &["user.pub"]].concat());
            let file = at.join("user-cert.pub");
            let (mut terminal, captured) = Terminal::captured(json);
            run(&Inspect { file }, &mut terminal).unwrap();
            captured.out()
        };
        let text = describe("1795000000", false);
        for line in [
            "  allows      permit-pty\n",
            &format!("  sessions    until {}\n", utc(1_795_000_000)),
            "  login       L1\n",
            "  policy      abcd (SHA-256)\n",
        ] {
            assert!(text.contains(line), "{line} in {text}");
        }
        let json: serde_json::Value = serde_json::from_str(&describe("1795000000", true)).unwrap();
        assert_eq!(json["access_until"], 1_795_000_000);
        assert_eq!(json["extensions"], serde_json::json!([["permit-pty", ""]]));
        // What is no time stays as it is written.
        let text = describe("soon", false);
        assert!(text.contains("access-until@jit-ssh.dev = soon"), "{text}");
    }

    #[test]
    fn a_key_in_place_of_a_certificate_is_said() {
        let folder = tempfile::tempdir().unwrap();
        let at = folder.path();
        keygen(at, &["-q", "-t", "ed25519", "-N", "", "-f", "user"]);
        for (name, word) in [
            ("user", "private key"),
            ("user.pub", "public key"),
            ("no", "no file"),
        ] {
            let (mut terminal, _) = Terminal::captured(false);
            let failure = run(
                &Inspect {
                    file: at.join(name),
                },
                &mut terminal,
            )
            .unwrap_err();
            assert!(failure.to_string().contains(word), "{failure}");
        }
    }
}
