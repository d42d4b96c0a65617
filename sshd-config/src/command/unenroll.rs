//! `jit-ssh-host unenroll`.
//!
//! sshd's lines go first, sshd hears of it, and only then what they named: a running sshd that still
//! names a revocation list that is gone refuses everybody.

use std::path::Path;
use std::process::{Command, Stdio};

use jit_ssh_terminal::{Failure, Terminal};
use serde::Serialize;

use super::enroll::{SYSTEMD, UNIT};
use super::{explain, place, remembered};
use crate::cli::Unenroll;
use crate::files::Change;
use crate::state::{self, Lock};
use crate::{diff, files, install, plan};

#[derive(Serialize)]
struct Report {
    changed: Vec<String>,
    diff: Vec<String>,
    notes: Vec<String>,
    dry_run: bool,
    reload: &'static str,
}

pub(super) fn run(options: &Unenroll, terminal: &mut Terminal) -> Result<(), Failure> {
    let place = place(&options.place);
    let manifest = place.installed().map_err(explain)?;
    let manifest = manifest.filter(|manifest| manifest.host.is_some());
    let Some(manifest) = manifest else {
        return Err(super::not_enrolled(&place));
    };
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
        if manifest.files.iter().any(|file| file.path.ends_with(UNIT))
            || Path::new(SYSTEMD).is_dir()
        {
            stop_service(&mut report.notes);
        }
        let _lock = Lock::take(&place).map_err(remembered)?;
        // A daemon that still runs ends with this: it is not enrolled any more.
        state::forget(&place).map_err(remembered)?;
        let main = place.sshd.config();
        let is_sshds =
            |change: &Change| change.path == main || change.path.ends_with(crate::host::DROP_IN);
        let (lines, rest): (Vec<Change>, Vec<Change>) = changes.into_iter().partition(is_sshds);
        install::remove(&place, &lines).map_err(explain)?;
        if !options.no_reload {
            report.reload = super::install::reload(&place, &mut report.notes);
        }
        if report.reload == "failed" {
            return Err(Failure::failed(
                "sshd's lines are gone, but sshd could not be told: what they named is still there.",
            )
            .why(report.notes.join("; "))
            .next("Reload sshd by hand, then run `jit-ssh-host unenroll` again."));
        }
        let mut rest = rest;
        if report.reload != "done" && some_sshd_runs() {
            // Nobody told it, so it may name the list still.
            let krl = place.krl();
            rest.retain(|change| change.path != krl);
            report
                .changed
                .retain(|path| *path != krl.display().to_string());
            report.notes.push(format!(
                "an sshd runs that could not be told: {} stays, since it would refuse everybody without \
                 it; remove it once sshd was started again",
                krl.display()
            ));
        }
        install::remove(&place, &rest).map_err(explain)?;
        state::forget_the_rest(&place).map_err(remembered)?;
        report.notes.push(
            "the CA still knows this host: `jit-ssh-ca host revoke` takes its certificates back"
                .to_owned(),
        );
    }
    terminal.answer(&report, |report| {
        let mut lines = Vec::new();
        if report.dry_run {
            lines.extend(report.diff.iter().map(|text| text.trim_end().to_owned()));
        } else {
            lines.push("This host is no longer enrolled; its files are as before.".to_owned());
            let changed = report.changed.iter();
            lines.extend(changed.map(|path| format!("  took back {path}")));
        }
        lines.extend(report.notes.iter().map(|note| format!("note: {note}")));
        lines.join("\n")
    })
}

fn some_sshd_runs() -> bool {
    let processes = std::fs::read_dir("/proc").into_iter().flatten().flatten();
    processes
        .filter_map(|process| std::fs::read_to_string(process.path().join("comm")).ok())
        .any(|name| name.trim() == "sshd")
}

fn stop_service(notes: &mut Vec<String>) {
    let output = Command::new("systemctl")
        .args(["disable", "--now", UNIT])
        .stdin(Stdio::null())
        .output();
    match output {
        Ok(output) if output.status.success() => {}
        Ok(output) => notes.push(String::from_utf8_lossy(&output.stderr).trim().to_owned()),
        Err(error) => notes.push(format!("{UNIT} could not be stopped: {error}")),
    }
}
