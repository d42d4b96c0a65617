//! `jit-ssh-host doctor`: does sshd really do what was installed? Judged by what sshd says takes
//! effect, account by account, never by what a file says.

use jit_ssh_connect::Pin;
use jit_ssh_terminal::{Exit, Failure, Terminal};
use serde::Serialize;

use super::{explain, place};
use crate::cli::Doctor;
use crate::host::Place;
use crate::install::{self, InstallError};
use crate::manifest::{Installed, Manifest, digest};
use crate::sshd::{Effective, OLDEST};
use crate::trust::{AccountName, Admission, CaKeys};
use crate::{accounts, ca, files};

#[derive(Serialize)]
struct Finding {
    check: String,
    ok: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    found: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    mend: Option<String>,
}

pub(super) fn run(options: &Doctor, terminal: &mut Terminal) -> Result<(), Failure> {
    let place = place(&options.place);
    let manifest = place.installed().map_err(explain)?;
    let manifest = manifest.ok_or_else(|| explain(InstallError::NotInstalled(place.manifest())))?;
    let mut findings = vec![version(&place), configuration(&place)];
    for file in &manifest.files {
        findings.push(unchanged(file, &place));
    }
    for (account, principals) in &manifest.accounts {
        match Admission::of(account, principals) {
            Ok(admission) => findings.extend(open_account(&place, &admission)),
            Err(error) => findings.push(bad(
                format!("what is installed for {account} is understood"),
                error,
                "Run `jit-ssh-host install` again, with every account.",
            )),
        }
    }
    if !options.offline {
        findings.push(same_keys(&place, &manifest, options));
    }
    let bad = findings.iter().filter(|finding| !finding.ok).count();
    terminal.answer(&findings, |findings| {
        findings.iter().map(render).collect::<Vec<_>>().join("\n")
    })?;
    if bad == 0 {
        return Ok(());
    }
    if terminal.is_json() {
        return Err(Failure::silent(Exit::Failed));
    }
    let plural = if bad == 1 {
        "thing needs"
    } else {
        "things need"
    };
    Err(Failure::failed(format_args!("{bad} {plural} mending."))
        .next("Each line marked ✗ says how."))
}

fn render(finding: &Finding) -> String {
    let mark = if finding.ok { "✓" } else { "✗" };
    let mut line = format!("{mark} {}", finding.check);
    if let Some(found) = &finding.found {
        line.push_str(&format!(": {found}"));
    }
    if let Some(mend) = &finding.mend {
        line.push_str(&format!("\n    {mend}"));
    }
    line
}

fn good(check: impl Into<String>) -> Finding {
    Finding {
        check: check.into(),
        ok: true,
        found: None,
        mend: None,
    }
}

fn bad(
    check: impl Into<String>,
    found: impl std::fmt::Display,
    mend: impl Into<String>,
) -> Finding {
    Finding {
        check: check.into(),
        ok: false,
        found: Some(found.to_string()),
        mend: Some(mend.into()),
    }
}

fn version(place: &Place) -> Finding {
    match place.sshd.version() {
        Ok(version) if version >= OLDEST => good(format!(
            "OpenSSH {}.{} understands the certificates",
            version.0, version.1
        )),
        Ok(version) => bad(
            "OpenSSH is new enough",
            format!("{}.{}", version.0, version.1),
            "Upgrade OpenSSH.",
        ),
        Err(error) => bad("OpenSSH is there", error, "Install OpenSSH's server."),
    }
}

fn configuration(place: &Place) -> Finding {
    match place.sshd.test() {
        Ok(()) => good("sshd takes its configuration"),
        Err(error) => bad(
            "sshd takes its configuration",
            error,
            "Mend it before sshd is restarted, or nobody gets in.",
        ),
    }
}

fn unchanged(file: &Installed, place: &Place) -> Finding {
    let check = format!("{} is as installed", file.path.display());
    match files::read(&file.path) {
        Ok(Some(now)) if digest(&now.bytes) == file.sha256 => good(check),
        // Others may write to the main file; whether our block is in force is asked of sshd.
        Ok(Some(_)) if file.path == place.sshd.config() => good(check),
        Ok(Some(_)) => bad(check, "it was changed", "Run `jit-ssh-host install` again."),
        Ok(None) => bad(check, "it is gone", "Run `jit-ssh-host install` again."),
        Err(error) => bad(check, error, "Run `jit-ssh-host doctor` as root."),
    }
}

fn open_account(place: &Place, admission: &Admission) -> Vec<Finding> {
    let account = &admission.account;
    let mut findings = Vec::new();
    let check = format!("the account {account} exists");
    findings.push(if accounts::exists(account) {
        good(check)
    } else {
        bad(
            check,
            "it does not",
            "Run `jit-ssh-host install` with --create-accounts.",
        )
    });
    let check = format!("sshd admits holders of its roles to {account}");
    findings.push(match install::check_in_force(place, admission) {
        Ok(()) => good(check),
        Err(error) => bad(
            check,
            error,
            format!("Look for an earlier line or a Match block: `sshd -T -C user={account}`."),
        ),
    });
    if let Ok(effective) = place.sshd.effective(Some(account)) {
        for rule in other_rules(account, &effective) {
            let mend = "Change that directive of sshd, or choose another account.";
            findings.push(bad(format!("nothing else keeps {account} out"), rule, mend));
        }
    }
    findings
}

/// Directives that would refuse the account although its certificate is good. Group lists are not
/// judged: membership is the host's to know.
pub(super) fn other_rules(account: &AccountName, effective: &Effective) -> Vec<String> {
    let name = account.as_str();
    let mut found = Vec::new();
    let named = |pattern: &&str| *pattern == name || *pattern == "*";
    let allowed = effective.words("allowusers");
    if !allowed.is_empty()
        && !allowed
            .iter()
            .any(|pattern| named(pattern) || pattern.contains(['*', '?', '@']))
    {
        found.push(format!("AllowUsers does not name {name}"));
    }
    if effective.words("denyusers").iter().any(named) {
        found.push(format!("DenyUsers names {name}"));
    }
    let root_refused = effective.first("permitrootlogin") == Some("no");
    if name == "root" && root_refused {
        found.push("PermitRootLogin is `no`".to_owned());
    }
    let methods = effective.words("authenticationmethods");
    let publickey_is_enough = methods.is_empty()
        || methods
            .iter()
            .any(|method| matches!(*method, "any" | "publickey"));
    if !publickey_is_enough {
        found.push(format!(
            "AuthenticationMethods asks for more than a key: {}",
            methods.join(" ")
        ));
    }
    found
}

fn same_keys(place: &Place, manifest: &Manifest, options: &Doctor) -> Finding {
    let known = &manifest.ca;
    let check = format!("the CA keys are those of {}", known.url);
    let trusted = match ca::fetch(&known.url, Pin::Known(known), options.ca_file.as_deref()) {
        Ok(trusted) => trusted,
        Err(failure) => {
            let mend = "Valid certificates get in all the same; look at the way to the CA.";
            return bad(check, failure.what(), mend);
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
        good(check)
    } else {
        bad(
            check,
            "the CA has other keys by now",
            "Run `jit-ssh-host install` again.",
        )
    }
}
