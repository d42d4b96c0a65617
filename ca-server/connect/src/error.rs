//! What can go wrong between a program and the CA, by who must act, and what a person is told.

use std::path::PathBuf;

use jit_ssh_api::key_set::KeySetError;
use jit_ssh_api::problem::{Kind, Problem};
use jit_ssh_terminal::{Exit, Failure};

use crate::signed::SignError;

/// Why a call did not succeed.
#[derive(Debug, thiserror::Error)]
pub enum ConnectError {
    /// The person: not an address of a CA.
    #[error("`{url}` is not the address of a CA: {why}")]
    Url {
        /// What was given.
        url: String,
        /// What is wrong with it.
        why: &'static str,
    },
    /// The person: the fingerprint is not one.
    #[error("`{0}` is not a fingerprint")]
    Fingerprint(String),
    /// The person: nothing vouches for the CA at first contact.
    #[error("nothing vouches for the CA at {url}")]
    NothingVouches {
        /// The CA.
        url: String,
    },
    /// The network: nobody answers.
    #[error("{url} cannot be reached: {cause}")]
    Unreachable {
        /// Whom we called.
        url: String,
        /// In the network's words.
        cause: String,
    },
    /// TLS does not prove that this is the CA.
    #[error("the TLS certificate of {url} is not trusted: {cause}")]
    Tls {
        /// Whom we called.
        url: String,
        /// In rustls' words.
        cause: String,
    },
    /// The key set is not the pinned CA's.
    #[error(transparent)]
    KeySet(#[from] KeySetError),
    /// The key set is older than one that was seen.
    #[error("the CA shows key set {shown:?}, but {seen:?} was seen before (epoch, number)")]
    Rollback {
        /// Epoch and number shown.
        shown: (u64, u64),
        /// Epoch and number seen before.
        seen: (u64, u64),
    },
    /// The pinned CA calls itself something else.
    #[error("the CA calls itself {shown}, but it is pinned as {pinned}")]
    OtherName {
        /// What it says now.
        shown: String,
        /// What it said when it was pinned.
        pinned: String,
    },
    /// Whoever answers is no CA of this version.
    #[error("{url} does not answer as a jit-ssh CA: {why}")]
    NotACa {
        /// Whom we called.
        url: String,
        /// What is wrong with the answer.
        why: String,
    },
    /// The CA refuses.
    #[error("{}", .0.detail)]
    Problem(Box<Problem>),
    /// The login key does not sign.
    #[error(transparent)]
    Sign(#[from] SignError),
    /// An extra CA file cannot be read.
    #[error("the CA file {} cannot be used: {cause}", path.display())]
    CaFile {
        /// The file.
        path: PathBuf,
        /// Why.
        cause: String,
    },
    /// The TLS library refuses our settings.
    #[error("the HTTP client cannot be made: {0}")]
    Client(String),
    /// The operating system gives no runtime.
    #[error("no runtime: {0}")]
    Runtime(std::io::Error),
}

impl ConnectError {
    /// The kind of the CA's refusal, if it is one.
    pub fn kind(&self) -> Option<Kind> {
        match self {
            ConnectError::Problem(problem) => problem.kind(),
            _ => None,
        }
    }
}

impl From<ConnectError> for Failure {
    fn from(error: ConnectError) -> Self {
        let what = sentence(&error.to_string());
        match error {
            ConnectError::Url { .. } => Failure::usage(what)
                .next("Give it as `https://ca.example.com`, without a path."),
            ConnectError::Fingerprint(_) => Failure::usage(what).next(
                "Copy the whole of it: `SHA256:` and 43 characters. \
                 `jit-ssh-ca key list` on the CA shows it.",
            ),
            ConnectError::NothingVouches { .. } => Failure::usage(what)
                .why("Without TLS, only the fingerprint of its identity key can.")
                .next("Add `--fingerprint SHA256:…`; `jit-ssh-ca key list` on the CA shows it."),
            ConnectError::Unreachable { url, cause } => {
                Failure::new(Exit::Unreachable, format_args!("{url} cannot be reached."))
                    .why(cause)
                    .next(
                        "Check the address, and that this machine may go there \
                         (HTTPS_PROXY and NO_PROXY are honoured); then try again.",
                    )
            }
            ConnectError::Tls { url, cause } => {
                Failure::failed(format_args!("The TLS certificate of {url} is not trusted."))
                    .why(cause)
                    .next(
                        "If a CA of your company signs it: `--ca-file FILE`, or JIT_SSH_CA_FILE. \
                         If the jit-ssh CA made it itself: `--fingerprint SHA256:…`.",
                    )
            }
            ConnectError::KeySet(KeySetError::OtherIdentity { shown, pinned }) => {
                Failure::failed("This is not the CA that is pinned.")
                    .why(format_args!("It shows the identity key {shown}; {pinned} is pinned."))
                    .next(
                        "Do not go on. Ask whoever runs the CA whether its identity key was \
                         replaced, and what its fingerprint is now.",
                    )
            }
            ConnectError::KeySet(_) => Failure::failed(what)
                .next("Do not go on. Tell whoever runs the CA; `jit-ssh-ca doctor` there looks at it."),
            ConnectError::Rollback { .. } => Failure::failed("The CA shows an older key set than before.")
                .why(what)
                .next("Tell whoever runs the CA: after a restore, `jit-ssh-ca restore` starts a new epoch."),
            ConnectError::OtherName { .. } => Failure::failed("The CA has another name than before.")
                .why(what)
                .next("Ask whoever runs the CA. If it was renamed: `jit-ssh logout --forget`, then `jit-ssh login --ca URL --fingerprint SHA256:…`."),
            ConnectError::NotACa { .. } => Failure::failed(what)
                .next("Check the address; a proxy or a login page in between may have answered."),
            ConnectError::Problem(problem) => refused(&problem),
            ConnectError::Sign(_) => Failure::new(Exit::NotSignedIn, what)
                .next("Sign in again: `jit-ssh login`."),
            ConnectError::CaFile { .. } => Failure::usage(what)
                .next("Give a file of PEM certificates that this account can read."),
            ConnectError::Client(_) | ConnectError::Runtime(_) => {
                Failure::failed(what).next("Report it, with the output of `--version`.")
            }
        }
    }
}

fn refused(problem: &Problem) -> Failure {
    let exit = match problem.kind() {
        Some(Kind::Refused | Kind::Forbidden | Kind::InvitationRefused | Kind::HostUnknown) => {
            Exit::Refused
        }
        Some(Kind::LoginEnded | Kind::TokenRefused | Kind::IdentityStale) => Exit::NotSignedIn,
        Some(Kind::Timeout | Kind::TooMany | Kind::IssuerUnavailable | Kind::Unavailable) => {
            Exit::Unreachable
        }
        Some(
            Kind::BadRequest
            | Kind::ProofMissing
            | Kind::ProofInvalid
            | Kind::ProofTime
            | Kind::ProofContext
            | Kind::KeyRefused
            | Kind::NotFound
            | Kind::MethodNotAllowed
            | Kind::Conflict
            | Kind::TooLarge
            | Kind::MediaType
            | Kind::Internal,
        )
        | None => Exit::Failed,
    };
    let mut failure = Failure::new(exit, sentence(&problem.detail));
    if !problem.next.is_empty() {
        failure = failure.next(sentence(&problem.next));
    }
    if let Some(seconds) = problem.retry_after {
        failure = failure.next(format_args!("Try again in {seconds} seconds."));
    }
    if problem.kind() == Some(Kind::Internal) {
        failure = failure.why(format_args!(
            "Request {} in the CA's log.",
            problem.request_id
        ));
    }
    failure = failure
        .detail("request_id", &problem.request_id)
        .detail("type", &problem.type_uri);
    match &problem.rule {
        Some(rule) => failure.detail("rule", rule),
        None => failure,
    }
}

/// A capital at the start, a full stop at the end.
fn sentence(text: &str) -> String {
    let text = text.trim();
    let mut characters = text.chars();
    let Some(first) = characters.next() else {
        return String::new();
    };
    let stop = if text.ends_with(['.', '!', '?', ':', '`']) {
        ""
    } else {
        "."
    };
    format!("{}{}{stop}", first.to_uppercase(), characters.as_str())
}
