//! What the CA sent, checked before it is kept (A44): the certificate is for our key, of the role
//! that was asked, not longer than the role allows, for one role's principals, with no option but
//! those that a CA of ours issues, and signed by a key that the pinned identity key vouches for.

use jit_ssh_api::issue::CertificateAnswer;
use jit_ssh_api::principal::Principal;
use jit_ssh_api::role::RolesAnswer;
use jit_ssh_terminal::Failure;

use crate::certificate::{
    ACCESS_UNTIL_EXTENSION, Certificate, CertificateError, LOGIN_EXTENSION, POLICY_EXTENSION,
};

/// What the answer must fit.
pub(crate) struct Wanted<'a> {
    /// Blob of the key that was to be certified.
    pub(crate) key: &'a [u8],
    /// The role, if one was named.
    pub(crate) role: Option<&'a str>,
    /// The account, if one was named.
    pub(crate) account: Option<&'a str>,
    /// Roles that the CA told before: they hold where the answer has none.
    pub(crate) roles: &'a RolesAnswer,
    /// Blobs of the user CA keys of the verified key set.
    pub(crate) ca_keys: &'a [Vec<u8>],
    /// The CA's time, seconds since 1970-01-01 UTC.
    pub(crate) now: u64,
}

/// Why a certificate is not taken.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum AnswerError {
    /// Not readable.
    #[error(transparent)]
    Form(#[from] CertificateError),
    /// Not our key.
    #[error("it is for another key than ours")]
    OtherKey,
    /// Not a user certificate.
    #[error("it is not a user certificate")]
    Kind,
    /// Not the role.
    #[error("it is for another role than asked")]
    OtherRole,
    /// The role does not open the account.
    #[error("its role does not open the account that was asked")]
    OtherAccount,
    /// Principals of something else, or none at all (A33).
    #[error("its principals are not those of its role")]
    Principals,
    /// Not valid now, or for longer than the role allows.
    #[error("its validity is not what the role allows")]
    Validity,
    /// An option that no role can name and no CA of ours issues.
    #[error("it has an option that a jit-ssh CA does not issue: {0:?}")]
    Option(String),
    /// Signed by a key that is not in the key set.
    #[error("it is signed by a key that the CA's identity key does not vouch for")]
    Signer,
    /// The signature does not verify.
    #[error("its signature is wrong")]
    Signature,
    /// The text beside the certificate says something else.
    #[error("the answer and the certificate in it differ")]
    Differs,
}

impl From<AnswerError> for Failure {
    fn from(error: AnswerError) -> Self {
        Failure::failed("The CA sent a certificate that is not kept.")
            .why(format_args!("{error}."))
            .next("Tell whoever runs the CA: this must not happen.")
    }
}

/// Checks everything; the certificate comes out read.
pub(crate) fn check(
    answer: &CertificateAnswer,
    wanted: &Wanted<'_>,
) -> Result<Certificate, AnswerError> {
    // What is kept is the text: one certificate, and nothing beside it that nobody looked at.
    if answer.certificate.trim().lines().count() != 1 {
        return Err(CertificateError::Line.into());
    }
    let certificate = Certificate::parse(&answer.certificate)?;
    if certificate.public_key != wanted.key {
        return Err(AnswerError::OtherKey);
    }
    if certificate.kind != USER {
        return Err(AnswerError::Kind);
    }
    let role = certificate.role().ok_or(AnswerError::OtherRole)?;
    if role != answer.role || wanted.role.is_some_and(|wanted| wanted != role) {
        return Err(AnswerError::OtherRole);
    }
    let roles = answer.roles.as_ref().unwrap_or(wanted.roles);
    let described = roles
        .roles
        .iter()
        .find(|described| described.name == role)
        .ok_or(AnswerError::OtherRole)?;
    if let Some(account) = wanted.account
        && !described.accounts.iter().any(|opened| opened == account)
    {
        return Err(AnswerError::OtherAccount);
    }
    check_principals(&certificate.principals, role, &described.accounts)?;
    if certificate.principals != answer.principals
        || certificate.valid_before != answer.valid_before
        || certificate.serial.to_string() != answer.serial
    {
        return Err(AnswerError::Differs);
    }
    let longest = wanted.now.saturating_add(described.max_validity);
    if certificate.valid_before > longest.saturating_add(SLACK)
        || certificate.valid_before <= wanted.now
        || certificate.valid_after > wanted.now.saturating_add(SLACK)
    {
        return Err(AnswerError::Validity);
    }
    for (name, _) in &certificate.critical_options {
        if name != SOURCE_ADDRESS {
            return Err(AnswerError::Option(name.clone()));
        }
    }
    for (name, _) in &certificate.extensions {
        if !PERMITS.contains(&name.as_str()) && !OURS.contains(&name.as_str()) {
            return Err(AnswerError::Option(name.clone()));
        }
    }
    if !wanted.ca_keys.contains(&certificate.ca_key) {
        return Err(AnswerError::Signer);
    }
    ssh_key::Certificate::from_openssh(&answer.certificate)
        .and_then(|parsed| parsed.verify_signature())
        .map_err(|_| AnswerError::Signature)?;
    Ok(certificate)
}

