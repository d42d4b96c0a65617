//! The accept loop. It never waits for any one connection: each is a task of its own with a time
//! limit on handshake, head, idleness and writes, and all of them are counted, in sum and by peer
//! (A87); those of a host that proved who it is, by host.
//!
//! Where there are too many, one whose peer does not take its answer gives way, else the oldest one
//! that has not sent a whole request yet, else the one that has sent none for longest: whoever opens
//! sockets and does not read, stays silent, or asked once and keeps the socket, loses them first, and
//! a caller who waits for an answer gets it (docs/decisions/0051). After all of these comes the host
//! whose request is held for longest: it asks again.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::convert::Infallible;
use std::net::IpAddr;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use arc_swap::ArcSwap;
use hyper::body::{Body, Bytes, Frame, Incoming, SizeHint};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio::task::AbortHandle;
use tokio_rustls::TlsAcceptor;

use crate::config::Config;
use crate::http::address::{self, Peer};
use crate::server::lock::AdminSocket;
use crate::server::state::State;
use crate::server::writes::{self, LimitedWrites};

/// The TLS configuration of now; none: plain HTTP.
pub(crate) type CurrentTls = Option<Arc<ArcSwap<rustls::ServerConfig>>>;

/// What a stop waits for: every connection holds a receiver.
pub(crate) type Stop = watch::Receiver<bool>;

/// Connections that are open, and those of them that give way.
#[derive(Debug, Default)]
pub(crate) struct Open {
    table: Mutex<Table>,
}

#[derive(Debug, Default)]
struct Table {
    next: u64,
    owners: HashMap<Owner, usize>,
    connections: HashMap<u64, Connection>,
    /// Those that have not sent a whole request yet, by number, so that the oldest is the first.
    silent: BTreeSet<u64>,
    /// Those that had their answers and have not sent another whole request since, the longest rest
    /// first.
    resting: BTreeMap<u64, u64>,
    /// Those whose peer takes nothing of what is written, the longest wait first.
    stalled: BTreeMap<u64, u64>,
    /// Those whose request is held until there is news, the longest hold first.
    held: BTreeMap<u64, u64>,
}

/// Whose a connection is.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
enum Owner {
    /// Whoever is at that address.
    Peer(IpAddr),
    /// The host of that identifier, wherever it is.
    Host(String),
}

#[derive(Debug)]
struct Connection {
    owner: Owner,
    task: Option<AbortHandle>,
    /// Its key among those that rest.
    rests: Option<u64>,
    /// Its key among those that are held.
    held: Option<u64>,
}

/// One place among the open connections, given back on drop.
#[derive(Debug)]
pub(crate) struct Place {
    open: Arc<Open>,
    number: u64,
}

/// A request that is being read or answered; after it the connection rests.
#[derive(Debug)]
struct Answering(Option<Arc<Place>>);

/// The body of a request, which is whole once it is read to its end.
#[derive(Debug)]
struct Heard<B> {
    body: B,
    place: Option<Arc<Place>>,
}

/// A wait for a peer to read; over on drop.
#[derive(Debug)]
pub(crate) struct Stall {
    place: Arc<Place>,
    number: u64,
}

/// A request that is held; over on drop.
#[derive(Debug)]
pub(crate) struct Hold {
    place: Arc<Place>,
    number: u64,
}

impl Open {
    /// A place for a new connection; makes room by ending a stalled, silent or resting one if it
    /// must. None: all others are at work.
    fn enter(self: &Arc<Self>, peer: IpAddr, most: usize, most_per_peer: usize) -> Option<Place> {
        let owner = Owner::Peer(address::limited_as(peer));
        let mut table = self.table();
        if table
            .owners
            .get(&owner)
            .is_some_and(|count| *count >= most_per_peer)
        {
            table.evict(Some(&owner))?;
        }
        if table.connections.len() >= most {
            table.evict(None)?;
        }
        let number = table.number();
        *table.owners.entry(owner.clone()).or_default() += 1;
        let connection = Connection {
            owner,
            task: None,
            rests: None,
            held: None,
        };
        table.connections.insert(number, connection);
        table.silent.insert(number);
        Some(Place {
            open: Arc::clone(self),
            number,
        })
    }

