//! The CAs that this machine knows: first contact and pin (A50), which one is meant, and calls with
//! what they teach kept (a new epoch, new TLS pins, a clock that is wrong).

use std::path::PathBuf;

use jit_ssh_api::key_set::Purpose;
use jit_ssh_connect::login_key::is_at;
use jit_ssh_connect::{
    ConnectError, Connection, Options, Pin as Voucher, Request, SignProof, discover,
};
use jit_ssh_terminal::{Exit, Failure, Terminal};
use serde::de::DeserializeOwned;

use crate::certificate::blob_of_line;
use crate::state::{CaFiles, Home, Pin, PinSource};

/// A CA that is pinned, and the way to it.
pub(crate) struct Ca {
    /// Its files.
    pub(crate) files: CaFiles,
    /// What is known of it.
    pub(crate) pin: Pin,
    connection: Connection,
    clock_said: bool,
}

/// What the person said about a first contact.
pub(crate) struct FirstContact<'a> {
    /// Address.
    pub(crate) url: &'a str,
    /// `--fingerprint`.
    pub(crate) fingerprint: Option<&'a str>,
    /// `--ca-file`.
    pub(crate) ca_files: &'a [PathBuf],
}

impl Ca {
    /// A CA that is pinned; nothing is sent yet.
    pub(crate) fn open(files: CaFiles) -> Result<Self, Failure> {
        let pin = files.pin()?.ok_or_else(|| {
            Failure::new(
                Exit::NotSignedIn,
                format_args!("{} is not known here.", files.name),
            )
            .next("Sign in there: `jit-ssh login --ca URL`.")
        })?;
        Self::with(files, pin)
    }

    fn with(files: CaFiles, pin: Pin) -> Result<Self, Failure> {
        let connection = Connection::new(pin.known.clone(), options(&pin.ca_files))?;
        Ok(Ca {
            files,
            pin,
            connection,
            clock_said: false,
        })
    }

    /// Looks at a CA by its address and pins its identity key, or checks the pin that is there; a
    /// mismatch is an error and changes nothing.
    pub(crate) async fn contact(
        home: &Home,
        first: &FirstContact<'_>,
        terminal: &mut Terminal,
    ) -> Result<Self, Failure> {
        let pinned = pinned_at(home, first.url)?;
        let voucher = match (&pinned, first.fingerprint) {
            (Some((_, pin)), given) => {
                same_fingerprint(pin, given)?;
                Voucher::Known(&pin.known)
            }
            (None, Some(fingerprint)) => Voucher::Fingerprint(fingerprint),
            (None, None) => Voucher::Tls,
        };
        let mut ca_files = pinned
            .as_ref()
            .map(|(_, pin)| pin.ca_files.clone())
            .unwrap_or_default();
        for file in first.ca_files {
            let file = std::path::absolute(file)?;
            if !ca_files.contains(&file) {
                ca_files.push(file);
            }
        }
        let contact = discover(first.url, voucher, &options(&ca_files)).await?;
        let source = match (&pinned, first.fingerprint) {
            (_, Some(_)) => PinSource::Given,
            (Some((_, pin)), None) => pin.source,
            (None, None) => PinSource::PublicTls,
        };
        let files = home.ca(&contact.known.name)?;
        if let Some(pin) = files.pin()? {
            pin.known.goes_on_as(&contact.known)?;
        }
        if pinned.is_none() {
            let (name, print) = (&contact.known.name, &contact.known.fingerprint);
            terminal.note(format_args!("Pinned {name} by its identity key {print}"));
            if source == PinSource::PublicTls {
                terminal.note(
                    "as shown over verified TLS: nobody has compared it yet. `--fingerprint` at \
                     the first login does.",
                );
            }
        }
        let since = match pinned {
            Some((_, pin)) => pin.pinned,
            None => home.next_pin(jit_ssh_connect::now())?,
        };
        let pin = Pin {
            known: contact.known,
            source,
            ca_files,
            discovery: contact.discovery,
            pinned: since,
        };
        files.write_pin(&pin)?;
        Self::with(files, pin)
    }

    /// Looks at discovery again, under the pin.
    pub(crate) async fn look_again(&mut self) -> Result<(), Failure> {
        let voucher = Voucher::Known(&self.pin.known);
        let contact = discover(&self.pin.known.url, voucher, &options(&self.pin.ca_files)).await?;
        self.pin.known = contact.known;
        self.pin.discovery = contact.discovery;
        self.files.write_pin(&self.pin)?;
        Ok(())
    }

    /// A call with a proof by the login key. What the call taught is kept, a wrong clock is said.
    pub(crate) async fn call<T: DeserializeOwned>(
        &mut self,
        request: &Request,
        key: &mut dyn SignProof,
        terminal: &mut Terminal,
    ) -> Result<T, ConnectError> {
        let answer = self.connection.send_signed(request, key).await;
        if let Some(warning) = self.connection.clock_warning()
            && !self.clock_said
        {
            terminal.warn(warning);
            self.clock_said = true;
        }
        if let Some(known) = self.connection.known()
            && *known != self.pin.known
        {
            self.pin.known = known.clone();
            // What cannot be kept is learnt again by the next call.
            let _ = self.files.write_pin(&self.pin);
        }
        answer
    }

