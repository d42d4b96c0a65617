//! What a host must hold to trust a CA: the plan, from names to exact file contents. Pure.
//!
//! In: the verified key set of the CA, and which account admits which roles. Out: the bytes of
//! `user_ca.pub`, of one principals file for each account, and of the lines for sshd. Keeps
//! invariant 6 on the host: nothing is a principal unless it has the one small charset, and none
//! can ever equal an account (A34, A58).

pub(crate) mod ca_keys;
pub(crate) mod principals;
pub(crate) mod sshd_lines;

pub(crate) use ca_keys::CaKeys;
pub(crate) use jit_ssh_api::principal::AccountName;
pub(crate) use principals::Admission;