/// Either all are the role's own (`role:NAME`, `role:NAME+PERSON`), or all are accounts that the
/// role opens.
fn check_principals(
    principals: &[String],
    role: &str,
    accounts: &[String],
) -> Result<(), AnswerError> {
    let of_role = |text: &String| {
        Principal::parse(text).is_ok_and(|principal| principal.of_role() == Some(role))
    };
    let fits = !principals.is_empty()
        && (principals.iter().all(of_role) || principals.iter().all(|p| accounts.contains(p)));
    if fits {
        Ok(())
    } else {
        Err(AnswerError::Principals)
    }
}

const USER: u32 = 1;
/// What clocks and the CA's own rounding may add, in seconds.
const SLACK: u64 = 120;
/// The one critical option that a policy can ask for.
const SOURCE_ADDRESS: &str = "source-address";
/// The extensions that a role can name.
const PERMITS: [&str; 4] = [
    "permit-X11-forwarding",
    "permit-agent-forwarding",
    "permit-port-forwarding",
    "permit-pty",
];
/// What the CA adds of its own: until when, by which login, under which policy.
const OURS: [&str; 3] = [ACCESS_UNTIL_EXTENSION, LOGIN_EXTENSION, POLICY_EXTENSION];

#[cfg(test)]
mod tests {
    use super::*;
    use crate::certificate::blob_of_line;
    use crate::certificate::tests::keygen;
    use jit_ssh_api::login::Login;
    use jit_ssh_api::role::{Role, RolesAnswer};
    use std::path::Path;

    fn answer(at: &Path, sign: &[&str]) -> CertificateAnswer {
        keygen(at, &[&["-q", "-s", "ca"], sign, &["user.pub"]].concat());
        let certificate = std::fs::read_to_string(at.join("user-cert.pub")).unwrap();
        let read = Certificate::parse(&certificate).unwrap();
        let login = Login {
            id: "id".into(),
            issuer: "https://idp".into(),
            client_id: "c".into(),
            subject: "s".into(),
            email: None,
            username: None,
            groups: Vec::new(),
            key: String::new(),
            started: 0,
            ends: 0,
            ended: None,
            identity_fresh_until: 0,
        };
        let role = Role {
            name: "ops".into(),
            description: String::new(),
            accounts: vec!["observer".into()],
            max_validity: 900,
            refused: None,
        };
        CertificateAnswer {
            certificate,
            serial: read.serial.to_string(),
            key_id: read.key_id.clone(),
            role: "ops".into(),
            principals: read.principals.clone(),
            accounts: vec!["observer".into()],
            valid_after: read.valid_after,
            valid_before: read.valid_before,
            login,
            roles: Some(RolesAnswer {
                roles: vec![role],
                ..RolesAnswer::default()
            }),
        }
    }

