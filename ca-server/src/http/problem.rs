//! Every refusal as a problem document (RFC 9457). The one place that knows which error is which
//! status: a fixed text for the person, the cause for the log alone.

use std::borrow::Cow;
use std::fmt::Display;

use http::{Response, header};
use jit_ssh_api::problem::{CONTENT_TYPE, Expected, Kind, Problem, TYPE_PREFIX};

use crate::certificate::CertificateError;
use crate::host::{HostError, HostRefusal};
use crate::http::{Answer, Body};
use crate::identity::IdentityError;
use crate::issue::IssueError;
use crate::ledger::LedgerError;
use crate::login::LoginError;
use crate::policy::Refusal;
use crate::revocation::lock::LockKind;
use crate::sign_in::AnnounceError;

/// A refusal on its way out.
#[derive(Debug)]
pub(crate) struct Failure {
    kind: Kind,
    detail: Cow<'static, str>,
    next: Cow<'static, str>,
    more: Box<More>,
}

/// What only some refusals have.
#[derive(Debug, Default)]
struct More {
    cause: Option<String>,
    rule: Option<String>,
    time: Option<u64>,
    retry_after: Option<u64>,
    expected: Option<Expected>,
}

impl Failure {
    /// With what happened and what to do, both for a person.
    pub(crate) fn new(
        kind: Kind,
        detail: impl Into<Cow<'static, str>>,
        next: impl Into<Cow<'static, str>>,
    ) -> Self {
        Failure {
            kind,
            detail: detail.into(),
            next: next.into(),
            more: Box::default(),
        }
    }

    /// A fault of ours: nothing of it leaves but the request id.
    pub(crate) fn internal(cause: impl Display) -> Self {
        Failure::new(
            Kind::Internal,
            "Something went wrong inside the CA.",
            "Tell the people who run the CA, with the request id.",
        )
        .cause(cause)
    }

    /// The CA cannot issue now.
    pub(crate) fn unavailable(detail: &'static str, cause: impl Display) -> Self {
        Failure::new(
            Kind::Unavailable,
            detail,
            "Try again in a few seconds; if it stays, tell the people who run the CA.",
        )
        .retry_after(5)
        .cause(cause)
    }

    /// What the log says beside it.
    pub(crate) fn cause(mut self, cause: impl Display) -> Self {
        self.more.cause = Some(cause.to_string());
        self
    }

    pub(crate) fn rule(mut self, rule: &str) -> Self {
        self.more.rule = Some(rule.to_owned());
        self
    }

    pub(crate) fn time(mut self, seconds: u64) -> Self {
        self.more.time = Some(seconds);
        self
    }

    pub(crate) fn retry_after(mut self, seconds: u64) -> Self {
        self.more.retry_after = Some(seconds);
        self
    }

    pub(crate) fn expected(mut self, name: &str, epoch: u64) -> Self {
        self.more.expected = Some(Expected {
            name: name.to_owned(),
            epoch,
        });
        self
    }

    /// Which refusal.
    pub(crate) fn kind(&self) -> Kind {
        self.kind
    }

    /// For the log.
    pub(crate) fn logged(&self) -> &str {
        self.more.cause.as_deref().unwrap_or(&self.detail)
    }

    /// As it goes out.
    pub(crate) fn answer(self, request_id: &str) -> Answer {
        let status = self.kind.status();
        let mut response = Response::builder().status(status);
        response = response.header(header::CONTENT_TYPE, CONTENT_TYPE);
        if status == 401 {
            response = response.header(header::WWW_AUTHENTICATE, jit_ssh_api::proof::SCHEME);
        }
        if let Some(seconds) = self.more.retry_after {
            response = response.header(header::RETRY_AFTER, seconds);
        }
        let problem = Problem {
            type_uri: format!("{TYPE_PREFIX}{}", self.kind.name()),
            title: self.kind.title().to_owned(),
            status,
            detail: self.detail.into_owned(),
            next: self.next.into_owned(),
            request_id: request_id.to_owned(),
            rule: self.more.rule,
            time: self.more.time,
            retry_after: self.more.retry_after,
            expected: self.more.expected,
        };
        // Strings, numbers and a fixed set of members: it always serialises.
        let body = serde_json::to_vec(&problem).unwrap_or_default();
        response.body(Body::from(body)).unwrap_or_default()
    }
}

