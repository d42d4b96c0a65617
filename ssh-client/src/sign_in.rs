//! One sign-in, from a fresh key to the first certificate, in numbered steps. Nothing is kept before
//! the CA opened the login: giving up half-way (Ctrl-C, a closed tab) leaves what was there before.
//! The caller has the turn to sign in; the lock of the CA's files is taken once the person is done.

use std::path::PathBuf;
use std::time::Duration;

use jit_ssh_api::binding::{self, Salt};
use jit_ssh_api::discovery::{Client, Flow, Issuer};
use jit_ssh_api::issue::{CertificateAnswer, CertificateRequest, OpenLogin};
use jit_ssh_api::login::Login;
use jit_ssh_api::problem::Kind;
use jit_ssh_api::role::RolesAnswer;
use jit_ssh_api::sign_in::{SignInAnswer, SignInRequest};
use jit_ssh_connect::{ConnectError, Request, SignProof};
use jit_ssh_terminal::{Failure, Terminal};
use rand::RngCore as _;
use rand::rngs::OsRng;
use ssh_key::PrivateKey;

use crate::ca::Ca;
use crate::certificate::Certificate;
use crate::key::{self, KeyError, LoginKey};
use crate::keyring;
use crate::oidc::loopback::Loopback;
use crate::oidc::{Metadata, OidcError, Tokens, Transaction, browser, paste, safe_url};
use crate::platform;
use crate::renew::{self, Ask};
use crate::state::{
    self, CaFiles, Lock, LoginState, NamedKeyState, Renewal, StateError, TokenPlace,
};
use jit_ssh_connect::agent::{Agent, AgentError};

/// What the person wants of a sign-in.
#[derive(Clone, Debug, Default)]
pub(crate) struct SignIn {
    /// Issuer or its label, where the CA knows several.
    pub(crate) issuer: Option<String>,
    /// What the first certificate is for.
    pub(crate) ask: Ask,
    /// Another key to certify.
    pub(crate) key: Option<PathBuf>,
    /// How the answer comes back.
    pub(crate) way: Way,
    /// Where the login key goes.
    pub(crate) store: KeyStore,
}

/// How the browser's answer comes back.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Way {
    /// To a listener on this machine.
    #[default]
    Browser,
    /// Pasted by the person.
    Paste,
}

/// Where the login key goes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum KeyStore {
    /// The agent if it proves usable, else a file.
    #[default]
    AgentIfUsable,
    /// A file.
    File,
}

/// What came of it.
pub(crate) struct SignedIn {
    /// The login, kept.
    pub(crate) login: LoginState,
    /// The first certificate, or why the policy gives none.
    pub(crate) certificate: Result<Certificate, Box<Failure>>,
    /// Why the key is not in the agent.
    pub(crate) no_agent: Option<AgentError>,
}

/// The turn to send the person to a browser: one shell at a time has it.
pub(crate) enum Turn {
    /// At once.
    Free(Lock),
    /// After another shell, whose sign-in worked or came to nothing.
    After(Lock),
    /// Another shell has it for longer than a browser may take.
    Taken,
}

/// Waits for the turn; without a limit where somebody watches, who can give up.
pub(crate) fn turn(
    files: &CaFiles,
    watched: bool,
    terminal: &mut Terminal,
) -> Result<Turn, StateError> {
    if let Some(turn) = files.turn()? {
        return Ok(Turn::Free(turn));
    }
    if watched {
        terminal.note(format_args!(
            "Another shell is signing in at {}; waiting for it (Ctrl-C gives up).",
            files.name
        ));
    }
    match files.wait_for_turn((!watched).then_some(PATIENCE)) {
        Ok(turn) => Ok(Turn::After(turn)),
        Err(StateError::Busy(_)) => Ok(Turn::Taken),
        Err(error) => Err(error),
    }
}

/// Signs in. What comes to nothing is noted: others that wait for their turn must not open one
/// browser after the other.
pub(crate) async fn sign_in(
    ca: &mut Ca,
    wanted: &SignIn,
    terminal: &mut Terminal,
) -> Result<SignedIn, Failure> {
    let signed_in = in_steps(ca, wanted, terminal).await;
    if signed_in.is_err() {
        ca.files.note_failed_sign_in(jit_ssh_connect::now())?;
    }
    signed_in
}

