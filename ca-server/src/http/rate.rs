//! How often one caller may come: the generic cell rate algorithm, one number a caller. A minute's (a
//! day's) worth may come at once; after that at the steady rate. Nobody can fill the memory: the table
//! has a size, and when it is full, callers that owe nothing are forgotten first. Callers are kept by
//! a keyed hash of 64 bits: two that share one by chance share a limit.

use std::collections::HashMap;
use std::hash::{BuildHasher as _, Hash, RandomState};
use std::sync::{Mutex, PoisonError};

use crate::time::Timestamp;

/// A limit by key. The number is when the caller's debt is paid, in microseconds since 1970.
#[derive(Debug)]
pub(crate) struct Rate {
    /// In microseconds.
    period: u64,
    hashes: RandomState,
    table: Mutex<Table>,
}

#[derive(Debug, Default)]
struct Table {
    paid: HashMap<u64, u64>,
    /// When those that owe nothing were last forgotten.
    pruned: u64,
}

impl Rate {
    /// By the minute.
    pub(crate) fn new() -> Self {
        Rate::per(MINUTE)
    }

    /// By the day.
    pub(crate) fn per_day() -> Self {
        Rate::per(DAY)
    }

    fn per(period: u64) -> Self {
        Rate {
            period,
            hashes: RandomState::new(),
            table: Mutex::default(),
        }
    }

    /// Counts one; `Err` with the seconds to wait where it is too much. `most` of 0 is no limit.
    pub(crate) fn count(&self, key: impl Hash, most: u32, now: Timestamp) -> Result<(), u64> {
        if most == 0 {
            return Ok(());
        }
        let key = self.hashes.hash_one(key);
        let now = now.millis().saturating_mul(1000);
        let cost = self.period / u64::from(most);
        // Nobody owes more than a period: what says so was written before the clock was set back.
        let latest = now.saturating_add(self.period);
        let mut table = self.table.lock().unwrap_or_else(PoisonError::into_inner);
        if table.paid.len() >= MAX_KEYS && !table.paid.contains_key(&key) {
            table.prune(now, latest);
            if table.paid.len() >= MAX_KEYS {
                return Err(1);
            }
        }
        let until = table.paid.entry(key).or_insert(now);
        *until = latest.min(*until);
        let next = (*until).max(now).saturating_add(cost);
        let over = next.saturating_sub(latest);
        if over > 0 {
            return Err(over.div_ceil(1_000_000).max(1));
        }
        *until = next;
        Ok(())
    }

    /// Takes back one that was counted with the same `most` and came to nothing.
    pub(crate) fn give_back(&self, key: impl Hash, most: u32) {
        let Some(cost) = self.period.checked_div(u64::from(most)) else {
            return;
        };
        let key = self.hashes.hash_one(key);
        let mut table = self.table.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(until) = table.paid.get_mut(&key) {
            *until = until.saturating_sub(cost);
        }
    }
}

impl Table {
    /// Forgets those that owe nothing, once a second at most: everybody waits while the whole table
    /// is looked through.
    fn prune(&mut self, now: u64, latest: u64) {
        if (self.pruned..self.pruned.saturating_add(SECOND)).contains(&now) {
            return;
        }
        self.pruned = now;
        self.paid.retain(|_, until| {
            *until = latest.min(*until);
            *until > now
        });
    }
}

const SECOND: u64 = 1_000_000;
const MINUTE: u64 = 60_000_000;
const DAY: u64 = 24 * 60 * MINUTE;
const MAX_KEYS: usize = 100_000;

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::Rate;
    use crate::time::Timestamp;

    #[test]
    fn a_minutes_worth_at_once_and_then_the_steady_rate() {
        let rate = Rate::new();
        let now = Timestamp::from_seconds(1000);
        for _ in 0..60 {
            rate.count("a", 60, now).unwrap();
        }
        assert_eq!(rate.count("a", 60, now), Err(1));
        rate.count("b", 60, now).unwrap();
        let later = now.plus(Duration::from_secs(1));
        rate.count("a", 60, later).unwrap();
        assert_eq!(rate.count("a", 60, later), Err(1));
    }

    #[test]
    fn a_days_worth_at_once_and_then_over_the_day() {
        let rate = Rate::per_day();
        let now = Timestamp::from_seconds(1000);
        for _ in 0..24 {
            rate.count("a", 24, now).unwrap();
        }
        assert_eq!(rate.count("a", 24, now), Err(3600));
        let later = now.plus(Duration::from_secs(3600));
        rate.count("a", 24, later).unwrap();
        assert!(rate.count("a", 24, later).is_err());
    }

    #[test]
    fn a_clock_that_was_set_back_locks_nobody_out() {
        let rate = Rate::new();
        let hour = Duration::from_secs(3600);
        let now = Timestamp::from_seconds(100_000);
        for _ in 0..60 {
            rate.count("a", 60, now.plus(hour)).unwrap();
        }
        assert_eq!(rate.count("a", 60, now), Err(1), "a minute's debt, no more");
        let later = now.plus(Duration::from_secs(1));
        rate.count("a", 60, later).unwrap();
        assert_eq!(rate.count("a", 60, later), Err(1));
        // Nor does a full table stay full.
        for key in 0..super::MAX_KEYS {
            rate.count(key.to_string().leak(), 60, now.plus(hour))
                .unwrap_or_default();
        }
        let later = now.plus(Duration::from_secs(120));
        assert_eq!(rate.count("new", 60, now), Err(1));
        rate.count("new", 60, later).unwrap();
    }

    #[test]
    fn a_full_table_is_looked_through_once_a_second() {
        let rate = Rate::new();
        let now = Timestamp::from_seconds(100_000);
        let after = |millis| now.plus(Duration::from_millis(millis));
        // Each owes a second.
        for key in 0..super::MAX_KEYS {
            rate.count(key, 60, now).unwrap();
        }
        assert_eq!(rate.count("new", 60, after(500)), Err(1));
        assert_eq!(rate.count("new", 60, after(1499)), Err(1));
        rate.count("new", 60, after(1500)).unwrap();
        assert_eq!(rate.table.lock().unwrap().paid.len(), 1);
    }

    #[test]
    fn what_is_given_back_can_be_had_again_and_no_more_than_that() {
        let rate = Rate::per_day();
        let now = Timestamp::from_seconds(1000);
        for _ in 0..3 {
            rate.count("a", 3, now).unwrap();
        }
        rate.give_back("a", 3);
        rate.give_back("b", 3);
        rate.count("a", 3, now).unwrap();
        assert!(rate.count("a", 3, now).is_err());
        for _ in 0..10 {
            rate.give_back("a", 3);
        }
        for _ in 0..3 {
            rate.count("a", 3, now).unwrap();
        }
        assert!(
            rate.count("a", 3, now).is_err(),
            "nothing is saved up from before"
        );
    }

    #[test]
    fn zero_is_no_limit() {
        let rate = Rate::new();
        rate.give_back((), 0);
        for _ in 0..1000 {
            rate.count((), 0, Timestamp::from_seconds(1)).unwrap();
        }
    }
}