impl From<AnnounceError> for Failure {
    fn from(error: AnnounceError) -> Self {
        match error {
            AnnounceError::OtherKey => Failure::new(
                Kind::Conflict,
                "This state was announced by another key.",
                "Make a new random state.",
            ),
            AnnounceError::Full { seconds } => Failure::new(
                Kind::TooMany,
                "Too many sign-ins go on from your address.",
                "Wait until the first of them ends, or sign in where the browser is.",
            )
            .retry_after(seconds),
        }
    }
}

impl From<IssueError> for Failure {
    fn from(error: IssueError) -> Self {
        match error {
            IssueError::Request(what) => {
                Failure::new(Kind::BadRequest, format!("{what}."), "See docs/api.md.")
            }
            IssueError::NamedKey(error) => Failure::new(
                Kind::KeyRefused,
                format!("The key to certify is not accepted: {error}."),
                "Use another key, or none: then the login key is certified.",
            ),
            IssueError::NamedKeyProof => Failure::new(
                Kind::KeyRefused,
                "The key to certify did not sign the nonce of the binding.",
                "Sign it with ssh-keygen -Y sign -n jit-ssh-named-key@v1; touch a security key.",
            ),
            IssueError::Identity(error) => error.into(),
            IssueError::Login(error) => error.into(),
            IssueError::IssuerGone { issuer } => Failure::new(
                Kind::LoginEnded,
                format!("This CA no longer takes sign-ins from {issuer} with that client."),
                "Sign in again: jit-ssh login.",
            ),
            IssueError::Stale { outage: false, .. } => Failure::new(
                Kind::IdentityStale,
                "What the CA knows of you is too old to decide on.",
                "Send a refreshed ID token, or sign in again: jit-ssh login.",
            ),
            // Perhaps only the CA cannot reach it: a refreshed token would still be judged.
            IssueError::Stale { outage: true, .. } => Failure::new(
                Kind::IdentityStale,
                "What the CA knows of you is too old, and the identity provider does not answer it.",
                "Send a refreshed ID token, or wait until the identity provider is back; \
                 certificates that you hold stay valid.",
            ),
            IssueError::TooMany { wait } => Failure::new(
                Kind::TooMany,
                "You asked for too many certificates in a minute.",
                "Wait a little; one certificate serves many connections.",
            )
            .retry_after(wait),
            IssueError::TooManyToday { wait } => Failure::new(
                Kind::TooMany,
                "You had as many certificates and logins as one person may have in a day.",
                "Look for a script that asks in a loop: one certificate serves many connections \
                 until it expires.",
            )
            .retry_after(wait),
            IssueError::Refused(refusal) => {
                let Refusal {
                    rule, reason, help, ..
                } = *refusal;
                Failure::new(Kind::Refused, reason, help).rule(rule)
            }
            IssueError::Certificate(CertificateError::LoginOver { .. }) => LoginError::Ended.into(),
            IssueError::Certificate(error) => Failure::internal(format!("certificate: {error}")),
            IssueError::Ledger(error) => error.into(),
            IssueError::Signer(error) => Failure::internal(format!("signer: {error}")),
        }
    }
}

impl From<IdentityError> for Failure {
    fn from(error: IdentityError) -> Self {
        let detail = format!("{}.", capital(&error.to_string()));
        let next = error.next();
        match error {
            IdentityError::Unavailable { cause, .. } => {
                Failure::new(Kind::IssuerUnavailable, detail, next)
                    .retry_after(30)
                    .cause(cause)
            }
            _ => Failure::new(Kind::TokenRefused, detail, next),
        }
    }
}

