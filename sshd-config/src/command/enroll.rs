//! `jit-ssh-host enroll`.

use std::fs;
use std::io::{IsTerminal as _, Read as _};
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use jit_ssh_api::host::Enrolment;
use jit_ssh_connect::{Connection, Contact, Options, Pin, Request};
use jit_ssh_terminal::{Failure, Terminal, utc};
use serde::Serialize;
use ssh_key::HashAlg;

use super::{explain, place, remembered};
use crate::cli::Enroll;
use crate::enrol::{self, Key};
use crate::files::File;
use crate::host::Place;
use crate::install;
use crate::plan::OtherCas;
use crate::state::{self, Lock, State};
use crate::trust::HostCertificate;

#[derive(Serialize)]
struct Report {
    ca: String,
    fingerprint: String,
    names: Vec<String>,
    keys: Vec<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    host: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    bundle: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    certificate_ends: Option<u64>,
    accounts: Vec<(String, Vec<String>)>,
    changed: Vec<String>,
    notes: Vec<String>,
    dry_run: bool,
    reload: &'static str,
    service: &'static str,
}

pub(super) fn run(options: &Enroll, terminal: &mut Terminal) -> Result<(), Failure> {
    let place = place(&options.place);
    let names = names(&options.names)?;
    let earlier = place.installed().map_err(explain)?;
    if let Some(manifest) = &earlier {
        manifest.same_ca(&options.ca.fingerprint).map_err(explain)?;
    }
    let keys = enrol::keys(&place).map_err(explain)?;
    if keys.is_empty() {
        return Err(
            Failure::failed("sshd has no host key that this program can use.")
                .next("Make one: `ssh-keygen -A`, as root."),
        );
    }
    let mut connection_options = super::connection_options();
    connection_options
        .ca_files
        .extend(options.ca.ca_file.clone());
    let token = if options.dry_run {
        String::new()
    } else {
        token(options.token_file.as_deref())?
    };
    let contact = {
        let _spinner = terminal.spinner("asking the CA");
        let pin = match &earlier {
            Some(manifest) => Pin::Known(&manifest.ca),
            None => Pin::Fingerprint(&options.ca.fingerprint),
        };
        let asked = jit_ssh_connect::discover(&options.ca.ca, pin, &connection_options);
        jit_ssh_connect::block_on(asked)??
    };
    let mut report = Report {
        ca: contact.known.url.clone(),
        fingerprint: contact.known.fingerprint.clone(),
        names: names.clone(),
        keys: keys.iter().map(fingerprint).collect(),
        host: None,
        bundle: None,
        certificate_ends: None,
        accounts: Vec::new(),
        changed: Vec::new(),
        notes: Vec::new(),
        dry_run: options.dry_run,
        reload: "not",
        service: "not",
    };
    if options.dry_run {
        report.changed = would_write(&place, &keys);
        return terminal.answer(&report, render);
    }
    let joined = {
        let _spinner = terminal.spinner("enrolling");
        let answer = ask(&token, &names, &keys, &contact, connection_options, &place)?;
        enrol::accept(
            &answer,
            &contact.known,
            &keys,
            &names,
            jit_ssh_connect::now(),
        )
        .map_err(|error| {
            Failure::failed("What the CA answered is not taken; this host was not changed.")
                .why(error)
                .next("Tell whoever runs the CA; `jit-ssh-ca doctor` there looks at it.")
        })?
    };
    let unit = if options.no_service {
        None
    } else {
        unit_file(options, &mut report.notes)
    };
    let lock = Lock::take(&place).map_err(remembered)?;
    let before = state::read(&place).ok().flatten();
    let state = State {
        host: joined.host.clone(),
        ca: joined.taken.known.clone(),
        names,
        certificates: joined.certificates.clone(),
        renewed: jit_ssh_connect::now(),
        seen: joined.taken.position(),
        unit: unit.as_ref().map(|(path, _)| path.clone()),
    };
    // Who the host is comes first: dying after it, `sync` or this once more does the rest.
    state::write(&place, &state).map_err(remembered)?;
    state::keep_bundle(&place, &joined.signed).map_err(remembered)?;
    let own = crate::accounts::own(&place.principals());
    let done = joined
        .taken
        .trust(&state, &own)
        .map_err(|error| Failure::failed("The CA's bundle is not taken.").why(error))
        .and_then(|mut trust| {
            if let Some(enrolled) = &mut trust.enrolled {
                enrolled.unit = unit;
            }
            install::carry_out(&place, trust, OtherCas::Keep, |_, _| {}).map_err(explain)
        });
    let done = match done {
        Ok(done) => done,
        Err(failure) => {
            // Nothing was changed, and this host is enrolled at the CA only: the next try finds it there.
            if before.is_none() {
                let _ = state::forget(&place).and_then(|()| state::forget_the_rest(&place));
            }
            return Err(failure);
        }
    };
    report.host = Some(state.host);
    report.bundle = Some(state.seen.number);
    report.certificate_ends = joined
        .certificates
        .iter()
        .filter_map(|certificate| HostCertificate::read(&certificate.line).ok())
        .map(|certificate| certificate.ends())
        .min();
    report.accounts = done
        .trust
        .admissions
        .iter()
        .map(|admission| {
            let principals = admission.principals.iter().map(ToString::to_string);
            (admission.account.to_string(), principals.collect())
        })
        .collect();
    report.changed = done
        .plan
        .changes
        .iter()
        .filter(|change| !change.is_noop())
        .map(|change| change.path.display().to_string())
        .collect();
    report.notes.extend(done.plan.notes);
    report.notes.extend(
        done.left_out
            .iter()
            .map(|(account, why)| format!("{account} is not opened: {why}")),
    );
    report.notes.extend(other_host_certificates(&place));
    if state::reload_is_due(&place) && !options.no_reload {
        report.reload = super::install::reload(&place, &mut report.notes);
        if report.reload != "failed" {
            state::reload_due(&place, false).map_err(remembered)?;
        }
    }
    drop(lock);
    if !options.no_service {
        report.service = start_service(&mut report.notes);
    }
    terminal.answer(&report, render)
}

