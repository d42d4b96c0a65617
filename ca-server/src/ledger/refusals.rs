//! What is refused: recorded for each person up to a cap, and then only counted; what was refused to
//! nobody in particular is only counted. A summary a minute says the rest, so that nobody fills the
//! disk by being refused. The counts of the last minute are lost when the process is killed.

use std::collections::{BTreeMap, HashMap};
use std::net::IpAddr;
use std::time::Duration;

use serde_json::{Value, json};

use super::record::{Kind, PartName};
use super::writer::{Class, Who, Work};
use super::{Ledger, LedgerError, bounded, clip};
use crate::identity::IdentityFacts;
use crate::login::LiveLogin;
use crate::store::guard;
use crate::time::Timestamp;

/// Records of refusals for one person within a minute.
pub const PER_MINUTE: u32 = 5;
/// Records of refusals for one person within an hour.
pub const PER_HOUR: u32 = 30;

/// To whom something was refused.
#[derive(Clone, Debug)]
pub enum RefusedTo<'a> {
    /// A login; what is pending of it is written all the same.
    Login(&'a LiveLogin),
    /// Somebody with a verified token, to whom no login was given.
    Person(&'a IdentityFacts),
}

/// A refusal to a known person.
#[derive(Clone, Debug)]
pub struct Refused<'a> {
    /// To whom.
    pub to: RefusedTo<'a>,
    /// The first rule against it, or the kind of the error.
    pub rule: &'a str,
    /// The role that was meant, if it is one of the policy's.
    pub role: Option<&'a str>,
    /// The sentence that the person read.
    pub reason: &'a str,
    /// What they asked, as they wrote it.
    pub asked: Value,
    /// Digest of the policy, where it was the policy that decided.
    pub policy: Option<&'a str>,
    /// Request id.
    pub request: &'a str,
    /// Where the request came from.
    pub source: Option<IpAddr>,
    /// Now.
    pub now: Timestamp,
}

impl Ledger {
    /// Records a refusal, or counts it when this person had too many or the disk has no room to
    /// spare; writes what is pending of the login in any case.
    pub async fn record_refused(&self, refused: Refused<'_>) -> Result<(), LedgerError> {
        let now = refused.now;
        let (who, person, commitment) = match refused.to {
            RefusedTo::Login(login) => (
                Who::Login {
                    login: login.clone(),
                    username: None,
                },
                &login.identity.person,
                Some(login.commitment),
            ),
            RefusedTo::Person(snapshot) => (
                Who::Person {
                    issuer: snapshot.issuer.to_string(),
                    subject: snapshot.subject.to_string(),
                    person: snapshot.person.clone(),
                },
                &snapshot.person,
                None,
            ),
        };
        if !guard(&self.refusals).admit(person, now) {
            return match refused.to {
                RefusedTo::Login(login) => self.record_login(login, now).await,
                RefusedTo::Person(_) => Ok(()),
            };
        }
        let details = json!({
            "asked": bounded(refused.asked),
            "reason": clip(refused.reason),
            "source": refused.source,
        });
        let mut draft = self
            .draft(Kind::Refused, now)
            .fact("request", refused.request)
            .fact("rule", refused.rule)
            .part(self.part(PartName::Details, &details)?);
        if let Some(role) = refused.role {
            draft = draft.fact("role", role);
        }
        if let Some(policy) = refused.policy {
            draft = draft.fact("policy", policy);
        }
        match (&who, commitment) {
            (Who::Login { login, .. }, Some(commitment)) => {
                draft = draft
                    .fact("login", login.id.to_string())
                    .identity(commitment);
            }
            _ => {
                if let RefusedTo::Person(snapshot) = refused.to {
                    draft = draft.part(self.part(PartName::Identity, snapshot)?);
                }
            }
        }
        let work = Work::Record(draft.finish()?);
        let written = match self.write(now, Class::Ordinary, who, work).await {
            // No room for its record: it is counted. What the token said must not be lost with it,
            // or groups that are gone would go on.
            Err(LedgerError::DiskFull) => {
                guard(&self.refusals).count_person(person, now);
                match refused.to {
                    RefusedTo::Login(login) => self.record_login(login, now).await,
                    RefusedTo::Person(_) => Ok(()),
                }
            }
            written => written.map(drop),
        };
        if let (Err(error), RefusedTo::Login(login)) = (&written, refused.to) {
            let (request, source) = (refused.request, refused.source);
            self.denied(&login.identity, error, request, source, now)
                .await;
        }
        written
    }

    /// What the store refused to somebody whose token is good: an operator must find it (A22).
    pub(super) async fn denied(
        &self,
        who: &IdentityFacts,
        error: &LedgerError,
        request: &str,
        source: Option<IpAddr>,
        now: Timestamp,
    ) {
        let rule = match error {
            LedgerError::NameTaken { .. } => "name-taken",
            LedgerError::KeyInUse => "key-in-use",
            LedgerError::TokenUsed => "token-used",
            LedgerError::Locked { .. } => "locked",
            _ => return,
        };
        let reason = error.to_string();
        let recorded = Box::pin(self.record_refused(Refused {
            to: RefusedTo::Person(who),
            rule,
            role: None,
            reason: &reason,
            asked: Value::Null,
            policy: None,
            request,
            source,
            now,
        }));
        if let Err(cause) = recorded.await {
            let cause = &cause as &dyn std::error::Error;
            tracing::error!(rule, request, error = cause, "a refusal is not recorded");
        }
    }