    /// The CA's clock minus ours, in seconds, as far as it showed.
    pub(crate) fn skew(&self) -> i64 {
        self.connection.clock_off_by().unwrap_or(0)
    }

    /// Blobs of the user CA keys that the pinned identity key vouches for.
    pub(crate) fn user_ca_keys(&self) -> Result<Vec<Vec<u8>>, Failure> {
        Ok(trusted(&self.pin, Purpose::UserCa)?
            .iter()
            .filter_map(|key| blob_of_line(key))
            .collect())
    }

    /// An HTTP client for an identity provider, under the same rules; an `ssh` may wait for it, so
    /// it gives up sooner.
    pub(crate) fn http_for(&self, issuer: &str) -> Result<reqwest::Client, Failure> {
        let url = crate::oidc::safe_url(issuer)?;
        let mut options = options(&self.pin.ca_files);
        options.timeout = options.timeout.min(ISSUER_PATIENCE);
        Ok(jit_ssh_connect::http_client(&url, &options)?)
    }
}

/// Name of this program for the CA's log.
const AGENT: &str = concat!("jit-ssh/", env!("CARGO_PKG_VERSION"));

/// Longest time for one call to an identity provider.
const ISSUER_PATIENCE: std::time::Duration = std::time::Duration::from_secs(10);

/// Keys of one purpose that the pinned identity key vouches for and that are not given up, OpenSSH
/// format.
pub(crate) fn trusted(pin: &Pin, purpose: Purpose) -> Result<Vec<String>, Failure> {
    let set = pin
        .discovery
        .key_set
        .verify(&pin.known.fingerprint)
        .map_err(ConnectError::KeySet)?;
    let keys = set.trusted(purpose);
    Ok(keys.map(|key| key.public_key.clone()).collect())
}

/// How calls are made: environment, and the TLS CAs that the person named.
pub(crate) fn options(ca_files: &[PathBuf]) -> Options {
    let mut options = Options::from_env(AGENT);
    for file in ca_files {
        if !options.ca_files.contains(file) {
            options.ca_files.push(file.clone());
        }
    }
    options
}

fn pinned_at(home: &Home, url: &str) -> Result<Option<(CaFiles, Pin)>, Failure> {
    jit_ssh_connect::normalise_url(url)?;
    for files in home.cas() {
        if let Some(pin) = files.pin()?
            && is_at(&pin.known, url)
        {
            return Ok(Some((files, pin)));
        }
    }
    Ok(None)
}

fn same_fingerprint(pin: &Pin, given: Option<&str>) -> Result<(), Failure> {
    let Some(given) = given else { return Ok(()) };
    let parsed: ssh_key::Fingerprint = given
        .trim()
        .parse()
        .map_err(|_| ConnectError::Fingerprint(given.to_owned()))?;
    if parsed.to_string() == pin.known.fingerprint {
        return Ok(());
    }
    Err(
        Failure::failed("This CA is pinned with another identity key.")
            .why(format_args!("{} is pinned.", pin.known.fingerprint))
            .next(
                "Ask whoever runs the CA which is right. Only if its identity key was replaced: \
             `jit-ssh logout --forget`, then sign in with the new fingerprint.",
            ),
    )
}

/// Which CA is meant: by name or address, by `JIT_SSH_CA`, or the only one there is.
pub(crate) fn choose(home: &Home, named: Option<&str>) -> Result<CaFiles, Failure> {
    let from_environment = std::env::var("JIT_SSH_CA").ok().filter(|ca| !ca.is_empty());
    let mut cas = home.cas();
    let Some(named) = named.or(from_environment.as_deref()) else {
        return match (cas.len(), cas.pop()) {
            (1, Some(only)) => Ok(only),
            (0, _) | (_, None) => Err(not_signed_in()),
            (_, Some(last)) => {
                cas.push(last);
                let names: Vec<&str> = cas.iter().map(|ca| ca.name.as_str()).collect();
                Err(Failure::usage("Several CAs are known here.")
                    .why(format_args!("{}.", names.join(", ")))
                    .next("Say which one: `--ca NAME`, or JIT_SSH_CA."))
            }
        };
    };
    if let Some(ca) = cas.iter().find(|ca| ca.name == named) {
        return Ok(ca.clone());
    }
    for files in cas {
        if let Some(pin) = files.pin()?
            && is_at(&pin.known, named)
        {
            return Ok(files);
        }
    }
    Err(
        Failure::usage(format_args!("The CA {named} is not known here."))
            .next(format_args!("Sign in there: `jit-ssh login --ca {named}`.")),
    )
}

/// Nobody ever signed in here.
pub(crate) fn not_signed_in() -> Failure {
    Failure::new(Exit::NotSignedIn, "You are not signed in.")
        .next("Sign in: `jit-ssh login --ca https://ca.example.com` (your CA's address).")
}

/// There was a login, and now it is over.
pub(crate) fn not_signed_in_because(why: &str) -> Failure {
    Failure::new(Exit::NotSignedIn, "You have to sign in again.")
        .why(why)
        .next("Sign in: `jit-ssh login`.")
}
