//! The OpenID provider for tests: in this process, with whatever habit of a real one (IDPs differ,
//! see docs/idp/) and whatever fault a test asks for.
//!
//! Its authorization endpoint signs a chosen person in at once, without a page. A test that attacks
//! the CA directly takes a token from [`Idp::token`], and may spoil it before it is signed.

pub mod evil;
pub mod key;
pub mod token;

use std::collections::{BTreeMap, BTreeSet};
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use axum::Router;
use axum::body::Bytes;
use axum::extract::{Query, State};
use axum::http::{HeaderMap, StatusCode, Uri, header};
use axum::response::{IntoResponse as _, Response};
use axum::routing::{get, post};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use rand::RngCore as _;
use serde_json::{Map, Value, json};
use sha2::{Digest as _, Sha256};

use self::key::SigningKey;
use self::token::Token;
use crate::clock;

/// Client that people sign in with.
pub const CLIENT: &str = "jit-ssh";
/// Client whose redirect address is the CA's page.
pub const PASTE_CLIENT: &str = "jit-ssh-paste";
/// An application that has nothing to do with us.
pub const OTHER_CLIENT: &str = "company-wiki";

/// Which provider it behaves like.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Habit {
    /// Groups in the ID token, refresh tokens rotate, the nonce comes only once.
    #[default]
    Generic,
    /// "Thin" ID tokens with `amr`: groups and e-mail only at userinfo, `at_hash` in the token.
    Okta,
    /// `iat` 300 s early, no `amr`, `oid` and `tid`, no `email_verified`, keys without `alg`,
    /// no `code_challenge_methods_supported`, an ID token at refresh only with `scope`.
    Entra,
    /// A secret that is none, no groups ever, refresh tokens that stay, `azp`, `hd`.
    Google,
    /// An `enc` key first in the JWKS, `azp` always, groups as paths, `realm_access.roles`.
    Keycloak,
    /// Issuer with a slash at its end, groups in a namespaced claim.
    Auth0,
}

/// A person at the provider.
#[derive(Clone, Debug, Default)]
pub struct Person {
    /// `sub`.
    pub subject: String,
    /// `email` and what `email_verified` says.
    pub email: Option<(String, Value)>,
    /// Groups, as the habit hands them out.
    pub groups: Vec<String>,
    /// Further claims; they win over all others.
    pub claims: Map<String, Value>,
    /// Whether the provider lets them in.
    pub disabled: bool,
}

/// What goes wrong, at a test's will.
#[derive(Clone, Debug, Default)]
pub struct Faults {
    /// Every answer comes this late.
    pub slow: Option<Duration>,
    /// Discovery answers with a redirect to this address.
    pub redirect_discovery: Option<String>,
    /// The JWKS answers with a redirect to this address.
    pub redirect_keys: Option<String>,
    /// Discovery names another issuer.
    pub other_issuer: Option<String>,
    /// Discovery is this text.
    pub discovery: Option<String>,
    /// The JWKS is this text.
    pub keys: Option<String>,
    /// `Cache-Control` of the JWKS.
    pub cache_control: Option<String>,
    /// Documents are this large, in bytes.
    pub huge: Option<usize>,
    /// The token endpoint refuses with this `error`.
    pub token_error: Option<String>,
    /// Every answer has this status.
    pub status: Option<u16>,
    /// The callback carries no `iss` (RFC 9207), although discovery announced it.
    pub no_callback_issuer: bool,
    /// The callback carries this `iss`.
    pub callback_issuer: Option<String>,
    /// Discovery names this authorization endpoint.
    pub authorization_endpoint: Option<String>,
    /// A refresh gives no ID token.
    pub no_token_at_refresh: bool,
    /// A refresh gives the very same ID token again (Authentik did).
    pub same_token_at_refresh: bool,
    /// Userinfo answers with this status.
    pub userinfo_status: Option<u16>,
    /// The token of a sign-in lacks the nonce.
    pub no_nonce: bool,
}

