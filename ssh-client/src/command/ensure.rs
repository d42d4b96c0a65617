//! `ensure --host H --account A`: makes sure that `…/ACCOUNT@HOST-cert.pub` is a certificate that
//! can be used now. `ssh` runs it for every hop, under `ssh -G`, many at once: with a valid
//! certificate it reads three files and is done, silent, without runtime or network. Else it renews
//! without a browser, under the lock of the CA's files; only then, and only where somebody can
//! answer, it signs in: once for all that wait, and without that lock, so that `ssh -G`, batch jobs
//! and `logout` never wait for somebody else's browser. It ends with an error where there is no
//! certificate, so that ssh's block does not match and everything else stays the person's own.

use jit_ssh_api::host::HostRole;
use jit_ssh_api::role::RolesAnswer;
use jit_ssh_terminal::{Exit, Failure, Terminal};

use crate::ca::{self, Ca};
use crate::certificate::Certificate;
use crate::cli::Ensure;
use crate::command::hosts::refresh_in_background;
use crate::command::ssh_config::refresh_include;
use crate::fleet;
use crate::key::{KeyError, LoginKey};
use crate::renew::{self, Ask, RenewError};
use crate::sign_in::{self, SignIn, Turn};
use crate::state::{self, CaFiles, Home, KeyPlace, LoginState, Plain};
use jit_ssh_connect::agent::Agent;

mod caller;

use caller::Caller;

/// Makes sure. Tools that only ask for the configuration want no words, whatever is wrong.
pub(crate) fn run(arguments: &Ensure, terminal: &mut Terminal) -> Result<(), Failure> {
    make_sure(arguments, terminal).map_err(|failure| {
        if Caller::find().is_dry() {
            Failure::silent(failure.exit())
        } else {
            failure
        }
    })
}

fn make_sure(arguments: &Ensure, terminal: &mut Terminal) -> Result<(), Failure> {
    let home = Home::find()?;
    let files = match &arguments.which.ca {
        // As the include names it: no need to look at the others.
        Some(name) if !name.contains("://") => home.ca(name)?,
        named => ca::choose(&home, named.as_deref())?,
    };
    let role = arguments.role.as_deref().filter(|role| !role.is_empty());
    let asked = Asked {
        host: arguments.host.to_ascii_lowercase(),
        account: &arguments.account,
        role,
        admitted: None,
    }
    .again(&files);
    let now = jit_ssh_connect::now();
    let login = files.login()?;
    if let Some(login) = &login
        && is_ready(&files, login, &asked, now)
    {
        return Ok(());
    }
    if files.certificate(asked.account, &asked.host).is_none() {
        return Err(Failure::silent(Exit::Failed));
    }
    let caller = Caller::find();
    jit_ssh_connect::block_on(slowly(&home, files, &asked, now, &caller, terminal))?
}

struct Asked<'a> {
    host: String,
    account: &'a str,
    role: Option<&'a str>,
    /// What the host admits, where it is enrolled.
    admitted: Option<Vec<HostRole>>,
}

impl<'a> Asked<'a> {
    /// With what is known of the host now. A file that cannot be read is as good as none.
    fn again(&self, files: &CaFiles) -> Self {
        let hosts = files.fleet_text().ok().flatten();
        Asked {
            host: self.host.clone(),
            account: self.account,
            role: self.role,
            admitted: hosts.and_then(|hosts| fleet::roles_in(&hosts, &self.host)),
        }
    }

    /// Whether the host admits the role for the account, as far as is known.
    fn admits(&self, role: &str) -> bool {
        let serves = |admitted: &HostRole| {
            admitted.role == role && admitted.accounts.iter().any(|name| name == self.account)
        };
        self.admitted
            .as_ref()
            .is_none_or(|list| list.iter().any(serves))
    }
}

/// The role that serves the account: the named one, else the first by the policy's order that the
/// host admits. Where it admits none, the list may be old, and the host has the last word.
fn pick_role<'a>(roles: &'a RolesAnswer, asked: &Asked<'_>) -> Option<&'a str> {
    let serving = || {
        roles
            .roles
            .iter()
            .filter(|role| role.refused.is_none())
            .filter(|role| asked.role.is_none_or(|named| named == role.name))
            .filter(|role| role.accounts.iter().any(|account| account == asked.account))
            .map(|role| role.name.as_str())
    };
    serving()
        .find(|role| asked.admits(role))
        .or_else(|| serving().next())
}

