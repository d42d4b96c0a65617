//! Attempts against a program that calls the CA, by a CA that lies, is old, moved on, or is not one.

use std::io::{Read, Write};
use std::net::TcpListener;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use base64::Engine as _;
use jit_ssh_api::discovery::{Discovery, Profile};
use jit_ssh_api::key_set::{KeySet, NAMESPACE, SignedKeySet};
use jit_ssh_api::login::Ended;
use jit_ssh_api::proof::{self, ProofHeader};
use jit_ssh_terminal::{Exit, Failure};
use sha2::Digest as _;
use ssh_key::{HashAlg, LineEnding, PrivateKey, SshSig};

use super::*;

/// What the pretended CA was asked.
#[derive(Clone, Debug, Default)]
struct Asked {
    line: String,
    authorization: Option<String>,
}

/// A CA that answers with what the closure says, over plain HTTP or TLS, on a free port.
struct Pretended {
    url: String,
    asked: Arc<Mutex<Vec<Asked>>>,
}

type Answer = (u16, String, &'static str);

fn pretend(
    tls: Option<Arc<rustls::ServerConfig>>,
    answer: impl Fn(&Asked, usize) -> Answer + Send + 'static,
) -> Pretended {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let scheme = if tls.is_some() { "https" } else { "http" };
    let url = format!(
        "{scheme}://localhost:{}",
        listener.local_addr().unwrap().port()
    );
    let asked = Arc::new(Mutex::new(Vec::new()));
    let seen = Arc::clone(&asked);
    // Ends with the test's process.
    std::thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            match &tls {
                None => serve(stream, &seen, &answer),
                Some(config) => {
                    let connection = rustls::ServerConnection::new(Arc::clone(config)).unwrap();
                    serve(rustls::StreamOwned::new(connection, stream), &seen, &answer);
                }
            }
        }
    });
    Pretended { url, asked }
}

fn serve(
    mut stream: impl Read + Write,
    seen: &Mutex<Vec<Asked>>,
    answer: &impl Fn(&Asked, usize) -> Answer,
) {
    let mut head = Vec::new();
    let mut byte = [0];
    while !head.ends_with(b"\r\n\r\n") {
        match stream.read(&mut byte) {
            Ok(1) => head.push(byte[0]),
            // A handshake that the client refused.
            _ => return,
        }
    }
    let head = String::from_utf8(head).unwrap();
    let authorization = head.lines().find_map(|line| {
        line.to_ascii_lowercase()
            .starts_with("authorization: ")
            .then(|| line[15..].to_owned())
    });
    let asked = Asked {
        line: head.lines().next().unwrap().to_owned(),
        authorization,
    };
    let mut all = seen.lock().unwrap();
    let (status, body, extra) = answer(&asked, all.len());
    all.push(asked);
    drop(all);
    let _ = write!(
        stream,
        "HTTP/1.1 {status} X\r\ncontent-length: {}\r\nconnection: close\r\n{extra}\r\n{body}",
        body.len()
    );
    let _ = stream.flush();
}

fn key(seed: u8) -> PrivateKey {
    let pair = ssh_key::private::Ed25519Keypair::from_seed(&[seed; 32]);
    PrivateKey::from(pair)
}

fn fingerprint(key: &PrivateKey) -> String {
    key.fingerprint(HashAlg::Sha256).to_string()
}

fn discovery(identity: &PrivateKey, epoch: u64, number: u64, tls_pins: Vec<String>) -> String {
    let set = KeySet {
        name: "ca.test".into(),
        epoch,
        number,
        created: 0,
        keys: Vec::new(),
        tls_pins,
        emergency: Vec::new(),
    };
    let document = serde_json::to_string(&set).unwrap();
    let signature = identity
        .sign(NAMESPACE, HashAlg::Sha512, document.as_bytes())
        .unwrap();
    let key_set = SignedKeySet {
        document,
        signature: signature.to_pem(LineEnding::LF).unwrap(),
        identity_key: identity.public_key().to_openssh().unwrap(),
    };
    let discovery = Discovery {
        api_version: jit_ssh_api::API_VERSION,
        name: "ca.test".into(),
        url: "https://ca.test".into(),
        epoch,
        time: 0,
        profile: Profile::Standard,
        issuers: Vec::new(),
        key_set,
    };
    serde_json::to_string(&discovery).unwrap()
}