async fn in_steps(
    ca: &mut Ca,
    wanted: &SignIn,
    terminal: &mut Terminal,
) -> Result<SignedIn, Failure> {
    // 1. Who is asked, and by which client.
    let issuer = choose_issuer(&ca.pin.discovery.issuers, wanted.issuer.as_deref())?.clone();
    let (client, flow) = choose_client(&issuer, wanted.way)?;
    // 2. A fresh key, a salt, and the nonce that binds the token to it (A12).
    let fresh = LoginKey::make(ca.pin.discovery.profile, &mut OsRng)?;
    let named = wanted.key.as_deref().map(key::named_public).transpose()?;
    let mut salt = [0; 32];
    OsRng.fill_bytes(&mut salt);
    let salt = Salt::new(salt);
    let blob = fresh.public_key().to_bytes().map_err(KeyError::from)?;
    let nonce = match &named {
        None => binding::nonce(&blob, &salt),
        Some((_, public)) => {
            let named = public.to_bytes().map_err(KeyError::from)?;
            binding::nonce_with_named_key(&blob, &named, &salt)
        }
    };
    // 3. The named key signs once, before anybody is sent to a browser in vain.
    let certified_key = named
        .as_ref()
        .map(|(path, public)| key::named_signature(path, public, &nonce))
        .transpose()?;
    // 4. The person signs in; the code becomes tokens.
    let http = ca.http_for(&issuer.issuer)?;
    let metadata = Metadata::fetch(&http, &issuer.issuer).await?;
    let transaction = Transaction::new(&issuer, &client, metadata, nonce, &mut OsRng);
    let mut signer = LoginKey::Memory(Box::new(fresh.clone()));
    let hint = ca.files.login()?.and_then(|before| before.login.email);
    let hint = hint.as_deref();
    let (callback, redirect) = match flow {
        Answer::Loopback => by_browser(&client, &transaction, hint, terminal).await?,
        Answer::Page => by_page(ca, &issuer, &transaction, hint, &mut signer, terminal).await?,
        Answer::FailedPage => by_failed_page(&client, &transaction, hint, terminal)?,
    };
    let tokens = transaction.redeem(&http, &callback, &redirect).await?;
    // 5. The CA judges the token, opens the login and gives the first certificate, in one call.
    let open = OpenLogin {
        id_token: tokens.id_token.to_string(),
        salt: salt.encode(),
        access_token: tokens
            .access_token
            .as_ref()
            .filter(|_| issuer.userinfo)
            .map(|token| token.to_string()),
        certified_key,
    };
    let files = ca.files.clone();
    let _lock = files.lock(state::PATIENCE)?;
    let opened = open_login(ca, open, &wanted.ask, &mut signer, terminal).await?;
    // 6. From here on it is kept. The old login goes first: its key and certificates are replaced.
    end_old_login(ca, terminal).await;
    let renewal = Renewal {
        client_id: client.client_id.clone(),
        client_secret: client.client_secret.clone(),
        token_endpoint: transaction.metadata().token_endpoint.clone(),
        revocation_endpoint: transaction.metadata().revocation_endpoint.clone(),
        scopes: client.scopes.clone(),
        userinfo: issuer.userinfo,
        refresh_token: TokenPlace::None,
    };
    let named = named
        .map(|(path, public)| {
            let public_key = public.to_openssh()?;
            Ok::<_, ssh_key::Error>(NamedKeyState { path, public_key })
        })
        .transpose()
        .map_err(KeyError::from)?;
    // Dying in between leaves a login at the CA whose key is nowhere: it ends by itself.
    keep(ca, &fresh, opened, renewal, named, &tokens, wanted).await
}

enum Answer {
    Loopback,
    Page,
    FailedPage,
}

fn choose_issuer<'a>(issuers: &'a [Issuer], named: Option<&str>) -> Result<&'a Issuer, Failure> {
    let labels = || {
        let labels: Vec<String> = issuers
            .iter()
            .map(|issuer| format!("{} ({})", issuer.label, issuer.issuer))
            .collect();
        labels.join(", ")
    };
    match (named, issuers) {
        (_, []) => Err(
            Failure::failed("This CA has no identity provider for people.")
                .next("Tell whoever runs the CA: `[[issuers]]` in ca.toml is empty."),
        ),
        (None, [only]) => Ok(only),
        (None, _) => Err(Failure::usage("Several identity providers are possible.")
            .why(format_args!("{}.", labels()))
            .next("Say which: `jit-ssh login --issuer LABEL`.")),
        (Some(named), _) => issuers
            .iter()
            .find(|issuer| issuer.issuer == named || issuer.label.eq_ignore_ascii_case(named))
            .ok_or_else(|| {
                Failure::usage(format_args!("The CA knows no identity provider {named}."))
                    .why(format_args!("{}.", labels()))
                    .next("Say one of these.")
            }),
    }
}

