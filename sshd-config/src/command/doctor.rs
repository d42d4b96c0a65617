//! `jit-ssh-host doctor`: does sshd really do what was installed? Judged by what sshd says takes
//! effect, account by account, never by what a file says.

use jit_ssh_connect::Pin;
use jit_ssh_terminal::{Check, Failure, Report, Terminal};

use super::place;
use crate::cli::Doctor;
use crate::host::Place;
use crate::install::{self, InstallError};
use crate::manifest::{Installed, Manifest, digest};
use crate::sshd::{Effective, OLDEST};
use crate::trust::{AccountName, Admission, CaKeys};
use crate::{accounts, ca, files};

pub(super) fn run(options: &Doctor, terminal: &mut Terminal) -> Result<(), Failure> {
    let place = place(&options.place);
    let mut report = Report::default();
    report.extend(sshd(&place));
    match place.installed() {
        Ok(Some(manifest)) => look_at(&place, &manifest, options, &mut report),
        Ok(None) => report.push(Check::bad(
            INSTALLATION,
            InstallError::NotInstalled(place.manifest()),
            INSTALL,
        )),
        Err(error) => report.push(Check::failed(INSTALLATION, &super::explain_why(&error))),
    }
    report.tell(terminal)
}

const INSTALLATION: &str = "installation";

const INSTALL: &str = "Install it: `jit-ssh-host install --ca https://ca.example.com --fingerprint SHA256:… \
                       --account observer=production-observer` (`jit-ssh-ca setup` printed yours).";

const AGAIN: &str = "Run `jit-ssh-host install` again, with every account.";

const ANEW: &str =
    "See that `jit-ssh-host sync` runs, as a service; once: `jit-ssh-host sync --once`.";

const REJOIN: &str = "Enrol it once more: `jit-ssh-host enroll`, with an invitation of the CA.";

fn look_at(place: &Place, manifest: &Manifest, options: &Doctor, report: &mut Report) {
    report.push(Check::good(
        INSTALLATION,
        format_args!(
            "trusts {}, pinned as {}",
            manifest.ca.url, manifest.ca.fingerprint
        ),
    ));
    let again = if manifest.host.is_some() {
        report.push(enrolment(place));
        ANEW
    } else {
        AGAIN
    };
    let files = manifest.files.iter();
    report.extend(files.map(|file| unchanged(file, place, again)));
    let mut admissions = Vec::new();
    for (account, principals) in &manifest.accounts {
        match Admission::of(account, principals) {
            Ok(admission) if manifest.host.is_some() && !accounts::exists(&admission.account) => {
                report.push(Check::note(
                    named(account),
                    "the CA opens it, and there is none of this name here",
                    "Make it, or leave it out of the role at the CA.",
                ));
            }
            Ok(admission) => admissions.push(admission),
            Err(error) => {
                let what = format_args!("what is installed is not understood: {error}");
                report.push(Check::bad(named(account), what, again));
            }
        }
    }
    for admission in &admissions {
        report.extend(open_account(place, admission, manifest.host.is_some()));
    }
    report.extend(match_blocks(place, manifest, &admissions));
    if !options.offline {
        report.push(same_keys(place, manifest, options));
    }
}

/// How an enrolled host keeps up with its CA.
fn enrolment(place: &Place) -> Check {
    let name = "enrolment";
    match super::status::look(place, jit_ssh_connect::now()) {
        Ok(Some(status)) => match status.warnings() {
            [] => Check::good(name, status.in_short()),
            warnings => Check::bad(name, warnings.join("; "), ANEW),
        },
        Ok(None) => Check::bad(name, "what this host remembers of it is gone", REJOIN),
        Err(failure) => Check::failed(name, &failure),
    }
}

fn named(account: &str) -> String {
    format!("account {account}")
}

fn sshd(place: &Place) -> Vec<Check> {
    let version = match place.sshd.version() {
        Ok(version) if version >= OLDEST => Check::good(
            "OpenSSH",
            format_args!("{}.{} understands the certificates", version.0, version.1),
        ),
        Ok(version) => Check::bad(
            "OpenSSH",
            format_args!("{}.{} is too old", version.0, version.1),
            "Upgrade OpenSSH.",
        ),
        // It can be asked for nothing else either.
        Err(error) => return vec![Check::bad("OpenSSH", error, "Install OpenSSH's server.")],
    };
    let configuration = match place.sshd.test() {
        Ok(()) => Check::good("configuration", "sshd takes it"),
        Err(error) => Check::bad(
            "configuration",
            error,
            "Mend it before sshd is restarted, or nobody gets in.",
        ),
    };
    vec![version, configuration]
}

fn unchanged(file: &Installed, place: &Place, again: &str) -> Check {
    let name = format!("file {}", file.path.display());
    match files::read(&file.path) {
        Ok(Some(now)) if digest(&now.bytes) == file.sha256 => Check::good(name, "as installed"),
        // Others may write to the main file; whether our block is in force is asked of sshd.
        Ok(Some(_)) if file.path == place.sshd.config() => Check::good(name, "there"),
        Ok(Some(_)) => Check::bad(name, "it was changed", again),
        Ok(None) => Check::bad(name, "it is gone", again),
        Err(error) => Check::bad(name, error, "Run `jit-ssh-host doctor` as root."),
    }
}

