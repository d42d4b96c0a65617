//! `jit-ssh-host status`: what this host holds, without asking anybody.

use jit_ssh_terminal::{Exit, Failure, Terminal, span, utc};
use serde::Serialize;

use super::{explain, place, remembered};
use crate::cli::Status;
use crate::host::Place;
use crate::state::{self, Mended, Problem};
use crate::sync::{changed_files, clock_was_set_back};
use crate::trust::{HostCertificate, Krl};
use crate::{files, manifest::Manifest};

/// What this host holds.
#[derive(Serialize)]
pub(super) struct Report {
    host: String,
    names: Vec<String>,
    ca: String,
    fingerprint: String,
    epoch: u64,
    key_set: u64,
    bundle: u64,
    /// Of the bundle, when the CA signed it.
    issued: u64,
    in_force: Option<u64>,
    /// When the CA answered last.
    contact: Option<u64>,
    certificate_ends: Option<u64>,
    accounts: Vec<(String, Vec<String>)>,
    revoked: Option<usize>,
    problem: Option<Problem>,
    mended: u64,
    last_mended: Option<Mended>,
    warnings: Vec<String>,
}

pub(super) fn run(options: &Status, terminal: &mut Terminal) -> Result<(), Failure> {
    let place = place(&options.place);
    let now = jit_ssh_connect::now();
    let Some(report) = look(&place, now)? else {
        return Err(super::not_enrolled(&place));
    };
    let good = report.warnings.is_empty();
    terminal.answer(&report, |report| render(report, now))?;
    if good {
        Ok(())
    } else {
        Err(Failure::silent(Exit::Failed))
    }
}

/// What an enrolled host holds.
pub(super) fn look(place: &Place, now: u64) -> Result<Option<Report>, Failure> {
    let Some(state) = state::read(place).map_err(remembered)? else {
        return Ok(None);
    };
    let heard = state::heard(place);
    let manifest = place.installed().map_err(explain)?;
    let mut warnings = Vec::new();
    let certificate_ends = state
        .certificates
        .iter()
        .filter_map(|certificate| HostCertificate::read(&certificate.line).ok())
        .map(|certificate| certificate.ends())
        .min();
    match certificate_ends {
        Some(ends) if ends <= now => warnings.push("the host's certificate has ended".to_owned()),
        Some(ends) if ends - now < SOON => warnings.push(format!(
            "the host's certificate ends in {}",
            span(ends - now)
        )),
        _ => {}
    }
    match heard.contact {
        Some(contact) if now.saturating_sub(contact) > SILENT => warnings.push(format!(
            "the CA has not answered for {}: the last good state stays in force",
            span(now - contact)
        )),
        _ => {}
    }
    if let Some(problem) = &heard.problem {
        warnings.push(problem.what.clone());
    }
    warnings.extend(clock_was_set_back(&state, now).or(heard.clock));
    let left_out = heard.left_out.iter();
    warnings.extend(left_out.map(|(account, why)| format!("{account} is not opened: {why}")));
    for path in changed_files(place).map_err(explain)? {
        warnings.push(format!("{} is not as it was put down", path.display()));
    }
    if state::reload_is_due(place) {
        warnings.push("sshd has not yet read what was written".to_owned());
    }
    let revoked = match files::read(&place.krl()) {
        Ok(Some(file)) => match Krl::parse(&file.bytes) {
            Ok(krl) => Some(krl.entries()),
            Err(error) => {
                warnings.push(error.to_string());
                None
            }
        },
        _ => None,
    };
    Ok(Some(Report {
        host: state.host,
        names: state.names,
        ca: state.ca.url,
        fingerprint: state.ca.fingerprint,
        epoch: state.seen.epoch,
        key_set: state.seen.key_set,
        bundle: state.seen.number,
        issued: state.seen.issued,
        in_force: heard.in_force.map(|position| position.number),
        contact: heard.contact,
        certificate_ends,
        accounts: accounts(manifest.as_ref()),
        revoked,
        problem: heard.problem,
        mended: heard.mended,
        last_mended: heard.last_mended,
        warnings,
    }))
}

impl Report {
    /// What is not as it should be.
    pub(super) fn warnings(&self) -> &[String] {
        &self.warnings
    }

    /// One sentence.
    pub(super) fn in_short(&self) -> String {
        format!(
            "{} at {}, bundle {}",
            self.names.join(", "),
            self.ca,
            self.bundle
        )
    }
}

fn accounts(manifest: Option<&Manifest>) -> Vec<(String, Vec<String>)> {
    manifest.map_or_else(Vec::new, |manifest| {
        manifest.accounts.clone().into_iter().collect()
    })
}

fn render(report: &Report, now: u64) -> String {
    let mut lines = vec![
        format!("host     {} ({})", report.names.join(", "), report.host),
        format!("CA       {}, pinned as {}", report.ca, report.fingerprint),
        format!(
            "bundle   {} of epoch {}, signed {}",
            report.bundle,
            report.epoch,
            utc(report.issued)
        ),
    ];
    lines.push(match report.contact {
        Some(contact) => format!("contact  {} ago", span(now.saturating_sub(contact))),
        None => "contact  none since the enrolment".to_owned(),
    });
    if let Some(ends) = report.certificate_ends {
        lines.push(format!("shows    a host certificate until {}", utc(ends)));
    }
    if let Some(revoked) = report.revoked {
        lines.push(format!("revoked  {revoked}"));
    }
    for (account, principals) in &report.accounts {
        let by = if principals.is_empty() {
            format!("its own name, {account}")
        } else {
            principals.join(", ")
        };
        lines.push(format!("opens    {account} with {by}"));
    }
    if let Some(mended) = &report.last_mended {
        lines.push(format!(
            "mended   {}, {} ago ({} in all)",
            mended.path.display(),
            span(now.saturating_sub(mended.at)),
            report.mended
        ));
    }
    let warnings = report.warnings.iter();
    lines.extend(warnings.map(|warning| format!("warning: {warning}")));
    lines.join("\n")
}

/// Two requests that were held to their end, and some back-off.
const SILENT: u64 = 300;
const SOON: u64 = 14 * 24 * 60 * 60;
