//! `jit-ssh-host install`.

use jit_ssh_api::key_set::State;
use jit_ssh_connect::Pin;
use jit_ssh_terminal::{Failure, Terminal};
use serde::Serialize;

use super::{admissions, explain, explain_after_making, left_as, place};
use crate::cli::Install;
use crate::host::Place;
use crate::install::InstallError;
use crate::plan::{OtherCas, Plan, Trust};
use crate::sshd::Reload;
use crate::trust::{AccountName, Admission};
use crate::{accounts, ca, diff, files, install};

#[derive(Serialize)]
struct Report {
    ca: String,
    fingerprint: String,
    user_ca: Vec<UserCa>,
    accounts: Vec<Opened>,
    created_accounts: Vec<String>,
    changed: Vec<String>,
    diff: Vec<String>,
    notes: Vec<String>,
    dry_run: bool,
    reload: &'static str,
}

#[derive(Serialize)]
struct UserCa {
    state: State,
    fingerprint: String,
}

#[derive(Serialize)]
struct Opened {
    account: String,
    principals: Vec<String>,
}

pub(super) fn run(options: &Install, terminal: &mut Terminal) -> Result<(), Failure> {
    let admissions = admissions(&options.accounts)?;
    let place = place(&options.place);
    let missing: Vec<AccountName> = admissions
        .iter()
        .map(|admission| admission.account.clone())
        .filter(|account| !accounts::exists(account))
        .collect();
    if let Some(account) = missing.first()
        && !options.create_accounts
    {
        return Err(
            Failure::usage(format_args!("There is no account {account} on this host."))
                .next("Make it, or let this command make it with --create-accounts."),
        );
    }
    let earlier = place.installed().map_err(explain)?;
    let pin = match &earlier {
        Some(manifest) => {
            if manifest.host.is_some() {
                let url = manifest.ca.url.clone();
                return Err(explain(InstallError::IsEnrolled { url }));
            }
            manifest.same_ca(&options.ca.fingerprint).map_err(explain)?;
            Pin::Known(&manifest.ca)
        }
        None => Pin::Fingerprint(&options.ca.fingerprint),
    };
    let trusted = {
        let _spinner = terminal.spinner("asking the CA");
        ca::fetch(&options.ca.ca, pin, options.ca.ca_file.as_deref())?
    };
    let others = if options.drop_other_cas {
        OtherCas::Drop
    } else {
        OtherCas::Keep
    };
    let trust = Trust {
        ca: trusted,
        admissions,
        enrolled: None,
    };
    let mut prepared = install::prepare(&place, trust, others).map_err(explain)?;
    if options.dry_run {
        let report = report(&prepared.trust, &prepared.plan, &missing, options, "not");
        return terminal.answer(&report, render);
    }
    for (done, account) in missing.iter().enumerate() {
        // Dying here leaves an account that nothing opens yet; the next run finds it there.
        accounts::make(account).map_err(|error| {
            let made = missing.get(..done).unwrap_or_default();
            Failure::failed(left_as(true, made))
                .why(error)
                .next("Make the account by hand and run the same command again.")
        })?;
    }
    install::put_down(&place, &prepared).map_err(|error| explain_after_making(error, &missing))?;
    let (trust, plan) = (&prepared.trust, &mut prepared.plan);
    let unchanged = plan.changes.iter().all(files::Change::is_noop);
    let reload = if options.no_reload || unchanged {
        "not"
    } else {
        reload(&place, &mut plan.notes)
    };
    warn_of_other_rules(&place, &trust.admissions, &mut plan.notes);
    let report = report(trust, plan, &missing, options, reload);
    terminal.answer(&report, render)
}

/// Reloads, and says in words what came of it.
pub(super) fn reload(place: &Place, notes: &mut Vec<String>) -> &'static str {
    match place.sshd.reload() {
        Ok(Reload::Systemd | Reload::Signal) => "done",
        Ok(Reload::NotRunning) => {
            notes.push("no running sshd was found: its next start reads the new files".to_owned());
            "not-running"
        }
        Err(error) => {
            notes.push(format!(
                "{error}: reload sshd by hand; until then the old files hold"
            ));
            "failed"
        }
    }
}

/// Rules of sshd that would refuse the account all the same.
fn warn_of_other_rules(place: &Place, admissions: &[Admission], notes: &mut Vec<String>) {
    for admission in admissions {
        let Ok(effective) = place.sshd.effective(Some(&admission.account)) else {
            continue;
        };
        notes.extend(super::doctor::other_rules(&admission.account, &effective));
    }
}

fn report(
    trust: &Trust,
    plan: &Plan,
    missing: &[AccountName],
    options: &Install,
    reload: &'static str,
) -> Report {
    Report {
        ca: trust.ca.known.url.clone(),
        fingerprint: trust.ca.known.fingerprint.clone(),
        user_ca: plan
            .ca_keys
            .iter()
            .map(|(state, fingerprint)| UserCa {
                state: *state,
                fingerprint: fingerprint.clone(),
            })
            .collect(),
        accounts: trust
            .admissions
            .iter()
            .map(|admission| Opened {
                account: admission.account.to_string(),
                principals: admission
                    .principals
                    .iter()
                    .map(ToString::to_string)
                    .collect(),
            })
            .collect(),
        created_accounts: missing.iter().map(ToString::to_string).collect(),
        changed: plan
            .changes
            .iter()
            .filter(|change| !change.is_noop())
            .map(|change| change.path.display().to_string())
            .collect(),
        diff: plan
            .changes
            .iter()
            .map(diff::render)
            .filter(|text| !text.is_empty())
            .collect(),
        notes: plan.notes.clone(),
        dry_run: options.dry_run,
        reload,
    }
}

fn render(report: &Report) -> String {
    let mut lines = Vec::new();
    if report.dry_run {
        lines.extend(report.diff.iter().map(|text| text.trim_end().to_owned()));
        for account in &report.created_accounts {
            lines.push(format!("make account {account}"));
        }
        if report.diff.is_empty() {
            lines.push("Nothing would change.".to_owned());
        }
    } else if report.changed.is_empty() {
        lines.push(format!(
            "Nothing to change: this host trusts {} already.",
            report.ca
        ));
    } else {
        for account in &report.created_accounts {
            lines.push(format!("Made the account {account}."));
        }
        lines.push(format!("This host trusts {}.", report.ca));
        lines.extend(report.changed.iter().map(|path| format!("  wrote {path}")));
    }
    for account in &report.accounts {
        let by = match account.principals.as_slice() {
            [] => format!("its own name, {}", account.account),
            principals => principals.join(", "),
        };
        lines.push(format!("  {} opens with {by}", account.account));
    }
    lines.extend(report.notes.iter().map(|note| format!("note: {note}")));
    if report.reload == "done" {
        lines.push("sshd has read its configuration again; live sessions go on.".to_owned());
    }
    lines.join("\n")
}
