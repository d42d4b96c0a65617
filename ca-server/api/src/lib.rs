//! What crosses the wire between `jit-ssh-ca` and everything that calls it. Pure: no I/O, no clock.
//!
//! | route | request | answer |
//! |---|---|---|
//! | `GET /.well-known/jit-ssh` | – | [`discovery::Discovery`] |
//! | `GET /v1/trust/user-ca` | – | `TrustedUserCAKeys` lines, with an `ETag` |
//! | `POST /v1/certificates` | [`issue::CertificateRequest`] | [`issue::CertificateAnswer`] |
//! | `GET /v1/logins/self` | – | [`login::Login`] |
//! | `DELETE /v1/logins/self` | – | [`login::Ended`] |
//! | `DELETE /v1/logins` | – | [`login::EndedAll`] |
//! | `POST /v1/admin/revocations` | [`revocation::RevocationRequest`] | [`revocation::Revocation`] |
//! | `POST /v1/admin/unlock` | [`revocation::UnlockRequest`] | [`revocation::Locks`] |
//! | `GET /v1/admin/locks` | – | [`revocation::Locks`] |
//! | `GET /v1/admin/receipts` | [`revocation::ReceiptsQuery`] | [`revocation::Receipts`] |
//! | `POST /v1/sign-ins` | [`sign_in::SignInRequest`] | [`sign_in::SignInAnswer`] |
//! | `GET /v1/roles` | – | [`role::RolesAnswer`] |
//! | `GET /v1/admin/audit` | [`admin::AuditQuery`] | [`admin::AuditPage`] |
//! | `GET /v1/admin/logins` | [`admin::LoginQuery`] | [`admin::LoginList`] |
//! | `DELETE /v1/admin/logins/{id}` | – | [`login::Ended`] |
//! | `DELETE /v1/admin/names` | [`admin::Name`] | [`admin::Name`] |
//! | `GET /v1/admin/policy` | – | [`admin::PolicyText`] |
//! | `POST /v1/admin/policy/explain` | [`admin::ExplainRequest`] | [`admin::Explanation`] |
//! | `GET /v1/admin/keys` | – | [`key_set::SignedKeySet`] |
//! | `POST /v1/admin/invitations` | [`host::InvitationRequest`] | [`host::Invitation`] |
//! | `GET /v1/admin/invitations` | – | [`host::InvitationList`] |
//! | `DELETE /v1/admin/invitations/{id}` | – | [`host::Withdrawn`] |
//! | `POST /v1/hosts` | [`host::EnrolmentRequest`] | [`host::Enrolment`] |
//! | `GET /v1/hosts` | – | [`host::Reachable`] |
//! | `POST /v1/hosts/self/certificates` | [`host::HostRenewal`] | [`host::HostCertificates`] |
//! | `GET /v1/hosts/self/bundle` | [`host::BundleQuery`] | [`bundle::SignedBundle`] |
//! | `POST /v1/hosts/self/report` | [`host::HostReport`] | [`host::HostReport`] |
//! | `GET /v1/admin/hosts` | [`host::HostQuery`] | [`host::HostList`] |
//! | `GET /v1/admin/hosts/{id}` | – | [`host::Host`] |
//! | `DELETE /v1/admin/hosts/{id}` | – | [`revocation::Revocation`] |
//! | `POST /v1/admin/hosts/{id}/labels` | [`host::LabelsRequest`] | [`host::Host`] |
//! | `POST /v1/admin/backup` (socket only) | [`admin::BackupRequest`] | [`admin::BackupAnswer`] |
//!
//! Every refusal is a [`problem::Problem`] (RFC 9457). Requests with unknown fields are refused;
//! readers ignore unknown fields in answers, so that a newer CA can say more.

pub mod admin;
pub mod binding;
pub mod bundle;
pub mod discovery;
mod hex;
pub mod host;
pub mod host_pattern;
pub mod issue;
pub mod key_set;
pub mod login;
pub mod principal;
pub mod problem;
pub mod proof;
pub mod reserved;
pub mod revocation;
pub mod role;
pub mod sign_in;

pub use hex::hex;

/// Version of this API, as [`discovery::Discovery::api_version`] carries it.
pub const API_VERSION: u32 = 1;

/// Largest ID token that anybody sends or takes, in bytes (Entra with 200 group GUIDs is 10 KiB).
pub const MAX_TOKEN_BYTES: usize = 16 * 1024;
