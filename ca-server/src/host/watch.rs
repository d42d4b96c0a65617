//! The hosts that live, in memory: who each is, what it holds and since when (the receipts), and who
//! holds a request. Filled at the start; the one writer tells it after each commit what changed.
//!
//! That a host asks for a newer bundle than number N says that it has N in force: this is its receipt.
//! It counts for the epoch of now and up to the newest number, whatever a host claims.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use jit_ssh_api::host::{Host, HostReport};
use jit_ssh_api::revocation::Receipts;
use ssh_key::Fingerprint;
use tokio::sync::oneshot;

use crate::store::guard;
use crate::store::hosts::HostRow;
use crate::time::Timestamp;

/// All living hosts.
#[derive(Debug)]
pub struct Watch {
    table: Mutex<Table>,
}

#[derive(Debug, Default)]
struct Table {
    hosts: HashMap<String, Entry>,
    /// By SHA-256 of a key's blob: whose, and whether it is the first one.
    keys: HashMap<[u8; 32], (String, bool)>,
    names: HashMap<String, String>,
    next: u64,
}

#[derive(Debug)]
struct Entry {
    row: Arc<HostRow>,
    seen: Timestamp,
    holds: Option<Holds>,
    report: HostReport,
    /// Heard since it was written last, and when that was.
    unwritten: bool,
    written: Timestamp,
    held: Option<HeldRequest>,
    /// Where the request before this one was held from, and until when that is remembered.
    before: Option<(IpAddr, Timestamp)>,
    /// When two were seen to be this host at once.
    cloned: Option<Timestamp>,
}

/// The bundle that a host has in force.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Holds {
    pub(crate) number: u64,
    pub(crate) since: Timestamp,
}

#[derive(Debug)]
struct HeldRequest {
    number: u64,
    source: Option<IpAddr>,
    /// Dropped where a newer request of the host takes its place.
    _over: oneshot::Sender<()>,
}

/// A request of a host that is held; given back on drop.
#[derive(Debug)]
pub(crate) struct Held {
    watch: Arc<Watch>,
    id: String,
    number: u64,
    /// Ends when another request of this host takes its place.
    pub(crate) over: oneshot::Receiver<()>,
    /// Somebody else seems to be this host as well: two machines take the place from each other.
    pub(crate) cloned: bool,
}

/// What is to be written of a host.
#[derive(Clone, Debug)]
pub(crate) struct Seen {
    pub(crate) number: i64,
    pub(crate) seen: Timestamp,
    pub(crate) bundle: Option<u64>,
    pub(crate) report: HostReport,
}

impl Watch {
    /// Those that live; receipts from before `epoch_started` are of another epoch.
    pub(crate) fn new(rows: Vec<HostRow>, epoch_started: Timestamp) -> Self {
        let watch = Watch {
            table: Mutex::default(),
        };
        for row in rows {
            let (id, seen, bundle) = (row.id.clone(), row.seen, row.bundle);
            watch.lives(Arc::new(row));
            if let (Some(number), true) = (bundle, seen >= epoch_started)
                && let Some(entry) = guard(&watch.table).hosts.get_mut(&id)
            {
                entry.holds = Some(Holds {
                    number,
                    since: seen,
                });
            }
        }
        watch
    }

    /// The writer enrolled it, or changed something of it.
    pub(crate) fn lives(&self, row: Arc<HostRow>) {
        let mut table = guard(&self.table);
        let before = table.forget(&row.id);
        for (position, key) in row.keys.iter().enumerate() {
            table.keys.insert(key.hash, (row.id.clone(), position == 0));
        }
        for name in &row.names {
            table.names.insert(name.clone(), row.id.clone());
        }
        let entry = match before {
            Some(before) => Entry { row, ..before },
            None => Entry {
                seen: row.seen,
                holds: None,
                report: row.report.clone(),
                unwritten: false,
                written: row.seen,
                held: None,
                before: None,
                cloned: None,
                row,
            },
        };
        table.hosts.insert(entry.row.id.clone(), entry);
    }

    /// The writer revoked it.
    pub(crate) fn revoked(&self, id: &str) {
        // A request that it holds ends with this.
        guard(&self.table).forget(id);
    }

