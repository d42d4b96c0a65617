//! Refusals on the wire: problem documents of RFC 9457 with a stable `type`.
//!
//! `title` is fixed for each type; `detail` is one sentence for a person; `next` says what to do.
//! Clients branch on `type` alone.

use serde::{Deserialize, Serialize};

/// Media type of a problem document.
pub const CONTENT_TYPE: &str = "application/problem+json";

/// Prefix of every type URI.
pub const TYPE_PREFIX: &str = "https://jit-ssh.dev/problems/";

/// A problem document.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Problem {
    /// [`TYPE_PREFIX`] and [`Kind::name`].
    #[serde(rename = "type")]
    pub type_uri: String,
    /// Short, the same for every occurrence.
    pub title: String,
    /// HTTP status.
    pub status: u16,
    /// What happened, for a person.
    pub detail: String,
    /// What to do next, for a person.
    pub next: String,
    /// Request id, as the CA's log has it.
    #[serde(default)]
    pub request_id: String,
    /// The rule of the policy that refused, for [`Kind::Refused`].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rule: Option<String>,
    /// The CA's clock in seconds since 1970-01-01 UTC, for [`Kind::ProofTime`].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub time: Option<u64>,
    /// Seconds to wait before trying again, for [`Kind::TooMany`] and [`Kind::Unavailable`].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub retry_after: Option<u64>,
    /// Epoch and name that proofs must carry, for [`Kind::ProofContext`].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expected: Option<Expected>,
}

/// What a proof should have named.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Expected {
    /// The CA's name.
    pub name: String,
    /// The CA's epoch.
    pub epoch: u64,
}

impl Problem {
    /// The kind behind `type`, if this build knows it.
    pub fn kind(&self) -> Option<Kind> {
        let name = self.type_uri.strip_prefix(TYPE_PREFIX)?;
        Kind::ALL.iter().copied().find(|kind| kind.name() == name)
    }
}

macro_rules! kinds {
    ($($(#[$doc:meta])* $variant:ident = $name:literal, $status:literal, $title:literal;)+) => {
        /// Every kind of refusal. What a client should do stands beside each.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        pub enum Kind { $($(#[$doc])* $variant,)+ }

        impl Kind {
            /// All kinds, in the order of the documentation.
            pub const ALL: &'static [Kind] = &[$(Kind::$variant,)+];

            /// Last segment of the type URI.
            pub fn name(self) -> &'static str {
                match self { $(Kind::$variant => $name,)+ }
            }

            /// HTTP status that goes with it.
            pub fn status(self) -> u16 {
                match self { $(Kind::$variant => $status,)+ }
            }

            /// Fixed title.
            pub fn title(self) -> &'static str {
                match self { $(Kind::$variant => $title,)+ }
            }
        }
    };
}

kinds! {
    /// The request is not understood; do not repeat it unchanged.
    BadRequest = "bad-request", 400, "The request is malformed";
    /// No proof of possession, or one that does not verify.
    ProofMissing = "proof-missing", 401, "A proof of possession is required";
    /// The proof does not verify, or was used before.
    ProofInvalid = "proof-invalid", 401, "The proof of possession does not hold";
    /// The proof's time is more than 60 s off: correct by `time` once, and say that the clock is wrong.
    ProofTime = "proof-time", 401, "The proof's time is too far from the CA's";
    /// The proof names another CA or epoch: fetch discovery again, check the pin, retry once.
    ProofContext = "proof-context", 401, "The proof is for another CA or epoch";
    /// The ID token is refused: sign in again.
    TokenRefused = "token-refused", 401, "The ID token is not accepted";
    /// No live login for this key: sign in again.
    LoginEnded = "login-ended", 401, "There is no live login for this key";
    /// No living host has this key as its first one: enrol, with an invitation.
    HostUnknown = "host-unknown", 401, "There is no living host with this key";
    /// The identity is too old: send a refreshed token, or sign in again.
    IdentityStale = "identity-stale", 401, "A fresh ID token is needed";
    /// The key is of a kind that is not certified.
    KeyRefused = "key-refused", 400, "This public key is not accepted";
    /// Policy says no; `rule` names the first rule against it.
    Refused = "refused", 403, "The policy does not allow this";
    /// The invitation is unknown, over, used up, or not for this host: ask for another one.
    InvitationRefused = "invitation-refused", 403, "The invitation does not count for this";
    /// The caller lacks the right for this route.
    Forbidden = "forbidden", 403, "This needs a right that you do not have";
    /// No such thing.
    NotFound = "not-found", 404, "Not found";
    /// The route exists with other methods.
    MethodNotAllowed = "method-not-allowed", 405, "Method not allowed";
    /// The request took too long to arrive.
    Timeout = "timeout", 408, "The request took too long";
    /// It already exists, or another request was first.
    Conflict = "conflict", 409, "This is in conflict with what is there";
    /// Smaller body, please.
    TooLarge = "too-large", 413, "The request is too large";
    /// `Content-Type: application/json` is needed.
    MediaType = "media-type", 415, "The content type is not supported";
    /// Wait `retry_after` seconds.
    TooMany = "too-many", 429, "Too many requests";
    /// A fault of ours: the request id leads to it in the log.
    Internal = "internal", 500, "The CA failed";
    /// The issuer cannot be reached by the CA: wait and retry.
    IssuerUnavailable = "issuer-unavailable", 503, "The identity provider cannot be reached";
    /// The CA cannot issue now (disk, ledger, keys): wait and retry.
    Unavailable = "unavailable", 503, "The CA cannot issue at the moment";
}