    /// How many there are.
    pub(crate) fn count(&self) -> usize {
        self.table().connections.len()
    }

    fn table(&self) -> MutexGuard<'_, Table> {
        self.table.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Table {
    /// Ends the connection (of that owner) that has waited longest for its reader, else the oldest
    /// silent one, else the one that rests for longest, else the one that is held for longest; none:
    /// there is none.
    fn evict(&mut self, owner: Option<&Owner>) -> Option<()> {
        let silent_or_resting = self.silent.iter().chain(self.resting.values());
        let yielding = self.stalled.values().chain(silent_or_resting);
        let mut yielding = yielding.chain(self.held.values());
        let number = *yielding.find(|number| {
            self.connections.get(number).is_some_and(|connection| {
                connection.task.is_some() && owner.is_none_or(|owner| *owner == connection.owner)
            })
        })?;
        if let Some(task) = self.leave(number)?.task {
            task.abort();
        }
        Some(())
    }

    /// Takes a connection out; none: it was ended to make room, and left then.
    fn leave(&mut self, number: u64) -> Option<Connection> {
        let connection = self.connections.remove(&number)?;
        self.silent.remove(&number);
        if let Some(rests) = connection.rests {
            self.resting.remove(&rests);
        }
        if let Some(held) = connection.held {
            self.held.remove(&held);
        }
        self.discount(&connection.owner);
        Some(connection)
    }

    /// One connection less.
    fn discount(&mut self, owner: &Owner) {
        if let Some(count) = self.owners.get_mut(owner) {
            *count -= 1;
            if *count == 0 {
                self.owners.remove(owner);
            }
        }
    }

    /// From now on the connection is that host's, which has few of them.
    fn is_of_host(&mut self, number: u64, id: &str) {
        let Some(connection) = self.connections.get_mut(&number) else {
            return;
        };
        let owner = Owner::Host(id.to_owned());
        if connection.owner == owner {
            return;
        }
        let before = std::mem::replace(&mut connection.owner, owner.clone());
        self.discount(&before);
        let count = self.owners.entry(owner.clone()).or_default();
        *count += 1;
        if *count > CONNECTIONS_PER_HOST {
            let _ = self.evict(Some(&owner));
        }
    }

    /// From now on it waits for nothing.
    fn works(&mut self, number: u64) {
        self.silent.remove(&number);
        if let Some(connection) = self.connections.get_mut(&number)
            && let Some(rests) = connection.rests.take()
        {
            self.resting.remove(&rests);
        }
    }

    /// From now on it waits for its next request.
    fn rests(&mut self, number: u64) {
        self.works(number);
        let since = self.number();
        // One that was ended to make room has left.
        if let Some(connection) = self.connections.get_mut(&number) {
            connection.rests = Some(since);
            self.resting.insert(since, number);
        }
    }

    fn number(&mut self) -> u64 {
        self.next += 1;
        self.next
    }
}

impl Place {
    /// Now it can be ended from outside.
    fn started(&self, task: AbortHandle) {
        if let Some(connection) = self.open.table().connections.get_mut(&self.number) {
            connection.task = Some(task);
        }
    }

    /// A whole request came: it does not give way until that is answered, as long as its answers
    /// are taken.
    fn works(&self) {
        self.open.table().works(self.number);
    }

    /// The request is answered: it gives way until another one is there.
    fn rests(&self) {
        self.open.table().rests(self.number);
    }

    /// A proof said that a host is at the other end: its connections do not count for its address,
    /// behind which there may be hundreds of hosts.
    pub(crate) fn is_of_host(&self, id: &str) {
        self.open.table().is_of_host(self.number, id);
    }

    /// Its request is held: it gives way after all others, until that is over.
    pub(crate) fn holds(self: &Arc<Self>) -> Hold {
        let mut table = self.open.table();
        let number = table.number();
        // One that was ended to make room has left.
        if let Some(connection) = table.connections.get_mut(&self.number) {
            connection.held = Some(number);
            table.held.insert(number, self.number);
        }
        Hold {
            place: Arc::clone(self),
            number,
        }
    }