    /// The living host whose first key that is.
    pub(crate) fn by_first_key(&self, key: &[u8; 32]) -> Option<Arc<HostRow>> {
        let table = guard(&self.table);
        let (id, first) = table.keys.get(key)?;
        first
            .then(|| table.hosts.get(id).map(|entry| Arc::clone(&entry.row)))
            .flatten()
    }

    /// The living host that has this key, whichever of its keys it is.
    pub(crate) fn by_any_key(&self, key: &[u8; 32]) -> Option<String> {
        guard(&self.table).keys.get(key).map(|(id, _)| id.clone())
    }

    /// The living host of that identifier or name.
    pub(crate) fn find(&self, id_or_name: &str) -> Option<Arc<HostRow>> {
        let table = guard(&self.table);
        let id = table
            .names
            .get(id_or_name)
            .map_or(id_or_name, String::as_str);
        table.hosts.get(id).map(|entry| Arc::clone(&entry.row))
    }

    /// Every living host, in no order.
    pub(crate) fn living(&self) -> Vec<Arc<HostRow>> {
        let table = guard(&self.table);
        table
            .hosts
            .values()
            .map(|entry| Arc::clone(&entry.row))
            .collect()
    }

    /// Those of them that ever said to have a bundle in force: they took what they were given. Another
    /// may have been enrolled and then failed, and shows no certificate; who holds clients to one
    /// there would lock people out.
    pub(crate) fn in_force(&self) -> Vec<Arc<HostRow>> {
        let table = guard(&self.table);
        let took = |entry: &&Entry| entry.holds.is_some() || entry.row.bundle.is_some();
        table
            .hosts
            .values()
            .filter(took)
            .map(|entry| Arc::clone(&entry.row))
            .collect()
    }

    /// How many live, and how many hold a request.
    pub(crate) fn count(&self) -> (usize, usize) {
        let table = guard(&self.table);
        let held = table
            .hosts
            .values()
            .filter(|entry| entry.held.is_some())
            .count();
        (table.hosts.len(), held)
    }

    /// Something was heard of a host.
    pub(crate) fn seen(&self, id: &str, now: Timestamp) {
        let mut table = guard(&self.table);
        if let Some(entry) = table.hosts.get_mut(id) {
            entry.hears(now);
        }
    }

    /// A host said to have this bundle in force.
    pub(crate) fn receipt(&self, id: &str, number: u64, now: Timestamp) {
        let mut table = guard(&self.table);
        let Some(entry) = table.hosts.get_mut(id) else {
            return;
        };
        entry.hears(now);
        // The same again is no news: it came when it came first.
        if entry.holds.is_none_or(|holds| holds.number != number) {
            entry.holds = Some(Holds { number, since: now });
        }
    }

    /// A host said how it is.
    pub(crate) fn report(&self, id: &str, report: HostReport, now: Timestamp) {
        let mut table = guard(&self.table);
        if let Some(entry) = table.hosts.get_mut(id) {
            entry.hears(now);
            entry.report = report;
        }
    }

    /// A host holds a request from now on. One that it held before is over: a connection that nobody
    /// is at the other end of any more is not waited for. Where two machines are the same host, each
    /// takes the place of the other, again and again: that is noticed (A60).
    pub(crate) fn hold(
        self: &Arc<Self>,
        id: &str,
        source: Option<IpAddr>,
        now: Timestamp,
    ) -> Option<Held> {
        let mut table = guard(&self.table);
        let number = table.next;
        table.next = table.next.wrapping_add(1);
        let entry = table.hosts.get_mut(id)?;
        let (sender, over) = oneshot::channel();
        let displaced = entry.held.replace(HeldRequest {
            number,
            source,
            _over: sender,
        });
        let mut cloned = false;
        if let Some(HeldRequest {
            source: Some(other),
            ..
        }) = displaced
            && Some(other) != source
        {
            let again = entry
                .before
                .is_some_and(|(address, until)| Some(address) == source && now < until);
            cloned = again;
            entry.before = Some((other, now.plus(PING_PONG)));
            if again {
                entry.cloned = Some(now);
            }
        }
        Some(Held {
            watch: Arc::clone(self),
            id: id.to_owned(),
            number,
            over,
            cloned,
        })
    }