fn problem(kind: jit_ssh_api::problem::Kind, more: &str) -> Answer {
    let body = format!(
        r#"{{"type":"{}{}","title":"t","status":{},"detail":"the policy\u001b[2J says no","next":"ask","request_id":"r1"{more}}}"#,
        jit_ssh_api::problem::TYPE_PREFIX,
        kind.name(),
        kind.status()
    );
    (
        kind.status(),
        body,
        "content-type: application/problem+json\r\n",
    )
}

fn options() -> Options {
    Options {
        ca_files: Vec::new(),
        ..Options::from_env("test")
    }
}

fn look(url: &str, pin: Pin<'_>) -> Result<Contact, ConnectError> {
    block_on(discover(url, pin, &options())).unwrap()
}

fn known(url: &str, epoch: u64, number: u64, tls_pins: Vec<String>) -> KnownCa {
    KnownCa {
        url: url.to_owned(),
        name: "ca.test".into(),
        fingerprint: fingerprint(&key(1)),
        epoch,
        number,
        tls_pins,
    }
}

fn end(connection: &mut Connection) -> Result<Ended, ConnectError> {
    let mut sign = |namespace: &str, message: &[u8]| -> Result<SshSig, SignError> {
        key(9)
            .sign(namespace, HashAlg::Sha512, message)
            .map_err(|error| SignError(error.to_string()))
    };
    let request = Request::delete("/v1/logins/self");
    block_on(connection.send_signed(&request, &mut sign)).unwrap()
}

const ENDED: &str = r#"{"id":"x","ended":1,"a field of a later version":true}"#;

#[test]
fn another_identity_key_than_the_pinned_one_is_refused() {
    let ca = pretend(None, |_, _| (200, discovery(&key(1), 1, 1, Vec::new()), ""));
    assert!(look(&ca.url, Pin::Fingerprint(&fingerprint(&key(1)))).is_ok());
    let error = look(&ca.url, Pin::Fingerprint(&fingerprint(&key(2)))).unwrap_err();
    let text = Failure::from(error).to_string();
    assert!(
        text.starts_with("error: This is not the CA that is pinned."),
        "{text}"
    );
    assert!(text.contains("Do not go on."), "{text}");
}

#[test]
fn a_key_set_signed_by_somebody_else_is_refused() {
    let ca = pretend(None, |_, _| {
        let theirs = key(1).public_key().to_openssh().unwrap();
        let mine: Discovery = serde_json::from_str(&discovery(&key(2), 1, 1, Vec::new())).unwrap();
        let key_set = SignedKeySet {
            identity_key: theirs,
            ..mine.key_set.clone()
        };
        (
            200,
            serde_json::to_string(&Discovery { key_set, ..mine }).unwrap(),
            "",
        )
    });
    assert!(matches!(
        look(&ca.url, Pin::Fingerprint(&fingerprint(&key(1)))),
        Err(ConnectError::KeySet(
            jit_ssh_api::key_set::KeySetError::Signature
        ))
    ));
}

#[test]
fn plain_http_without_a_fingerprint_pins_nothing() {
    let ca = pretend(None, |_, _| (200, discovery(&key(1), 1, 1, Vec::new()), ""));
    assert!(matches!(
        look(&ca.url, Pin::Tls),
        Err(ConnectError::NothingVouches { .. })
    ));
    assert!(ca.asked.lock().unwrap().is_empty(), "nothing was sent");
}

#[test]
fn an_older_key_set_than_one_seen_before_is_refused() {
    let ca = pretend(None, |_, _| (200, discovery(&key(1), 2, 3, Vec::new()), ""));
    for (seen, taken) in [
        ((2, 3), true),
        ((2, 2), true),
        ((1, 9), true),
        ((2, 4), false),
        ((3, 1), false),
    ] {
        let known = known(&ca.url, seen.0, seen.1, Vec::new());
        let result = look(&ca.url, Pin::Known(&known));
        assert_eq!(result.is_ok(), taken, "{seen:?}");
        if !taken {
            assert!(matches!(result, Err(ConnectError::Rollback { .. })));
        }
    }
}

