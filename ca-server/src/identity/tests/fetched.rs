//! Attempts by way of what an issuer publishes: a provider on loopback that misbehaves on demand.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::Mutex;

use axum::body::Body;
use axum::extract::{Request, State};
use axum::response::Response;

use super::*;

/// What the provider answers at a path.
#[derive(Clone)]
struct Answer {
    status: u16,
    headers: Vec<(&'static str, String)>,
    body: Vec<u8>,
}

impl Answer {
    fn json(value: &Value) -> Self {
        Answer {
            status: 200,
            headers: Vec::new(),
            body: value.to_string().into_bytes(),
        }
    }

    fn status(status: u16) -> Self {
        Answer {
            status,
            headers: Vec::new(),
            body: Vec::new(),
        }
    }

    fn header(mut self, name: &'static str, value: &str) -> Self {
        self.headers.push((name, value.to_owned()));
        self
    }
}

#[derive(Default)]
struct Said {
    answers: HashMap<String, Answer>,
    asked: HashMap<String, usize>,
    bearer: Option<String>,
}

/// A provider on loopback; ends with the test's runtime.
struct Provider {
    address: SocketAddr,
    said: Arc<Mutex<Said>>,
    task: tokio::task::JoinHandle<()>,
}

const DISCOVERY: &str = "/.well-known/openid-configuration";

impl Provider {
    async fn start() -> Self {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let said = Arc::new(Mutex::new(Said::default()));
        let router = axum::Router::new()
            .fallback(answer)
            .with_state(Arc::clone(&said));
        let task = tokio::spawn(async move { axum::serve(listener, router).await.unwrap() });
        let provider = Provider {
            address,
            said,
            task,
        };
        provider.say(DISCOVERY, Answer::json(&provider.discovery()));
        provider.publish(&[P256.jwk("k")]);
        provider
    }

    fn issuer(&self) -> String {
        format!("http://{}", self.address)
    }

    fn discovery(&self) -> Value {
        let issuer = self.issuer();
        json!({
            "issuer": issuer, "jwks_uri": format!("{issuer}/jwks"),
            "userinfo_endpoint": format!("{issuer}/userinfo"),
        })
    }

    fn say(&self, path: &str, answer: Answer) {
        self.said
            .lock()
            .unwrap()
            .answers
            .insert(path.to_owned(), answer);
    }

    fn publish(&self, keys: &[Value]) {
        self.say("/jwks", Answer::json(&json!({ "keys": keys })));
    }

    fn asked(&self, path: &str) -> usize {
        self.said
            .lock()
            .unwrap()
            .asked
            .get(path)
            .copied()
            .unwrap_or_default()
    }

    /// Nobody listens any more.
    async fn end(self) {
        self.task.abort();
        let _ = self.task.await;
    }

    fn config(&self) -> IssuerConfig {
        let mut config = super::config();
        config.issuer = Issuer::new(&self.issuer());
        config.check().unwrap();
        config
    }

    fn identities(&self) -> Identities {
        Identities::new(vec![self.config()], FetchClient::new(&[]).unwrap(), None)
    }

    fn token(&self, kid: &str, pair: &Pair, at: Timestamp) -> String {
        self.token_with(kid, pair, at, json!({}))
    }