    /// Counts a refusal to a caller that is not known: one summary a minute tells of them all.
    pub fn count_refused(&self, reason: &'static str, now: Timestamp) {
        guard(&self.refusals).count_stranger(reason, now);
    }

    /// Counts a refusal to a person that is too frequent to be recorded.
    pub fn count_refused_to(&self, person: &str, now: Timestamp) {
        guard(&self.refusals).count_person(person, now);
    }

    /// Writes the summary of what was only counted, once a minute at most; and where the last write
    /// failed, tries another: behind a load balancer that waits for `/readyz` nobody else would. To
    /// be called every few seconds.
    pub async fn tick(&self, now: Timestamp) -> Result<(), LedgerError> {
        if !self.is_writing() {
            self.write(now, Class::Ending, Who::Nobody, Work::Probe)
                .await?;
        }
        let due = guard(&self.refusals).due(now);
        self.summarise(due, now).await
    }

    /// Writes what was only counted so far, before the process ends.
    pub async fn flush(&self, now: Timestamp) -> Result<(), LedgerError> {
        let rest = guard(&self.refusals).rest();
        self.summarise(rest, now).await
    }

    async fn summarise(&self, counted: Option<Counted>, now: Timestamp) -> Result<(), LedgerError> {
        let Some(counted) = counted else {
            return Ok(());
        };
        let people: u64 = counted.people.values().sum();
        let strangers: u64 = counted.strangers.values().sum();
        let reads: u64 = counted.reads.values().sum();
        let details = json!({
            "people": counted.people,
            "reads": counted.reads,
            "strangers": counted.strangers,
        });
        let entry = self
            .draft(Kind::RefusedSummary, now)
            .fact("people", people)
            .fact("reads", reads)
            .fact("since", counted.since.unwrap_or(now).millis())
            .fact("strangers", strangers)
            .part(self.part(PartName::Details, &details)?)
            .finish()?;
        let written = self
            .write(now, Class::Ordinary, Who::Nobody, Work::Record(entry))
            .await;
        if written.is_err() {
            guard(&self.refusals).put_back(counted);
        }
        written.map(drop)
    }
}

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
    /// By action: uses of a right to read, while the disk had no room for their records.
    pub(crate) reads: BTreeMap<&'static str, u64>,
}

impl Refusals {
    /// Whether this one gets a record of its own; else it is counted.
    pub(crate) fn admit(&mut self, person: &str, now: Timestamp) -> bool {
        if self.people.len() >= PEOPLE && !self.people.contains_key(person) {
            self.people
                .retain(|_, lately| now.is_within(HOUR, lately.hour));
        }
        if self.people.len() >= PEOPLE && !self.people.contains_key(person) {
            self.count_person(OTHERS, now);
            return false;
        }
        let lately = self.people.entry(person.to_owned()).or_default();
        if !now.is_within(MINUTE, lately.minute) {
            (lately.minute, lately.in_minute) = (now, 0);
        }
        if !now.is_within(HOUR, lately.hour) {
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

    /// Counts a use of a right to read.
    pub(crate) fn count_read(&mut self, action: &'static str, now: Timestamp) {
        self.counted.since.get_or_insert(now);
        let count = self.counted.reads.entry(action).or_default();
        *count = count.saturating_add(1);
    }

    /// What was counted, once a minute at most.
    pub(crate) fn due(&mut self, now: Timestamp) -> Option<Counted> {
        let since = self.counted.since?;
        (!now.is_within(MINUTE, since)).then(|| std::mem::take(&mut self.counted))
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
        for (action, more) in counted.reads {
            let count = self.counted.reads.entry(action).or_default();
            *count = count.saturating_add(more);
        }
    }

    /// Counts a refusal to a person that gets no record of its own.
    pub(crate) fn count_person(&mut self, person: &str, now: Timestamp) {
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
    fn a_clock_that_was_set_back_hides_no_refusal() {
        let mut refusals = Refusals::default();
        let now = Timestamp::from_seconds(1_000_000);
        let ahead = now.plus(24 * HOUR);
        for n in 0..PEOPLE {
            for _ in 0..PER_HOUR {
                refusals.admit(&n.to_string(), ahead);
            }
        }
        refusals.count_stranger("token-refused", ahead);
        assert!(refusals.admit("0", now), "who was refused then");
        assert!(refusals.admit("somebody new", now), "and everybody else");
        let counted = refusals.due(now.plus(MINUTE)).unwrap();
        assert_eq!(counted.strangers["token-refused"], 1);
        refusals.count_stranger("token-refused", now);
        assert_eq!(refusals.due(now.plus(Duration::from_secs(59))), None);
        assert!(refusals.due(now.plus(MINUTE)).is_some());
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