impl From<LoginError> for Failure {
    fn from(error: LoginError) -> Self {
        const AGAIN: &str = "Sign in: jit-ssh login.";
        match error {
            LoginError::Ended => Failure::new(
                Kind::LoginEnded,
                "There is no live login for this key.",
                AGAIN,
            ),
            LoginError::EarlierEpoch => Failure::new(
                Kind::TokenRefused,
                "The ID token is from before this CA was restored.",
                "Sign in again: jit-ssh login.",
            ),
            LoginError::NotNewer => Failure::new(
                Kind::TokenRefused,
                "The refreshed ID token is not this login's, or not newer than the last one.",
                AGAIN,
            ),
            LoginError::Unknown(id) => Failure::new(
                Kind::NotFound,
                format!("There is no login {id}."),
                "`jit-ssh-ca login list` shows them all.",
            ),
            LoginError::Ledger(error) => error.into(),
        }
    }
}

impl From<LedgerError> for Failure {
    fn from(error: LedgerError) -> Self {
        let cause = with_sources(&error);
        match error {
            LedgerError::LoginEnded => LoginError::Ended.into(),
            LedgerError::LoginChanged => Failure::new(
                Kind::Conflict,
                "Another request of yours was first, with a newer ID token.",
                "Ask again, without the token.",
            ),
            LedgerError::TokenUsed => Failure::new(
                Kind::TokenRefused,
                "This ID token opened a login for another key.",
                "Sign in again: jit-ssh login.",
            ),
            LedgerError::KeyInUse => Failure::new(
                Kind::Conflict,
                "Another person is signed in with this key.",
                "Use a key of your own; the other login must end first.",
            ),
            LedgerError::NameTaken {
                kind: "username",
                name,
            } => Failure::new(
                Kind::TokenRefused,
                format!("The username {name:?} belongs to another person, who had it first."),
                "Ask whoever looks after the policy to name an account of your own in a [username] \
                 table: docs/policy.md says how.",
            ),
            LedgerError::NameTaken { kind, name } => Failure::new(
                Kind::TokenRefused,
                format!("The {kind} {name:?} belongs to another person of this issuer."),
                "Tell the people who run the CA: once the other account's logins have ended, \
                 `jit-ssh-ca login free-name` frees it.",
            ),
            LedgerError::OwnerSignedIn { kind, name } => Failure::new(
                Kind::Conflict,
                format!(
                    "The {kind} {name:?} is not freed: whoever has it is signed in, and would have it \
                     again with their next certificate."
                ),
                "End their logins first: `jit-ssh-ca login end --user` takes the same name.",
            ),
            LedgerError::Locked { kind } => locked(kind),
            LedgerError::NotThere { what, which } => Failure::new(
                Kind::NotFound,
                format!("There is no {what} {which}."),
                "`jit-ssh-ca audit list` shows what there is.",
            ),
            LedgerError::HostKey => Failure::new(
                Kind::KeyRefused,
                "A host has this key: a key has one job.",
                "Use another key to sign in: ssh-keygen -t ed25519.",
            ),
            LedgerError::Host(refusal) => refusal.into(),
            LedgerError::Overloaded => {
                Failure::unavailable("The CA has too much to write at the moment.", cause)
            }
            LedgerError::DiskFull => Failure::unavailable(
                "The CA's disk is full: nothing is issued that could not be recorded.",
                cause,
            ),
            LedgerError::Stopped | LedgerError::Store(_) => {
                Failure::unavailable("The CA's ledger does not write: nothing is issued.", cause)
            }
            LedgerError::SerialTaken | LedgerError::Leaf(_) => Failure::internal(cause),
        }
    }
}

/// What a lock holds. Why is for those who locked it.
fn locked(kind: LockKind) -> Failure {
    const ASK: &str = "Ask who runs the CA: only somebody with the right `revoke` unlocks.";
    let (detail, next) = match kind {
        LockKind::User => ("You get no certificates: somebody locked you out.", ASK),
        LockKind::Role => (
            "Nobody gets certificates for this role: somebody locked it.",
            "Ask for another role, or ask who runs the CA.",
        ),
        LockKind::Key => (
            "This key is revoked for ever.",
            "Make a new key; `jit-ssh login` makes one by itself. A host: revoke it, make new host keys, \
             enrol it anew.",
        ),
    };
    Failure::new(Kind::Refused, detail, next).rule("locked")
}

