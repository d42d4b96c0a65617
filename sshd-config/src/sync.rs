//! Keeps what the host trusts as the CA says: one request held open at the CA, what it brings put down
//! within a second, and what anybody damages put back within one.
//!
//! ```text
//! worker   asks the CA, one thing after the other ── answers ──►┐
//!                                                               ├─ main loop, each 250 ms at most:
//! files    their inode, size and time of change ───────────────►┘  take, put down, mend, say so
//! ```
//!
//! Nothing here is in the path of an SSH login. With the CA away for ever, or this killed, sshd goes on
//! with the last good state; back, it is the same or a newer one (A54). A bundle that is not believed
//! changes nothing. The number that is said to the CA as the receipt is that of the bundle whose files
//! were all written.

use std::path::{Path, PathBuf};
use std::sync::mpsc::{self, Receiver, RecvTimeoutError, Sender};
use std::time::{Duration, Instant};

use jit_ssh_api::bundle::{Position, SignedBundle};
use jit_ssh_api::host::{BundleQuery, Finding, HostCertificates, HostRenewal, HostReport};
use jit_ssh_connect::{ConnectError, Connection, KnownCa, Options, Request};
use jit_ssh_terminal::span;
use rand::Rng as _;

use crate::bundle::{self, Refused, Taken};
use crate::enrol::{self, JoinError, Key};
use crate::files::{self, File, Stamp};
use crate::host::Place;
use crate::install::{self, InstallError};
use crate::notify::Notify;
use crate::plan::OtherCas;
use crate::sshd::SshdError;
use crate::state::{self, Heard, Lock, Mended, Problem, State, StateError};
use crate::{accounts, manifest};