    fn token_with(&self, kid: &str, pair: &Pair, at: Timestamp, more: Value) -> String {
        let mut claims = with(more);
        claims["iss"] = json!(self.issuer());
        claims["iat"] = json!(at.seconds());
        claims["exp"] = json!(at.seconds() + 300);
        compact(&json!({"alg": "ES256", "kid": kid}), &claims, pair)
    }
}

async fn answer(State(said): State<Arc<Mutex<Said>>>, request: Request) -> Response {
    let mut said = said.lock().unwrap();
    let path = request.uri().path().to_owned();
    *said.asked.entry(path.clone()).or_default() += 1;
    if let Some(bearer) = request.headers().get("authorization") {
        said.bearer = Some(bearer.to_str().unwrap().to_owned());
    }
    let answer = said
        .answers
        .get(&path)
        .cloned()
        .unwrap_or(Answer::status(404));
    let mut response = Response::builder().status(answer.status);
    for (name, value) in answer.headers {
        response = response.header(name, value);
    }
    response.body(Body::from(answer.body)).unwrap()
}

fn after(seconds: u64) -> Timestamp {
    NOW.plus(Duration::from_secs(seconds))
}

async fn open_at(identities: &Identities, token: &str, at: Timestamp) -> Result<(), IdentityError> {
    identities
        .verify_opening(opening(token), at)
        .await
        .map(|_| ())
}

fn unavailable(result: Result<(), IdentityError>) -> FetchError {
    match result {
        Err(IdentityError::Unavailable { cause, .. }) => cause,
        other => panic!("{other:?}"),
    }
}

fn unknown_key(result: Result<(), IdentityError>) {
    let is_unknown = matches!(
        result,
        Err(IdentityError::Signature(SignatureError::UnknownKey))
    );
    assert!(is_unknown, "{result:?}");
}

#[tokio::test]
async fn keys_are_fetched_once_and_kept() {
    let provider = Provider::start().await;
    let identities = provider.identities();
    identities.warm(NOW).await;
    for _ in 0..20 {
        open_at(&identities, &provider.token("k", &P256, NOW), NOW)
            .await
            .unwrap();
    }
    assert_eq!((provider.asked(DISCOVERY), provider.asked("/jwks")), (1, 1));
    // A reload keeps what was fetched.
    let client = FetchClient::new(&[]).unwrap();
    let reloaded = Identities::new(vec![provider.config()], client, Some(&identities));
    open_at(&reloaded, &provider.token("k", &P256, NOW), NOW)
        .await
        .unwrap();
    assert_eq!(provider.asked("/jwks"), 1);
}

/// A10
#[tokio::test]
async fn a_redirect_is_not_followed() {
    for (path, status) in [
        (DISCOVERY, 302),
        (DISCOVERY, 307),
        ("/jwks", 302),
        ("/jwks", 308),
    ] {
        let (provider, other) = (Provider::start().await, Provider::start().await);
        let target = format!("{}{path}", other.issuer());
        provider.say(path, Answer::status(status).header("location", &target));
        let result = open_at(
            &provider.identities(),
            &provider.token("k", &P256, NOW),
            NOW,
        )
        .await;
        assert_eq!(unavailable(result), FetchError::Redirect(status));
        assert_eq!(other.asked(path), 0);
    }
}

/// A9, A10
#[tokio::test]
async fn a_discovery_document_of_another_issuer_is_refused() {
    let provider = Provider::start().await;
    let issuer = provider.issuer();
    for named in [
        format!("{issuer}/"),
        issuer.to_uppercase(),
        "https://login.example/{tenantid}/v2.0".into(),
    ] {
        let mut document = provider.discovery();
        document["issuer"] = json!(named);
        provider.say(DISCOVERY, Answer::json(&document));
        let result = open_at(
            &provider.identities(),
            &provider.token("k", &P256, NOW),
            NOW,
        )
        .await;
        assert_eq!(unavailable(result), FetchError::OtherIssuer(named));
    }
    assert_eq!(provider.asked("/jwks"), 0);
}

/// A10
#[tokio::test]
async fn keys_are_not_fetched_without_tls_or_from_a_file() {
    let provider = Provider::start().await;
    for address in [
        "http://idp.example.com/jwks",
        "http://10.0.0.1/jwks",
        "file:///etc/passwd",
        "ftp://127.0.0.1/",
    ] {
        let mut document = provider.discovery();
        document["jwks_uri"] = json!(address);
        provider.say(DISCOVERY, Answer::json(&document));
        let result = open_at(
            &provider.identities(),
            &provider.token("k", &P256, NOW),
            NOW,
        )
        .await;
        assert_eq!(
            unavailable(result),
            FetchError::NotAllowed(address.to_owned())
        );
    }
}

/// A10: nothing is asked on behalf of a token of another issuer.
#[tokio::test]
async fn an_issuer_that_is_not_configured_is_never_asked() {
    let (provider, other) = (Provider::start().await, Provider::start().await);
    let result = open_at(&provider.identities(), &other.token("k", &P256, NOW), NOW).await;
    assert!(matches!(result, Err(IdentityError::UnknownIssuer)));
    assert_eq!((provider.asked(DISCOVERY), other.asked(DISCOVERY)), (0, 0));
}

/// A8, A10
#[tokio::test]
async fn documents_that_are_huge_broken_or_ambiguous_are_refused() {
    let huge = Answer {
        body: vec![b' '; 64 * 1024 + 1],
        ..Answer::status(200)
    };
    let broken = Answer {
        body: b"<html>".to_vec(),
        ..Answer::status(200)
    };
    let twice = Answer {
        body: br#"{"keys":[],"keys":[]}"#.to_vec(),
        ..Answer::status(200)
    };
    let empty = Answer::json(&json!({"keys": []}));
    let many = Answer::json(&json!({"keys": vec![json!({}); 101]}));
    for path in [DISCOVERY, "/jwks"] {
        for bad in [&huge, &broken, &twice, &empty, &many] {
            let provider = Provider::start().await;
            provider.say(path, bad.clone());
            let token = provider.token("k", &P256, NOW);
            let cause = unavailable(open_at(&provider.identities(), &token, NOW).await);
            assert!(!cause.is_outage());
            assert_eq!(cause == FetchError::TooLarge, bad.body == huge.body);
        }
    }
    let provider = Provider::start().await;
    let mut full = json!({"keys": [P256.jwk("k")], "x": ""}).to_string();
    full.insert_str(full.len() - 2, &"x".repeat(64 * 1024 - full.len()));
    provider.say(
        "/jwks",
        Answer {
            body: full.into_bytes(),
            ..Answer::status(200)
        },
    );
    open_at(
        &provider.identities(),
        &provider.token("k", &P256, NOW),
        NOW,
    )
    .await
    .unwrap();
}

/// A11
#[tokio::test]
async fn a_flood_of_unknown_keys_asks_once_a_minute() {
    let provider = Provider::start().await;
    let identities = Arc::new(provider.identities());
    let mut attempts = tokio::task::JoinSet::new();
    for at in 0..200 {
        let token = provider.token(&format!("random{at}"), &P256, NOW);
        let identities = Arc::clone(&identities);
        attempts.spawn(async move { open_at(&identities, &token, NOW).await });
    }
    let mut count = 0;
    while let Some(result) = attempts.join_next().await {
        unknown_key(result.unwrap());
        count += 1;
    }
    assert_eq!(count, 200);
    assert_eq!(provider.asked("/jwks"), 2);
    unknown_key(open_at(&identities, &provider.token("x", &P256, NOW), after(59)).await);
    assert_eq!(provider.asked("/jwks"), 2);
    unknown_key(open_at(&identities, &provider.token("x", &P256, NOW), after(60)).await);
    assert_eq!(provider.asked("/jwks"), 3);
}

/// A11
#[tokio::test]
async fn a_new_key_is_found_and_a_withdrawn_one_no_longer_counts() {
    let provider = Provider::start().await;
    let identities = provider.identities();
    open_at(&identities, &provider.token("k", &P256, NOW), NOW)
        .await
        .unwrap();
    provider.publish(&[OTHER_P256.jwk("new")]);
    open_at(&identities, &provider.token("new", &OTHER_P256, NOW), NOW)
        .await
        .unwrap();
    unknown_key(open_at(&identities, &provider.token("k", &P256, NOW), NOW).await);
}

/// A11: without a new key in sight, a withdrawn one ends with the life of the set.
#[tokio::test]
async fn a_withdrawn_key_ends_with_the_life_of_the_set() {
    let provider = Provider::start().await;
    let identities = provider.identities();
    open_at(&identities, &provider.token("k", &P256, NOW), NOW)
        .await
        .unwrap();
    provider.publish(&[OTHER_P256.jwk("new")]);
    let at = after(299);
    open_at(&identities, &provider.token("k", &P256, at), at)
        .await
        .unwrap();
    let at = after(600);
    unknown_key(open_at(&identities, &provider.token("k", &P256, at), at).await);
}

/// A11: the same name, another key; and no name at all.
#[tokio::test]
async fn a_key_that_changed_without_a_name_is_found() {
    let provider = Provider::start().await;
    let identities = provider.identities();
    let token = |pair: &Pair| {
        let mut claims = good();
        claims["iss"] = json!(provider.issuer());
        compact(&json!({"alg": "ES256"}), &claims, pair)
    };
    open_at(&identities, &token(&P256), NOW).await.unwrap();
    provider.publish(&[OTHER_P256.jwk("new")]);
    open_at(&identities, &token(&OTHER_P256), NOW)
        .await
        .unwrap();
    assert!(open_at(&identities, &token(&P256), NOW).await.is_err());
}

#[tokio::test]
async fn cache_headers_count_within_bounds() {
    for (header, fresh, stale) in [
        ("max-age=1", 299, 300),
        ("no-cache", 299, 300),
        ("no-store, max-age=0", 299, 300),
        ("no-store, max-age=3600", 299, 300),
        ("max-age=3600, No-Cache=\"set-cookie\"", 299, 300),
        ("max-age=junk", 299, 300),
        ("public, max-age=1200, must-revalidate", 800, 1200),
        ("Max-Age=\"1200\"", 800, 1200),
        ("max-age=2592000", 2600, 3600),
        ("max-age=18446744073709551616", 299, 300),
    ] {
        let provider = Provider::start().await;
        let keys = Answer::json(&json!({"keys": [P256.jwk("k")]}));
        provider.say("/jwks", keys.header("cache-control", header));
        let identities = provider.identities();
        identities.warm(NOW).await;
        // Due soon, it is renewed aside; here nobody lets that run before the count.
        let before = provider.asked("/jwks");
        open_at(
            &identities,
            &provider.token("k", &P256, after(fresh)),
            after(fresh),
        )
        .await
        .unwrap();
        assert_eq!(before, 1, "{header}");
        open_at(
            &identities,
            &provider.token("k", &P256, after(stale)),
            after(stale),
        )
        .await
        .unwrap();
        assert!(provider.asked("/jwks") >= 2, "{header}");
    }
}

/// The issuer is down: those who have its keys go on for a day.
#[tokio::test]
async fn keys_outlive_an_outage_for_a_day_and_no_longer() {
    let provider = Provider::start().await;
    let identities = provider.identities();
    open_at(&identities, &provider.token("k", &P256, NOW), NOW)
        .await
        .unwrap();
    let (soon, late) = (after(3600), after(24 * 3600));
    let tokens = [soon, late].map(|at| provider.token("k", &P256, at));
    provider.end().await;
    open_at(&identities, &tokens[0], soon).await.unwrap();
    assert!(unavailable(open_at(&identities, &tokens[1], late).await).is_outage());
}

/// Asked too often, an issuer says nothing against the keys that it published.
#[tokio::test]
async fn keys_outlive_too_many_requests_for_a_day_and_no_longer() {
    for path in [DISCOVERY, "/jwks"] {
        let provider = Provider::start().await;
        let identities = provider.identities();
        open_at(&identities, &provider.token("k", &P256, NOW), NOW)
            .await
            .unwrap();
        provider.say(path, Answer::status(429));
        // The second is within the back-off of the first.
        for at in [after(3600), after(3601)] {
            let token = provider.token("k", &P256, at);
            open_at(&identities, &token, at).await.unwrap();
        }
        let late = after(24 * 3600);
        let result = open_at(&identities, &provider.token("k", &P256, late), late).await;
        assert_eq!(unavailable(result), FetchError::RateLimited);
    }
}

/// An issuer that answers, but no longer with its keys, is no outage.
#[tokio::test]
async fn keys_of_an_issuer_that_is_gone_end_with_their_life() {
    let provider = Provider::start().await;
    let identities = provider.identities();
    open_at(&identities, &provider.token("k", &P256, NOW), NOW)
        .await
        .unwrap();
    provider.say(DISCOVERY, Answer::status(404));
    let at = after(3600);
    let result = open_at(&identities, &provider.token("k", &P256, at), at).await;
    assert_eq!(unavailable(result), FetchError::Refused(404));
}

#[tokio::test]
async fn an_issuer_that_fails_is_not_asked_at_every_token() {
    let provider = Provider::start().await;
    provider.say("/jwks", Answer::status(503));
    let identities = provider.identities();
    let mut asked = Vec::new();
    for second in 0..40 {
        let token = provider.token("k", &P256, after(second));
        assert!(unavailable(open_at(&identities, &token, after(second)).await).is_outage());
        asked.push(provider.asked("/jwks"));
    }
    // At 0, 5, 15 and 35 s.
    assert_eq!(
        (
            asked[4], asked[5], asked[14], asked[15], asked[34], asked[39]
        ),
        (1, 2, 2, 3, 3, 4)
    );
    provider.publish(&[P256.jwk("k")]);
    open_at(
        &identities,
        &provider.token("k", &P256, after(80)),
        after(80),
    )
    .await
    .unwrap();
}

#[tokio::test]
async fn an_outage_is_told_from_a_refusal() {
    let provider = Provider::start().await;
    let identities = provider.identities();
    let issuer = provider.issuer();
    assert_eq!(
        identities.reachable(&issuer, NOW).await,
        Reachability::Reachable
    );
    provider.say(DISCOVERY, Answer::status(503));
    // Asked a moment ago: not again.
    assert_eq!(
        identities.reachable(&issuer, after(9)).await,
        Reachability::Reachable
    );
    let since = Reachability::Unreachable { since: after(10) };
    assert_eq!(identities.reachable(&issuer, after(10)).await, since);
    assert_eq!(identities.reachable(&issuer, after(100)).await, since);
    provider.say(DISCOVERY, Answer::status(403));
    assert_eq!(
        identities.reachable(&issuer, after(200)).await,
        Reachability::Reachable
    );
    // An issuer that wants to be asked less often is there, and may have refused the person meanwhile.
    provider.say(DISCOVERY, Answer::status(503));
    let since = Reachability::Unreachable { since: after(220) };
    assert_eq!(identities.reachable(&issuer, after(220)).await, since);
    provider.say(DISCOVERY, Answer::status(429));
    assert_eq!(
        identities.reachable(&issuer, after(240)).await,
        Reachability::Reachable
    );
    provider.end().await;
    let since = Reachability::Unreachable { since: after(300) };
    assert_eq!(identities.reachable(&issuer, after(300)).await, since);
    assert_eq!(
        identities.reachable("https://nobody", NOW).await,
        Reachability::Reachable
    );
}

/// A provider that accepts and says nothing.
#[tokio::test]
async fn an_issuer_that_hangs_does_not_hang_us() {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let issuer = format!("http://{}", listener.local_addr().unwrap());
    let mut config = config();
    config.issuer = Issuer::new(&issuer);
    let identities = Identities::new(vec![config], FetchClient::new(&[]).unwrap(), None);
    let start = std::time::Instant::now();
    let token = signed(&with(json!({ "iss": issuer })));
    assert!(unavailable(open_at(&identities, &token, NOW).await).is_outage());
    assert!(start.elapsed() < Duration::from_secs(30));
}

fn at_hash(access_token: &str) -> String {
    let digest = aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, access_token.as_bytes());
    URL_SAFE_NO_PAD.encode(&digest.as_ref()[..16])
}

