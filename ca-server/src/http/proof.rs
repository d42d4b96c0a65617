//! `Authorization` ──► [`ProvenKey`]: whoever asks holds the private key (invariant 5, A13).
//!
//! In: the header, and everything that it signs: method, path and query, body. Out: a key that we
//! accept, proven for exactly this request, at this CA and epoch, now; or what is wrong with it, with
//! what a client needs to do better. Format: `jit_ssh_api::proof`.

use jit_ssh_api::discovery::Profile;
use jit_ssh_api::problem::Kind;
use jit_ssh_api::proof::{MAX_SKEW_SECONDS, ProofError, ProofHeader, Request};

use crate::certificate::{AcceptedKey, KeyError};
use crate::http::problem::Failure;
use crate::http::replay::{NotNew, ReplayWindow};
use crate::login::KeyHash;
use crate::signer::verify::verify_proof;
use crate::time::Timestamp;

/// A key whose private half signed this request. Made by [`check`] alone.
#[derive(Debug)]
pub(crate) struct ProvenKey {
    key: AcceptedKey,
}

impl ProvenKey {
    /// The key.
    pub(crate) fn key(&self) -> &AcceptedKey {
        &self.key
    }

    /// What logins are found by.
    pub(crate) fn hash(&self) -> KeyHash {
        KeyHash::of(self.key.public_key())
    }
}

/// Checks a proof. `epoch_before` is that of before the last restore; `window` is given for requests that change state: their ids count once.
pub(crate) fn check(
    header: Option<&str>,
    request: &Request<'_>,
    epoch_before: Option<u64>,
    profile: Profile,
    window: Option<&ReplayWindow>,
    now: Timestamp,
) -> Result<ProvenKey, Failure> {
    let header = header.ok_or_else(missing)?;
    let header = ProofHeader::parse(header).map_err(refused)?;
    // The time first: a clock that is wrong is the one mistake that clients mend by themselves.
    if header.time.abs_diff(now.seconds()) > MAX_SKEW_SECONDS {
        return Err(too_far(header.time, now));
    }
    let key = AcceptedKey::new(&header.public_key())
        .and_then(|key| key.fits(profile).map(|()| key))
        .map_err(|error| key_refused(&error, profile))?;
    if verify_proof(&header, request).is_err() {
        return Err(mismatch(&header, request, epoch_before));
    }
    if let Some(window) = window {
        window.take(key.blob(), header.id, now).map_err(not_new)?;
    }
    Ok(ProvenKey { key })
}

fn missing() -> Failure {
    Failure::new(
        Kind::ProofMissing,
        "This request needs a proof that you hold your key.",
        "Sign it as docs/api.md shows, or use jit-ssh.",
    )
}

fn refused(error: ProofError) -> Failure {
    let detail = match error {
        ProofError::Form => {
            "The Authorization header is not `JIT-SSH-Proof time=…,id=…,signature=…`."
        }
        ProofError::Signature => "The proof's signature is not an OpenSSH signature (SSHSIG).",
        ProofError::Mismatch => {
            "The proof does not fit this request, or this CA in its present epoch."
        }
        ProofError::NoTouch => "The security key signed without a touch.",
    };
    Failure::new(
        Kind::ProofInvalid,
        detail,
        "Sign the request as docs/api.md shows.",
    )
    .cause(error)
}

/// A signature that does not verify: perhaps it names another CA or epoch, which a client mends by
/// reading discovery again. We cannot see what was signed, so we tell what should have been; whether
/// it is for the epoch before the last restore can be tried.
fn mismatch(header: &ProofHeader, request: &Request<'_>, epoch_before: Option<u64>) -> Failure {
    let former = epoch_before
        .is_some_and(|epoch| verify_proof(header, &Request { epoch, ..*request }).is_ok());
    if former {
        return Failure::new(
            Kind::ProofContext,
            "The proof is for an earlier epoch of this CA: it was restored meanwhile.",
            "Read /.well-known/jit-ssh again, check the pinned fingerprint, and repeat.",
        )
        .expected(request.ca_name, request.epoch);
    }
    refused(ProofError::Mismatch).expected(request.ca_name, request.epoch)
}

fn too_far(claimed: u64, now: Timestamp) -> Failure {
    let off = claimed.abs_diff(now.seconds());
    let side = if claimed < now.seconds() {
        "behind"
    } else {
        "ahead of"
    };
    Failure::new(
        Kind::ProofTime,
        format!("The proof's time is {off} s {side} the CA's clock; 60 s is the most."),
        "Set the clock of this machine, or sign with the time in this answer.",
    )
    .time(now.seconds())
}

fn key_refused(error: &KeyError, profile: Profile) -> Failure {
    let next = match profile {
        Profile::Standard => "Make another one: ssh-keygen -t ed25519.",
        Profile::Fips => "Make another one: ssh-keygen -t ecdsa.",
    };
    let what = format!("The key of the proof is not accepted: {error}.");
    Failure::new(Kind::KeyRefused, what, next)
}

fn not_new(error: NotNew) -> Failure {
    match error {
        NotNew::Seen => Failure::new(
            Kind::ProofInvalid,
            "This proof was used before.",
            "Sign each request anew, with a new id.",
        ),
        NotNew::Full => Failure::new(
            Kind::TooMany,
            "The CA gets more requests than it can remember.",
            "Wait a minute and try again.",
        )
        .retry_after(60),
    }
}
