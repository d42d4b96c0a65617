//! A host's trust bundle: policy, its labels, what is revoked and the key set come in, signed by the
//! active bundle key it goes out. Made when somebody asks, so that its date is that of the answer.
//!
//! The number comes first, then everything else: what a bundle says is never older than its number.
//! What comes into force and the number that says so change under one lock (`State::publishing`), so
//! that no bundle has the new number with the old policy.

use std::collections::BTreeMap;
use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use jit_ssh_api::bundle::{Bundle, NAMESPACE, SignedBundle};
use ssh_key::LineEnding;

use super::HostError;
use crate::policy::{Account, Admission, Policy, Role};
use crate::server::state::State;
use crate::signer::PairError;
use crate::store::BundleNumber;
use crate::store::hosts::HostRow;
use crate::time::Timestamp;

/// The bundle of a living host, of this moment.
pub(crate) async fn make(
    state: &State,
    id: &str,
    now: Timestamp,
) -> Result<SignedBundle, HostError> {
    let _in_force = state.publishing.read().await;
    let newest = *state.ledger.bundles().borrow();
    let snapshot = state.snapshot.load_full();
    let trusted = state.trusted.load_full();
    let krl = state.lists.krl(state, newest, now).await?;
    let row = state
        .ledger
        .hosts()
        .find(id)
        .ok_or_else(|| super::HostRefusal::Unknown(id.to_owned()))?;
    let admission = admits(&snapshot.policy, &row);
    let bundle = Bundle {
        host: row.id.clone(),
        name: trusted.key_set.set.name.clone(),
        epoch: trusted.key_set.set.epoch,
        key_set: trusted.key_set.set.number,
        number: newest.number,
        issued: now.seconds(),
        labels: row.labels.clone(),
        principals: admission.0,
        own_account_roles: admission.1,
        krl: krl.as_ref().to_owned(),
    };
    let document = serde_json::to_string(&bundle).unwrap_or_default();
    let signature = trusted
        .keyring
        .bundle()?
        .sign_sshsig(NAMESPACE, document.as_bytes())?
        .to_pem(LineEnding::LF)
        .map_err(|_| PairError::Failed)?;
    Ok(SignedBundle {
        document,
        signature,
        key_set: trusted.key_set.signed.clone(),
    })
}

/// The principals of each account, and the roles that are on everybody's own.
fn admits(policy: &Policy, row: &HostRow) -> (BTreeMap<String, Vec<String>>, Vec<String>) {
    let Some(Admission {
        principals,
        own_account_roles,
    }) = policy.admits(&row.labels)
    else {
        return (accounts(policy), Vec::new());
    };
    let principals = principals.into_iter().map(|(account, principals)| {
        let principals = principals.iter().map(|it| it.as_str().to_owned());
        (account.as_str().to_owned(), principals.collect())
    });
    let own = own_account_roles.iter();
    (
        principals.collect(),
        own.map(|role| role.as_str().to_owned()).collect(),
    )
}

/// Where certificates name accounts: each account that a role names opens for its name. Accounts of
/// people's own cannot be told to a host in such a policy.
fn accounts(policy: &Policy) -> BTreeMap<String, Vec<String>> {
    let accounts = policy.all_roles().iter().flat_map(Role::accounts);
    let fixed = accounts.filter_map(|account| match account {
        Account::Fixed(name) => Some(name.as_str().to_owned()),
        Account::Own => None,
    });
    fixed.map(|name| (name.clone(), vec![name])).collect()
}

/// The list of what is revoked, made once for each bundle number.
#[derive(Debug, Default)]
pub(crate) struct Lists(tokio::sync::Mutex<Option<(BundleNumber, Arc<str>)>>);

impl Lists {
    async fn krl(
        &self,
        state: &State,
        newest: BundleNumber,
        now: Timestamp,
    ) -> Result<Arc<str>, HostError> {
        let mut made = self.0.lock().await;
        if let Some((number, krl)) = made.as_ref()
            && *number == newest
        {
            return Ok(Arc::clone(krl));
        }
        let keys = &state.trusted.load_full().key_set.set;
        let list = state.ledger.revoked(keys, now).await?;
        let krl: Arc<str> = STANDARD.encode(list.encode()?).into();
        *made = Some((newest, Arc::clone(&krl)));
        Ok(krl)
    }
}