async fn with_userinfo(
    provider: &Provider,
    access_token: Option<&str>,
    said: Value,
) -> Result<VerifiedToken, IdentityError> {
    let mut config = provider.config();
    config.groups = GroupsSource::Userinfo("groups".to_owned());
    config.trust_email = true;
    let identities = Identities::new(vec![config], FetchClient::new(&[]).unwrap(), None);
    let token = provider.token_with("k", &P256, NOW, said);
    identities
        .verify_opening(
            Opening {
                access_token,
                ..opening(&token)
            },
            NOW,
        )
        .await
}

/// Okta's org server has groups at userinfo only.
#[tokio::test]
async fn groups_come_from_userinfo_where_they_are_only_there() {
    let provider = Provider::start().await;
    let userinfo = json!({
        "sub": "00u1", "groups": ["Ops"], "email": "alice@example.com", "email_verified": true,
        "department": "root", "locale": "de", "iss": "https://evil", "nonce": "x", "tid": "t",
    });
    provider.say("/userinfo", Answer::json(&userinfo));
    let said = json!({"groups": ["evil"], "at_hash": at_hash("secret")});
    let identity = with_userinfo(&provider, Some("secret"), said)
        .await
        .unwrap()
        .identity;
    assert_eq!(identity.groups, BTreeSet::from([Group::new("Ops")]));
    assert_eq!(identity.email, Email::parse("alice@example.com"));
    // It adds to what the token says, and says nothing otherwise.
    assert_eq!(identity.claims["department"], json!("sre"));
    assert_eq!(identity.claims["locale"], json!("de"));
    assert_eq!(identity.issuer.as_ref(), provider.issuer());
    assert_eq!(
        provider.said.lock().unwrap().bearer.as_deref(),
        Some("Bearer secret")
    );
    assert_eq!(provider.asked("/userinfo"), 1);
}