/// Everything from files: the login lives, its key is there, the certificate is for this key and
/// role, and not about to end.
fn is_ready(files: &CaFiles, login: &LoginState, asked: &Asked<'_>, now: u64) -> bool {
    let now = now.saturating_add_signed(login.skew);
    let Some(role) = pick_role(&login.roles, asked) else {
        return false;
    };
    let Some(path) = files.certificate(asked.account, &asked.host) else {
        return false;
    };
    if login.login.ended.is_some() || login.login.ends <= now || !key_is_there(files, login) {
        return false;
    }
    let key = renew::certified_blob(login);
    let usable = |line: &str| {
        Certificate::parse(line).is_ok_and(|certificate| {
            certificate.is_fresh(now)
                && certificate.role() == Some(role)
                && Some(&certificate.public_key) == key.as_ref()
        })
    };
    let read = |path: &std::path::Path| state::read_to_string(path).ok().flatten();
    if read(&path).is_some_and(|line| usable(&line)) {
        return true;
    }
    // The same role was used for another host.
    let Some(line) = files
        .role_certificate(role)
        .and_then(|path| read(&path))
        .filter(|line| usable(line))
    else {
        return false;
    };
    state::place(&path, &line).is_ok()
}

/// After a reboot the agent is empty; then there is no use in the certificate.
fn key_is_there(files: &CaFiles, login: &LoginState) -> bool {
    if login.named_key.is_some() {
        return true;
    }
    match &login.key {
        KeyPlace::File => files.key().exists(),
        KeyPlace::Agent { address } => {
            let blob = crate::certificate::blob_of_line(&login.public_key);
            let held = Agent::at(address).and_then(|mut agent| match &blob {
                Some(blob) => agent.holds_blob(blob),
                None => Ok(false),
            });
            held.unwrap_or(false)
        }
    }
}

async fn slowly(
    home: &Home,
    files: CaFiles,
    asked: &Asked<'_>,
    started: u64,
    caller: &Caller,
    terminal: &mut Terminal,
) -> Result<(), Failure> {
    let seen = match silently(home, &files, asked, caller, terminal).await? {
        Silently::Ready => return Ok(()),
        Silently::SignIn(seen) => seen,
    };
    let to_type = |why: String| {
        let command = sign_in::command_to_type(&files.name, home.cas().len() > 1);
        let what = format!("You have to sign in at {} for {}.", files.name, asked.host);
        Err(Failure::new(Exit::NotSignedIn, what)
            .why(why)
            .next(format_args!("Type `{command}`.")))
    };
    let given_up = || files.failed_sign_in().is_some_and(|at| at >= started);
    if !caller.may_be_asked() || given_up() {
        return to_type(seen.why);
    }
    // One browser for all: who waited finds the work done, or that it came to nothing, even where
    // the other shell died of it without a word.
    let (_turn, waited) = match sign_in::turn(&files, caller.terminal, terminal)? {
        Turn::Free(turn) => (turn, false),
        Turn::After(turn) => (turn, true),
        Turn::Taken => return to_type("another shell is signing in".to_owned()),
    };
    let same = files.login()?.map(|login| login.login.id) == seen.login;
    let seen = if same {
        seen
    } else {
        match silently(home, &files, asked, caller, terminal).await? {
            Silently::Ready => return Ok(()),
            Silently::SignIn(seen) => seen,
        }
    };
    if (waited && same) || given_up() {
        return to_type(seen.why);
    }
    let mut ca = Ca::open(files.clone())?;
    // As the last time: the same identity provider, the key that the person named.
    let plain = files.plain()?;
    let others_agent = plain.as_ref().and_then(Plain::others_agent);
    let (issuer, named_key) = match plain {
        Some(plain) => (Some(plain.issuer), plain.named_key),
        None => (None, None),
    };
    let known = |issuer: &String| {
        let issuers = &ca.pin.discovery.issuers;
        issuers.iter().any(|known| known.issuer == *issuer)
    };
    let wanted = SignIn {
        issuer: issuer.filter(known),
        ask: seen.ask,
        key: named_key.map(|named| named.path),
        way: caller.way(),
        ..SignIn::default()
    };
    let signed_in = sign_in::sign_in(&mut ca, &wanted, terminal).await?;
    renew::refresh_hosts(&mut ca, &signed_in.login, terminal).await;
    refresh_include(home);
    signed_in.certificate.map_err(|failure| *failure)?;
    // The ssh that waits read the include as it was, with that agent in it.
    if let Some(error) = others_agent {
        return Err(Failure::failed("You are signed in, but not for this ssh.")
            .why(format_args!("{error}."))
            .next("Type the command again: it leaves that agent alone."));
    }
    place(&files, &asked.again(&files))
}

/// What can be had without the person.
enum Silently {
    /// The certificate is there.
    Ready,
    /// Nothing.
    SignIn(Seen),
}

/// What was found before a sign-in.
struct Seen {
    /// Why there has to be one.
    why: String,
    /// What it is to bring.
    ask: Ask,
    /// Id of the login that does not do.
    login: Option<String>,
}