    /// A write waits for the peer: it gives way until that is over.
    pub(crate) fn stalls(self: &Arc<Self>) -> Stall {
        let mut table = self.open.table();
        let number = table.number();
        table.stalled.insert(number, self.number);
        Stall {
            place: Arc::clone(self),
            number,
        }
    }
}

impl Drop for Answering {
    fn drop(&mut self) {
        if let Some(place) = &self.0 {
            place.rests();
        }
    }
}

impl<B: Body> Heard<B> {
    fn new(body: B, place: Option<Arc<Place>>) -> Self {
        let mut heard = Heard { body, place };
        if heard.body.is_end_stream() {
            heard.whole();
        }
        heard
    }

    fn whole(&mut self) {
        if let Some(place) = self.place.take() {
            place.works();
        }
    }
}

impl<B: Body<Data = Bytes> + Unpin> Body for Heard<B> {
    type Data = Bytes;
    type Error = B::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, B::Error>>> {
        let frame = ready!(Pin::new(&mut self.body).poll_frame(context));
        if frame.is_none() || self.body.is_end_stream() {
            self.whole();
        }
        Poll::Ready(frame)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

impl Drop for Stall {
    fn drop(&mut self) {
        self.place.open.table().stalled.remove(&self.number);
    }
}

impl Drop for Hold {
    fn drop(&mut self) {
        let mut table = self.place.open.table();
        table.held.remove(&self.number);
        if let Some(connection) = table.connections.get_mut(&self.place.number) {
            connection.held = None;
        }
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.open.table().leave(self.number);
    }
}

/// How many connections may come from there; a proxy of ours brings those of everybody.
fn most_from(config: &Config, peer: IpAddr) -> usize {
    let peer = peer.to_canonical();
    let mut proxies = config.listen.trusted_proxies.iter();
    if proxies.any(|network| network.contains(peer)) {
        config.limits.connections
    } else {
        config.limits.connections_per_peer
    }
}

/// Accepts until the stop.
pub(crate) async fn accept_tcp(
    listener: TcpListener,
    tls: CurrentTls,
    state: Arc<State>,
    mut stop: Stop,
) {
    loop {
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            _ = stop.changed() => return,
        };
        let (stream, peer) = match accepted {
            Ok(accepted) => accepted,
            Err(error) => {
                // Out of file descriptors, mostly: others must end first.
                tracing::warn!(%error, "a connection could not be accepted");
                tokio::time::sleep(Duration::from_millis(50)).await;
                continue;
            }
        };
        let config = &state.snapshot.load().config;
        let most = config.limits.connections;
        let place = state
            .open
            .enter(peer.ip(), most, most_from(config, peer.ip()));
        let Some(place) = place.map(Arc::new) else {
            state.metrics.connection_refused();
            continue;
        };
        // Answers are small and whole: waiting for more to send only costs time.
        let _ = stream.set_nodelay(true);
        let write_time = config.limits.write_time;
        writes::limit_unacknowledged(&stream, write_time);
        let stream = LimitedWrites::new(stream, write_time, Some(Arc::clone(&place)));
        let tls = tls.as_ref().map(|tls| TlsAcceptor::from(tls.load_full()));
        let (task_state, task_stop, task_place) = (state.clone(), stop.clone(), place.clone());
        let peer = Peer::Tcp(peer.ip());
        let task = tokio::spawn(async move {
            let place = Some(task_place);
            match tls {
                None => serve(stream, peer, place, task_state, task_stop).await,
                Some(tls) => {
                    let patience = task_state.head_time;
                    if let Ok(Ok(stream)) = tokio::time::timeout(patience, tls.accept(stream)).await
                    {
                        serve(stream, peer, place, task_state, task_stop).await;
                    }
                }
            }
        });
        place.started(task.abort_handle());
    }
}

/// Accepts at the admin socket until the stop.
pub(crate) async fn accept_admin(socket: AdminSocket, state: Arc<State>, mut stop: Stop) {
    loop {
        let accepted = tokio::select! {
            accepted = socket.listener.accept() => accepted,
            _ = stop.changed() => break,
        };
        let Ok((stream, _)) = accepted else {
            tokio::time::sleep(Duration::from_millis(50)).await;
            continue;
        };
        let uid = match stream.peer_cred() {
            Ok(peer) if socket.admits(peer.uid()) => peer.uid(),
            Ok(peer) => {
                tracing::warn!(
                    uid = peer.uid(),
                    "a stranger at the admin socket was sent away"
                );
                continue;
            }
            Err(_) => continue,
        };
        let write_time = state.snapshot.load().config.limits.write_time;
        tokio::spawn(serve(
            LimitedWrites::new(stream, write_time, None),
            Peer::Socket { uid },
            None,
            state.clone(),
            stop.clone(),
        ));
    }
    // What is left would only puzzle the next one; the lock, not this file, says who serves.
    let _ = std::fs::remove_file(&socket.path);
}

/// One connection from its first byte to its last.
async fn serve<S: AsyncRead + AsyncWrite + Unpin>(
    stream: S,
    peer: Peer,
    place: Option<Arc<Place>>,
    state: Arc<State>,
    mut stop: Stop,
) {
    let head_time = state.head_time;
    let service = service_fn(|request: hyper::Request<Incoming>| {
        let answering = Answering(place.clone());
        let mut request = request.map(|body| Heard::new(body, place.clone()));
        if let Some(place) = &place {
            request.extensions_mut().insert(Arc::clone(place));
        }
        let state = Arc::clone(&state);
        async move {
            let answer = crate::http::handle(&state, peer, request).await;
            // What is answered now is written before anybody else can end this connection: a task
            // is ended where it waits.
            drop(answering);
            Ok::<_, Infallible>(answer)
        }
    });
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(head_time)
        .max_headers(MAX_HEADERS)
        .max_buf_size(MAX_HEAD)
        .serve_connection(TokioIo::new(stream), service);
    let mut connection = std::pin::pin!(connection);
    // An error here is the peer's: a broken connection, or bytes that are not HTTP.
    let stopping = tokio::select! {
        _ = connection.as_mut() => false,
        _ = stop.changed() => true,
    };
    if stopping {
        connection.as_mut().graceful_shutdown();
        let _ = connection.await;
    }
}

/// One that is held, one that is new, and what a network that was cut left behind.
const CONNECTIONS_PER_HOST: usize = 4;
const MAX_HEADERS: usize = 64;
const MAX_HEAD: usize = 32 * 1024;

#[cfg(test)]
mod tests {
    use std::convert::Infallible;
    use std::net::IpAddr;
    use std::pin::Pin;
    use std::sync::Arc;
    use std::task::{Context, Poll};