    #[test]
    fn a_lying_ca_is_found_out() {
        let folder = tempfile::tempdir().unwrap();
        let at = folder.path();
        for name in ["ca", "user", "other"] {
            keygen(at, &["-q", "-t", "ed25519", "-N", "", "-f", name]);
        }
        let blob = |name: &str| {
            blob_of_line(&std::fs::read_to_string(at.join(format!("{name}.pub"))).unwrap()).unwrap()
        };
        let now = jit_ssh_connect::now();
        let (key, ca_keys, other) = (blob("user"), vec![blob("ca")], blob("other"));
        let wanted = Wanted {
            key: &key,
            role: Some("ops"),
            account: Some("observer"),
            roles: &RolesAnswer::default(),
            ca_keys: &ca_keys,
            now,
        };
        let id = ["-I", "ca.example.com/login=x/role=ops"];
        let role = ["-n", "role:ops"];
        let time = ["-V", "-2m:+10m"];
        let plain = ["-O", "clear", "-O", "permit-pty"];
        let good = [&id[..], &role, &time, &plain].concat();
        let good = answer(at, &good);
        check(&good, &wanted).unwrap();

        let refused =
            |arguments: &[&[&str]]| check(&answer(at, &arguments.concat()), &wanted).err();
        assert_eq!(
            refused(&[&id, &time, &plain]),
            Some(AnswerError::Principals)
        );
        for names in [
            "root",
            "role:opsx",
            "role:ops,root",
            "role:admin",
            "role:ops,observer",
            "role:ops+",
            "role:ops+root*",
            "role:ops@host",
        ] {
            let refusal = refused(&[&id, &["-n", names], &time, &plain]);
            assert_eq!(refusal, Some(AnswerError::Principals), "{names}");
        }
        let long = ["-V", "-2m:+1d"];
        assert_eq!(
            refused(&[&id, &role, &long, &plain]),
            Some(AnswerError::Validity)
        );
        let past = ["-V", "-2d:-1d"];
        assert_eq!(
            refused(&[&id, &role, &past, &plain]),
            Some(AnswerError::Validity)
        );
        assert_eq!(refused(&[&id, &role, &plain]), Some(AnswerError::Validity));
        let other_role = ["-I", "ca.example.com/login=x/role=admin"];
        assert_eq!(
            refused(&[&other_role, &role, &time, &plain]),
            Some(AnswerError::OtherRole)
        );
        let refusal = refused(&[&id, &role, &time]);
        assert_eq!(refusal, Some(AnswerError::Option("permit-user-rc".into())));
        // Each option that a CA of ours never issues, the restricting ones too: it is not the grant's.
        for (foreign, name) in [
            ("force-command=id", "force-command"),
            ("verify-required", "verify-required"),
            ("no-touch-required", "no-touch-required"),
            ("permit-user-rc", "permit-user-rc"),
            ("critical:x@example.com=1", "x@example.com"),
            ("critical:login@jit-ssh.dev=1", "login@jit-ssh.dev"),
            ("critical:permit-pty", "permit-pty"),
            ("extension:x@example.com=1", "x@example.com"),
            ("extension:root@jit-ssh.dev=1", "root@jit-ssh.dev"),
            ("extension:@jit-ssh.dev", "@jit-ssh.dev"),
            ("extension:source-address=::/0", "source-address"),
            ("extension:force-command=id", "force-command"),
        ] {
            let refusal = refused(&[&id, &role, &time, &plain, &["-O", foreign]]);
            assert_eq!(refusal, Some(AnswerError::Option(name.into())), "{foreign}");
        }
        for known in [
            "source-address=10.0.0.0/8",
            "permit-X11-forwarding",
            "permit-agent-forwarding",
            "permit-port-forwarding",
            "extension:access-until@jit-ssh.dev=1",
            "extension:login@jit-ssh.dev=1",
            "extension:policy@jit-ssh.dev=1",
        ] {
            let refusal = refused(&[&id, &role, &time, &plain, &["-O", known]]);
            assert_eq!(refusal, None, "{known}");
        }
        assert_eq!(
            refused(&[&["-h"], &id, &role, &time]),
            Some(AnswerError::Kind)
        );

        let mut two_lines = good.clone();
        two_lines.certificate.push_str("ssh-ed25519 AAAA another\n");
        assert_eq!(
            check(&two_lines, &wanted),
            Err(AnswerError::Form(CertificateError::Line))
        );

        let other_key = Wanted {
            key: &other,
            ..wanted
        };
        assert_eq!(check(&good, &other_key), Err(AnswerError::OtherKey));
        let others = vec![other.clone()];
        let other_ca = Wanted {
            ca_keys: &others,
            key: &key,
            ..wanted
        };
        assert_eq!(check(&good, &other_ca), Err(AnswerError::Signer));
        let other_account = Wanted {
            account: Some("root"),
            key: &key,
            ca_keys: &ca_keys,
            ..wanted
        };
        assert_eq!(check(&good, &other_account), Err(AnswerError::OtherAccount));
        // Without roles, those told before count, and no others.
        let mut without = good.clone();
        let roles = without.roles.take().unwrap();
        assert_eq!(check(&without, &wanted), Err(AnswerError::OtherRole));
        let known = Wanted {
            roles: &roles,
            ..wanted
        };
        check(&without, &known).unwrap();
        let other_account = Wanted {
            account: Some("root"),
            ..known
        };
        assert_eq!(
            check(&without, &other_account),
            Err(AnswerError::OtherAccount)
        );
        let mut forged = good.clone();
        let line = forged.certificate.clone();
        let at = line.rfind(' ').map_or(line.trim().len(), |at| at) - 6;
        let swap = if line.as_bytes()[at] == b'A' {
            "B"
        } else {
            "A"
        };
        forged.certificate.replace_range(at..=at, swap);
        assert!(matches!(
            check(&forged, &wanted),
            Err(AnswerError::Signature)
        ));
        let mut differs = good;
        differs.valid_before += 1;
        assert_eq!(check(&differs, &wanted), Err(AnswerError::Differs));
    }
}