    /// Who has the bundle of that number, or a later one, in force; `changed` is since when it is
    /// there. Hosts that were not heard of for a day count as silent.
    pub fn receipts(&self, number: u64, changed: Timestamp, now: Timestamp) -> Receipts {
        let table = guard(&self.table);
        let (mut confirmed, mut awaited, mut last) = (0u64, 0u64, changed);
        let mut silent = Vec::new();
        for entry in table.hosts.values() {
            match entry.holds.filter(|holds| holds.number >= number) {
                Some(holds) => {
                    confirmed = confirmed.saturating_add(1);
                    last = last.max(holds.since);
                }
                None => {
                    silent.push(entry.row.called().to_owned());
                    if now.is_within(SILENT, entry.seen) {
                        awaited = awaited.saturating_add(1);
                    }
                }
            }
        }
        silent.sort();
        let took = last.since(changed).min(now.since(changed));
        Receipts {
            bundle: number,
            hosts: u64::try_from(table.hosts.len()).unwrap_or(u64::MAX),
            confirmed,
            milliseconds: u64::try_from(took.as_millis()).unwrap_or(u64::MAX),
            silent,
            awaited,
        }
    }

    /// What is to be written: of each host once a minute at most.
    pub(crate) fn unwritten(&self, now: Timestamp) -> Vec<Seen> {
        let mut table = guard(&self.table);
        let due = table
            .hosts
            .values_mut()
            .filter(|entry| entry.unwritten && !now.is_within(EACH, entry.written));
        due.take(BATCH)
            .map(|entry| {
                entry.unwritten = false;
                entry.written = now;
                Seen {
                    number: entry.row.number,
                    seen: entry.seen,
                    bundle: entry.holds.map(|holds| holds.number),
                    report: entry.report.clone(),
                }
            })
            .collect()
    }

    /// A host as its operator sees it.
    pub(crate) fn to_api(&self, row: &HostRow, newest_bundle: u64) -> Host {
        let table = guard(&self.table);
        let entry = table.hosts.get(&row.id);
        let keys = row.keys.iter();
        let mut report = entry.map_or_else(|| row.report.clone(), |entry| entry.report.clone());
        if let Some(since) = entry.and_then(|entry| entry.cloned) {
            report.findings.push(jit_ssh_api::host::Finding {
                check: "clone".to_owned(),
                detail: format!(
                    "two machines ask as this host at once, lately at {} (seconds since 1970)",
                    since.seconds()
                ),
            });
        }
        Host {
            id: row.id.clone(),
            names: row.names.clone(),
            labels: row.labels.clone(),
            keys: keys
                .map(|key| Fingerprint::Sha256(key.hash).to_string())
                .collect(),
            enrolled: row.enrolled.seconds(),
            seen: entry.map_or(row.seen, |entry| entry.seen).seconds(),
            bundle: match entry {
                Some(entry) => entry.holds.map(|holds| holds.number),
                None => row.bundle,
            },
            newest_bundle,
            certificate_ends: row.certificate_ends.seconds(),
            report,
            revoked: row.revoked.map(Timestamp::seconds),
        }
    }
}

impl Table {
    fn forget(&mut self, id: &str) -> Option<Entry> {
        let entry = self.hosts.remove(id)?;
        for key in &entry.row.keys {
            self.keys.remove(&key.hash);
        }
        for name in &entry.row.names {
            self.names.remove(name);
        }
        Some(entry)
    }
}

impl Entry {
    fn hears(&mut self, now: Timestamp) {
        self.seen = self.seen.max(now);
        self.unwritten = true;
    }
}

impl HostRow {
    /// What it is called first.
    pub(crate) fn called(&self) -> &str {
        self.names.first().map_or(&self.id, String::as_str)
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        let mut table = guard(&self.watch.table);
        if let Some(entry) = table.hosts.get_mut(&self.id)
            && entry
                .held
                .as_ref()
                .is_some_and(|held| held.number == self.number)
        {
            entry.held = None;
        }
    }
}

