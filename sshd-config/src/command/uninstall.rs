//! `jit-ssh-host uninstall`.

use jit_ssh_terminal::{Failure, Terminal};
use serde::Serialize;

use super::{explain, place};
use crate::cli::Uninstall;
use crate::install::InstallError;
use crate::{diff, files, install, plan};

#[derive(Serialize)]
struct Report {
    changed: Vec<String>,
    diff: Vec<String>,
    notes: Vec<String>,
    dry_run: bool,
    reload: &'static str,
}

pub(super) fn run(options: &Uninstall, terminal: &mut Terminal) -> Result<(), Failure> {
    let place = place(&options.place);
    let manifest = place.installed().map_err(explain)?;
    let manifest = manifest.ok_or_else(|| explain(InstallError::NotInstalled(place.manifest())))?;
    if manifest.host.is_some() {
        let url = manifest.ca.url.clone();
        return Err(explain(InstallError::IsEnrolled { url }));
    }
    let changes = plan::removal(&place, &manifest, options.force, files::read).map_err(explain)?;
    let mut report = Report {
        changed: changes
            .iter()
            .map(|change| change.path.display().to_string())
            .collect(),
        diff: changes.iter().map(diff::render).collect(),
        notes: Vec::new(),
        dry_run: options.dry_run,
        reload: "not",
    };
    if !options.dry_run {
        install::remove(&place, &changes).map_err(explain)?;
        if !options.no_reload {
            report.reload = super::install::reload(&place, &mut report.notes);
        }
        report
            .notes
            .push("accounts that `install` made are still there".to_owned());
    }
    terminal.answer(&report, |report| {
        let mut lines = Vec::new();
        if report.dry_run {
            lines.extend(report.diff.iter().map(|text| text.trim_end().to_owned()));
        } else {
            lines.push("This host no longer trusts the CA; its files are as before.".to_owned());
            lines.extend(
                report
                    .changed
                    .iter()
                    .map(|path| format!("  took back {path}")),
            );
        }
        lines.extend(report.notes.iter().map(|note| format!("note: {note}")));
        lines.join("\n")
    })
}