#[derive(Clone)]
struct Code {
    person: String,
    client: String,
    redirect: String,
    challenge: String,
    nonce: Option<String>,
    scope: String,
}

#[derive(Clone)]
struct Refresh {
    person: String,
    client: String,
    nonce: Option<String>,
    token: String,
    used: bool,
}

/// What the provider knows.
pub struct Inner {
    /// Its habit.
    pub habit: Habit,
    /// Its faults.
    pub faults: Faults,
    /// Its people, by name.
    pub people: BTreeMap<String, Person>,
    /// Who sits at the browser.
    pub signed_in: String,
    /// Keys that sign; the first is the current one.
    pub keys: Vec<SigningKey>,
    /// Requests seen, by path.
    pub hits: BTreeMap<String, usize>,
    /// Bodies that the token endpoint got.
    pub token_requests: Vec<BTreeMap<String, String>>,
    /// Authorization requests seen.
    pub authorizations: Vec<BTreeMap<String, String>>,
    /// ID tokens that sign-ins and refreshes gave.
    pub issued: Vec<String>,
    /// Seconds that ID tokens live.
    pub token_life: u64,
    last_issued: u64,
    issuer: String,
    codes: BTreeMap<String, Code>,
    refresh: BTreeMap<String, Refresh>,
    access: BTreeMap<String, String>,
    revoked: BTreeSet<String>,
}

type Shared = Arc<Mutex<Inner>>;

/// The provider; ends with the test.
pub struct Idp {
    /// Issuer identifier.
    pub issuer: String,
    /// Where it listens.
    pub address: SocketAddr,
    inner: Shared,
    runtime: Option<tokio::runtime::Runtime>,
}

impl std::fmt::Debug for Idp {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Idp").field("issuer", &self.issuer).finish()
    }
}

impl Default for Idp {
    fn default() -> Self {
        Idp::start(Habit::Generic)
    }
}