async fn silently(
    home: &Home,
    files: &CaFiles,
    asked: &Asked<'_>,
    caller: &Caller,
    terminal: &mut Terminal,
) -> Result<Silently, Failure> {
    // One at a time; who waited finds the work done.
    let _lock = files.lock(caller.patience())?;
    let login = files.login()?;
    if let Some(login) = &login
        && is_ready(files, login, asked, jit_ssh_connect::now())
    {
        return Ok(Silently::Ready);
    }
    let ask = Ask {
        role: login
            .as_ref()
            .and_then(|login| pick_role(&login.roles, asked))
            .or(asked.role)
            .map(str::to_owned),
        account: Some(asked.account.to_owned()),
    };
    let id = login.as_ref().map(|login| login.login.id.clone());
    let mut ca = Ca::open(files.clone())?;
    let why = match login {
        None => "nobody is signed in".to_owned(),
        Some(login) => match renewed(&mut ca, login, &ask, terminal).await {
            Ok(()) => {
                refresh_include(home);
                place(files, asked)?;
                refresh_in_background(files);
                return Ok(Silently::Ready);
            }
            Err(RenewError::Failed(failure)) => return Err(*failure),
            Err(RenewError::SignIn(why)) => why,
        },
    };
    let login = id;
    Ok(Silently::SignIn(Seen { why, ask, login }))
}

async fn renewed(
    ca: &mut Ca,
    mut login: LoginState,
    ask: &Ask,
    terminal: &mut Terminal,
) -> Result<(), RenewError> {
    let now = jit_ssh_connect::now().saturating_add_signed(login.skew);
    if login.login.ended.is_some() || login.login.ends <= now {
        renew::remove_dead(&ca.files, now);
        return Err(RenewError::SignIn("the login is over".to_owned()));
    }
    let mut key = match LoginKey::load(&ca.files, &login) {
        Ok(key) => key,
        Err(error @ (KeyError::Gone | KeyError::NoFile)) => {
            return Err(RenewError::SignIn(error.to_string()));
        }
        Err(error) => return Err(error.into()),
    };
    renew::certificate(ca, &mut login, &mut key, ask, terminal).await?;
    Ok(())
}

/// Puts the role's certificate where ssh looks for this account and host.
fn place(files: &CaFiles, asked: &Asked<'_>) -> Result<(), Failure> {
    let login = files.login()?.ok_or_else(ca::not_signed_in)?;
    if is_ready(files, &login, asked, jit_ssh_connect::now()) {
        return Ok(());
    }
    Err(Failure::failed(format_args!(
        "The CA gave a certificate that does not open {}@{}.",
        asked.account, asked.host
    ))
    .next("Look at it: `jit-ssh status`, `jit-ssh roles`."))
}

#[cfg(test)]
mod tests {
    use super::*;
    #[cfg(unix)]
    use std::time::Duration;

    #[test]
    fn the_role_is_the_first_of_the_order_that_opens_the_account() {
        let role = |name: &str, account: &str, refused: bool| jit_ssh_api::role::Role {
            name: name.into(),
            description: String::new(),
            accounts: vec![account.into()],
            max_validity: 60,
            refused: refused.then(|| jit_ssh_api::role::Refused {
                rule: "groups".into(),
                reason: String::new(),
                help: String::new(),
            }),
        };
        let roles = RolesAnswer {
            roles: vec![
                role("refused", "observer", true),
                role("first", "observer", false),
                role("second", "observer", false),
                role("admin", "admin", false),
            ],
            ..RolesAnswer::default()
        };
        let asked = |account, role| Asked {
            host: "h".into(),
            account,
            role,
            admitted: None,
        };
        assert_eq!(pick_role(&roles, &asked("observer", None)), Some("first"));
        assert_eq!(
            pick_role(&roles, &asked("observer", Some("second"))),
            Some("second")
        );
        assert_eq!(pick_role(&roles, &asked("observer", Some("admin"))), None);
        assert_eq!(pick_role(&roles, &asked("admin", None)), Some("admin"));
        assert_eq!(pick_role(&roles, &asked("git", None)), None);
        // A host that is enrolled says which; what the person names comes first.
        let there = |admitted: &str, role| Asked {
            admitted: Some(vec![HostRole {
                role: admitted.into(),
                accounts: vec!["observer".into()],
            }]),
            ..asked("observer", role)
        };
        for (admitted, named, picked) in [
            ("second", None, "second"),
            ("refused", None, "first"),
            ("unknown", None, "first"),
            ("second", Some("first"), "first"),
        ] {
            let picks = pick_role(&roles, &there(admitted, named));
            assert_eq!(picks, Some(picked), "{admitted} {named:?}");
        }
    }

