//! Sign-ins that are going on on another machine: announced by a key, shown by the page where the
//! issuer's redirect arrives. They live for ten minutes in memory: after a restart the person starts
//! again.
//!
//! Anybody may announce, so nobody may take the place of the others: one key and one address hold a
//! few, and when all is full, whoever holds the most makes room (A87). A newcomer is turned away only
//! where their address holds all that it may, one by each key: those who were there first are not
//! forgotten for keys that anybody can make.

use std::collections::HashMap;
use std::hash::Hash;
use std::net::IpAddr;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use crate::http::address::limited_as;
use crate::time::Timestamp;

/// One announcement: who asks.
#[derive(Clone, Debug)]
pub(crate) struct Announced {
    pub(crate) key: String,
    pub(crate) address: Option<IpAddr>,
    pub(crate) time: Timestamp,
    pub(crate) issuer: String,
    pub(crate) expires: Timestamp,
}

/// Why an announcement is not taken; the caller's to mend.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum AnnounceError {
    /// A `state` belongs to the first key that announced it.
    #[error("this state was announced by another key")]
    OtherKey,
    /// Too many go on from that address, each by a key of its own.
    #[error("too many sign-ins go on from this address")]
    Full {
        /// Until the first of them ends.
        seconds: u64,
    },
}

/// All announcements, by `state`.
#[derive(Debug, Default)]
pub(crate) struct SignIns {
    announced: Mutex<HashMap<String, Announced>>,
}

impl SignIns {
    /// Takes one.
    pub(crate) fn announce(
        &self,
        state: String,
        new: Announced,
        now: Timestamp,
    ) -> Result<(), AnnounceError> {
        let mut announced = self
            .announced
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        announced.retain(|_, known| known.expires > now);
        match announced.get(&state) {
            Some(known) if known.key != new.key => return Err(AnnounceError::OtherKey),
            Some(_) => {}
            None => make_room(&mut announced, &new, now)?,
        }
        announced.insert(state, new);
        Ok(())
    }

    /// The announcement of a `state`, for the page.
    pub(crate) fn get(&self, state: &str, now: Timestamp) -> Option<Announced> {
        let announced = self
            .announced
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        announced
            .get(state)
            .filter(|known| known.expires > now)
            .cloned()
    }
}

impl Announced {
    fn peer(&self) -> Option<IpAddr> {
        self.address.map(limited_as)
    }
}

/// Forgets the oldest of the key, of its address's largest key, or of the largest address. An
/// error: none of its address holds more than one.
fn make_room(
    announced: &mut HashMap<String, Announced>,
    new: &Announced,
    now: Timestamp,
) -> Result<(), AnnounceError> {
    let (key, peer) = (new.key.clone(), new.peer());
    let of_key = |known: &Announced| known.key == key;
    let of_peer = |known: &Announced| known.peer() == peer;
    if announced.values().filter(|known| of_key(known)).count() >= MOST_OF_KEY {
        forget_oldest(announced, of_key);
    } else if announced.values().filter(|known| of_peer(known)).count() >= MOST_OF_ADDRESS {
        let here = || announced.values().filter(|known| of_peer(known));
        let largest = largest(here(), |known| known.key.clone());
        let holds = |key: &str| here().filter(|known| known.key == key).count();
        let gives_way = match largest {
            Some(largest) if holds(&largest) > 1 => largest,
            _ if holds(&key) > 0 => key,
            _ => {
                let first = here().map(|known| known.expires).min().unwrap_or(now);
                let seconds = first.since(now).as_secs().max(1);
                return Err(AnnounceError::Full { seconds });
            }
        };
        forget_oldest(announced, |known| of_peer(known) && known.key == gives_way);
    } else if announced.len() >= MOST {
        let largest = largest(announced.values(), Announced::peer);
        forget_oldest(announced, |known| Some(known.peer()) == largest);
    }
    Ok(())
}

/// Who holds the most; of several, whose oldest is the oldest.
fn largest<'a, K: Eq + Hash>(
    announced: impl Iterator<Item = &'a Announced>,
    holder: impl Fn(&Announced) -> K,
) -> Option<K> {
    let mut held: HashMap<K, (usize, Timestamp)> = HashMap::new();
    for known in announced {
        let (count, oldest) = held.entry(holder(known)).or_insert((0, known.expires));
        *count += 1;
        *oldest = (*oldest).min(known.expires);
    }
    held.into_iter()
        .max_by_key(|(_, (count, oldest))| (*count, std::cmp::Reverse(*oldest)))
        .map(|(holder, _)| holder)
}

fn forget_oldest(announced: &mut HashMap<String, Announced>, of: impl Fn(&Announced) -> bool) {
    let oldest = announced
        .iter()
        .filter(|(_, known)| of(known))
        .min_by_key(|(_, known)| known.expires)
        .map(|(state, _)| state.clone());
    if let Some(state) = oldest {
        announced.remove(&state);
    }
}