fn choose_client(issuer: &Issuer, way: Way) -> Result<(Client, Answer), Failure> {
    let with = |flow: Flow| {
        issuer
            .clients
            .iter()
            .find(|client| client.flows.contains(&flow))
            .cloned()
    };
    let (loopback, page) = (with(Flow::Loopback), with(Flow::Paste));
    let choice = match way {
        Way::Browser => loopback
            .map(|client| (client, Answer::Loopback))
            .or(page.map(|client| (client, Answer::Page))),
        Way::Paste => page
            .map(|client| (client, Answer::Page))
            .or(loopback.map(|client| (client, Answer::FailedPage))),
    };
    choice.ok_or_else(|| {
        Failure::failed(format_args!("{} has no client for people.", issuer.label))
            .next("Tell whoever runs the CA: a client with `flows = [\"loopback\"]` is missing.")
    })
}

async fn by_browser(
    client: &Client,
    transaction: &Transaction,
    hint: Option<&str>,
    terminal: &mut Terminal,
) -> Result<(crate::oidc::Callback, String), Failure> {
    let loopback = Loopback::bind(&client.redirect, &client.redirect_ports).await?;
    let redirect = loopback.redirect();
    let address = transaction.address(&redirect, hint)?;
    if platform::desktop() && browser::open(&address) {
        terminal.note("Sign in in the browser that opens. If none does, open this address:");
    } else {
        terminal.note("Open this address in a browser on this machine and sign in:");
    }
    terminal.note(format_args!("\n  {address}\n"));
    let spinner = terminal.spinner("waiting for the browser (no browser here? --no-browser)");
    let callback = tokio::select! {
        callback = loopback.wait(transaction, PATIENCE) => callback,
        // Given up is said, so that others who wait do not open the next browser.
        _ = tokio::signal::ctrl_c() => Err(OidcError::Cancelled),
    };
    drop(spinner);
    Ok((callback?, redirect))
}

async fn by_page(
    ca: &mut Ca,
    issuer: &Issuer,
    transaction: &Transaction,
    hint: Option<&str>,
    signer: &mut dyn SignProof,
    terminal: &mut Terminal,
) -> Result<(crate::oidc::Callback, String), Failure> {
    let announced = SignInRequest {
        state: transaction.state().to_owned(),
        issuer: issuer.issuer.clone(),
    };
    let request = Request::post("/v1/sign-ins", &announced)?;
    let answer: SignInAnswer = ca.call(&request, signer, terminal).await?;
    let redirect = answer.redirect_uri;
    let page = safe_url(&redirect)?;
    if page.origin() != safe_url(&ca.pin.known.url)?.origin()
        && page.origin() != safe_url(&ca.pin.discovery.url)?.origin()
    {
        return Err(OidcError::Address(redirect).into());
    }
    let address = transaction.address(&redirect, hint)?;
    terminal.note("Open this address in any browser, sign in, and paste what the page shows:");
    terminal.note(format_args!("\n  {address}\n"));
    let callback = paste::ask(transaction)?;
    Ok((callback, redirect))
}

fn by_failed_page(
    client: &Client,
    transaction: &Transaction,
    hint: Option<&str>,
    terminal: &mut Terminal,
) -> Result<(crate::oidc::Callback, String), Failure> {
    let mut url = safe_url(&client.redirect)?;
    // Nobody listens there: the page fails, and its address is what we want.
    let port = client
        .redirect_ports
        .first()
        .copied()
        .unwrap_or(UNUSED_PORT);
    url.set_port(Some(port))
        .map_err(|()| OidcError::Address(client.redirect.clone()))?;
    let redirect = url.to_string();
    let address = transaction.address(&redirect, hint)?;
    terminal.note("Open this address in any browser and sign in:");
    terminal.note(format_args!("\n  {address}\n"));
    terminal.note(
        "At the end the browser shows a page that it cannot open. Copy the whole address of that \
         page and paste it here.",
    );
    let callback = paste::ask(transaction)?;
    Ok((callback, redirect))
}

/// A login that the CA opened, with its first certificate or the policy's refusal of one.
enum Opened {
    Certificate(Box<CertificateAnswer>),
    Without(Box<Login>, RolesAnswer, Box<Failure>),
}

