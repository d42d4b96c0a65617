//! Ids of requests that change state, remembered for two minutes: longer than any proof's time is
//! accepted (60 s before to 60 s after), so a captured request is of no use to anybody. Within one
//! process: a replay after a restart does only what the first did, since every change is one that
//! may be repeated (the same login is found, an ended one stays ended).

use std::collections::HashSet;
use std::hash::{BuildHasher, RandomState};
use std::sync::{Mutex, PoisonError};

use jit_ssh_api::proof::{ID_WINDOW_SECONDS, ProofId};

use crate::time::Timestamp;

/// What was seen, in slices of twenty seconds; of each id a keyed 64-bit hash.
#[derive(Debug)]
pub(crate) struct ReplayWindow {
    hasher: RandomState,
    slices: Mutex<Vec<Slice>>,
}

#[derive(Debug)]
struct Slice {
    number: u64,
    seen: HashSet<u64>,
}

/// Why an id does not count as new.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum NotNew {
    /// Seen before.
    Seen,
    /// More requests than are remembered: refused rather than forgotten.
    Full,
}

impl ReplayWindow {
    pub(crate) fn new() -> Self {
        ReplayWindow {
            hasher: RandomState::new(),
            slices: Mutex::new(Vec::new()),
        }
    }

    /// Takes an id of a key, once.
    pub(crate) fn take(&self, key: &[u8], id: ProofId, now: Timestamp) -> Result<(), NotNew> {
        let mark = self.hasher.hash_one((key, id.0));
        let number = now.seconds() / SLICE_SECONDS;
        let mut slices = self.slices.lock().unwrap_or_else(PoisonError::into_inner);
        // A clock that was set back keeps what lies in its future: nothing is forgotten early.
        slices.retain(|slice| slice.number + ID_WINDOW_SECONDS / SLICE_SECONDS >= number);
        if slices.iter().any(|slice| slice.seen.contains(&mark)) {
            return Err(NotNew::Seen);
        }
        if slices.iter().map(|slice| slice.seen.len()).sum::<usize>() >= MAX_IDS {
            return Err(NotNew::Full);
        }
        match slices.iter_mut().find(|slice| slice.number == number) {
            Some(slice) => slice.seen.insert(mark),
            None => {
                slices.push(Slice {
                    number,
                    seen: HashSet::from([mark]),
                });
                true
            }
        };
        Ok(())
    }
}

const SLICE_SECONDS: u64 = 20;
const MAX_IDS: usize = 2_000_000;

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use jit_ssh_api::proof::ProofId;

    use super::{NotNew, ReplayWindow};
    use crate::time::Timestamp;

    #[test]
    fn an_id_counts_once_in_two_minutes() {
        let window = ReplayWindow::new();
        let now = Timestamp::from_seconds(1_000_000);
        let id = ProofId([7; 16]);
        window.take(b"key", id, now).unwrap();
        for seconds in [0, 1, 59, 60, 119, 120] {
            let later = now.plus(Duration::from_secs(seconds));
            assert_eq!(
                window.take(b"key", id, later),
                Err(NotNew::Seen),
                "{seconds}"
            );
        }
        window.take(b"other", id, now).unwrap();
        window
            .take(b"key", id, now.plus(Duration::from_secs(145)))
            .unwrap();
    }

    #[test]
    fn a_clock_set_back_forgets_nothing() {
        let window = ReplayWindow::new();
        let now = Timestamp::from_seconds(1_000_000);
        let id = ProofId([7; 16]);
        window.take(b"key", id, now).unwrap();
        let earlier = now.minus(Duration::from_secs(3600));
        assert_eq!(window.take(b"key", id, earlier), Err(NotNew::Seen));
    }
}
