//! `doctor`: looks at everything that a login and a plain `ssh` need, by trying it, and says the
//! mend beside each thing that is wrong.

use std::process::{Command, Stdio};

use jit_ssh_connect::{Pin as Voucher, discover};
use jit_ssh_terminal::{Exit, Failure, Terminal, span};
use serde::Serialize;

use crate::ca::{self, Ca};
use crate::cli::WhichCa;
use crate::command::ssh_config::{config_path, is_installed};
use crate::key::LoginKey;
use crate::oidc::Metadata;
use crate::platform;
use crate::sign_in::usable_agent;
use crate::state::{CaFiles, Home, Pin};
use jit_ssh_connect::agent::AgentError;

/// What is printed.
#[derive(Serialize)]
struct Report {
    checks: Vec<Check>,
}

/// One thing that was looked at.
#[derive(Serialize)]
struct Check {
    what: &'static str,
    health: Health,
    found: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    mend: Option<String>,
}

#[derive(Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
enum Health {
    Good,
    Note,
    Bad,
}

impl Check {
    fn good(what: &'static str, found: impl Into<String>) -> Self {
        Check {
            what,
            health: Health::Good,
            found: found.into(),
            mend: None,
        }
    }

    fn note(what: &'static str, found: impl Into<String>, mend: impl Into<String>) -> Self {
        Check {
            health: Health::Note,
            mend: Some(mend.into()),
            ..Check::good(what, found)
        }
    }

    fn bad(what: &'static str, found: impl Into<String>, mend: impl Into<String>) -> Self {
        Check {
            health: Health::Bad,
            ..Check::note(what, found, mend)
        }
    }
}

/// Looks at everything.
pub(crate) async fn run(arguments: &WhichCa, terminal: &mut Terminal) -> Result<(), Failure> {
    let home = Home::find()?;
    let mut report = Report { checks: Vec::new() };
    report.checks.push(ssh_version());
    report.checks.push(agent());
    report.checks.push(include(&home));
    report.checks.extend(forwarding());
    report.checks.push(proxy());
    let cas = match &arguments.ca {
        Some(named) => vec![ca::choose(&home, Some(named))?],
        None => home.cas(),
    };
    if cas.is_empty() {
        let mend = "Sign in: `jit-ssh login --ca https://ca.example.com` (your CA's address).";
        report
            .checks
            .push(Check::bad("CA", "none is known here", mend));
    }
    for files in cas {
        look_at_ca(files, &mut report.checks).await;
    }
    let bad = report
        .checks
        .iter()
        .any(|check| check.health == Health::Bad);
    terminal.answer(&report, in_words)?;
    if bad {
        Err(Failure::silent(Exit::Failed))
    } else {
        Ok(())
    }
}

fn ssh_version() -> Check {
    let output = Command::new("ssh").arg("-V").stdin(Stdio::null()).output();
    let mend = "Install OpenSSH's client, version 8.0 or newer.";
    let Ok(output) = output else {
        return Check::bad("ssh", "there is no `ssh`", mend);
    };
    let text = String::from_utf8_lossy(&output.stderr);
    let version = text.split([',', ' ']).next().unwrap_or_default().to_owned();
    let number = version
        .split_once('_')
        .filter(|(name, _)| name.ends_with("OpenSSH") || name.ends_with("Windows"))
        .map(|(_, number)| number.trim_start_matches("for_Windows_"))
        .and_then(|number| number.split(|c: char| !c.is_ascii_digit()).next())
        .and_then(|major| major.parse::<u32>().ok());
    match number {
        Some(major) if major >= 8 => Check::good("ssh", version),
        Some(_) => Check::bad("ssh", format!("{version} is old"), mend),
        None => Check::note("ssh", format!("{version:?} is not known to us"), mend),
    }
}

fn agent() -> Check {
    match usable_agent() {
        Ok(agent) => Check::good(
            "agent",
            format!(
                "{} keeps, signs and forgets keys",
                agent.address().display()
            ),
        ),
        Err(error @ AgentError::None) => Check::note(
            "agent",
            error.to_string(),
            "None is needed: the login key is in a file then.",
        ),
        Err(error) => Check::note(
            "agent",
            error.to_string(),
            "The login key is in a file then. OpenSSH's own ssh-agent would do.",
        ),
    }
}

fn include(home: &Home) -> Check {
    if is_installed(home) {
        let found = config_path().map_or_else(|_| String::new(), |path| path.display().to_string());
        return Check::good("ssh configuration", format!("included in {found}"));
    }
    Check::note(
        "ssh configuration",
        "plain ssh does not use jit-ssh",
        "Write it: `jit-ssh ssh-config`. It has to be the first line of ~/.ssh/config.",
    )
}