    use http_body_util::{BodyExt as _, Full};
    use hyper::body::{Body, Bytes, Frame};

    use super::{Answering, CONNECTIONS_PER_HOST, Heard, Open, most_from};
    use crate::config::Config;

    fn ip(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    #[tokio::test]
    async fn a_connection_that_speaks_as_it_is_ended_leaves_once() {
        let open = Arc::new(Open::default());
        let first = open.enter(ip("192.0.2.1"), 10, 2).unwrap();
        let second = open.enter(ip("192.0.2.1"), 10, 2).unwrap();
        let task = tokio::spawn(std::future::pending::<()>());
        first.started(task.abort_handle());
        let third = open.enter(ip("192.0.2.1"), 10, 2).unwrap();
        first.works();
        first.rests();
        drop(first);
        assert_eq!(open.count(), 2);
        drop((second, third));
        assert_eq!(open.count(), 0);
    }

    #[test]
    fn a_trusted_proxy_brings_as_many_as_there_may_be() {
        let text = "url = \"https://ca.example.com\"\n[listen]\ntls = \"none\"\n\
             trusted_proxies = [\"127.0.0.1\"]\n[limits]\nconnections = 50\nconnections_per_peer = 5\n";
        let config = Config::parse(text).unwrap();
        assert_eq!(most_from(&config, ip("127.0.0.1")), 50);
        assert_eq!(most_from(&config, ip("::ffff:127.0.0.1")), 50);
        assert_eq!(most_from(&config, ip("192.0.2.1")), 5);
    }

    #[tokio::test]
    async fn who_opens_sockets_and_stays_silent_loses_the_oldest_first() {
        let open = Arc::new(Open::default());
        let waiting = || tokio::spawn(std::future::pending::<()>());
        let first = open.enter(ip("192.0.2.1"), 10, 2).unwrap();
        let task = waiting();
        first.started(task.abort_handle());
        let second = open.enter(ip("192.0.2.1"), 10, 2).unwrap();
        second.works();
        let third = open.enter(ip("192.0.2.1"), 10, 2).unwrap();
        assert!(task.await.unwrap_err().is_cancelled());
        drop(first);
        assert_eq!(open.count(), 2, "the evicted one left once");
        third.works();
        assert!(
            open.enter(ip("192.0.2.1"), 10, 2).is_none(),
            "both are at work"
        );
        let other = open.enter(ip("192.0.2.2"), 10, 2);
        assert!(other.is_some(), "others are not touched");
        drop((second, third, other));
        assert_eq!(open.count(), 0);
    }

    #[tokio::test]
    async fn who_speaks_and_does_not_read_gives_way_before_the_silent() {
        let open = Arc::new(Open::default());
        let waiting = || tokio::spawn(std::future::pending::<()>());
        let enter = || open.enter(ip("192.0.2.1"), 3, 3).map(Arc::new);
        let (silent, reading, stalled) = (enter().unwrap(), enter().unwrap(), enter().unwrap());
        let (silents, readings, stalleds) = (waiting(), waiting(), waiting());
        silent.started(silents.abort_handle());
        reading.started(readings.abort_handle());
        stalled.started(stalleds.abort_handle());
        reading.works();
        stalled.works();
        // One that took its answer after all is not stalled.
        drop(reading.stalls());
        let stall = stalled.stalls();
        let fourth = enter().unwrap();
        assert!(stalleds.await.unwrap_err().is_cancelled());
        drop((stall, stalled));
        assert_eq!(open.count(), 3, "the evicted one left once");
        let fifth = enter().unwrap();
        assert!(silents.await.unwrap_err().is_cancelled());
        drop((silent, fourth, fifth));
        assert_eq!(open.count(), 1);
        assert!(!readings.is_finished());
        drop(reading);
        assert_eq!(open.count(), 0);
    }

    #[tokio::test]
    async fn who_asked_once_and_keeps_the_connection_gives_way_after_the_silent() {
        let open = Arc::new(Open::default());
        let enter = || {
            let place = open.enter(ip("192.0.2.1"), 4, 4)?;
            let task = tokio::spawn(std::future::pending::<()>());
            place.started(task.abort_handle());
            Some((Arc::new(place), task))
        };
        let (working, works) = enter().unwrap();
        let (twice, asked_twice) = enter().unwrap();
        let (once, asked_once) = enter().unwrap();
        let (silent, silents) = enter().unwrap();
        working.works();
        for place in [&twice, &once, &twice] {
            place.works();
            drop(Answering(Some(Arc::clone(place))));
        }
        let mut others = Vec::new();
        // Each newcomer asks at once, and takes the place of whoever has the least need of theirs.
        for gives_way in [silents, asked_once, asked_twice] {
            let (newcomer, task) = enter().unwrap();
            newcomer.works();
            others.push((newcomer, task));
            assert!(gives_way.await.unwrap_err().is_cancelled());
        }
        assert!(enter().is_none(), "all are at work");
        assert!(!works.is_finished());
        assert!(others.iter().all(|(_, task)| !task.is_finished()));
        // Whoever was ended does not come back by an answer that was under way.
        drop(Answering(Some(Arc::clone(&once))));
        drop((working, twice, once, silent, others));
        let table = open.table();
        assert!(table.connections.is_empty() && table.resting.is_empty());
    }

    #[tokio::test]
    async fn hosts_behind_one_address_count_each_for_itself() {
        let open = Arc::new(Open::default());
        let enter = || {
            let place = open.enter(ip("192.0.2.1"), 1000, 2)?;
            let task = tokio::spawn(std::future::pending::<()>());
            place.started(task.abort_handle());
            place.works();
            Some((Arc::new(place), task))
        };
        let mut hosts = Vec::new();
        for number in 0..300 {
            let (place, task) = enter().unwrap();
            place.is_of_host(&format!("host-{number}"));
            let hold = place.holds();
            hosts.push((place, task, hold));
        }
        let (one, two) = (enter().unwrap(), enter().unwrap());
        assert!(
            enter().is_none(),
            "others at that address are counted by it"
        );
        assert!(hosts.iter().all(|(_, task, _)| !task.is_finished()));
        drop((one, two));
        // A host that opens more and more loses what it held longest.
        let mut more = Vec::new();
        for _ in 0..CONNECTIONS_PER_HOST {
            let (place, task) = enter().unwrap();
            place.is_of_host("host-7");
            more.push((place, task));
        }
        let (_, task, _) = hosts.remove(7);
        assert!(task.await.unwrap_err().is_cancelled());
        assert!(hosts.iter().all(|(_, task, _)| !task.is_finished()));
        drop((hosts, more));
        let table = open.table();
        assert!(table.connections.is_empty() && table.owners.is_empty() && table.held.is_empty());
    }

    #[tokio::test]
    async fn a_held_request_gives_way_after_all_others_and_not_to_nobody() {
        let open = Arc::new(Open::default());
        let enter = |peer: &str| {
            let place = open.enter(ip(peer), 3, 3)?;
            let task = tokio::spawn(std::future::pending::<()>());
            place.started(task.abort_handle());
            Some((Arc::new(place), task))
        };
        let (host, held) = enter("192.0.2.1").unwrap();
        host.works();
        host.is_of_host("host-1");
        let hold = host.holds();
        let (silent, silents) = enter("192.0.2.2").unwrap();
        let (working, works) = enter("192.0.2.3").unwrap();
        working.works();
        let (newcomer, news) = enter("192.0.2.4").unwrap();
        newcomer.works();
        assert!(silents.await.unwrap_err().is_cancelled());
        assert!(!held.is_finished());
        let last = enter("192.0.2.5").unwrap();
        assert!(held.await.unwrap_err().is_cancelled());
        last.0.works();
        assert!(enter("192.0.2.6").is_none(), "all are at work");
        assert!(!works.is_finished() && !news.is_finished());
        drop((hold, host, silent, working, newcomer, last));
        assert!(open.table().connections.is_empty());
    }

    /// A body that comes to its end when it is told to.
    struct Slow(bool);

    impl Body for Slow {
        type Data = Bytes;
        type Error = Infallible;

        fn poll_frame(
            self: Pin<&mut Self>,
            _: &mut Context<'_>,
        ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
            if self.0 {
                Poll::Ready(None)
            } else {
                Poll::Pending
            }
        }
    }

    #[tokio::test]
    async fn a_request_whose_body_does_not_come_is_no_work() {
        let open = Arc::new(Open::default());
        let enter = || open.enter(ip("192.0.2.1"), 1, 1);
        let place = Arc::new(enter().unwrap());
        let task = tokio::spawn(std::future::pending::<()>());
        place.started(task.abort_handle());
        let mut heard = Heard::new(Slow(false), Some(Arc::clone(&place)));
        tokio::select! {
            biased;
            _ = heard.frame() => panic!("it does not come"),
            () = std::future::ready(()) => {}
        }
        assert!(open.table().silent.contains(&place.number));
        heard.body.0 = true;
        heard.collect().await.unwrap();
        assert!(enter().is_none(), "it is whole");
        let whole = Heard::new(Full::new(Bytes::new()), Some(Arc::clone(&place)));
        drop((whole, Answering(Some(Arc::clone(&place)))));
        assert!(enter().is_some(), "it is answered");
        assert!(task.await.unwrap_err().is_cancelled());
    }
}
