//! `POST /v1/admin/backup`: an online copy of everything, on the CA's own machine, for the data
//! folder's owner over the socket.

use std::path::PathBuf;

use jit_ssh_api::admin::{BackupAnswer, BackupRequest};
use jit_ssh_api::problem::Kind;
use serde_json::json;

use crate::http::problem::Failure;
use crate::http::{Answer, Call, ok, strict};
use crate::ledger::Class;
use crate::store::{StoreError, backup};

pub(super) async fn post(call: &Call) -> Result<Answer, Failure> {
    let request: BackupRequest = strict::parse(&call.body)?;
    let path = PathBuf::from(&request.path);
    if !path.is_absolute() {
        return Err(Failure::new(
            Kind::BadRequest,
            "The path of a backup must be absolute.",
            "Write it from the root: /var/backups/jit-ssh-ca.backup.",
        ));
    }
    // The backup's own record goes into it.
    call.record_admin(Class::Issuing, "backup", json!({ "path": request.path }))
        .await?;
    let (store, data) = (call.state.ledger.store(), call.state.data.clone());
    let made = backup::backup(store, data, call.snapshot.config.files(), path)
        .await
        .map_err(refused)?;
    ok(&BackupAnswer {
        path: made.path.display().to_string(),
        bytes: made.bytes,
        sha256: made.sha256.to_string(),
        records: made.records,
    })
}

/// Over the socket the owner may read what the system said.
fn refused(error: StoreError) -> Failure {
    match error {
        StoreError::Exists(path) => Failure::new(
            Kind::Conflict,
            format!(
                "{} exists already, and nothing is overwritten.",
                path.display()
            ),
            "Choose a new name.",
        ),
        StoreError::File { path, cause } => Failure::new(
            Kind::BadRequest,
            format!("{} cannot be written: {cause}.", path.display()),
            "Choose a folder that the CA's user may write to.",
        ),
        StoreError::Unread { path, cause } => Failure::new(
            Kind::Conflict,
            format!(
                "{} cannot be read, and a backup without it would not serve: {cause}.",
                path.display()
            ),
            "Let the CA's user read it, or mend what ca.toml says of it.",
        ),
        StoreError::LeftOut { path, why } => Failure::new(
            Kind::Conflict,
            format!("A backup would be without {}: {why}.", path.display()),
            "Mend that, and try again.",
        ),
        StoreError::NoRoom {
            bytes,
            free,
            reserve,
        } => Failure::new(
            Kind::Conflict,
            format!(
                "There is no room for a backup: it takes {}, {} are free, and {} of them are kept \
                 for certificates (disk.reserve).",
                mib(bytes),
                mib(free),
                mib(reserve)
            ),
            "Make room on the disk of the data folder.",
        ),
        error => Failure::internal(format!("backup: {error:?}")),
    }
}

/// In a unit that people read.
fn mib(bytes: u64) -> String {
    format!("{} MiB", bytes.div_ceil(1 << 20))
}