fn open_account(place: &Place, admission: &Admission, enrolled: bool) -> Vec<Check> {
    let account = &admission.account;
    let name = named(account.as_str());
    let mut checks = Vec::new();
    if !accounts::exists(account) {
        let mend = "Run `jit-ssh-host install` with --create-accounts.";
        checks.push(Check::bad(name.clone(), "there is none of this name", mend));
    }
    let in_force = if enrolled {
        install::check_enrolled_in_force(place, admission)
    } else {
        install::check_in_force(place, admission)
    };
    if let Err(error) = in_force {
        let mend =
            format!("Look for an earlier line or a Match block: `sshd -T -C user={account}`.");
        checks.push(Check::bad(name.clone(), error, mend));
    }
    if let Ok(effective) = place.sshd.effective(Some(account)) {
        let mend = "Change that directive of sshd, or choose another account.";
        let rules = other_rules(account, &effective).into_iter();
        checks.extend(rules.map(|rule| Check::bad(name.clone(), rule, mend)));
    }
    if checks.is_empty() {
        checks.push(Check::good(name, "sshd admits holders of its roles"));
    }
    checks
}

/// What `sshd -T` cannot be asked: blocks that hold for groups, addresses and so on. `install` refuses
/// where one decides about CAs; whoever wrote one since hears of it here.
fn match_blocks(place: &Place, manifest: &Manifest, admissions: &[Admission]) -> Vec<Check> {
    let found = files::read(place.sshd.config())
        .map_err(InstallError::from)
        .and_then(|main| main.ok_or_else(|| InstallError::NoConfig(place.sshd.config().into())))
        .and_then(|main| {
            let text = main.text(place.sshd.config())?;
            place.conditional(text, Some(manifest))
        });
    let found = match found {
        Ok(found) => found,
        Err(error) => return vec![Check::failed("Match blocks", &super::explain_why(&error))],
    };
    let mut checks = Vec::new();
    for admission in admissions {
        let account = &admission.account;
        for one in found.iter().filter(|one| one.could_apply_to(account)) {
            let name = named(account.as_str());
            let at = format!("{}:{}", one.path.display(), one.line);
            let mend = format!("Leave {account} out of that block: `Match … User *,!{account}`.");
            if one.decides_trust() {
                let directive = one.directive;
                let comes = if one.before_ours {
                    "and comes before jit-ssh's lines: certificates of the CA are refused where it holds"
                } else {
                    "and comes after jit-ssh's lines: what it names opens nothing here"
                };
                let what = format_args!(
                    "{at} sets {directive} in a Match block that could apply to {account}, {comes}"
                );
                checks.push(if one.before_ours {
                    Check::bad(name, what, mend)
                } else {
                    Check::note(name, what, mend)
                });
                continue;
            }
            let words: Vec<&str> = one.words.iter().map(String::as_str).collect();
            if let Some(rule) = keeps_out(&one.directive.to_ascii_lowercase(), &words, account) {
                let what = format_args!("in a Match block that could apply, {at}: {rule}");
                checks.push(Check::bad(name, what, mend));
            }
        }
    }
    checks
}

/// Directives that would refuse the account although its certificate is good. Group lists are not
/// judged: membership is the host's to know.
pub(super) fn other_rules(account: &AccountName, effective: &Effective) -> Vec<String> {
    let directives = [
        "allowusers",
        "denyusers",
        "permitrootlogin",
        "authenticationmethods",
    ];
    let rule = |directive| keeps_out(directive, &effective.words(directive), account);
    directives.into_iter().filter_map(rule).collect()
}

/// Whether a directive with these words refuses the account, and why.
fn keeps_out(directive: &str, words: &[&str], account: &AccountName) -> Option<String> {
    let name = account.as_str();
    let named = |pattern: &&str| *pattern == name || *pattern == "*";
    let wide = |pattern: &&str| named(pattern) || pattern.contains(['*', '?', '@']);
    let is_no = words
        .first()
        .is_some_and(|word| word.eq_ignore_ascii_case("no"));
    let is_enough = |method: &&str| matches!(*method, "any" | "publickey");
    match directive {
        "allowusers" if !words.is_empty() && !words.iter().any(wide) => {
            Some(format!("AllowUsers does not name {name}"))
        }
        "denyusers" if words.iter().any(named) => Some(format!("DenyUsers names {name}")),
        "permitrootlogin" if name == "root" && is_no => Some("PermitRootLogin is `no`".to_owned()),
        "pubkeyauthentication" if is_no => Some("PubkeyAuthentication is `no`".to_owned()),
        "authenticationmethods" if !words.is_empty() && !words.iter().any(is_enough) => {
            Some(format!(
                "AuthenticationMethods asks for more than a key: {}",
                words.join(" ")
            ))
        }
        _ => None,
    }
}

fn same_keys(place: &Place, manifest: &Manifest, options: &Doctor) -> Check {
    let known = &manifest.ca;
    let name = "CA keys";
    let trusted = match ca::fetch(&known.url, Pin::Known(known), options.ca_file.as_deref()) {
        Ok(trusted) => trusted,
        Err(failure) => {
            let mend = "Valid certificates get in all the same; look at the way to the CA.";
            return Check::bad(name, failure.what(), mend);
        }
    };
    let here = files::read(&place.ca_keys()).ok().flatten();
    let here = here.map_or_else(String::new, |file| {
        String::from_utf8_lossy(&file.bytes).into_owned()
    });
    let all_here = CaKeys::from_key_set(&trusted.keys)
        .and_then(|keys| keys.render(&trusted.keys.name))
        .is_ok_and(|text| {
            let key = |line: &str| line.split(' ').take(2).collect::<Vec<_>>().join(" ");
            let have: Vec<String> = here.lines().map(key).collect();
            text.lines()
                .filter(|line| !line.starts_with('#'))
                .all(|line| have.contains(&key(line)))
        });
    if all_here {
        Check::good(name, format_args!("those of {}", known.url))
    } else {
        let what = format_args!("{} has other keys by now", known.url);
        Check::bad(name, what, AGAIN)
    }
}