impl Idp {
    /// Starts one, with alice in Ops, bob in no group, carol in Engineering, and dave in Ops whose
    /// e-mail address nobody verified.
    pub fn start(habit: Habit) -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let address = listener.local_addr().unwrap();
        let slash = if habit == Habit::Auth0 { "/" } else { "" };
        let path = match habit {
            Habit::Entra => "/8d2a3f6e-0000-4000-8000-00000000c0de/v2.0",
            Habit::Keycloak => "/realms/acme",
            _ => "",
        };
        let issuer = format!("http://{address}{path}{slash}");
        let person = |name: &str, groups: &[&str], verified: bool| {
            let person = Person {
                subject: format!("sub-of-{name}"),
                email: Some((format!("{name}@example.com"), json!(verified))),
                groups: groups.iter().map(|&group| group.to_owned()).collect(),
                ..Person::default()
            };
            (name.to_owned(), person)
        };
        let people = BTreeMap::from([
            person("alice", &["Ops"], true),
            person("bob", &[], true),
            person("carol", &["Engineering"], true),
            person("dave", &["Ops"], false),
        ]);
        let inner = Arc::new(Mutex::new(Inner {
            habit,
            faults: Faults::default(),
            people,
            signed_in: "alice".to_owned(),
            keys: vec![SigningKey::rsa("rsa-1")],
            hits: BTreeMap::new(),
            token_requests: Vec::new(),
            authorizations: Vec::new(),
            issued: Vec::new(),
            token_life: 300,
            last_issued: 0,
            issuer: issuer.clone(),
            codes: BTreeMap::new(),
            refresh: BTreeMap::new(),
            access: BTreeMap::new(),
            revoked: BTreeSet::new(),
        }));
        let runtime = Some(serve(listener, inner.clone()));
        Idp {
            issuer,
            address,
            inner,
            runtime,
        }
    }

    /// What it knows and does, to look at or to change.
    pub fn inner(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap()
    }

    /// Changes a person.
    pub fn change(&self, name: &str, change: impl FnOnce(&mut Person)) {
        change(self.inner().people.entry(name.to_owned()).or_default());
    }

    /// Makes it misbehave.
    pub fn misbehave(&self, change: impl FnOnce(&mut Faults)) {
        change(&mut self.inner().faults);
    }

    /// Seats a person at the browser.
    pub fn seat(&self, name: &str) {
        name.clone_into(&mut self.inner().signed_in);
    }

    /// How often a path was asked for.
    pub fn hits(&self, path: &str) -> usize {
        self.inner().hits.get(path).copied().unwrap_or(0)
    }

    /// Replaces the signing keys by new ones and publishes nothing else.
    pub fn rotate(&self, keys: Vec<SigningKey>) {
        self.inner().keys = keys;
    }

    /// The current signing key.
    pub fn key(&self) -> SigningKey {
        self.inner().keys[0].clone()
    }

    /// Goes away: nobody listens any more.
    pub fn down(&mut self) {
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
        clock::until("the provider to be gone", || {
            std::net::TcpStream::connect(self.address)
                .is_err()
                .then_some(())
        });
    }

    /// Comes back at the same address.
    pub fn up(&mut self) {
        let listener = clock::until("the provider's port", || {
            TcpListener::bind(self.address).ok()
        });
        self.runtime = Some(serve(listener, self.inner.clone()));
    }

    /// A token of a person for [`CLIENT`] with this nonce, to be spoiled and signed by the test.
    pub fn token(&self, person: &str, nonce: &str) -> Token {
        let inner = self.inner();
        let claims = inner.claims(person, CLIENT, Some(nonce));
        Token::new(&inner.keys[0], claims)
    }

    /// An access token of a person, which userinfo takes.
    pub fn access_token(&self, person: &str) -> String {
        let access = random();
        self.inner()
            .access
            .insert(access.clone(), person.to_owned());
        access
    }
}