/// Why it cannot go on, or one round of it failed.
#[derive(Debug, thiserror::Error)]
pub(crate) enum SyncError {
    /// The disk did not take the newest bundle; what it says may be in force, and only the CA has it.
    #[error(
        "the newest bundle could not be kept: what is in force stays until the CA is heard again"
    )]
    NotKept,
    /// The host is not enrolled, or no longer.
    #[error("this host is not enrolled: there is no {}", .0.display())]
    NotEnrolled(PathBuf),
    /// Another enrolment took this one's place.
    #[error("this host was enrolled anew while this ran")]
    EnrolledAnew,
    /// The key that the host is known by is gone.
    #[error("{} is no host key any more, and the CA knows this host by it", .0.display())]
    NoKey(PathBuf),
    /// The worker is gone.
    #[error("the thread that asks the CA has ended")]
    NoWorker,
    /// What the host remembers.
    #[error(transparent)]
    State(#[from] StateError),
    /// The CA.
    #[error(transparent)]
    Connect(#[from] ConnectError),
    /// The bundle.
    #[error(transparent)]
    Refused(#[from] Refused),
    /// New certificates.
    #[error(transparent)]
    Renewal(#[from] JoinError),
    /// The files and sshd.
    #[error(transparent)]
    Install(#[from] InstallError),
    /// sshd was not told.
    #[error(transparent)]
    Sshd(#[from] SshdError),
}

/// The host, with what it holds.
pub(crate) struct Sync {
    place: Place,
    state: State,
    heard: Heard,
    taken: Option<Taken>,
    /// Every file that is ours whole, as it shall be, with the stamp of when it was so.
    kept: Vec<(PathBuf, File, Option<Stamp>)>,
    /// Others' files that our part depends on.
    watched: Vec<(PathBuf, Option<Stamp>)>,
    /// When sshd did not take its configuration, or could not be told.
    refused: Option<Instant>,
    /// What else is to be told, once.
    news: Vec<String>,
}

impl Sync {
    /// The enrolled host, and the last good bundle put down once more: whatever died half way is done.
    pub(crate) fn start(place: Place) -> Result<Self, SyncError> {
        let state = state::read(&place)?;
        let state = state.ok_or_else(|| SyncError::NotEnrolled(place.state.join("host.json")))?;
        let heard = state::heard(&place);
        let mut sync = Sync {
            place,
            state,
            heard,
            taken: None,
            kept: Vec::new(),
            watched: Vec::new(),
            refused: None,
            news: Vec::new(),
        };
        // What is said to be in force is what this process put down.
        sync.heard.in_force = None;
        if let Some(signed) = state::bundle(&sync.place) {
            // It is what is in force or was about to be: only the CA can bring another.
            let taken = bundle::take(&signed, &sync.state.ca, &sync.state.host, None);
            let result = taken.map_err(SyncError::from).and_then(|taken| {
                if is_before(taken.position(), sync.state.seen) {
                    return Err(SyncError::NotKept);
                }
                sync.put_down(taken)
            });
            sync.remember(result.err().map(|error| error.to_string()));
        }
        Ok(sync)
    }

    /// Takes a bundle that came, unless it is not to be believed.
    pub(crate) fn receive(&mut self, signed: &SignedBundle, now: u64) -> Result<(), SyncError> {
        let (state, seen) = (&self.state, Some(self.state.seen));
        let taken = bundle::take(signed, &state.ca, &state.host, seen)?;
        let position = taken.position();
        self.heard.clock = clock(position.issued, now);
        // The position first: dying after it, nothing older is taken, and what is in force stays.
        self.state.seen = position;
        self.state.ca = taken.known.clone();
        let remembered = state::write(&self.place, &self.state);
        let kept = if self.is_dated_anew(&taken) {
            Ok(())
        } else {
            state::keep_bundle(&self.place, signed)
        };
        // A full disk is no reason to leave somebody in who was locked out: so that comes last.
        self.put_down(taken)?;
        Ok(remembered.and(kept)?)
    }

    /// Whether it says what the one in force says, with another date.
    fn is_dated_anew(&self, taken: &Taken) -> bool {
        self.heard.in_force.is_some_and(|before| {
            let now = taken.position();
            (before.epoch, before.key_set, before.number) == (now.epoch, now.key_set, now.number)
        })
    }

    /// Makes the host trust what the bundle says.
    fn put_down(&mut self, taken: Taken) -> Result<(), SyncError> {
        let _lock = self.lock()?;
        let own = if taken.has_own_account_roles() {
            accounts::own(&self.place.principals())
        } else {
            Vec::new()
        };
        let trust = taken.trust(&self.state, &own)?;
        let position = taken.position();
        self.taken = Some(taken);
        // Before anything of them is read: what changes from here on is looked at again.
        let others = [
            self.place.sshd.config().to_owned(),
            PathBuf::from("/etc/passwd"),
        ];
        self.watched = others
            .map(|path| {
                let stamp = files::stamp(&path);
                (path, stamp)
            })
            .into();
        let kept = &mut self.kept;
        let done = install::carry_out(&self.place, trust, OtherCas::Keep, |path, after| {
            kept.retain(|(of, ..)| of != path);
            if let Some(file) = after {
                kept.push((path.to_owned(), file.clone(), None));
            }
        })?;
        self.heard.left_out = done
            .left_out
            .iter()
            .map(|(account, why)| (account.to_string(), why.clone()))
            .collect();
        self.watch(&done.plan.changes);
        self.heard.in_force = Some(position);
        self.refused = None;
        self.reload()
    }

    /// Remembers what each file shall be.
    fn watch(&mut self, changes: &[files::Change]) {
        let unit = self.state.unit.as_ref();
        let main = self.place.sshd.config();
        self.kept = changes
            .iter()
            .filter(|change| change.path != main && Some(&change.path) != unit)
            .filter_map(|change| {
                let file = change.after.clone()?;
                let stamp = stamp_of(&change.path, &file);
                Some((change.path.clone(), file, stamp))
            })
            .collect();
    }

    /// Puts back what somebody damaged, emptied or removed.
    pub(crate) fn mend(&mut self, now: u64) -> Result<(), SyncError> {
        let changed = |path: &Path, stamp: Option<Stamp>| files::stamp(path) != stamp;
        let damaged = |(path, _, stamp): &(PathBuf, File, Option<Stamp>)| {
            stamp.is_none() || changed(path, *stamp)
        };
        if self.kept.iter().any(damaged) {
            let _lock = self.lock()?;
            for (path, file, stamp) in &mut self.kept {
                if stamp.is_some() && files::stamp(path) == *stamp {
                    continue;
                }
                *stamp = stamp_of(path, file);
                if stamp.is_some() {
                    continue;
                }
                let at_start = path.ends_with(crate::host::DROP_IN)
                    || path.to_string_lossy().ends_with("-cert.pub");
                if at_start {
                    // What sshd refused may have been the damage.
                    self.refused = None;
                    state::reload_due(&self.place, true)?;
                }
                files::replace(path, file).map_err(InstallError::from)?;
                *stamp = stamp_of(path, file);
                self.heard.mended += 1;
                self.heard.last_mended = Some(Mended {
                    path: path.clone(),
                    at: now,
                });
                let news = format!("put back {}: somebody changed it", path.display());
                self.news.push(news);
            }
            let _ = state::hear(&self.place, &self.heard);
        }
        if self
            .watched
            .iter()
            .any(|(path, stamp)| changed(path, *stamp))
            && let Some(taken) = self.taken.clone()
        {
            // Who edits sshd's own file may have dropped our lines, and a new account may be somebody's own.
            self.put_down(taken)?;
        }
        self.reload()
    }

    /// Tells sshd where that is due, once it takes its configuration.
    fn reload(&mut self) -> Result<(), SyncError> {
        let soon = self
            .refused
            .is_some_and(|refused| refused.elapsed() < RELOAD_AGAIN);
        if state::reload_is_due(&self.place) && !soon {
            self.refused = Some(Instant::now());
            self.place.sshd.test()?;
            self.place.sshd.reload()?;
            self.refused = None;
            state::reload_due(&self.place, false)?;
            self.news
                .push("sshd has read its configuration again".to_owned());
        }
        Ok(())
    }

    /// New certificates of the host: put down with the bundle that is in force.
    fn renewed(&mut self, answer: &HostCertificates, now: u64) -> Result<(), SyncError> {
        let Some(taken) = self.taken.clone() else {
            return Ok(());
        };
        let keys: Vec<Key> = self
            .state
            .certificates
            .iter()
            .filter_map(|certificate| Key::at(&certificate.key))
            .collect();
        let set = taken.verified.key_set();
        let names = &self.state.names;
        self.state.certificates =
            enrol::certificates(&answer.certificates, &keys, names, set, now)?;
        self.state.renewed = now;
        state::write(&self.place, &self.state)?;
        self.put_down(taken)
    }

    /// A day is soon enough to be renewed long before the end, whatever happens to the CA.
    fn renewal_is_due(&self, now: u64) -> bool {
        now.saturating_sub(self.state.renewed) > RENEW_AFTER
    }

    /// What the host says of itself.
    fn report(&self) -> HostReport {
        let mut report = enrol::report(&self.place);
        let finding = |check: &str, detail: &str| Finding {
            check: check.to_owned(),
            detail: told(detail),
        };
        let left_out = self.heard.left_out.iter();
        report
            .findings
            .extend(left_out.map(|(account, why)| finding(&format!("account.{account}"), why)));
        let clock = self.heard.clock.iter();
        report
            .findings
            .extend(clock.map(|clock| finding("clock", clock)));
        let problem = self.heard.problem.iter();
        report
            .findings
            .extend(problem.map(|problem| finding("sync", &problem.what)));
        report.findings.truncate(MOST_FINDINGS);
        report
    }

    /// The question to the CA; its number is the receipt.
    fn question(&self, wait: u64) -> BundleQuery {
        BundleQuery {
            epoch: self.heard.in_force.map(|held| held.epoch),
            number: self.heard.in_force.map(|held| held.number),
            wait: Some(wait),
        }
    }

    /// The bundle that is in force, for who asked once.
    pub(crate) fn number(&self) -> Option<u64> {
        self.heard.in_force.map(|held| held.number)
    }

    /// The key that the CA knows this host by.
    fn key(&self) -> Result<Key, SyncError> {
        let path = self.state.certificates.first().map(|first| &first.key);
        let path = path.ok_or_else(|| SyncError::NoKey(self.place.state.clone()))?;
        Key::at(path).ok_or_else(|| SyncError::NoKey(path.clone()))
    }

    /// Says how it goes, for `status`.
    fn remember(&mut self, problem: Option<String>) {
        let now = jit_ssh_connect::now();
        let before = self.heard.problem.take();
        self.heard.problem = problem.map(|what| {
            let same = before.filter(|before| before.what == what);
            if same.is_none() {
                self.news.push(what.clone());
            }
            let since = same.map_or(now, |before| before.since);
            Problem { since, what }
        });
        let _ = state::hear(&self.place, &self.heard);
    }

    /// Nobody else changes anything meanwhile, and the host is still enrolled as it was.
    fn lock(&self) -> Result<Lock, SyncError> {
        // The folder goes with the enrolment, and must not come back with a lock.
        self.still_enrolled()?;
        let lock = Lock::take(&self.place)?;
        self.still_enrolled()?;
        Ok(lock)
    }

    /// Whether the host is enrolled as it was when this began.
    fn still_enrolled(&self) -> Result<(), SyncError> {
        match state::read(&self.place) {
            Ok(Some(state)) if state.host == self.state.host => Ok(()),
            Ok(Some(_)) => Err(SyncError::EnrolledAnew),
            Ok(None) => Err(SyncError::NotEnrolled(self.place.state.join("host.json"))),
            // Somebody damaged it: what is in memory is right, and is written with the next bundle.
            Err(_) => Ok(()),
        }
    }
}

/// Asks once, and puts down what comes.
pub(crate) fn once(place: Place, options: Options) -> Result<Sync, SyncError> {
    let mut sync = Sync::start(place)?;
    let mut connection = Connection::new(sync.state.ca.clone(), options)?;
    let mut key = sync.key()?;
    let request = Request::get_with(BUNDLE, &sync.question(0));
    let result = jit_ssh_connect::block_on(connection.send_signed(&request, &mut key))
        .and_then(|answer| answer)
        .map_err(SyncError::from)
        .and_then(|signed: SignedBundle| {
            let now = jit_ssh_connect::now();
            sync.heard.contact = Some(now);
            sync.receive(&signed, now)
        });
    sync.remember(result.as_ref().err().map(ToString::to_string));
    result.map(|()| sync)
}

/// Runs until the host is no longer enrolled, or the process is ended: at any moment, without harm.
pub(crate) fn run(
    place: Place,
    options: &Options,
    notify: &Notify,
    mut say: impl FnMut(&str),
) -> Result<(), SyncError> {
    let mut sync = Sync::start(place)?;
    let (ask, said) = worker(sync.state.ca.clone(), options.clone(), sync.key()?);
    let mut turns = Turns {
        asked: None,
        next: Instant::now(),
        failures: 0,
        renew_at: Instant::now(),
        report_at: Instant::now(),
    };
    notify.ready();
    loop {
        sync.still_enrolled()?;
        match sync.mend(jit_ssh_connect::now()) {
            Err(error @ (SyncError::NotEnrolled(_) | SyncError::EnrolledAnew)) => {
                return Err(error);
            }
            Err(error) => sync.remember(Some(error.to_string())),
            Ok(()) => {}
        }
        turns.ask(&sync, &ask)?;
        match said.recv_timeout(TICK) {
            Ok(answer) => turns.hear(&mut sync, answer),
            Err(RecvTimeoutError::Timeout) => {}
            Err(RecvTimeoutError::Disconnected) => return Err(SyncError::NoWorker),
        }
        for news in sync.news.drain(..) {
            say(&news);
            notify.status(&news);
        }
        notify.alive();
    }
}

/// When the CA is asked what next.
struct Turns {
    /// Since when an answer is waited for.
    asked: Option<Instant>,
    next: Instant,
    failures: u32,
    renew_at: Instant,
    report_at: Instant,
}

impl Turns {
    fn ask(&mut self, sync: &Sync, worker: &Sender<Ask>) -> Result<(), SyncError> {
        let now = Instant::now();
        if self.asked.is_some() || now < self.next {
            return Ok(());
        }
        // A fault that lasts must not keep the CA from hearing of it, nor the certificates from it.
        let calm = self.failures.is_multiple_of(4);
        let ask = if calm && now >= self.renew_at && sync.renewal_is_due(jit_ssh_connect::now()) {
            Ask::Renew
        } else if calm && now >= self.report_at {
            Ask::Report(sync.report())
        } else {
            Ask::Bundle(sync.question(WAIT.as_secs()))
        };
        self.asked = Some(now);
        worker.send(ask).map_err(|_| SyncError::NoWorker)
    }

    fn hear(&mut self, sync: &mut Sync, said: Said) {
        let asked = self.asked.take();
        let now = jit_ssh_connect::now();
        match said {
            Said::Bundle(answer) => {
                let before = sync.number();
                let result = answer.map_err(SyncError::from).and_then(|signed| {
                    sync.heard.contact = Some(now);
                    sync.receive(&signed, now)
                });
                // Who answers at once with nothing new is not asked again at once.
                let hollow =
                    before == sync.number() && asked.is_some_and(|asked| asked.elapsed() < HOLLOW);
                self.failures = if result.is_err() || hollow {
                    self.failures.saturating_add(1)
                } else {
                    0
                };
                self.next = Instant::now() + back_off(self.failures);
                sync.remember(result.err().map(|error| error.to_string()));
            }
            Said::Renewed(answer) => {
                let result = answer
                    .map_err(SyncError::from)
                    .and_then(|answer| sync.renewed(&answer, now));
                // They last for weeks: the bundle must not wait for them.
                self.renew_at = Instant::now() + RETRY_LATER / 2 + jitter(RETRY_LATER);
                sync.news.push(match result {
                    Ok(()) => "the host's certificates were renewed".to_owned(),
                    Err(error) => format!("the host's certificates were not renewed: {error}"),
                });
            }
            Said::Reported(answer) => {
                self.report_at = Instant::now() + REPORT_AFTER / 2 + jitter(REPORT_AFTER);
                if let Err(error) = answer {
                    sync.news.push(format!("the CA took no report: {error}"));
                }
            }
        }
    }
}

/// What the CA is asked.
enum Ask {
    Bundle(BundleQuery),
    Renew,
    Report(HostReport),
}

/// What it said.
enum Said {
    Bundle(Result<SignedBundle, ConnectError>),
    Renewed(Result<HostCertificates, ConnectError>),
    Reported(Result<(), ConnectError>),
}

fn worker(known: KnownCa, options: Options, mut key: Key) -> (Sender<Ask>, Receiver<Said>) {
    let (ask, asked) = mpsc::channel::<Ask>();
    let (say, said) = mpsc::channel::<Said>();
    std::thread::spawn(move || {
        let work = async {
            let mut connection = Connection::new(known, options)?;
            // The other end is gone when the main loop is.
            while let Ok(ask) = asked.recv() {
                let answer = work(&mut connection, &mut key, ask).await;
                if say.send(answer).is_err() {
                    break;
                }
            }
            Ok::<(), ConnectError>(())
        };
        let _ = jit_ssh_connect::block_on(work);
    });
    (ask, said)
}

async fn work(connection: &mut Connection, key: &mut Key, ask: Ask) -> Said {
    match ask {
        Ask::Bundle(query) => {
            let held = Duration::from_secs(query.wait.unwrap_or_default()) + GRACE;
            let request = Request::get_with(BUNDLE, &query).within(held);
            Said::Bundle(connection.send_signed(&request, key).await)
        }
        Ask::Renew => Said::Renewed(match Request::post(CERTIFICATES, &HostRenewal {}) {
            Ok(request) => connection.send_signed(&request, key).await,
            Err(error) => Err(error),
        }),
        Ask::Report(report) => Said::Reported(match Request::post(REPORT, &report) {
            Ok(request) => {
                let answer = connection.send_signed::<serde_json::Value>(&request, key);
                answer.await.map(drop)
            }
            Err(error) => Err(error),
        }),
    }
}

/// The stamp of a file that is as it shall be; none where it is not. It is taken before the file is read:
/// whoever changes the file in between is seen by the stamp.
fn stamp_of(path: &Path, file: &File) -> Option<Stamp> {
    let stamp = files::stamp(path);
    let now = files::read(path).ok().flatten();
    stamp.filter(|_| now.as_ref() == Some(file))
}

/// How the host's clock differs from the time at which the CA signed just now (A62).
fn clock(issued: u64, now: u64) -> Option<String> {
    let off = span(issued.abs_diff(now));
    if now.saturating_add(CLOCK_TOLERANCE) < issued {
        Some(format!(
            "this host's clock is {off} behind the CA's: certificates that have ended would open it"
        ))
    } else if now > issued.saturating_add(CLOCK_TOLERANCE) {
        Some(format!(
            "this host's clock is {off} ahead of the CA's: certificates end too early here"
        ))
    } else {
        None
    }
}

/// Whether the clock stands before a moment that the CA has signed: to be told without the CA too.
pub(crate) fn clock_was_set_back(state: &State, now: u64) -> Option<String> {
    let issued = state.seen.issued;
    (now.saturating_add(CLOCK_TOLERANCE) < issued).then(|| {
        format!(
            "this host's clock stands {} before a time that the CA has signed: certificates that have \
             ended would open it",
            span(issued.abs_diff(now))
        )
    })
}

/// Nothing at first; then any time up to twice as long at each failure, so that a fleet that lost its
/// CA at one moment does not come back at one.
fn back_off(failures: u32) -> Duration {
    match failures {
        0 => Duration::ZERO,
        failures => {
            let most = FIRST_WAIT.saturating_mul(1 << (failures - 1).min(16));
            jitter(most.min(LONGEST_WAIT))
        }
    }
}

fn jitter(most: Duration) -> Duration {
    let most = u64::try_from(most.as_millis()).unwrap_or(u64::MAX);
    Duration::from_millis(rand::rngs::OsRng.gen_range(0..=most))
}

/// Files of ours that are not as they were put down, for `status`.
pub(crate) fn changed_files(place: &Place) -> Result<Vec<PathBuf>, InstallError> {
    let Some(manifest) = place.installed()? else {
        return Ok(Vec::new());
    };
    let changed = manifest.files.iter().filter(|file| {
        file.path != place.sshd.config()
            && !files::read(&file.path)
                .is_ok_and(|now| now.is_some_and(|now| manifest::digest(&now.bytes) == file.sha256))
    });
    Ok(changed.map(|file| file.path.clone()).collect())
}

/// Whether a bundle says less than one that was seen; that it is only dated earlier is no difference,
/// since bundles that are dated anew are not kept.
fn is_before(kept: Position, seen: Position) -> bool {
    (kept.epoch, kept.key_set, kept.number) < (seen.epoch, seen.key_set, seen.number)
}

/// As the CA takes it: one line of at most 500 bytes.
fn told(detail: &str) -> String {
    let mut text = String::new();
    for letter in detail.chars() {
        if text.len() + letter.len_utf8() > 500 {
            break;
        }
        text.push(if letter.is_control() { ' ' } else { letter });
    }
    text
}

/// After which an sshd that was not told is tried again.
const RELOAD_AGAIN: Duration = Duration::from_secs(5);

/// Findings that the CA takes of one host.
const MOST_FINDINGS: usize = 50;

const BUNDLE: &str = "/v1/hosts/self/bundle";
const CERTIFICATES: &str = "/v1/hosts/self/certificates";
const REPORT: &str = "/v1/hosts/self/report";
/// How long the main loop waits for an answer before it looks at the files again.
const TICK: Duration = Duration::from_millis(250);
/// How long the CA may hold a request.
const WAIT: Duration = Duration::from_secs(50);
/// How much longer than that the answer may take.
const GRACE: Duration = Duration::from_secs(20);
const HOLLOW: Duration = Duration::from_millis(500);
const FIRST_WAIT: Duration = Duration::from_millis(500);
const LONGEST_WAIT: Duration = Duration::from_secs(60);
const RETRY_LATER: Duration = Duration::from_secs(3600);
const REPORT_AFTER: Duration = Duration::from_secs(3600);
const RENEW_AFTER: u64 = 24 * 60 * 60;
const CLOCK_TOLERANCE: u64 = 300;

#[cfg(test)]
mod tests;