const EACH: Duration = Duration::from_secs(60);
const BATCH: usize = 1000;
/// Not heard of for so long: nobody waits for it.
const SILENT: Duration = Duration::from_secs(24 * 60 * 60);
/// How long it is remembered who was displaced.
const PING_PONG: Duration = Duration::from_secs(600);

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::hosts::HostKeyRow;

    const T: Timestamp = Timestamp::from_seconds(1_795_000_000);

    fn row(number: u8, seen: Timestamp, bundle: Option<u64>) -> HostRow {
        HostRow {
            number: i64::from(number),
            id: format!("host{number}"),
            names: vec![format!("web-{number}.example.com")],
            labels: std::collections::BTreeMap::new(),
            invitation: 1,
            enrolled: T,
            record: 1,
            certificate_ends: T,
            report: HostReport::default(),
            seen,
            bundle,
            revoked: None,
            keys: [number, number + 100]
                .map(|byte| HostKeyRow {
                    hash: [byte; 32],
                    blob: vec![byte],
                })
                .to_vec(),
        }
    }

    fn after(seconds: u64) -> Timestamp {
        T.plus(Duration::from_secs(seconds))
    }

    #[test]
    fn a_receipt_of_an_earlier_epoch_is_none() {
        let rows = vec![row(1, T, Some(9)), row(2, after(10), Some(9))];
        let watch = Watch::new(rows, after(5));
        let receipts = watch.receipts(9, after(10), after(20));
        assert_eq!((receipts.hosts, receipts.confirmed), (2, 1));
        assert_eq!(receipts.silent, ["web-1.example.com"]);
    }

    #[test]
    fn receipts_are_of_hosts_that_live_and_tell_when_the_last_one_came() {
        let rows = vec![row(1, T, None), row(2, T, None), row(3, T, None)];
        let watch = Watch::new(rows, T);
        watch.receipt("host1", 4, after(1));
        watch.receipt("host2", 4, after(3));
        watch.receipt("nobody", 4, after(3));
        // The same again is no news, and does not come later.
        watch.receipt("host1", 4, after(60));
        let receipts = watch.receipts(4, T, after(60));
        assert_eq!((receipts.confirmed, receipts.milliseconds), (2, 3000));
        assert_eq!(receipts.silent, ["web-3.example.com"]);
        assert_eq!(receipts.awaited, 1);
        let a_day_later = watch.receipts(4, T, after(90_000));
        assert_eq!(a_day_later.awaited, 0, "silent for a day");
        watch.revoked("host3");
        assert_eq!(watch.receipts(4, T, after(60)).hosts, 2);
        assert_eq!(watch.by_any_key(&[103; 32]), None);
    }

    #[test]
    fn a_second_key_is_not_the_host() {
        let watch = Watch::new(vec![row(1, T, None)], T);
        assert!(watch.by_first_key(&[1; 32]).is_some());
        assert!(watch.by_first_key(&[101; 32]).is_none());
        assert_eq!(watch.by_any_key(&[101; 32]).as_deref(), Some("host1"));
    }

    #[test]
    fn a_host_that_moved_once_is_no_clone_and_one_that_is_in_two_places_is() {
        let watch = Arc::new(Watch::new(vec![row(1, T, None)], T));
        let hold = |from: &str, at| {
            let from = from.parse().ok();
            watch.hold("host1", from, at).unwrap()
        };
        let first = hold("192.0.2.1", T);
        let mut moved = hold("192.0.2.2", after(1));
        assert!(!moved.cloned);
        drop(first);
        assert_eq!(
            watch.count(),
            (1, 1),
            "the one that was displaced is gone long since"
        );
        assert!(moved.over.try_recv().is_err());
        let again = hold("192.0.2.2", after(2));
        assert!(!again.cloned);
        let other = hold("192.0.2.1", after(3));
        assert!(other.cloned);
        drop((moved, again, other));
        // One after the other, as over two ways out, is one machine.
        for (at, from) in (1000..).zip(["192.0.2.1", "192.0.2.2"].repeat(4)) {
            assert!(!hold(from, after(at)).cloned);
        }
        assert_eq!(watch.count(), (1, 0));
    }

    #[test]
    fn what_was_heard_is_written_once_a_minute_at_most() {
        let watch = Watch::new(vec![row(1, T, None)], T);
        assert!(watch.unwritten(after(100)).is_empty(), "nothing was heard");
        watch.seen("host1", after(1));
        assert!(watch.unwritten(after(59)).is_empty());
        assert_eq!(watch.unwritten(after(61)).len(), 1);
        watch.receipt("host1", 3, after(62));
        assert!(watch.unwritten(after(100)).is_empty());
        let seen = watch.unwritten(after(122));
        assert_eq!(seen[0].bundle, Some(3));
    }
}