/// A18: the access token beside the ID token is another one, or another person's.
#[tokio::test]
async fn an_access_token_that_does_not_belong_is_refused() {
    let provider = Provider::start().await;
    provider.say(
        "/userinfo",
        Answer::json(&json!({"sub": "00u1", "groups": ["Ops"]})),
    );
    let refusal = async |access_token: Option<&str>, said: Value| match with_userinfo(
        &provider,
        access_token,
        said,
    )
    .await
    {
        Err(IdentityError::AccessToken(error)) => error,
        other => panic!("{other:?}"),
    };
    assert_eq!(refusal(None, json!({})).await, AccessTokenError::Missing);
    for hash in [
        json!(at_hash("another")),
        json!(""),
        json!(format!("{}=", at_hash("secret"))),
    ] {
        let error = refusal(Some("secret"), json!({ "at_hash": hash })).await;
        assert_eq!(error, AccessTokenError::OtherToken);
    }
    assert_eq!(provider.asked("/userinfo"), 0);
    for sub in [json!("00u2"), json!(null), json!(["00u1"])] {
        provider.say(
            "/userinfo",
            Answer::json(&json!({"sub": sub, "groups": ["Ops"]})),
        );
        assert_eq!(
            refusal(Some("secret"), json!({})).await,
            AccessTokenError::OtherPerson
        );
    }
    provider.say("/userinfo", Answer::status(401));
    assert_eq!(
        refusal(Some("secret"), json!({})).await,
        AccessTokenError::Refused(401)
    );
}