impl Drop for Idp {
    fn drop(&mut self) {
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
}

fn serve(listener: TcpListener, inner: Shared) -> tokio::runtime::Runtime {
    listener.set_nonblocking(true).unwrap();
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(1)
        .enable_all()
        .build()
        .unwrap();
    let prefix = {
        let inner = inner.lock().unwrap();
        let rest = inner.issuer.trim_start_matches("http://");
        let path = rest.find('/').map_or("", |at| &rest[at..]);
        path.trim_end_matches('/').to_owned()
    };
    let routes = Router::new()
        .route("/.well-known/openid-configuration", get(discovery))
        .route("/keys", get(keys))
        .route("/authorize", get(authorize))
        .route("/token", post(redeem))
        .route("/userinfo", get(userinfo))
        .route("/revoke", post(revoke))
        .fallback(nowhere)
        .with_state(inner.clone());
    let router = if prefix.is_empty() {
        routes
    } else {
        Router::new().nest(&prefix, routes)
    };
    let router = router.layer(axum::middleware::from_fn_with_state(inner, troubled));
    runtime.spawn(async move {
        let listener = tokio::net::TcpListener::from_std(listener).unwrap();
        axum::serve(listener, router).await.unwrap();
    });
    runtime
}

/// Counts the request, and lets the faults that hit every route have their way.
async fn troubled(
    State(inner): State<Shared>,
    request: axum::extract::Request,
    next: axum::middleware::Next,
) -> Response {
    let (slow, status) = {
        let mut inner = inner.lock().unwrap();
        let path = request.uri().path().to_owned();
        let last = path.rsplit_once('/').map_or("", |(_, last)| last);
        *inner.hits.entry(format!("/{last}")).or_default() += 1;
        (inner.faults.slow, inner.faults.status)
    };
    if let Some(slow) = slow {
        tokio::time::sleep(slow).await;
    }
    match status.and_then(|status| StatusCode::from_u16(status).ok()) {
        Some(status) => (status, "trouble").into_response(),
        None => next.run(request).await,
    }
}

async fn nowhere(uri: Uri) -> Response {
    (StatusCode::NOT_FOUND, format!("no {uri} here")).into_response()
}

async fn discovery(State(inner): State<Shared>) -> Response {
    let inner = inner.lock().unwrap();
    if let Some(to) = &inner.faults.redirect_discovery {
        return redirect(to);
    }
    let base = inner.issuer.trim_end_matches('/').to_owned();
    let issuer = inner.faults.other_issuer.as_ref().unwrap_or(&inner.issuer);
    let mut document = json!({
        "issuer": issuer,
        "authorization_endpoint": inner.faults.authorization_endpoint.clone()
            .unwrap_or_else(|| format!("{base}/authorize")),
        "token_endpoint": format!("{base}/token"),
        "userinfo_endpoint": format!("{base}/userinfo"),
        "revocation_endpoint": format!("{base}/revoke"),
        "jwks_uri": format!("{base}/keys"),
        "response_types_supported": ["code"],
        "subject_types_supported": ["public"],
        "id_token_signing_alg_values_supported": ["RS256", "ES256", "EdDSA"],
        "scopes_supported": ["openid", "email", "profile", "groups", "offline_access"],
        "code_challenge_methods_supported": ["S256"],
        "authorization_response_iss_parameter_supported": true,
    });
    if inner.habit == Habit::Entra {
        let map = document.as_object_mut().unwrap();
        map.remove("code_challenge_methods_supported");
        map.remove("authorization_response_iss_parameter_supported");
        map.remove("revocation_endpoint");
    }
    if let Some(size) = inner.faults.huge {
        document["padding"] = json!("x".repeat(size));
    }
    let text = inner
        .faults
        .discovery
        .clone()
        .unwrap_or_else(|| document.to_string());
    ([(header::CONTENT_TYPE, "application/json")], text).into_response()
}

async fn keys(State(inner): State<Shared>) -> Response {
    let inner = inner.lock().unwrap();
    if let Some(to) = &inner.faults.redirect_keys {
        return redirect(to);
    }
    let mut list: Vec<Value> = inner.keys.iter().map(SigningKey::jwk).collect();
    match inner.habit {
        Habit::Entra => {
            for key in &mut list {
                key.as_object_mut().unwrap().remove("alg");
                key["x5t"] = key["kid"].clone();
                key["issuer"] = json!(inner.issuer);
            }
        }
        Habit::Keycloak => {
            let mut other = SigningKey::rsa("enc-1").jwk();
            other["use"] = json!("enc");
            other["alg"] = json!("RSA-OAEP");
            list.insert(0, other);
        }
        _ => {}
    }
    let mut document = json!({ "keys": list });
    if let Some(size) = inner.faults.huge {
        document["padding"] = json!("x".repeat(size));
    }
    let text = inner
        .faults
        .keys
        .clone()
        .unwrap_or_else(|| document.to_string());
    let cache = inner
        .faults
        .cache_control
        .clone()
        .unwrap_or_else(|| "max-age=3600".to_owned());
    let headers = [
        (header::CONTENT_TYPE, "application/json".to_owned()),
        (header::CACHE_CONTROL, cache),
    ];
    (headers, text).into_response()
}

async fn authorize(
    State(inner): State<Shared>,
    Query(query): Query<BTreeMap<String, String>>,
) -> Response {
    let mut inner = inner.lock().unwrap();
    inner.authorizations.push(query.clone());
    let get = |name: &str| query.get(name).cloned().unwrap_or_default();
    let redirect_uri = get("redirect_uri");
    let refuse = |why: &str| (StatusCode::BAD_REQUEST, why.to_owned()).into_response();
    if ![CLIENT, PASTE_CLIENT, OTHER_CLIENT].contains(&get("client_id").as_str()) {
        return refuse("unknown client");
    }
    if get("response_type") != "code" || !get("scope").split(' ').any(|scope| scope == "openid") {
        return refuse("response_type=code and scope openid, please");
    }
    if get("code_challenge_method") != "S256" || get("code_challenge").len() != 43 {
        return refuse("PKCE with S256, please");
    }
    if inner.habit == Habit::Google && get("scope").contains("offline_access") {
        return refuse("invalid_scope: offline_access");
    }
    let mut answer = url::Url::parse(&redirect_uri).unwrap();
    let person = inner.signed_in.clone();
    let disabled = inner
        .people
        .get(&person)
        .is_none_or(|person| person.disabled);
    let code = random();
    {
        let mut pairs = answer.query_pairs_mut();
        if disabled {
            pairs.append_pair("error", "access_denied");
            pairs.append_pair(
                "error_description",
                "User is not assigned to this application",
            );
        } else {
            pairs.append_pair("code", &code);
        }
        pairs.append_pair("state", &get("state"));
        let issuer = inner
            .faults
            .callback_issuer
            .clone()
            .unwrap_or_else(|| inner.issuer.clone());
        if inner.habit != Habit::Entra && !inner.faults.no_callback_issuer {
            pairs.append_pair("iss", &issuer);
        }
    }
    inner.codes.insert(
        code,
        Code {
            person,
            client: get("client_id"),
            redirect: redirect_uri,
            challenge: get("code_challenge"),
            nonce: query.get("nonce").cloned(),
            scope: get("scope"),
        },
    );
    redirect(answer.as_str())
}

async fn redeem(State(inner): State<Shared>, body: Bytes) -> Response {
    let mut inner = inner.lock().unwrap();
    let form: BTreeMap<String, String> = url::form_urlencoded::parse(&body).into_owned().collect();
    inner.token_requests.push(form.clone());
    if let Some(error) = &inner.faults.token_error {
        return oauth_error(error, "as the test wishes");
    }
    let get = |name: &str| form.get(name).cloned().unwrap_or_default();
    let secret = form.contains_key("client_secret");
    match inner.habit {
        Habit::Google if !secret => {
            return oauth_error("invalid_request", "client_secret is missing.");
        }
        Habit::Entra if secret => {
            return oauth_error("invalid_client", "AADSTS700025: Client is public");
        }
        _ => {}
    }
    match get("grant_type").as_str() {
        "authorization_code" => inner.code_grant(&get),
        "refresh_token" => inner.refresh_grant(&get),
        other => oauth_error("unsupported_grant_type", other),
    }
}

async fn userinfo(State(inner): State<Shared>, headers: HeaderMap) -> Response {
    let inner = inner.lock().unwrap();
    if let Some(status) = inner.faults.userinfo_status {
        return StatusCode::from_u16(status).unwrap().into_response();
    }
    let person = headers
        .get(header::AUTHORIZATION)
        .and_then(|value| value.to_str().ok())
        .and_then(|value| value.strip_prefix("Bearer "))
        .and_then(|token| inner.access.get(token));
    let Some(person) = person else {
        return (StatusCode::UNAUTHORIZED, "no such access token").into_response();
    };
    let person = &inner.people[person];
    let mut answer = json!({ "sub": person.subject, "groups": person.groups });
    if let Some((email, verified)) = &person.email {
        answer["email"] = json!(email);
        answer["email_verified"] = verified.clone();
    }
    axum::Json(answer).into_response()
}

async fn revoke(State(inner): State<Shared>, body: Bytes) -> Response {
    let mut inner = inner.lock().unwrap();
    let form: BTreeMap<String, String> = url::form_urlencoded::parse(&body).into_owned().collect();
    if let Some(token) = form.get("token") {
        inner.refresh.remove(token);
        inner.revoked.insert(token.clone());
    }
    StatusCode::OK.into_response()
}

impl Inner {
    /// Whether a refresh token was revoked by the client.
    pub fn revoked(&self) -> usize {
        self.revoked.len()
    }