fn ask(
    token: &str,
    names: &[String],
    keys: &[Key],
    contact: &Contact,
    options: Options,
    place: &Place,
) -> Result<Enrolment, Failure> {
    let sent = enrol::request(token, names, keys, &contact.known, enrol::report(place)).map_err(
        |error| {
            Failure::failed("A host key does not sign.")
                .why(error)
                .next("Run it as root: `sudo jit-ssh-host …`.")
        },
    )?;
    let request = Request::post("/v1/hosts", &sent)?;
    let mut connection = Connection::new(contact.known.clone(), options)?;
    let mut key = keys
        .first()
        .cloned()
        .ok_or_else(|| Failure::failed("sshd has no host key."))?;
    let answer = connection.send_signed(&request, &mut key);
    Ok(jit_ssh_connect::block_on(answer)??)
}

/// The invitation's secret: from a file that nobody else may read, the environment, or standard input.
/// Never an argument, which `ps` shows to everybody.
fn token(file: Option<&Path>) -> Result<String, Failure> {
    let text = match (file, std::env::var("JIT_SSH_INVITATION")) {
        (Some(path), _) => from_file(path)?,
        (None, Ok(text)) if !text.trim().is_empty() => text,
        (None, _) => {
            let mut input = std::io::stdin().lock();
            if input.is_terminal() {
                return Err(Failure::usage("There is no invitation.").next(
                    "Give it with --token-file FILE, in JIT_SSH_INVITATION, or on standard input; \
                     `jit-ssh-ca host invite` makes one.",
                ));
            }
            let mut text = String::new();
            input
                .by_ref()
                .take(MOST_TOKEN_BYTES)
                .read_to_string(&mut text)
                .map_err(|error| {
                    Failure::usage("The invitation on standard input cannot be read.").why(error)
                })?;
            text
        }
    };
    let text = text.trim();
    let printable = |byte: u8| byte.is_ascii_graphic();
    if text.is_empty() {
        return Err(Failure::usage("There is no invitation.")
            .why("None was given as a file or in JIT_SSH_INVITATION, and standard input is empty.")
            .next("Give it with `--token-file FILE`; `jit-ssh-ca host invite` prints one, once."));
    }
    if !text.bytes().all(printable) {
        return Err(Failure::usage("This is no invitation.")
            .next("`jit-ssh-ca host invite` prints one, a single word, once."));
    }
    Ok(text.to_owned())
}