#[test]
fn a_ca_that_takes_the_name_of_another_is_refused() {
    let ca = pretend(None, |_, _| (200, discovery(&key(1), 2, 3, Vec::new()), ""));
    let mut known = known(&ca.url, 2, 3, Vec::new());
    look(&ca.url, Pin::Known(&known)).unwrap();
    known.name = "other.example.com".to_owned();
    let result = look(&ca.url, Pin::Known(&known));
    assert!(matches!(result, Err(ConnectError::OtherName { .. })));
}

#[test]
fn a_redirect_is_not_followed() {
    let elsewhere = pretend(None, |_, _| (200, discovery(&key(1), 1, 1, Vec::new()), ""));
    let location: &'static str =
        Box::leak(format!("location: {}/\r\n", elsewhere.url).into_boxed_str());
    let ca = pretend(None, move |_, _| (302, String::new(), location));
    let result = look(&ca.url, Pin::Fingerprint(&fingerprint(&key(1))));
    assert!(matches!(result, Err(ConnectError::NotACa { .. })));
    assert!(elsewhere.asked.lock().unwrap().is_empty());
}

#[test]
fn whoever_is_no_ca_is_told_apart() {
    for (status, body) in [
        (200, "<html>Please sign in to the hotel</html>".to_owned()),
        (200, r#"{"api_version":2}"#.to_owned()),
        (502, "Bad gateway".to_owned()),
        (200, " ".repeat(2 * 1024 * 1024)),
    ] {
        let ca = pretend(None, move |_, _| (status, body.clone(), ""));
        let result = look(&ca.url, Pin::Fingerprint(&fingerprint(&key(1))));
        assert!(
            matches!(result, Err(ConnectError::NotACa { .. })),
            "{status}: {result:?}"
        );
    }
}

#[test]
fn nobody_there_says_where_and_what_next() {
    let error = look(
        "http://127.0.0.1:1",
        Pin::Fingerprint(&fingerprint(&key(1))),
    )
    .unwrap_err();
    let failure = Failure::from(error);
    assert_eq!(failure.exit(), Exit::Unreachable);
    assert!(
        failure
            .to_string()
            .starts_with("error: http://127.0.0.1:1 cannot be reached.")
    );
}

#[test]
fn a_wrong_clock_is_corrected_once_and_said() {
    let theirs = now() - 7200;
    let ca = pretend(None, move |_, count| match count {
        0 => problem(
            jit_ssh_api::problem::Kind::ProofTime,
            &format!(r#","time":{theirs}"#),
        ),
        _ => (200, ENDED.to_owned(), ""),
    });
    let mut connection = Connection::new(known(&ca.url, 1, 1, Vec::new()), options()).unwrap();
    assert_eq!(end(&mut connection).unwrap().id, "x");
    let asked = ca.asked.lock().unwrap().clone();
    let header = ProofHeader::parse(asked[1].authorization.as_deref().unwrap()).unwrap();
    assert!(header.time.abs_diff(theirs) < 30);
    let about = proof::Request {
        method: "DELETE",
        path_and_query: "/v1/logins/self",
        ca_name: "ca.test",
        epoch: 1,
        body: b"",
    };
    header.verify(&about).unwrap();
    let first = ProofHeader::parse(asked[0].authorization.as_deref().unwrap()).unwrap();
    assert_ne!(first.id, header.id, "a proof is never sent twice");
    assert_eq!(
        connection.clock_warning().unwrap(),
        "the clock of this machine is 2h ahead of the CA's: set it right"
    );
}

#[test]
fn a_ca_that_takes_too_long_is_given_up_but_for_what_may_take_long() {
    let (release, released) = std::sync::mpsc::channel::<()>();
    let ca = pretend(None, move |_, count| {
        // The first one waits until the client has given up, the second one for that long again.
        match count {
            0 => drop(released.recv()),
            _ => std::thread::sleep(Duration::from_millis(200)),
        }
        (200, ENDED.to_owned(), "")
    });
    let impatient = Options {
        timeout: Duration::from_millis(100),
        ..options()
    };
    let mut connection = Connection::new(known(&ca.url, 1, 1, Vec::new()), impatient).unwrap();
    let request = Request::delete("/v1/logins/self");
    let given_up: Result<Ended, _> = block_on(connection.send(&request)).unwrap();
    assert!(matches!(given_up, Err(ConnectError::Unreachable { .. })));
    release.send(()).unwrap();
    let patient = request.without_time_limit();
    let answered: Result<Ended, _> = block_on(connection.send(&patient)).unwrap();
    assert_eq!(answered.unwrap().id, "x");
}

#[test]
fn a_ca_that_never_likes_the_time_is_asked_twice_only() {
    let ca = pretend(None, |_, _| {
        problem(jit_ssh_api::problem::Kind::ProofTime, r#","time":1"#)
    });
    let mut connection = Connection::new(known(&ca.url, 1, 1, Vec::new()), options()).unwrap();
    assert!(end(&mut connection).is_err());
    assert_eq!(ca.asked.lock().unwrap().len(), 2);
}

#[test]
fn a_new_epoch_is_taken_once_under_the_same_pin() {
    let ca = pretend(None, |asked, count| {
        if asked.line.contains("/.well-known/") {
            return (200, discovery(&key(1), 2, 1, Vec::new()), "");
        }
        match count {
            0 => problem(jit_ssh_api::problem::Kind::ProofContext, ""),
            _ => (200, ENDED.to_owned(), ""),
        }
    });
    let mut connection = Connection::new(known(&ca.url, 1, 5, Vec::new()), options()).unwrap();
    end(&mut connection).unwrap();
    assert_eq!(connection.known().unwrap().epoch, 2);
    assert_eq!(ca.asked.lock().unwrap().len(), 3);
}

/// Two restores of one backup: neither knows the epoch of the other, so what it says is that the
/// proof does not fit, and what it expects.
#[test]
fn an_epoch_that_the_ca_expects_is_taken_if_its_identity_key_says_so_and_it_is_later() {
    let answers = |epoch| {
        pretend(None, move |asked, count| {
            if asked.line.contains("/.well-known/") {
                return (200, discovery(&key(1), epoch, 1, Vec::new()), "");
            }
            match count {
                0 => problem(
                    jit_ssh_api::problem::Kind::ProofInvalid,
                    &format!(r#","expected":{{"name":"ca.example.com","epoch":{epoch}}}"#),
                ),
                _ => (200, ENDED.to_owned(), ""),
            }
        })
    };
    let later = answers(1_795_000_000_999);
    let known_ca = known(&later.url, 1, 5, Vec::new());
    let mut connection = Connection::new(known_ca, options()).unwrap();
    end(&mut connection).unwrap();
    assert_eq!(connection.known().unwrap().epoch, 1_795_000_000_999);

    let earlier = answers(3);
    let seen = KnownCa {
        epoch: 4,
        ..known(&earlier.url, 1, 5, Vec::new())
    };
    let mut connection = Connection::new(seen, options()).unwrap();
    let refused = end(&mut connection);
    assert!(matches!(refused, Err(ConnectError::Rollback { .. })));
}

#[test]
fn a_new_epoch_of_another_ca_is_not_taken() {
    let ca = pretend(None, |asked, _| {
        if asked.line.contains("/.well-known/") {
            return (200, discovery(&key(2), 2, 1, Vec::new()), "");
        }
        problem(jit_ssh_api::problem::Kind::ProofContext, "")
    });
    let mut connection = Connection::new(known(&ca.url, 1, 5, Vec::new()), options()).unwrap();
    assert!(matches!(end(&mut connection), Err(ConnectError::KeySet(_))));
}

#[test]
fn a_refusal_keeps_its_kind_its_next_step_and_no_escape() {
    let ca = pretend(None, |_, _| {
        problem(jit_ssh_api::problem::Kind::Refused, r#","rule":"groups""#)
    });
    let mut connection = Connection::new(known(&ca.url, 1, 1, Vec::new()), options()).unwrap();
    let failure = Failure::from(end(&mut connection).unwrap_err());
    assert_eq!(failure.exit(), Exit::Refused);
    assert_eq!(
        failure.to_string(),
        "error: The policy\\u{1b}[2J says no.\n  next: Ask."
    );
    assert_eq!(failure.to_json()["error"]["rule"], "groups");
}

/// A self-signed certificate, and the pin of its key.
fn tls() -> (Arc<rustls::ServerConfig>, String) {
    let made = rcgen::generate_simple_self_signed(vec!["localhost".to_owned()]).unwrap();
    let key = rustls_pki_types::PrivateKeyDer::try_from(made.signing_key.serialize_der()).unwrap();
    let spki = rcgen::PublicKeyData::subject_public_key_info(&made.signing_key);
    let pin = base64::engine::general_purpose::STANDARD.encode(sha2::Sha256::digest(spki));
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let config = rustls::ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![made.cert.der().clone()], key)
        .unwrap();
    (Arc::new(config), pin)
}

#[test]
fn a_self_made_certificate_counts_only_if_the_signed_key_set_names_it() {
    let (config, pin) = tls();
    let pins = vec![pin.clone()];
    let ca = pretend(Some(config.clone()), move |asked, _| {
        if asked.line.contains("/.well-known/") {
            return (200, discovery(&key(1), 1, 1, pins.clone()), "");
        }
        (200, ENDED.to_owned(), "")
    });
    let contact = look(&ca.url, Pin::Fingerprint(&fingerprint(&key(1)))).unwrap();
    assert_eq!(contact.known.tls_pins, [pin]);
    let mut connection = Connection::new(contact.known, options()).unwrap();
    end(&mut connection).unwrap();
    // Without a fingerprint nothing vouches for it.
    assert!(matches!(
        look(&ca.url, Pin::Tls),
        Err(ConnectError::Tls { .. })
    ));

    let unnamed = pretend(Some(config), |_, _| {
        (200, discovery(&key(1), 1, 1, Vec::new()), "")
    });
    let result = look(&unnamed.url, Pin::Fingerprint(&fingerprint(&key(1))));
    assert!(
        matches!(result, Err(ConnectError::Tls { .. })),
        "{result:?}"
    );
}

#[test]
fn a_proof_is_never_sent_to_a_server_in_between() {
    let (config, _) = tls();
    let ca = pretend(Some(config), |_, _| (200, ENDED.to_owned(), ""));
    let pins = vec!["another key".to_owned()];
    let mut connection = Connection::new(known(&ca.url, 1, 1, pins), options()).unwrap();
    assert!(end(&mut connection).is_err());
    let asked = ca.asked.lock().unwrap();
    assert!(
        asked.iter().all(|asked| asked.authorization.is_none()),
        "{asked:?}"
    );
}

#[test]
fn a_request_that_may_take_long_outlives_the_others_and_one_that_may_not_ends_sooner() {
    // Answers each call once the test has seen one of them end, and drops its side.
    let (say, said) = std::sync::mpsc::channel::<()>();
    let said = Arc::new(Mutex::new(said));
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://localhost:{}", listener.local_addr().unwrap().port());
    std::thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            let said = Arc::clone(&said);
            std::thread::spawn(move || {
                said.lock().unwrap().recv().unwrap_err();
                let answer = |_: &Asked, _: usize| (200, "{}".to_owned(), "");
                serve(stream, &Mutex::default(), &answer);
            });
        }
    });
    let connection = |timeout| {
        let options = Options {
            timeout,
            ..options()
        };
        Connection::new(known(&url, 1, 1, Vec::new()), options).unwrap()
    };
    let (short, long) = (Duration::from_millis(200), Duration::from_secs(60));
    let (mut hasty, mut patient) = (connection(short), connection(long));
    let request = Request::get("/healthz");
    let (held, soon) = (request.clone().within(long), request.within(short));
    block_on(async {
        let ended = async {
            let ended = patient.send::<serde_json::Value>(&soon).await;
            drop(say);
            ended
        };
        let (answered, ended) = tokio::join!(hasty.send::<serde_json::Value>(&held), ended);
        assert_eq!(answered.unwrap(), serde_json::json!({}));
        let error = ended.unwrap_err().to_string();
        assert!(error.contains("took too long"), "{error}");
    })
    .unwrap();
}