/// A forwarded agent lets every server on the way sign with the login key (A48).
fn forwarding() -> Option<Check> {
    let output = Command::new("ssh")
        .args(["-G", "jit-ssh-check.invalid"])
        .stdin(Stdio::null())
        .stderr(Stdio::null())
        .output()
        .ok()?;
    let what = "ssh configuration";
    if !output.status.success() {
        let mend = "`ssh -G example.com` says which line.";
        return Some(Check::bad(what, "ssh does not read it", mend));
    }
    let text = String::from_utf8_lossy(&output.stdout);
    let forwards = text.lines().any(|line| line == "forwardagent yes");
    forwards.then(|| {
        Check::note(
            "agent forwarding",
            "ForwardAgent is on for every host: servers can use the login key while you are there",
            "Switch it off and use ProxyJump, or sign in with `--no-agent`.",
        )
    })
}

fn proxy() -> Check {
    let named: Vec<String> = [
        "HTTPS_PROXY",
        "https_proxy",
        "ALL_PROXY",
        "NO_PROXY",
        "no_proxy",
    ]
    .iter()
    .filter_map(|name| {
        let value = std::env::var(name).ok().filter(|value| !value.is_empty())?;
        // A password in the address is nobody's business.
        let shown = value.rsplit('@').next().unwrap_or_default();
        Some(format!("{name}={shown}"))
    })
    .collect();
    if named.is_empty() {
        Check::good("proxy", "none")
    } else {
        Check::good("proxy", named.join(" "))
    }
}

async fn look_at_ca(files: CaFiles, checks: &mut Vec<Check>) {
    check_modes(&files, checks);
    let mut ca = match Ca::open(files) {
        Ok(ca) => ca,
        Err(failure) => return checks.push(from_failure("CA", &failure)),
    };
    let before = ca.pin.clone();
    if !reach_ca(&mut ca, &before, checks).await {
        return;
    }
    for issuer in ca.pin.discovery.issuers.clone() {
        let fetched = match ca.http_for(&issuer.issuer) {
            Ok(http) => Metadata::fetch(&http, &issuer.issuer)
                .await
                .map_err(Failure::from),
            Err(failure) => Err(failure),
        };
        checks.push(match fetched {
            Ok(_) => Check::good("identity provider", format!("{} answers", issuer.issuer)),
            Err(failure) => from_failure("identity provider", &failure),
        });
    }
    match ca.files.login() {
        Ok(Some(login)) => checks.push(match LoginKey::load(&ca.files, &login) {
            Ok(_) => Check::good("login key", "is there"),
            Err(error) => Check::bad(
                "login key",
                error.to_string(),
                "Sign in again: `jit-ssh login`.",
            ),
        }),
        Ok(None) => checks.push(Check::note(
            "login",
            format!("nobody is signed in at {}", ca.files.name),
            "Sign in: `jit-ssh login`.",
        )),
        Err(error) => checks.push(from_failure("login", &error.into())),
    }
}

async fn reach_ca(ca: &mut Ca, before: &Pin, checks: &mut Vec<Check>) -> bool {
    let options = ca::options(&before.ca_files);
    let contact = discover(&before.known.url, Voucher::Known(&before.known), &options).await;
    let now = jit_ssh_connect::now();
    match contact {
        Ok(contact) => {
            let name = &contact.known.name;
            checks.push(Check::good(
                "CA",
                format!(
                    "{name} answers with the pinned key {}",
                    contact.known.fingerprint
                ),
            ));
            let off = contact.discovery.time.abs_diff(now);
            checks.push(if off <= MAX_CLOCK {
                Check::good("clock", format!("within {} of the CA's", span(off.max(1))))
            } else {
                Check::bad(
                    "clock",
                    format!("{} off the CA's", span(off)),
                    "Set the clock right (timedatectl set-ntp true).",
                )
            });
            ca.pin.known = contact.known;
            ca.pin.discovery = contact.discovery;
            true
        }
        Err(error) => {
            checks.push(from_failure("CA", &error.into()));
            false
        }
    }
}

fn check_modes(files: &CaFiles, checks: &mut Vec<Check>) {
    for path in [files.key(), files.refresh_token()] {
        let Ok(facts) = std::fs::metadata(&path) else {
            continue;
        };
        if platform::mode(&facts).is_some_and(|mode| mode & 0o077 != 0) {
            checks.push(Check::bad(
                "files",
                format!("others may read {}", path.display()),
                format!("chmod 600 {}", path.display()),
            ));
        }
    }
}

fn from_failure(what: &'static str, failure: &Failure) -> Check {
    let mend = failure.next_steps().join(" ");
    Check::bad(what, failure.what(), mend)
}

fn in_words(report: &Report) -> String {
    let mut lines = Vec::new();
    for check in &report.checks {
        let mark = match check.health {
            Health::Good => "ok  ",
            Health::Note => "note",
            Health::Bad => "BAD ",
        };
        lines.push(format!("{mark}  {}: {}", check.what, check.found));
        if let Some(mend) = &check.mend {
            lines.push(format!("      {mend}"));
        }
    }
    lines.join("\n")
}

/// Certificates begin two minutes early; half of that is for this machine.
const MAX_CLOCK: u64 = 60;