impl From<HostRefusal> for Failure {
    fn from(refusal: HostRefusal) -> Self {
        const ANOTHER: &str = "Ask whoever runs the CA for another one: jit-ssh-ca host invite.";
        let detail = format!("{}.", capital(&refusal.to_string()));
        match refusal {
            HostRefusal::NoInvitation
            | HostRefusal::Expired
            | HostRefusal::Withdrawn
            | HostRefusal::UsedUp
            | HostRefusal::Network => Failure::new(Kind::InvitationRefused, detail, ANOTHER),
            HostRefusal::Name(_) => Failure::new(
                Kind::InvitationRefused,
                detail,
                "Ask for names that the invitation allows, or for an invitation with this one.",
            ),
            HostRefusal::NameTaken { .. } => Failure::new(
                Kind::Conflict,
                detail,
                "If that host is gone, revoke it first: jit-ssh-ca host revoke. If not, this is an \
                 attempt to be that host.",
            ),
            HostRefusal::KeyTaken { .. } => Failure::new(
                Kind::Conflict,
                detail,
                "A machine that was copied needs host keys of its own: rm /etc/ssh/ssh_host_*_key*; \
                 ssh-keygen -A. A host that was renamed is revoked first: jit-ssh-ca host revoke.",
            ),
            HostRefusal::LoginKey => Failure::new(
                Kind::KeyRefused,
                detail,
                "Make host keys of its own for this machine: ssh-keygen -A.",
            ),
            HostRefusal::Unknown(_) => Failure::new(
                Kind::NotFound,
                detail,
                "`jit-ssh-ca host list` shows them all.",
            ),
            HostRefusal::Changed => Failure::new(Kind::Conflict, detail, "Ask again."),
        }
    }
}

impl From<HostError> for Failure {
    fn from(error: HostError) -> Self {
        let detail = format!("{}.", capital(&error.to_string()));
        match error {
            HostError::Request(_) => Failure::new(Kind::BadRequest, detail, "See docs/api.md."),
            HostError::Key { .. } => Failure::new(
                Kind::KeyRefused,
                detail,
                "Send the public halves of the host's own keys, as ssh-keygen -A makes them.",
            ),
            HostError::NoHostKey(_) => Failure::new(
                Kind::KeyRefused,
                detail,
                "Send the public halves of the host's own keys, as ssh-keygen -A makes them.",
            ),
            HostError::KeyProof(_) => Failure::new(
                Kind::KeyRefused,
                detail,
                "Each key signs the text of docs/api.md: ssh-keygen -Y sign -n jit-ssh-enrolment@v1.",
            ),
            HostError::TooMany { wait } => Failure::new(
                Kind::TooMany,
                "This host had as many certificates as a host may have in a day.",
                "Look for what asks in a loop: a host renews its certificates once a day.",
            )
            .retry_after(wait),
            HostError::Ledger(error) => error.into(),
            HostError::Certificate(error) => Failure::internal(format!("certificate: {error}")),
            HostError::Signer(cause) => {
                Failure::unavailable("The CA cannot sign for hosts at the moment.", cause)
            }
        }
    }
}

/// An error and what it came from, for the log.
fn with_sources(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(inner) = source {
        text.push_str(": ");
        text.push_str(&inner.to_string());
        source = inner.source();
    }
    text
}

/// A sentence begins with a capital letter, an address does not.
fn capital(text: &str) -> String {
    let first = text.split_whitespace().next().unwrap_or_default();
    if first.contains("://") {
        return text.to_owned();
    }
    let mut letters = text.chars();
    letters.next().map_or_else(String::new, |first| {
        first.to_uppercase().chain(letters).collect()
    })
}

#[cfg(test)]
mod tests {
    use super::capital;

    #[test]
    fn an_address_stays_as_it_is() {
        assert_eq!(
            capital("no answer from https://idp"),
            "No answer from https://idp"
        );
        assert_eq!(
            capital("http://127.0.0.1:1 is silent"),
            "http://127.0.0.1:1 is silent"
        );
        assert_eq!(capital(""), "");
    }
}