/// How long an announcement lives.
pub(crate) const LIFE: Duration = Duration::from_secs(600);
const MOST: usize = 10_000;
const MOST_OF_ADDRESS: usize = 200;
const MOST_OF_KEY: usize = 20;

#[cfg(test)]
mod tests {
    use std::net::IpAddr;
    use std::time::Duration;

    use super::{AnnounceError, Announced, LIFE, SignIns};
    use crate::time::Timestamp;

    const NOW: Timestamp = Timestamp::from_seconds(1000);

    fn by(key: &str, address: &str, now: Timestamp) -> Announced {
        Announced {
            key: key.to_owned(),
            address: Some(address.parse::<IpAddr>().unwrap()),
            time: now,
            issuer: "https://idp.example.com".to_owned(),
            expires: now.plus(LIFE),
        }
    }

    fn after(seconds: u64) -> Timestamp {
        NOW.plus(Duration::from_secs(seconds))
    }

    #[test]
    fn another_key_cannot_take_over_an_announced_state() {
        let sign_ins = SignIns::default();
        let announce = |key: &str| sign_ins.announce("s".into(), by(key, "192.0.2.1", NOW), NOW);
        announce("alice").unwrap();
        announce("mallory").unwrap_err();
        assert_eq!(sign_ins.get("s", NOW).unwrap().key, "alice");
        let later = NOW.plus(LIFE + Duration::from_secs(1));
        assert!(sign_ins.get("s", later).is_none(), "it ends");
    }

    /// Announces `count` from each address with as many keys as it likes, after alice; what is
    /// refused of it is refused.
    fn flood(addresses: &[String], count: usize, keys: usize) -> SignIns {
        let sign_ins = SignIns::default();
        let announce = |state: String, key: &str, address: &str, now| {
            sign_ins.announce(state, by(key, address, now), now)
        };
        announce("alice".into(), "alice", "192.0.2.1", NOW).unwrap();
        for address in addresses {
            for at in 0..count {
                let key = format!("{address}-{}", at % keys);
                let _ = announce(format!("{address}-{at}"), &key, address, after(1));
            }
        }
        announce("bob".into(), "bob", "192.0.2.2", after(2)).unwrap();
        sign_ins
    }

    fn held(sign_ins: &SignIns) -> usize {
        sign_ins.announced.lock().unwrap().len()
    }

    #[test]
    fn a_flood_of_announcements_keeps_nobody_else_from_signing_in() {
        let one = ["198.51.100.1".to_owned()];
        // One key, and a new key each time.
        for (keys, most) in [(1, 20), (usize::MAX, 200)] {
            let sign_ins = flood(&one, 2000, keys);
            for state in ["alice", "bob"] {
                assert!(sign_ins.get(state, after(3)).is_some(), "{keys} {state}");
            }
            assert_eq!(held(&sign_ins), most + 2);
        }
        // From everywhere at once: the memory stays bounded, and alice, who holds one, keeps it.
        let sign_ins = flood(&[], 0, 1);
        for n in 0..super::MOST {
            let address = format!("203.0.113.{}", n % 60);
            let known = by(&n.to_string(), &address, after(1));
            let mut announced = sign_ins.announced.lock().unwrap();
            if announced.len() < super::MOST {
                announced.insert(n.to_string(), known);
            }
        }
        let carol = by("carol", "192.0.2.3", after(2));
        sign_ins.announce("carol".into(), carol, after(2)).unwrap();
        for state in ["alice", "bob", "carol"] {
            assert!(sign_ins.get(state, after(3)).is_some(), "{state}");
        }
        assert_eq!(held(&sign_ins), super::MOST);
    }

    #[test]
    fn a_whole_ipv6_network_is_one_address() {
        let network: Vec<String> = (0..50).map(|n| format!("2001:db8::{n:x}")).collect();
        assert_eq!(held(&flood(&network, 20, 20)), 200 + 2);
    }

    #[test]
    fn who_shares_an_address_with_a_flood_of_one_key_keeps_a_place() {
        let sign_ins = flood(&["192.0.2.1".to_owned()], 2000, 15);
        assert!(sign_ins.get("alice", after(3)).is_some());
    }

    #[test]
    fn who_shares_an_address_with_a_flood_of_fresh_keys_is_not_forgotten() {
        let sign_ins = flood(&["192.0.2.1".to_owned()], 2000, usize::MAX);
        assert!(sign_ins.get("alice", after(3)).is_some());
        let announce = |state: &str, key: &str, now| {
            sign_ins.announce(state.into(), by(key, "192.0.2.1", now), now)
        };
        // A newcomer from there waits until the first of them ends; alice may begin again.
        let refused = announce("carol", "carol", after(4));
        assert_eq!(refused, Err(AnnounceError::Full { seconds: 596 }));
        announce("again", "alice", after(5)).unwrap();
        assert!(sign_ins.get("alice", after(6)).is_none());
        assert!(sign_ins.get("again", after(6)).is_some());
        announce("carol", "carol", after(602)).unwrap();
    }
}