    /// A login whose key is in a file, with a certificate for the role that opens `observer`.
    #[cfg(unix)]
    fn signed_in(at: &std::path::Path, validity: &str) -> (CaFiles, LoginState) {
        use crate::certificate::tests::keygen;
        let files = Home::at(at).ca("ca").unwrap();
        let _lock = files.lock(Duration::ZERO).unwrap();
        let key = files.key();
        let key = key.to_str().unwrap();
        keygen(at, &["-q", "-t", "ed25519", "-N", "", "-f", "ca"]);
        keygen(at, &["-q", "-t", "ed25519", "-N", "", "-f", key]);
        let public = files.public_key();
        let id = [
            "-s",
            "ca",
            "-I",
            "ca/login=x/role=role-observer",
            "-n",
            "role:x",
        ];
        let rest = ["-V", validity, public.to_str().unwrap()];
        keygen(at, &[&["-q"], &id[..], &rest].concat());
        let certificate = state::read_to_string(&files.stable_certificate());
        let certificate = certificate.unwrap().unwrap();
        let role = files.role_certificate("role-observer").unwrap();
        state::place(&role, &certificate).unwrap();
        let mut login = crate::ssh_config::tests::login(&["*.example.com"], &["observer"]);
        login.public_key = state::read_to_string(&public).unwrap().unwrap();
        (files, login)
    }

    #[cfg(unix)]
    #[test]
    fn a_certificate_is_ready_for_every_host_of_its_account_and_for_nothing_else() {
        let base = tempfile::tempdir().unwrap();
        let (files, login) = signed_in(base.path(), "-1m:+10m");
        let now = jit_ssh_connect::now();
        let asked = |host: &str, account| Asked {
            host: host.into(),
            account,
            role: None,
            admitted: None,
        };
        for host in ["db01.example.com", "10.1.2.3", "db01.example.com"] {
            assert!(
                is_ready(&files, &login, &asked(host, "observer"), now),
                "{host}"
            );
            assert!(files.certificate("observer", host).unwrap().exists());
        }
        assert!(!is_ready(&files, &login, &asked("db01", "admin"), now));
        assert!(!is_ready(&files, &login, &asked("../x", "observer"), now));
        assert!(!is_ready(
            &files,
            &login,
            &asked("db01", "observer"),
            now + 595
        ));
        let mut behind = login.clone();
        behind.skew = 3600;
        assert!(!is_ready(&files, &behind, &asked("db01", "observer"), now));
        let mut over = login.clone();
        over.login.ends = now;
        assert!(!is_ready(&files, &over, &asked("db01", "observer"), now));
        let mut ended = login.clone();
        ended.login.ended = Some(now);
        assert!(!is_ready(&files, &ended, &asked("db01", "observer"), now));
        let mut other_key = login.clone();
        other_key.public_key = "ssh-ed25519 AAAA".into();
        assert!(!is_ready(
            &files,
            &other_key,
            &asked("db01", "observer"),
            now
        ));
        state::remove(&files.key()).unwrap();
        assert!(!is_ready(&files, &login, &asked("db01", "observer"), now));
    }

    #[cfg(unix)]
    #[test]
    fn an_emptied_agent_makes_a_certificate_useless() {
        let real = crate::real_agent::RealAgent::start();
        let base = tempfile::tempdir().unwrap();
        let (files, mut login) = signed_in(base.path(), "-1m:+10m");
        let address = real.address();
        login.key = KeyPlace::Agent { address };
        let asked = Asked {
            host: "db01".into(),
            account: "observer",
            role: None,
            admitted: None,
        };
        let now = jit_ssh_connect::now();
        assert!(!is_ready(&files, &login, &asked, now));
        let key = state::read_to_string(&files.key()).unwrap().unwrap();
        let key = ssh_key::PrivateKey::from_openssh(key).unwrap();
        let mut agent = Agent::at(&real.address()).unwrap();
        agent.add(&key, "x", 60).unwrap();
        assert!(is_ready(&files, &login, &asked, now));
        agent.remove(key.public_key()).unwrap();
        assert!(!is_ready(&files, &login, &asked, now));
    }

    #[cfg(unix)]
    #[test]
    fn dead_certificates_do_not_linger_on_the_disk() {
        let base = tempfile::tempdir().unwrap();
        let (files, login) = signed_in(base.path(), "-1m:+10m");
        let now = jit_ssh_connect::now();
        let asked = Asked {
            host: "db01".into(),
            account: "observer",
            role: None,
            admitted: None,
        };
        assert!(is_ready(&files, &login, &asked, now));
        let all = [
            files.certificate("observer", "db01").unwrap(),
            files.role_certificate("role-observer").unwrap(),
            files.stable_certificate(),
        ];
        renew::remove_dead(&files, now);
        assert!(all.iter().all(|path| path.exists()));
        renew::remove_dead(&files, now + 601);
        assert!(!all.iter().any(|path| path.exists()));
    }
}
