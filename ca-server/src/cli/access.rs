//! How an admin command reaches the serving process: over the Unix socket of the data folder, as its
//! owner or root, or with `--ca` over HTTPS, as the person whose login `jit-ssh login` left here.

use std::io::ErrorKind;
use std::os::unix::net::UnixStream;
use std::path::Path;

use clap::Args;
use jit_ssh_connect::{ConnectError, Connection, Options, Request, SignProof, block_on, login_key};
use jit_ssh_terminal::{Exit, Failure, Terminal};
use serde::de::DeserializeOwned;

use super::interrupted::Interrupted;

/// Which CA to ask, and as whom.
#[derive(Clone, Debug, Default, Args)]
pub(super) struct Access {
    /// Ask this CA over HTTPS with your own login (`jit-ssh login`) instead of the local socket; the
    /// policy must give you the right
    #[arg(long, value_name = "URL")]
    pub(super) ca: Option<String>,
}

/// A way to the serving process.
pub(super) struct Caller {
    connection: Connection,
    key: Option<Box<dyn SignProof + Send>>,
}

impl Access {
    /// Opens the way, or says why there is none.
    pub(super) fn open(&self, data: &Path) -> Result<Caller, Failure> {
        if let Some(ca) = &self.ca {
            let login = login_key::find(Some(ca))?;
            let connection = Connection::new(login.known, options())?;
            return Ok(Caller {
                connection,
                key: Some(login.signer),
            });
        }
        let socket = data.join(SOCKET);
        // Tried here, because the HTTP client's own words for it help nobody.
        if let Err(error) = UnixStream::connect(&socket) {
            return Err(no_socket(data, &error));
        }
        Ok(Caller {
            connection: Connection::local(&socket, options())?,
            key: None,
        })
    }
}

impl Caller {
    /// One call, signed where it goes over HTTPS.
    pub(super) fn call<T: DeserializeOwned>(
        &mut self,
        request: &Request,
        terminal: &mut Terminal,
    ) -> Result<T, Failure> {
        let spinner = terminal.spinner("asking the CA");
        let answer = block_on(self.send(request))?;
        drop(spinner);
        if let Some(warning) = self.connection.clock_warning() {
            terminal.warn(warning);
        }
        Ok(answer?)
    }

    /// One call to the CA on this machine that may take long; none if the person ends it before.
    /// Then the connection is closed, by which the CA knows that nobody waits.
    pub(super) fn call_patiently<T: DeserializeOwned>(
        &mut self,
        request: Request,
        interrupted: &mut Interrupted,
        terminal: &Terminal,
    ) -> Result<Option<T>, Failure> {
        let request = request.without_time_limit();
        let _spinner = terminal.spinner("asking the CA");
        let answer = block_on(async {
            tokio::select! {
                answer = self.send(&request) => Some(answer),
                () = interrupted.wait() => None,
            }
        })?;
        Ok(answer.transpose()?)
    }

    async fn send<T: DeserializeOwned>(&mut self, request: &Request) -> Result<T, ConnectError> {
        match &mut self.key {
            Some(key) => self.connection.send_signed(request, key.as_mut()).await,
            None => self.connection.send(request).await,
        }
    }
}

/// How this program calls others.
pub(super) fn options() -> Options {
    Options::from_env(concat!("jit-ssh-ca/", env!("CARGO_PKG_VERSION")))
}

/// Whether somebody listens in the data folder, or seems to: a socket alone says nothing, a process
/// that was killed leaves one behind.
pub(super) fn is_served(data: &Path) -> bool {
    match UnixStream::connect(data.join(SOCKET)) {
        Ok(_) => true,
        Err(error) => !matches!(
            error.kind(),
            ErrorKind::NotFound | ErrorKind::ConnectionRefused
        ),
    }
}

fn no_socket(data: &Path, error: &std::io::Error) -> Failure {
    match error.kind() {
        ErrorKind::PermissionDenied => Failure::new(
            Exit::Refused,
            format_args!(
                "The CA in {} answers only its owner and root.",
                data.display()
            ),
        )
        .next("Use sudo, or `--ca URL` with your own login."),
        ErrorKind::NotFound | ErrorKind::ConnectionRefused => Failure::new(
            Exit::Unreachable,
            format_args!("No CA serves {} on this machine.", data.display()),
        )
        .next("Start it: `systemctl start jit-ssh-ca`, or `jit-ssh-ca serve`.")
        .next("For a CA on another machine: `--ca https://ca.example.com`."),
        _ => Failure::new(
            Exit::Unreachable,
            format_args!("The socket in {} cannot be used.", data.display()),
        )
        .why(error)
        .next("`jit-ssh-ca doctor` looks at the data folder."),
    }
}

pub(super) use crate::data::SOCKET;

#[cfg(test)]
mod tests {
    use std::os::unix::net::UnixListener;

    use super::{SOCKET, is_served};

    #[test]
    fn a_socket_that_a_dead_process_left_is_no_serving_ca() {
        let data = tempfile::tempdir().unwrap();
        assert!(!is_served(data.path()));
        let listener = UnixListener::bind(data.path().join(SOCKET)).unwrap();
        assert!(is_served(data.path()));
        drop(listener);
        assert!(data.path().join(SOCKET).exists());
        assert!(!is_served(data.path()));
    }
}
