//! `jit-ssh-host sync`.

use jit_ssh_terminal::{Failure, Terminal};
use serde::Serialize;

use super::{explain_sync, place};
use crate::cli::Sync;
use crate::notify::Notify;
use crate::sync;

pub(super) fn run(options: &Sync, terminal: &mut Terminal) -> Result<(), Failure> {
    let place = place(&options.place);
    let mut connection = super::connection_options();
    connection.ca_files.extend(options.ca_file.clone());
    if !options.once {
        return sync::run(place, &connection, &Notify::from_env(), |news| {
            terminal.note(news);
        })
        .map_err(explain_sync);
    }
    #[derive(Serialize)]
    struct Report {
        bundle: Option<u64>,
    }
    let sync = sync::once(place, connection).map_err(explain_sync)?;
    let report = Report {
        bundle: sync.number(),
    };
    terminal.answer(&report, |report| match report.bundle {
        Some(number) => format!("Bundle {number} is in force."),
        None => "No bundle is in force.".to_owned(),
    })
}
