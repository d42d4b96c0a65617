//! A sign of life on stderr while something takes long; never anywhere but on a terminal.

use std::io::Write as _;
use std::sync::mpsc::{RecvTimeoutError, Sender, channel};
use std::thread::JoinHandle;
use std::time::Duration;

use crate::escape;

/// Turns until it is dropped; shows nothing in the first third of a second.
#[derive(Debug)]
pub struct Spinner {
    running: Option<(Sender<()>, JoinHandle<()>)>,
}

impl Spinner {
    pub(crate) fn start(text: &str, visible: bool) -> Self {
        if !visible {
            return Spinner { running: None };
        }
        let text = escape(text);
        let (stop, stopped) = channel::<()>();
        let thread = std::thread::spawn(move || {
            let mut wait = Duration::from_millis(300);
            let mut shown = false;
            for frame in ['|', '/', '-', '\\'].iter().cycle() {
                match stopped.recv_timeout(wait) {
                    Err(RecvTimeoutError::Timeout) => {}
                    Ok(()) | Err(RecvTimeoutError::Disconnected) => break,
                }
                shown = true;
                wait = Duration::from_millis(120);
                let mut stderr = std::io::stderr().lock();
                // A terminal that is gone is no reason to fail.
                let _ = write!(stderr, "\r\u{1b}[2K{frame} {text}").and_then(|()| stderr.flush());
            }
            if shown {
                let mut stderr = std::io::stderr().lock();
                let _ = write!(stderr, "\r\u{1b}[2K").and_then(|()| stderr.flush());
            }
        });
        Spinner {
            running: Some((stop, thread)),
        }
    }
}

impl Drop for Spinner {
    fn drop(&mut self) {
        if let Some((stop, thread)) = self.running.take() {
            drop(stop);
            // The line is cleared before anything else is printed.
            let _ = thread.join();
        }
    }
}
