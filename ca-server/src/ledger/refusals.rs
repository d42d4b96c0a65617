//! What is refused: recorded for each person up to a cap, and then only counted; what was refused to
//! nobody in particular is only counted. A summary a minute says the rest, so that nobody fills the
//! disk by being refused. The counts of the last minute are lost when the process is killed.

use std::collections::{BTreeMap, HashMap};
use std::time::Duration;

use crate::time::Timestamp;

/// Records of refusals for one person within a minute.
pub const PER_MINUTE: u32 = 5;
/// Records of refusals for one person within an hour.
pub const PER_HOUR: u32 = 30;

/// Who was refused how often lately.
#[derive(Debug, Default)]
pub(crate) struct Refusals {
    people: HashMap<String, Lately>,
    counted: Counted,
}

#[derive(Clone, Copy, Debug, Default)]
struct Lately {
    minute: Timestamp,
    in_minute: u32,
    hour: Timestamp,
    in_hour: u32,
}

/// What was counted and not recorded.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Counted {
    pub(crate) since: Option<Timestamp>,
    /// By person; [`OTHERS`] for those that came after the first [`PEOPLE`].
    pub(crate) people: BTreeMap<String, u64>,
    /// By the reason's fixed name, for callers that nobody knows.
    pub(crate) strangers: BTreeMap<&'static str, u64>,
}

impl Refusals {
    /// Whether this one gets a record of its own; else it is counted.
    pub(crate) fn admit(&mut self, person: &str, now: Timestamp) -> bool {
        if self.people.len() >= PEOPLE && !self.people.contains_key(person) {
            self.people
                .retain(|_, lately| now.since(lately.hour) < HOUR);
        }
        if self.people.len() >= PEOPLE && !self.people.contains_key(person) {
            self.count_person(OTHERS, now);
            return false;
        }
        let lately = self.people.entry(person.to_owned()).or_default();
        if now.since(lately.minute) >= MINUTE {
            (lately.minute, lately.in_minute) = (now, 0);
        }
        if now.since(lately.hour) >= HOUR {
            (lately.hour, lately.in_hour) = (now, 0);
        }
        if lately.in_minute < PER_MINUTE && lately.in_hour < PER_HOUR {
            lately.in_minute += 1;
            lately.in_hour += 1;
            return true;
        }
        self.count_person(person, now);
        false
    }

    /// Counts a refusal to a caller that nobody knows.
    pub(crate) fn count_stranger(&mut self, reason: &'static str, now: Timestamp) {
        self.counted.since.get_or_insert(now);
        let count = self.counted.strangers.entry(reason).or_default();
        *count = count.saturating_add(1);
    }

    /// What was counted, once a minute at most.
    pub(crate) fn due(&mut self, now: Timestamp) -> Option<Counted> {
        let since = self.counted.since?;
        (now.since(since) >= MINUTE).then(|| std::mem::take(&mut self.counted))
    }

    /// All that was counted, at the end of the process.
    pub(crate) fn rest(&mut self) -> Option<Counted> {
        self.counted.since?;
        Some(std::mem::take(&mut self.counted))
    }

    /// A summary that could not be written counts on.
    pub(crate) fn put_back(&mut self, counted: Counted) {
        self.counted.since = counted.since;
        for (person, more) in counted.people {
            let count = self.counted.people.entry(person).or_default();
            *count = count.saturating_add(more);
        }
        for (reason, more) in counted.strangers {
            let count = self.counted.strangers.entry(reason).or_default();
            *count = count.saturating_add(more);
        }
    }

    fn count_person(&mut self, person: &str, now: Timestamp) {
        self.counted.since.get_or_insert(now);
        let people = &mut self.counted.people;
        let person = if people.len() < LISTED || people.contains_key(person) {
            person
        } else {
            OTHERS
        };
        let count = people.entry(person.to_owned()).or_default();
        *count = count.saturating_add(1);
    }
}

const MINUTE: Duration = Duration::from_secs(60);
const HOUR: Duration = Duration::from_secs(3600);
/// People whose refusals are remembered at a time.
const PEOPLE: usize = 4096;
/// People that one summary names.
const LISTED: usize = 200;
/// Stands for everybody else; no person's key is empty.
const OTHERS: &str = "";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_flood_of_refusals_fills_no_disk() {
        let mut refusals = Refusals::default();
        let start = Timestamp::from_seconds(1_000_000);
        let mut recorded = 0;
        for second in 0..7200 {
            let now = start.plus(Duration::from_secs(second));
            for _ in 0..10 {
                recorded += u32::from(refusals.admit("mallory", now));
            }
        }
        assert_eq!(recorded, 2 * PER_HOUR);
        assert!(
            refusals.admit("alice", start.plus(HOUR)),
            "others are recorded as before"
        );
        let counted = refusals.rest().unwrap();
        assert_eq!(counted.people["mallory"], 72_000 - u64::from(recorded));
    }

    #[test]
    fn many_people_are_counted_together() {
        let mut refusals = Refusals::default();
        let now = Timestamp::from_seconds(1_000_000);
        let people = PEOPLE + 300;
        let recorded = (0..people)
            .filter(|n| refusals.admit(&n.to_string(), now))
            .count();
        assert_eq!(recorded, PEOPLE);
        let counted = refusals.rest().unwrap();
        assert_eq!(counted.people[OTHERS], 300);
        let later = now.plus(HOUR);
        assert!(
            refusals.admit("somebody new", later),
            "the old ones are forgotten after an hour"
        );
    }

    #[test]
    fn strangers_make_one_summary_a_minute() {
        let mut refusals = Refusals::default();
        let now = Timestamp::from_seconds(1_000_000);
        for _ in 0..1000 {
            refusals.count_stranger("token-refused", now);
        }
        assert_eq!(refusals.due(now.plus(Duration::from_secs(59))), None);
        let counted = refusals.due(now.plus(MINUTE)).unwrap();
        assert_eq!(counted.strangers["token-refused"], 1000);
        assert_eq!(refusals.due(now.plus(HOUR)), None, "nothing happened since");
        refusals.put_back(counted.clone());
        assert_eq!(refusals.due(now.plus(HOUR)), Some(counted));
    }
}
