//! The two kinds of certificate, as types: what was agreed for one kind is never given to the CA key of
//! the other, since that does not compile (A37).

use std::fmt::Debug;
use std::time::Duration;

use jit_ssh_api::key_set::Purpose;

use super::check::Rules;
use super::{HostTerms, MAX_HOST_VALIDITY, MAX_VALIDITY, UserTerms};

/// A kind of certificate.
pub trait Kind: Copy + Debug + Eq {
    /// What is agreed beyond what both kinds have.
    type Own: Rules + Clone + Debug + Eq;
    /// PROTOCOL.certkeys, `SSH_CERT_TYPE_USER` and `SSH_CERT_TYPE_HOST`.
    const TYPE: u32;
    /// Whose key signs.
    const CA: Purpose;
    /// None is valid for longer from now on, whatever was agreed (A36).
    const LONGEST: Duration;
}

/// A person proves with it to a host who they are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum User {}

/// A host proves with it to a client which host it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Host {}

impl Kind for User {
    type Own = UserTerms;
    const TYPE: u32 = 1;
    const CA: Purpose = Purpose::UserCa;
    const LONGEST: Duration = MAX_VALIDITY;
}

impl Kind for Host {
    type Own = HostTerms;
    const TYPE: u32 = 2;
    const CA: Purpose = Purpose::HostCa;
    const LONGEST: Duration = MAX_HOST_VALIDITY;
}
