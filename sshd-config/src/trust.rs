//! What a host must hold to trust a CA: the plan, from names to exact file contents. Pure.
//!
//! In: the verified key set of the CA, which account admits which roles, what is revoked, and the
//! host's own certificates. Out: the bytes of `user_ca.pub`, of one principals file for each account, of
//! the revocation list, and of the lines for sshd. Keeps
//! invariant 6 on the host: nothing is a principal unless it has the one small charset, and none
//! can ever equal an account (A34, A58).

pub(crate) mod ca_keys;
pub(crate) mod host_certificate;
pub(crate) mod krl;
pub(crate) mod principals;
pub(crate) mod sshd_lines;

pub(crate) use ca_keys::CaKeys;
pub(crate) use host_certificate::HostCertificate;
pub(crate) use jit_ssh_api::principal::AccountName;
pub(crate) use krl::Krl;
pub(crate) use principals::Admission;