fn from_file(path: &Path) -> Result<String, Failure> {
    let unreadable = |error: std::io::Error| {
        Failure::usage(format_args!(
            "The invitation in {} cannot be read.",
            path.display()
        ))
        .why(error)
        .next("Look at the path.")
    };
    let mut file = fs::File::open(path).map_err(unreadable)?;
    // Of the file that was opened: whatever is at the path by now.
    let facts = file.metadata().map_err(unreadable)?;
    let own = [0, rustix::process::geteuid().as_raw()].contains(&facts.uid());
    if facts.mode() & 0o077 != 0 || !own {
        return Err(Failure::usage(format_args!(
            "Others may read the invitation in {}.",
            path.display()
        ))
        .why("Whoever has it can join in this host's place.")
        .next(format_args!(
            "Take it back at the CA and make another; keep that with `chmod 600 {}`.",
            path.display()
        )));
    }
    let mut text = String::new();
    let read = file
        .by_ref()
        .take(MOST_TOKEN_BYTES)
        .read_to_string(&mut text);
    read.map_err(unreadable)?;
    Ok(text)
}

fn names(given: &[String]) -> Result<Vec<String>, Failure> {
    let mut names = given.to_vec();
    if names.is_empty() {
        names.extend(enrol::own_name());
    }
    for name in &mut names {
        name.make_ascii_lowercase();
        let legal =
            |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || b".-".contains(&byte);
        if name.is_empty() || name.len() > 253 || !name.bytes().all(legal) {
            return Err(Failure::usage(format_args!("`{name}` is no host name."))
                .next("Give the names that people type after `ssh`, each with --name."));
        }
    }
    names.sort();
    names.dedup();
    if names.is_empty() {
        return Err(Failure::usage("This host does not know its own name.")
            .next("Give the names that people type after `ssh`, each with --name."));
    }
    Ok(names)
}

fn fingerprint(key: &Key) -> String {
    key.public.fingerprint(HashAlg::Sha256).to_string()
}

fn would_write(place: &Place, keys: &[Key]) -> Vec<String> {
    let mut paths = vec![
        place.manifest(),
        place.ca_keys(),
        place.principals(),
        place.krl(),
    ];
    paths.extend(keys.iter().map(|key| place.host_certificate(&key.path)));
    let config = place.sshd.config();
    let main = fs::read_to_string(config).unwrap_or_default();
    paths.push(place.drop_in(&main).unwrap_or_else(|| config.to_owned()));
    paths.push(place.state.clone());
    paths
        .iter()
        .map(|path| path.display().to_string())
        .collect()
}

/// Certificates of another host CA: of two for one key, sshd shows the last that it reads.
fn other_host_certificates(place: &Place) -> Vec<String> {
    let Ok(effective) = place.sshd.effective(None) else {
        return Vec::new();
    };
    let others = effective
        .all("hostcertificate")
        .filter(|path| *path != "none" && !Path::new(path).starts_with(&place.folder));
    others
        .map(|path| {
            format!("sshd is also told to show the host certificate {path}: for the same key it shows one")
        })
        .collect()
}

/// The unit that keeps it all fresh; a package brings its own.
fn unit_file(options: &Enroll, notes: &mut Vec<String>) -> Option<(PathBuf, File)> {
    if !Path::new(SYSTEMD).is_dir() {
        notes.push(
            "there is no systemd here: have `jit-ssh-host sync` run by whatever starts services"
                .to_owned(),
        );
        return None;
    }
    let packaged = ["/usr/lib/systemd/system", "/lib/systemd/system"];
    if packaged
        .iter()
        .any(|folder| Path::new(folder).join(UNIT).exists())
    {
        return None;
    }
    if options.place.sshd_config != Path::new(crate::sshd::DEFAULT_CONFIG) {
        notes.push(
            "the unit is for the usual places: start `jit-ssh-host sync` yourself".to_owned(),
        );
        return None;
    }
    let path = Path::new("/etc/systemd/system").join(UNIT);
    let program = std::env::current_exe().unwrap_or_else(|_| "/usr/bin/jit-ssh-host".into());
    let program = program.display().to_string();
    let text = UNIT_TEXT.replace("/usr/bin/jit-ssh-host", &program);
    Some((path, File::for_all_to_read(text)))
}

