//! The end that a person (SIGINT) or the system (SIGTERM) asks for, for commands that would leave
//! something behind if they simply died of it: they look here and clean up.

use jit_ssh_terminal::Failure;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::watch;

/// Whether the command is to end. While this is listened for, the signals do nothing else.
#[derive(Clone, Debug)]
pub(super) struct Interrupted(watch::Receiver<bool>);

impl Interrupted {
    /// Listens from now on, for as long as the process lives.
    pub(super) fn listen() -> Result<Self, Failure> {
        let failed = |error: std::io::Error| {
            Failure::failed("The signals that end this cannot be listened for.").why(error)
        };
        // A runtime of its own: it must hear while the command copies files.
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .map_err(failed)?;
        let within = runtime.enter();
        let mut person = signal(SignalKind::interrupt()).map_err(failed)?;
        let mut system = signal(SignalKind::terminate()).map_err(failed)?;
        drop(within);
        let (tell, told) = watch::channel(false);
        std::thread::spawn(move || {
            runtime.block_on(async {
                tokio::select! {
                    _ = person.recv() => {}
                    _ = system.recv() => {}
                }
            });
            tell.send_replace(true);
        });
        Ok(Interrupted(told))
    }

    /// Returns when it is to end.
    pub(super) async fn wait(&mut self) {
        // No error: the value is sent before the sender is gone.
        let _ = self.0.wait_for(|is_true| *is_true).await;
    }

    /// Whether it is to end.
    pub(super) fn is_true(&self) -> bool {
        *self.0.borrow()
    }
}
