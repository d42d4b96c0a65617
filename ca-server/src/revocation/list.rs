//! What is stored ──► the list that hosts get. Pure.
//!
//! In: the revocations that are not over, the key set in force, the newest bundle's number. Out: the
//! same [`RevocationList`] for the same of these, whoever asks.
//!
//! - A serial stands under the CA key that signed it, and only while that key is trusted: a certificate
//!   of another opens nothing. Where the key is not known it stands under all of them; a serial is used
//!   once, whatever the CA key (A35, A57).
//! - CA keys that are lost stand whole.
//! - What is over stays listed for [`GRACE`]: a host's clock may be behind (A62).

use std::time::Duration;

use jit_ssh_api::key_set::{KeySet, Purpose, State};
use ssh_key::PublicKey;

use super::krl::RevocationList;
use crate::ledger::record::Hash;
use crate::store::BundleNumber;
use crate::store::revocations::{Revocation, Revoked};
use crate::time::Timestamp;

/// How far behind the clock of a host may be.
pub const GRACE: Duration = Duration::from_secs(300);

/// The list as of now.
pub(crate) fn revoked_list(
    revocations: &[Revocation],
    keys: &KeySet,
    bundle: BundleNumber,
    now: Timestamp,
) -> RevocationList {
    let mut list = RevocationList {
        version: bundle.number,
        generated: bundle.changed.seconds(),
        ca_keys: lost(keys).collect(),
        ..RevocationList::default()
    };
    let trusted = trusted(keys);
    let oldest = now.minus(GRACE);
    for revocation in revocations {
        if revocation.until.is_some_and(|until| until <= oldest) {
            continue;
        }
        match &revocation.what {
            Revoked::Key(hash) => {
                list.keys.insert(*hash);
            }
            Revoked::Serial { ca, serial } => {
                let under = |it: &&Vec<u8>| ca.is_none_or(|ca| ca == Hash::of(it).0);
                for ca in trusted.iter().filter(under) {
                    list.serials.entry(ca.clone()).or_default().insert(*serial);
                }
            }
        }
    }
    list
}

/// Blobs of the CA keys that are trusted or will be.
fn trusted(keys: &KeySet) -> Vec<Vec<u8>> {
    [Purpose::UserCa, Purpose::HostCa]
        .into_iter()
        .flat_map(|purpose| keys.trusted(purpose))
        .filter_map(|key| blob(&key.public_key))
        .collect()
}

/// Blobs of the CA keys that somebody else may have.
fn lost(keys: &KeySet) -> impl Iterator<Item = Vec<u8>> {
    let is_ca = |purpose| matches!(purpose, Purpose::UserCa | Purpose::HostCa);
    keys.keys
        .iter()
        .filter(move |key| is_ca(key.purpose) && key.state == State::Compromised)
        .filter_map(|key| blob(&key.public_key))
}

fn blob(line: &str) -> Option<Vec<u8>> {
    line.parse::<PublicKey>().ok()?.to_bytes().ok()
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use jit_ssh_api::key_set::Key;
    use ssh_key::{Algorithm, PrivateKey};

    use super::*;
    use crate::entropy;

    const NOW: Timestamp = Timestamp::from_seconds(1_795_000_000);
    const BUNDLE: BundleNumber = BundleNumber {
        number: 7,
        changed: Timestamp::from_seconds(1_794_999_000),
    };

    fn key_set(states: &[(Purpose, State)]) -> (KeySet, Vec<Vec<u8>>) {
        let keys: Vec<Key> = states
            .iter()
            .map(|(purpose, state)| {
                let key =
                    PrivateKey::random(&mut entropy::from_system(), Algorithm::Ed25519).unwrap();
                Key {
                    purpose: *purpose,
                    state: *state,
                    public_key: key.public_key().to_openssh().unwrap(),
                }
            })
            .collect();
        let blobs = keys.iter().map(|key| blob(&key.public_key).unwrap());
        let blobs = blobs.collect();
        let set = KeySet {
            name: "ca.example.com".into(),
            epoch: 1,
            number: 1,
            created: 0,
            keys,
            tls_pins: Vec::new(),
            emergency: Vec::new(),
        };
        (set, blobs)
    }

    fn serial(ca: Option<&Vec<u8>>, serial: u64, until: Timestamp) -> Revocation {
        Revocation {
            what: Revoked::Serial {
                ca: ca.map(|blob| Hash::of(blob).0),
                serial,
            },
            until: Some(until),
        }
    }

    #[test]
    fn a57_a_serial_of_one_ca_key_says_nothing_of_another_and_survives_a_rotation() {
        let (set, blobs) = key_set(&[
            (Purpose::UserCa, State::Retiring),
            (Purpose::UserCa, State::Active),
            (Purpose::UserCa, State::Next),
            (Purpose::Bundle, State::Active),
        ]);
        let later = NOW.plus(Duration::from_secs(60));
        let revocations = [
            serial(Some(&blobs[0]), 5, later),
            serial(Some(&blobs[1]), 6, later),
            serial(Some(&vec![1, 2, 3]), 8, later),
            serial(None, 7, later),
        ];
        let list = revoked_list(&revocations, &set, BUNDLE, NOW);
        let serials = |blob: &Vec<u8>| list.serials.get(blob).cloned().unwrap_or_default();
        assert_eq!(serials(&blobs[0]), BTreeSet::from([5, 7]));
        assert_eq!(serials(&blobs[1]), BTreeSet::from([6, 7]));
        assert_eq!(serials(&blobs[2]), BTreeSet::from([7]));
        assert_eq!(list.serials.len(), 3, "no other key of the CA is one");
        assert_eq!((list.version, list.generated), (7, 1_794_999_000));
    }

    #[test]
    fn a_lost_ca_key_stands_whole_and_needs_no_serials() {
        let (set, blobs) = key_set(&[
            (Purpose::UserCa, State::Compromised),
            (Purpose::HostCa, State::Compromised),
            (Purpose::UserCa, State::Active),
            (Purpose::Ledger, State::Compromised),
        ]);
        let later = NOW.plus(Duration::from_secs(60));
        let revocations = [serial(Some(&blobs[0]), 5, later)];
        let list = revoked_list(&revocations, &set, BUNDLE, NOW);
        let lost = BTreeSet::from([blobs[0].clone(), blobs[1].clone()]);
        assert_eq!(list.ca_keys, lost);
        assert!(list.serials.is_empty());
    }

    #[test]
    fn a_revoked_certificate_stays_listed_until_no_clock_of_a_host_can_call_it_valid() {
        let (set, blobs) = key_set(&[(Purpose::UserCa, State::Active)]);
        let ended = serial(Some(&blobs[0]), 5, NOW);
        let at = |now| revoked_list(std::slice::from_ref(&ended), &set, BUNDLE, now);
        assert_eq!(at(NOW.minus(GRACE)).serials.len(), 1);
        let last = NOW.plus(GRACE).minus(Duration::from_millis(1));
        assert_eq!(at(last).serials.len(), 1);
        assert!(at(NOW.plus(GRACE)).serials.is_empty(), "only what matters");
    }

    #[test]
    fn a_key_stays_listed_for_ever() {
        let (set, _) = key_set(&[(Purpose::UserCa, State::Active)]);
        let key = Revocation {
            what: Revoked::Key([7; 32]),
            until: None,
        };
        let far = NOW.plus(Duration::from_secs(1 << 32));
        let list = revoked_list(&[key], &set, BUNDLE, far);
        assert_eq!(list.keys, BTreeSet::from([[7; 32]]));
    }
}