fn start_service(notes: &mut Vec<String>) -> &'static str {
    if !Path::new(SYSTEMD).is_dir() {
        return "not";
    }
    for arguments in [
        &["daemon-reload"][..],
        &["enable", UNIT],
        &["restart", UNIT],
    ] {
        let output = Command::new("systemctl")
            .args(arguments)
            .stdin(Stdio::null())
            .output();
        let said = match output {
            Ok(output) if output.status.success() => continue,
            Ok(output) => String::from_utf8_lossy(&output.stderr).trim().to_owned(),
            Err(error) => error.to_string(),
        };
        notes.push(format!("{UNIT} does not run yet: {said}"));
        return "failed";
    }
    "started"
}

fn render(report: &Report) -> String {
    let mut lines = Vec::new();
    let names = report.names.join(", ");
    if report.dry_run {
        lines.push(format!("Would enrol as {names} at {}, with", report.ca));
        lines.extend(
            report
                .keys
                .iter()
                .map(|key| format!("  the host key {key}")),
        );
        lines.push("and write".to_owned());
        lines.extend(report.changed.iter().map(|path| format!("  {path}")));
        lines.push("Nothing was changed, and no invitation used.".to_owned());
        return lines.join("\n");
    }
    let host = report.host.as_deref().unwrap_or_default();
    lines.push(format!(
        "Enrolled as {names} at {} (host {host}).",
        report.ca
    ));
    if report.changed.is_empty() {
        lines.push("Nothing to change: all was as it should be.".to_owned());
    }
    lines.extend(report.changed.iter().map(|path| format!("  wrote {path}")));
    for (account, principals) in &report.accounts {
        let by = if principals.is_empty() {
            format!("its own name, {account}")
        } else {
            principals.join(", ")
        };
        lines.push(format!("  {account} opens with {by}"));
    }
    if report.accounts.is_empty() {
        lines.push("  no role of the policy opens an account here yet".to_owned());
    }
    if let Some(ends) = report.certificate_ends {
        let ends = utc(ends);
        lines.push(format!("  host certificate until {ends}, renewed daily"));
    }
    lines.extend(report.notes.iter().map(|note| format!("note: {note}")));
    if report.reload == "done" {
        lines.push("sshd has read its configuration again; live sessions go on.".to_owned());
    }
    if report.service == "started" {
        lines.push(format!("{UNIT} keeps it as the CA says."));
    }
    lines.join("\n")
}

pub(super) const UNIT: &str = "jit-ssh-host.service";
pub(super) const SYSTEMD: &str = "/run/systemd/system";
const UNIT_TEXT: &str = include_str!("../../units/jit-ssh-host.service");
const MOST_TOKEN_BYTES: u64 = 4096;

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    #[test]
    fn an_invitation_that_others_may_read_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("token");
        #[expect(clippy::disallowed_methods, reason = "a file of the test")]
        fs::write(&path, "jit-ssh-invite-abc\n").unwrap();
        for (mode, taken) in [(0o600, true), (0o400, true), (0o640, false), (0o604, false)] {
            fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
            let read = token(Some(&path));
            assert_eq!(read.is_ok(), taken, "{mode:o}");
        }
        fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
        assert_eq!(token(Some(&path)).unwrap(), "jit-ssh-invite-abc");
        #[expect(clippy::disallowed_methods, reason = "a file of the test")]
        fs::write(&path, "two words\n").unwrap();
        assert!(token(Some(&path)).is_err());
    }

    #[test]
    fn names_are_host_names_in_lower_case_and_once() {
        let of = |given: &[&str]| {
            let given: Vec<String> = given.iter().map(ToString::to_string).collect();
            names(&given)
        };
        let taken = of(&["Web1.example.com", "web1", "web1.example.com"]).unwrap();
        assert_eq!(taken, ["web1", "web1.example.com"]);
        for bad in ["", "a b", "*", "a,b", "ä", "web1/x", "@cert-authority"] {
            assert!(of(&[bad]).is_err(), "{bad:?}");
        }
    }
}