    fn code_grant(&mut self, get: &dyn Fn(&str) -> String) -> Response {
        let Some(code) = self.codes.remove(&get("code")) else {
            return oauth_error("invalid_grant", "no such code, or used before");
        };
        let verifier = get("code_verifier");
        let challenge = URL_SAFE_NO_PAD.encode(Sha256::digest(verifier.as_bytes()));
        if code.client != get("client_id")
            || code.redirect != get("redirect_uri")
            || code.challenge != challenge
        {
            return oauth_error(
                "invalid_grant",
                "client, redirect_uri or code_verifier differ",
            );
        }
        let nonce = code.nonce.clone().filter(|_| !self.faults.no_nonce);
        let offline = code.scope.contains("offline_access") || self.habit == Habit::Google;
        self.grant(&code.person, &code.client, nonce.as_deref(), offline)
    }

    fn refresh_grant(&mut self, get: &dyn Fn(&str) -> String) -> Response {
        let token = get("refresh_token");
        let Some(known) = self.refresh.get(&token).cloned() else {
            return oauth_error("invalid_grant", "no such refresh token");
        };
        if known.client != get("client_id") {
            return oauth_error("invalid_grant", "the token is another client's");
        }
        if known.used {
            // Two at once: somebody stole it. The whole grant dies.
            let person = known.person;
            self.refresh.retain(|_, other| other.person != person);
            return oauth_error("invalid_grant", "the refresh token was used before");
        }
        if self
            .people
            .get(&known.person)
            .is_none_or(|person| person.disabled)
        {
            return oauth_error("invalid_grant", "User disabled");
        }
        let rotates = matches!(self.habit, Habit::Generic | Habit::Keycloak | Habit::Auth0);
        if rotates && let Some(entry) = self.refresh.get_mut(&token) {
            entry.used = true;
        }
        if self.faults.same_token_at_refresh {
            return self.answer(&known.token, None, &random());
        }
        let without_token = self.faults.no_token_at_refresh
            || (self.habit == Habit::Entra && !get("scope").contains("openid"));
        if without_token {
            let body = json!({ "access_token": random(), "token_type": "Bearer" });
            return axum::Json(body).into_response();
        }
        // Entra shows the original nonce, the others none.
        let nonce = known.nonce.clone().filter(|_| self.habit == Habit::Entra);
        self.grant_again(&known, nonce.as_deref(), rotates)
    }