/// A failing look-up is not "no groups".
#[tokio::test]
async fn a_userinfo_endpoint_that_fails_lets_nobody_in() {
    let provider = Provider::start().await;
    provider.say("/userinfo", Answer::status(500));
    let result = with_userinfo(&provider, Some("secret"), json!({}))
        .await
        .map(|_| ());
    assert_eq!(unavailable(result), FetchError::Failed(500));
    provider.say(
        "/userinfo",
        Answer {
            body: b"eyJ.eyJ.sig".to_vec(),
            ..Answer::status(200)
        },
    );
    let result = with_userinfo(&provider, Some("secret"), json!({}))
        .await
        .map(|_| ());
    assert!(matches!(unavailable(result), FetchError::Json(_)));
}

/// Two hours ahead while the issuer was away; then the clock is put right.
#[tokio::test]
async fn a_clock_that_was_set_back_keeps_nobody_waiting() {
    let provider = Provider::start().await;
    provider.say(DISCOVERY, Answer::status(503));
    let identities = provider.identities();
    let ahead = after(2 * 3600);
    identities.warm(ahead).await;
    let issuer = provider.issuer();
    let since = Reachability::Unreachable { since: ahead };
    assert_eq!(identities.reachable(&issuer, ahead).await, since);
    provider.say(DISCOVERY, Answer::json(&provider.discovery()));
    open_at(&identities, &provider.token("k", &P256, NOW), NOW)
        .await
        .unwrap();
    assert_eq!(
        identities.reachable(&issuer, NOW).await,
        Reachability::Reachable
    );
    // The other way round: it answered in the future, and is away now.
    let identities = provider.identities();
    identities.warm(ahead).await;
    provider.say(DISCOVERY, Answer::status(503));
    let since = Reachability::Unreachable { since: NOW };
    assert_eq!(identities.reachable(&issuer, NOW).await, since);
}

/// A11: keys from the future are asked for again, and so is one that is not among them.
#[tokio::test]
async fn a_withdrawn_key_does_not_last_longer_by_a_clock_that_was_set_back() {
    let provider = Provider::start().await;
    let identities = provider.identities();
    let ahead = after(2 * 3600);
    identities.warm(ahead).await;
    unknown_key(open_at(&identities, &provider.token("x", &P256, ahead), ahead).await);
    provider.publish(&[OTHER_P256.jwk("new")]);
    unknown_key(open_at(&identities, &provider.token("k", &P256, NOW), NOW).await);
    open_at(&identities, &provider.token("new", &OTHER_P256, NOW), NOW)
        .await
        .unwrap();
    // While the issuer is down, keys of an unknown age serve nobody.
    let identities = provider.identities();
    identities.warm(ahead).await;
    provider.say(DISCOVERY, Answer::status(503));
    let token = provider.token("new", &OTHER_P256, NOW);
    assert!(unavailable(open_at(&identities, &token, NOW).await).is_outage());
}
