//! A connection whose peer does not read. In: a socket. Out: the same, but a write that waits for
//! `limits.write_time` with nothing taken fails, and the connection ends with it (A87).
//!
//! While a write waits nothing is read either: requests sent one after the other without reading
//! would have their answers pile up. The timer is made when a write has to wait, so that a peer who
//! reads costs nothing.

use std::io::{self, IoSlice};
use std::os::fd::AsFd;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker, ready};
use std::time::Duration;

use rustix::net::sockopt;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::Sleep;

use crate::server::connections::{Place, Stall};

/// A socket with a limit on how long its peer may take nothing. It lies below TLS, and its flush
/// and shutdown never wait: only writes do.
#[derive(Debug)]
pub(crate) struct LimitedWrites<S: AsFd> {
    socket: S,
    limit: Duration,
    place: Option<Arc<Place>>,
    waiting: Option<Waiting>,
}

/// A write waits for the peer.
#[derive(Debug)]
struct Waiting {
    timer: Pin<Box<Sleep>>,
    /// Who wants to read, and is told once the write goes on.
    reader: Option<Waker>,
    /// Gives way meanwhile.
    _stall: Option<Stall>,
}

impl<S: AsFd> LimitedWrites<S> {
    pub(crate) fn new(socket: S, limit: Duration, place: Option<Arc<Place>>) -> Self {
        LimitedWrites {
            socket,
            limit,
            place,
            waiting: None,
        }
    }

    /// What came of a write, or the end if it has waited too long.
    fn within_limit(
        &mut self,
        context: &mut Context<'_>,
        written: Poll<io::Result<usize>>,
    ) -> Poll<io::Result<usize>> {
        if written.is_ready() {
            if let Some(Waiting {
                reader: Some(reader),
                ..
            }) = self.waiting.take()
            {
                reader.wake();
            }
            return written;
        }
        let (limit, place) = (self.limit, &self.place);
        let waiting = self.waiting.get_or_insert_with(|| Waiting {
            timer: Box::pin(tokio::time::sleep(limit)),
            reader: None,
            _stall: place.as_ref().map(Place::stalls),
        });
        ready!(waiting.timer.as_mut().poll(context));
        Poll::Ready(Err(io::ErrorKind::TimedOut.into()))
    }
}

impl<S: AsFd> Drop for LimitedWrites<S> {
    fn drop(&mut self) {
        if self.waiting.is_some() {
            // A reset: else the kernel keeps what nobody takes, and goes on offering it.
            let _ = sockopt::set_socket_linger(&self.socket, Some(Duration::ZERO));
        }
    }
}

impl<S: AsFd + AsyncRead + Unpin> AsyncRead for LimitedWrites<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        if let Some(waiting) = &mut self.waiting {
            waiting.reader = Some(context.waker().clone());
            return Poll::Pending;
        }
        Pin::new(&mut self.socket).poll_read(context, buffer)
    }
}

impl<S: AsFd + AsyncWrite + Unpin> AsyncWrite for LimitedWrites<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.socket).poll_write(context, bytes);
        self.within_limit(context, written)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.socket).poll_write_vectored(context, slices);
        self.within_limit(context, written)
    }

    fn is_write_vectored(&self) -> bool {
        self.socket.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.socket).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.socket).poll_shutdown(context)
    }
}

/// The same limit for what the kernel has taken from us and the peer does not acknowledge.
pub(crate) fn limit_unacknowledged(socket: impl AsFd, limit: Duration) {
    #[cfg(target_os = "linux")]
    {
        let limit = u32::try_from(limit.as_millis()).unwrap_or(u32::MAX);
        let _ = sockopt::set_tcp_user_timeout(socket, limit);
    }
    #[cfg(not(target_os = "linux"))]
    let _ = (socket, limit);
}

#[cfg(test)]
mod tests {
    use std::io;
    use std::time::Duration;

    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    use tokio::net::UnixStream;

    use super::LimitedWrites;

    const ENOUGH: usize = 4 << 20;

    fn pair(limit: Duration) -> (LimitedWrites<UnixStream>, UnixStream) {
        let (ours, theirs) = UnixStream::pair().unwrap();
        (LimitedWrites::new(ours, limit, None), theirs)
    }

    #[tokio::test]
    async fn a_peer_that_never_reads_ends_the_write() {
        let (mut ours, theirs) = pair(Duration::from_millis(50));
        let refused = ours.write_all(&vec![0; ENOUGH]).await.unwrap_err();
        assert_eq!(refused.kind(), io::ErrorKind::TimedOut);
        drop(theirs);
    }

    #[tokio::test]
    async fn a_peer_that_reads_slowly_gets_it_all() {
        let limit = Duration::from_secs(1);
        let (mut ours, mut theirs) = pair(limit);
        let started = std::time::Instant::now();
        let writing = tokio::spawn(async move {
            let written = ours.write_all(&vec![0; ENOUGH]).await;
            drop(ours);
            written
        });
        let mut got = 0;
        let mut chunk = vec![0; ENOUGH / 16];
        loop {
            tokio::time::sleep(limit / 10).await;
            match theirs.read_exact(&mut chunk).await {
                Ok(read) => got += read,
                Err(_) => break,
            }
        }
        writing.await.unwrap().unwrap();
        assert_eq!(got, ENOUGH);
        assert!(started.elapsed() > limit, "slower than the limit in sum");
    }

    #[tokio::test]
    async fn a_peer_that_sends_without_reading_is_not_read_while_a_write_waits() {
        let (ours, mut theirs) = pair(Duration::from_secs(600));
        theirs.write_all(b"more").await.unwrap();
        let (mut reads, mut writes) = tokio::io::split(ours);
        let zeros = vec![0; ENOUGH];
        let mut writing = std::pin::pin!(writes.write_all(&zeros));
        let mut four = [0; 4];
        let mut reading = std::pin::pin!(reads.read_exact(&mut four));
        assert!(at_once(writing.as_mut()).await.is_none());
        assert!(at_once(reading.as_mut()).await.is_none());
        // Once the peer takes what it asked for, both go on.
        let mut taken = vec![0; ENOUGH];
        let taking = tokio::spawn(async move {
            theirs.read_exact(&mut taken).await.unwrap();
            theirs
        });
        writing.await.unwrap();
        reading.await.unwrap();
        taking.await.unwrap();
        assert_eq!(&four, b"more");
    }

    /// What it gives at once.
    async fn at_once<F: Future>(future: F) -> Option<F::Output> {
        tokio::select! {
            biased;
            output = future => Some(output),
            () = std::future::ready(()) => None,
        }
    }
}
