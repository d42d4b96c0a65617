//! Locks of the person's files: many shells do one thing once. The system gives a lock back when its
//! holder dies, and no waiting is without an end unless a person watches.

use std::fs::{File, TryLockError};
use std::path::Path;
use std::sync::mpsc::channel;
use std::time::Duration;

use super::StateError;
use crate::platform;

/// Held while files are changed; given back when dropped, also by a process that dies.
#[derive(Debug)]
pub(crate) struct Lock {
    _file: File,
}

pub(super) fn lock(
    folder: &Path,
    name: &str,
    patience: Option<Duration>,
) -> Result<Lock, StateError> {
    let path = folder.join(name);
    let io = |cause| StateError::Io {
        path: path.clone(),
        cause,
    };
    platform::private_dir(folder).map_err(io)?;
    let file = platform::open_lock(&path).map_err(io)?;
    match file.try_lock() {
        Ok(()) => return Ok(Lock { _file: file }),
        Err(TryLockError::WouldBlock) => {}
        Err(TryLockError::Error(cause)) => return Err(io(cause)),
    }
    let Some(patience) = patience else {
        file.lock().map_err(io)?;
        return Ok(Lock { _file: file });
    };
    // The system knows no limit for this. A lock that comes too late goes with the file that nobody
    // takes any more.
    let (tell, hear) = channel();
    std::thread::spawn(move || {
        let locked = file.lock();
        let _ = tell.send(locked.map(|()| file));
    });
    match hear.recv_timeout(patience) {
        Ok(Ok(file)) => Ok(Lock { _file: file }),
        Ok(Err(cause)) => Err(io(cause)),
        Err(_) => Err(StateError::Busy(path)),
    }
}

/// Longest time that a lock is waited for where nothing else is said: what others do under it takes
/// a call or two, and a process that was stopped must not stop everybody.
pub(crate) const PATIENCE: Duration = Duration::from_secs(60);

#[cfg(test)]
mod tests {
    use super::*;
    use crate::state::Home;

    #[test]
    fn two_holders_of_one_lock_take_turns() {
        let base = tempfile::tempdir().unwrap();
        let ca = Home::at(base.path()).ca("ca").unwrap();
        let first = ca.lock(PATIENCE).unwrap();
        let other = ca.clone();
        let (tell, hear) = std::sync::mpsc::channel();
        let waiting = std::thread::spawn(move || {
            let _second = other.lock(PATIENCE).unwrap();
            tell.send(()).unwrap();
        });
        assert!(hear.try_recv().is_err());
        drop(first);
        waiting.join().unwrap();
        hear.try_recv().unwrap();
    }

    #[test]
    fn a_lock_that_is_never_given_back_is_not_waited_for_for_ever() {
        let base = tempfile::tempdir().unwrap();
        let ca = Home::at(base.path()).ca("ca").unwrap();
        let first = ca.lock(Duration::ZERO).unwrap();
        let late = ca.lock(Duration::from_millis(20));
        assert!(matches!(late, Err(StateError::Busy(_))));
        // Whoever signs in has the other lock: files can be changed meanwhile.
        let turn = ca.turn().unwrap().unwrap();
        assert!(ca.turn().unwrap().is_none());
        let late = ca.wait_for_turn(Some(Duration::from_millis(20)));
        assert!(matches!(late, Err(StateError::Busy(_))));
        drop((first, turn));
        // Neither of those who came too late has it now.
        ca.lock(PATIENCE).unwrap();
        ca.wait_for_turn(None).unwrap();
    }
}