    fn grant(
        &mut self,
        person: &str,
        client: &str,
        nonce: Option<&str>,
        offline: bool,
    ) -> Response {
        let (id_token, access) = self.tokens(person, client, nonce);
        let refresh = offline.then(random);
        if let Some(refresh) = &refresh {
            let entry = Refresh {
                person: person.to_owned(),
                client: client.to_owned(),
                nonce: nonce.map(str::to_owned),
                token: id_token.clone(),
                used: false,
            };
            self.refresh.insert(refresh.clone(), entry);
        }
        self.answer(&id_token, refresh, &access)
    }

    fn grant_again(&mut self, known: &Refresh, nonce: Option<&str>, rotates: bool) -> Response {
        let (id_token, access) = self.tokens(&known.person, &known.client, nonce);
        let refresh = rotates.then(random);
        if let Some(refresh) = &refresh {
            let entry = Refresh {
                token: id_token.clone(),
                ..known.clone()
            };
            self.refresh.insert(refresh.clone(), entry);
        }
        self.answer(&id_token, refresh, &access)
    }

    fn tokens(&mut self, person: &str, client: &str, nonce: Option<&str>) -> (String, String) {
        let access = random();
        self.access.insert(access.clone(), person.to_owned());
        let mut token = Token::new(&self.keys[0], self.claims(person, client, nonce));
        // Tests refresh within a second; real ones do not, and a refreshed token must be newer.
        let issued = token.claims["iat"]
            .as_u64()
            .unwrap()
            .max(self.last_issued + 1);
        self.last_issued = issued;
        token = token.claim("iat", issued);
        if matches!(self.habit, Habit::Okta | Habit::Google) {
            let digest = Sha256::digest(access.as_bytes());
            token = token.claim("at_hash", URL_SAFE_NO_PAD.encode(&digest[..16]));
        }
        let id_token = token.sign();
        self.issued.push(id_token.clone());
        (id_token, access)
    }

