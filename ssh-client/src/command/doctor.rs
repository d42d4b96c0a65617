//! `doctor`: looks at everything that a login and a plain `ssh` need, by trying it, and says the
//! mend beside each thing that is wrong.

use std::path::PathBuf;
use std::process::{Command, Stdio};

use jit_ssh_connect::{Pin as Voucher, TrustStore, discover};
use jit_ssh_terminal::{Check, Exit, Failure, Report, Terminal, span};

use crate::ca::{self, Ca};
use crate::cli::WhichCa;
use crate::command::ssh_config::{self, Found};
use crate::key::LoginKey;
use crate::oidc::Metadata;
use crate::platform;
use crate::sign_in::usable_agent;
use crate::state::{CaFiles, Home, Pin};
use jit_ssh_connect::agent::AgentError;

/// Looks at everything.
pub(crate) async fn run(arguments: &WhichCa, terminal: &mut Terminal) -> Result<(), Failure> {
    let home = Home::find()?;
    let mut report = Report::default();
    report.push(ssh_version());
    report.push(agent());
    report.push(include(&home));
    report.extend(forwarding());
    let cas = match &arguments.ca {
        Some(named) => vec![ca::choose(&home, Some(named))?],
        None => home.cas(),
    };
    if cas.is_empty() {
        let mend = "Sign in: `jit-ssh login --ca https://ca.example.com` (your CA's address).";
        report.push(Check::bad("CA", "none is known here", mend));
        report.push(trust_store(&[], true));
    }
    for files in cas {
        look_at_ca(files, &mut report).await;
    }
    report.tell(terminal)
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
    let what = "ssh configuration";
    let mend = "Write it again: `jit-ssh ssh-config`.";
    let found = match ssh_config::look(home) {
        Ok(found) => found,
        Err(failure) => return Check::failed(what, &failure),
    };
    let config =
        ssh_config::config_path().map_or_else(|_| String::new(), |path| path.display().to_string());
    match found {
        Found::Current => Check::good(what, format!("included in {config}")),
        Found::Other => Check::note(
            what,
            "what plain ssh includes is not what this program would write now",
            mend,
        ),
        Found::NoProgram(program) => Check::bad(
            what,
            format!(
                "plain ssh asks {}, which cannot be started, and goes on without us",
                program.display()
            ),
            mend,
        ),
        Found::NoInclude => Check::bad(
            what,
            format!(
                "{config} includes {}, which is not there",
                home.ssh_include().display()
            ),
            mend,
        ),
        Found::KnownHosts(path) => Check::bad(
            what,
            format!(
                "{} is not what it should be: plain ssh refuses enrolled hosts that are not in it",
                path.display()
            ),
            mend,
        ),
        Found::NotIncluded => Check::note(
            what,
            "plain ssh does not use jit-ssh",
            "Write it: `jit-ssh ssh-config`. It has to be the first line of ~/.ssh/config.",
        ),
    }
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

/// Whom TLS trusts; `needed` for something that is called.
fn trust_store(ca_files: &[PathBuf], needed: bool) -> Check {
    let what = "trust store";
    let mend = "Install the system's CA certificates (Debian: `apt install ca-certificates`), or name a \
                file of them: JIT_SSH_CA_FILE, `jit-ssh login --ca-file`.";
    match jit_ssh_connect::trust_store(&ca::options(ca_files)) {
        Err(error) => Check::failed(what, &error.into()),
        Ok(TrustStore {
            system: 0,
            named: 0,
        }) if needed => Check::bad(what, "no TLS CA is trusted here", mend),
        Ok(TrustStore {
            system: 0,
            named: 0,
        }) => Check::note(what, "no TLS CA is trusted here; none is needed yet", mend),
        Ok(TrustStore { system, named: 0 }) => {
            Check::good(what, format!("{system} TLS CAs of the system"))
        }
        Ok(TrustStore { system, named }) => Check::good(
            what,
            format!("{system} TLS CAs of the system, and {named} of files that were named"),
        ),
    }
}

/// Which way a call took, where the environment names a proxy.
fn way_to(url: &str, called: &Result<(), Failure>) -> Option<Check> {
    let what = "proxy";
    let parsed = url::Url::parse(url).ok()?;
    let answers = !matches!(called, Err(failure) if failure.exit() == Exit::Unreachable);
    let host = parsed.host_str().unwrap_or_default();
    match jit_ssh_connect::proxy_for(&parsed) {
        Some(proxy) if answers => Some(Check::good(
            what,
            format!("{url} is called through {proxy}"),
        )),
        Some(proxy) => Some(Check::bad(
            what,
            format!("{url} is called through {proxy}, and does not answer"),
            format!("Look at HTTPS_PROXY; NO_PROXY={host} goes around it."),
        )),
        None if answers || !names_a_proxy() => None,
        None => Some(Check::note(
            what,
            format!("{url} is called directly, and does not answer"),
            "HTTPS_PROXY does not count for it: NO_PROXY names it, or the proxy's address cannot \
             be read.",
        )),
    }
}

fn names_a_proxy() -> bool {
    ["HTTPS_PROXY", "https_proxy", "ALL_PROXY", "all_proxy"]
        .iter()
        .any(|name| std::env::var_os(name).is_some_and(|value| !value.is_empty()))
}

async fn look_at_ca(files: CaFiles, report: &mut Report) {
    check_modes(&files, report);
    if let Ok(Some(pin)) = files.pin() {
        let is_https = |url: &str| url.starts_with("https://");
        let needed = (is_https(&pin.known.url) && pin.known.tls_pins.is_empty())
            || pin
                .discovery
                .issuers
                .iter()
                .any(|issuer| is_https(&issuer.issuer));
        report.push(trust_store(&pin.ca_files, needed));
    }
    let mut ca = match Ca::open(files) {
        Ok(ca) => ca,
        Err(failure) => return report.push(Check::failed("CA", &failure)),
    };
    let before = ca.pin.clone();
    if !reach_ca(&mut ca, &before, report).await {
        return;
    }
    for issuer in ca.pin.discovery.issuers.clone() {
        let fetched = match ca.http_for(&issuer.issuer) {
            Ok(http) => Metadata::fetch(&http, &issuer.issuer)
                .await
                .map(drop)
                .map_err(Failure::from),
            Err(failure) => Err(failure),
        };
        report.extend(way_to(&issuer.issuer, &fetched));
        report.push(match fetched {
            Ok(()) => Check::good("identity provider", format!("{} answers", issuer.issuer)),
            Err(failure) => Check::failed("identity provider", &failure),
        });
    }
    match ca.files.login() {
        Ok(Some(login)) => report.push(match LoginKey::load(&ca.files, &login) {
            Ok(_) => Check::good("login key", "is there"),
            Err(error) => Check::bad(
                "login key",
                error.to_string(),
                "Sign in again: `jit-ssh login`.",
            ),
        }),
        Ok(None) => report.push(Check::note(
            "login",
            format!("nobody is signed in at {}", ca.files.name),
            "Sign in: `jit-ssh login`.",
        )),
        Err(error) => report.push(Check::failed("login", &error.into())),
    }
}

async fn reach_ca(ca: &mut Ca, before: &Pin, report: &mut Report) -> bool {
    let options = ca::options(&before.ca_files);
    let contact = discover(&before.known.url, Voucher::Known(&before.known), &options).await;
    let now = jit_ssh_connect::now();
    match contact {
        Ok(contact) => {
            let name = &contact.known.name;
            report.extend(way_to(&before.known.url, &Ok(())));
            report.push(Check::good(
                "CA",
                format!(
                    "{name} answers with the pinned key {}",
                    contact.known.fingerprint
                ),
            ));
            let off = contact.discovery.time.abs_diff(now);
            report.push(if off <= MAX_CLOCK {
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
            let failure = Err(error.into());
            report.extend(way_to(&before.known.url, &failure));
            report.extend(failure.err().map(|failure| Check::failed("CA", &failure)));
            false
        }
    }
}

fn check_modes(files: &CaFiles, report: &mut Report) {
    for path in [files.key(), files.refresh_token()] {
        let Ok(facts) = std::fs::metadata(&path) else {
            continue;
        };
        if platform::mode(&facts).is_some_and(|mode| mode & 0o077 != 0) {
            report.push(Check::bad(
                "files",
                format!("others may read {}", path.display()),
                format!("chmod 600 {}", path.display()),
            ));
        }
    }
}

/// Certificates begin two minutes early; half of that is for this machine.
const MAX_CLOCK: u64 = 60;