async fn open_login(
    ca: &mut Ca,
    open: OpenLogin,
    ask: &Ask,
    signer: &mut dyn SignProof,
    terminal: &mut Terminal,
) -> Result<Opened, Failure> {
    let request = CertificateRequest {
        open: Some(open),
        role: ask.role.clone(),
        account: ask.account.clone(),
        ..CertificateRequest::default()
    };
    let request = Request::post("/v1/certificates", &request)?;
    let refusal = match ca.call(&request, signer, terminal).await {
        Ok(answer) => return Ok(Opened::Certificate(Box::new(answer))),
        Err(error) if error.kind() == Some(Kind::Refused) => error,
        Err(error) => return Err(error.into()),
    };
    // The person is who they are, and the policy gives them nothing of that kind: the login may be
    // open all the same, and then other roles are to be had with it.
    let login: Result<Login, ConnectError> = ca
        .call(&Request::get("/v1/logins/self"), signer, terminal)
        .await;
    let roles: Result<RolesAnswer, ConnectError> =
        ca.call(&Request::get("/v1/roles"), signer, terminal).await;
    match (login, roles) {
        (Ok(login), Ok(roles)) => {
            let refusal = Box::new(refusal.into());
            Ok(Opened::Without(Box::new(login), roles, refusal))
        }
        _ => Err(refusal.into()),
    }
}

async fn keep(
    ca: &mut Ca,
    fresh: &PrivateKey,
    opened: Opened,
    renewal: Renewal,
    named_key: Option<NamedKeyState>,
    tokens: &Tokens,
    wanted: &SignIn,
) -> Result<SignedIn, Failure> {
    let (login, roles) = match &opened {
        // Nothing was said of roles seen, so they are there.
        Opened::Certificate(answer) => (
            answer.login.clone(),
            answer.roles.clone().unwrap_or_default(),
        ),
        Opened::Without(login, roles, _) => ((**login).clone(), roles.clone()),
    };
    let now = jit_ssh_connect::now();
    let left = login
        .ends
        .saturating_sub(now.saturating_add_signed(ca.skew()));
    let lifetime = u32::try_from(left).unwrap_or(u32::MAX);
    let (agent, no_agent) = match wanted.store {
        KeyStore::File => (None, None),
        KeyStore::AgentIfUsable => match usable_agent() {
            Ok(agent) => (Some(agent), None),
            Err(error) => (None, Some(error)),
        },
    };
    let place = LoginKey::keep(fresh, &ca.files, agent, lifetime)?;
    let mut state = LoginState {
        login,
        roles,
        roles_at: now,
        key: place,
        public_key: fresh.public_key().to_openssh().map_err(KeyError::from)?,
        named_key,
        renewal,
        skew: ca.skew(),
    };
    let token = tokens.refresh_token.as_ref();
    state.renewal.refresh_token = keyring::store(&ca.files, TokenPlace::None, token)?;
    ca.files.write_login(&state)?;
    ca.files.clear_failed_sign_in()?;
    let certificate = match opened {
        Opened::Certificate(answer) => Ok(renew::keep(ca, &mut state, &answer, &wanted.ask).await?),
        Opened::Without(_, _, refusal) => Err(refusal),
    };
    Ok(SignedIn {
        login: state,
        certificate,
        no_agent,
    })
}

/// The agent, if it does all that we need.
pub(crate) fn usable_agent() -> Result<Agent, AgentError> {
    let mut agent = Agent::find()?;
    agent.try_out(&mut OsRng)?;
    Ok(agent)
}

/// Ends the login that the new one replaces, as far as that can be done: a login that cannot be
/// ended at the CA ends by itself.
async fn end_old_login(ca: &mut Ca, terminal: &mut Terminal) {
    let Ok(Some(old)) = ca.files.login() else {
        // What is left of one that nobody knows any more opens nothing, and is not the new one's.
        let _ = ca.files.remove_login();
        return;
    };
    if let Ok(mut key) = LoginKey::load(&ca.files, &old) {
        let request = Request::delete("/v1/logins/self");
        let ended: Result<jit_ssh_api::login::Ended, _> =
            ca.call(&request, &mut key, terminal).await;
        drop(ended);
        if let LoginKey::Agent { agent, public } = &mut key {
            let _ = agent.remove(public);
        }
    }
    let _ = keyring::remove(&ca.files, old.renewal.refresh_token);
    let _ = ca.files.remove_login();
}

/// Says what the person has to type where nobody can be asked.
pub(crate) fn command_to_type(name: &str, several: bool) -> String {
    if several {
        format!("jit-ssh login --ca {name}")
    } else {
        "jit-ssh login".to_owned()
    }
}

const PATIENCE: Duration = Duration::from_secs(5 * 60);
/// Discard (RFC 863): nobody listens there.
const UNUSED_PORT: u16 = 9;