    fn answer(&self, id_token: &str, refresh: Option<String>, access: &str) -> Response {
        let mut answer = json!({
            "access_token": access,
            "token_type": "Bearer",
            "expires_in": self.token_life,
            "id_token": id_token,
        });
        if let Some(refresh) = refresh {
            answer["refresh_token"] = json!(refresh);
        }
        axum::Json(answer).into_response()
    }

    /// The claims of a person's ID token, as this provider would fill them.
    pub fn claims(&self, name: &str, client: &str, nonce: Option<&str>) -> Map<String, Value> {
        let person = &self.people[name];
        let mut claims = token::standard_claims(&self.issuer, &person.subject, client);
        let now = clock::now();
        claims.insert("exp".into(), json!(now + self.token_life));
        if let Some(nonce) = nonce {
            claims.insert("nonce".into(), json!(nonce));
        }
        claims.insert("preferred_username".into(), json!(name));
        if let Some((email, verified)) = &person.email {
            claims.insert("email".into(), json!(email));
            claims.insert("email_verified".into(), verified.clone());
        }
        let groups = json!(person.groups);
        match self.habit {
            Habit::Generic => {
                claims.insert("groups".into(), groups);
            }
            Habit::Okta => {
                for name in ["email", "email_verified", "preferred_username"] {
                    claims.remove(name);
                }
                claims.insert("amr".into(), json!(["pwd", "mfa", "otp"]));
                claims.insert("auth_time".into(), json!(now));
            }
            Habit::Entra => {
                claims.insert("iat".into(), json!(now - 300));
                claims.insert("nbf".into(), json!(now - 300));
                claims.insert("exp".into(), json!(now + 3600));
                claims.insert("tid".into(), json!("8d2a3f6e-0000-4000-8000-00000000c0de"));
                claims.insert("oid".into(), json!(format!("oid-of-{name}")));
                claims.insert("ver".into(), json!("2.0"));
                claims.insert("uti".into(), json!(random()));
                claims.remove("email_verified");
                claims.insert("roles".into(), groups);
            }
            Habit::Google => {
                claims.insert("azp".into(), json!(client));
                claims.insert("hd".into(), json!("example.com"));
            }
            Habit::Keycloak => {
                let paths: Vec<String> = person
                    .groups
                    .iter()
                    .map(|group| format!("/{group}"))
                    .collect();
                claims.insert("azp".into(), json!(client));
                claims.insert("typ".into(), json!("ID"));
                claims.insert("sid".into(), json!("session"));
                claims.insert("groups".into(), json!(paths));
                claims.insert("realm_access".into(), json!({ "roles": person.groups }));
            }
            Habit::Auth0 => {
                claims.insert("https://acme.com/groups".into(), groups);
            }
        }
        claims.extend(person.claims.clone());
        claims
    }
}

fn oauth_error(error: &str, description: &str) -> Response {
    let body = json!({ "error": error, "error_description": description });
    (StatusCode::BAD_REQUEST, axum::Json(body)).into_response()
}

fn redirect(to: &str) -> Response {
    (StatusCode::FOUND, [(header::LOCATION, to.to_owned())]).into_response()
}

fn random() -> String {
    let mut bytes = [0; 24];
    rand::rngs::OsRng.fill_bytes(&mut bytes);
    URL_SAFE_NO_PAD.encode(bytes)
}
