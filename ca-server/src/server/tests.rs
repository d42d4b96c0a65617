use std::time::{Duration, Instant};

use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::net::{TcpStream, UnixStream};

use super::testing::{self, CONFIG, POLICY, Person, ca, data_folder, put};
use super::{Running, ServeOptions, StartError, Watched, start};
use crate::data::KEYS;
use crate::ledger::LedgerError;
use crate::signer::{IDENTITY, KeyPair, SignerError, file, key_set};
use crate::time::Clock;

fn options(data: &std::path::Path) -> ServeOptions {
    let clock = Clock::manual(testing::START);
    ServeOptions {
        data: data.to_owned(),
        clock,
        passphrase: None,
        listen: None,
    }
}

#[tokio::test]
async fn a_mistake_in_a_file_changes_nothing_and_is_loud() {
    let ca = ca().await;
    let alice = Person::new("alice", &["Ops"]);
    ca.sign_in(&alice).await;
    let digest = ca.state().snapshot.load().policy.digest().to_owned();
    put(
        ca.folder.path(),
        "policy.toml",
        &POLICY.replace("15m", "15 minutes"),
    );
    assert!(ca.running.reload().await.is_err());
    assert_eq!(ca.state().snapshot.load().policy.digest(), digest);
    assert!(ca.state().readiness().ready);
    assert!(ca.state().readiness().configuration.contains("refused"));
    assert!(
        ca.state()
            .metrics
            .render(ca.state().gauges())
            .contains("reload_refused 1")
    );
    let got = ca.ask(&alice, "POST", "/v1/certificates", "{}").await;
    assert_eq!(got.status(), 200, "the old policy goes on");

    // A good policy with a bad configuration is as bad: both or none.
    put(
        ca.folder.path(),
        "policy.toml",
        &POLICY.replace("15m", "10m"),
    );
    put(
        ca.folder.path(),
        "ca.toml",
        &CONFIG.replace("hosts", "hots"),
    );
    assert!(ca.running.reload().await.is_err());
    assert_eq!(ca.state().snapshot.load().policy.digest(), digest);

    put(ca.folder.path(), "ca.toml", CONFIG);
    ca.running.reload().await.unwrap();
    assert_ne!(ca.state().snapshot.load().policy.digest(), digest);
    assert_eq!(ca.state().readiness().configuration, "in force");
}

#[tokio::test]
async fn a_ca_whose_keys_are_not_of_its_profile_does_not_start() {
    let folder = data_folder();
    let config = format!("profile = \"fips\"\n{CONFIG}");
    put(folder.path(), "ca.toml", &config);
    let refused = start(options(folder.path())).await.err().unwrap();
    let expected = matches!(&refused, StartError::Keys(SignerError::Profile { .. }));
    assert!(expected, "{refused}");
}

#[tokio::test]
async fn a_person_who_lost_the_group_is_refused_after_a_reload() {
    let ca = ca().await;
    let alice = Person::new("alice", &["Ops"]);
    ca.sign_in(&alice).await;
    put(
        ca.folder.path(),
        "policy.toml",
        &POLICY.replace("\"Ops\"", "\"Others\""),
    );
    ca.running.reload().await.unwrap();
    let got = ca.ask(&alice, "POST", "/v1/certificates", "{}").await;
    assert_eq!(got.refusal(), "refused");
}

#[tokio::test]
async fn a_login_of_an_issuer_that_is_gone_gets_nothing() {
    let ca = ca().await;
    let alice = Person::new("alice", &["Ops"]);
    ca.sign_in(&alice).await;
    put(
        ca.folder.path(),
        "ca.toml",
        &CONFIG.replace("idp.example.com", "other.example.com"),
    );
    ca.running.reload().await.unwrap();
    let got = ca.ask(&alice, "POST", "/v1/certificates", "{}").await;
    assert_eq!(got.refusal(), "login-ended");
}

#[tokio::test]
async fn a_login_of_a_client_that_is_gone_gets_nothing_and_has_no_rights() {
    let ca = ca().await;
    let sec = Person::new("sec", &["Security", "Ops"]);
    ca.sign_in(&sec).await;
    let audit = "/v1/admin/audit";
    assert_eq!(ca.ask(&sec, "GET", audit, "").await.status(), 200);
    put(
        ca.folder.path(),
        "ca.toml",
        &CONFIG.replace("id = \"jit-ssh\"", "id = \"another\""),
    );
    ca.running.reload().await.unwrap();
    let got = ca.ask(&sec, "POST", "/v1/certificates", "{}").await;
    assert_eq!(got.refusal(), "login-ended");
    let got = ca.ask(&sec, "GET", audit, "").await;
    assert_eq!(got.refusal(), "login-ended");
}

#[tokio::test]
async fn the_name_in_proofs_does_not_change_under_running_clients() {
    let ca = ca().await;
    put(
        ca.folder.path(),
        "ca.toml",
        &CONFIG.replace("name = \"ca.", "name = \"other."),
    );
    ca.running.reload().await.unwrap();
    assert_eq!(ca.state().snapshot.load().config.name, testing::NAME);
}

#[tokio::test]
async fn of_two_reloads_the_one_that_read_last_stays() {
    let ca = ca().await;
    let before = ca.state().snapshot.load().policy.digest().to_owned();
    let other = ca.state().reloading.lock().await;
    let mut reload = Box::pin(ca.running.reload());
    let early = tokio::time::timeout(Duration::from_millis(200), &mut reload).await;
    assert!(early.is_err(), "it waits for the other one, and then reads");
    put(
        ca.folder.path(),
        "policy.toml",
        &POLICY.replace("15m", "10m"),
    );
    drop(other);
    reload.await.unwrap();
    assert_ne!(ca.state().snapshot.load().policy.digest(), before);
}

#[tokio::test]
async fn what_needs_a_restart_is_not_even_looked_at() {
    let ca = ca().await;
    let more = format!("extra_ca = \"not-there.pem\"\n{CONFIG}");
    put(ca.folder.path(), "ca.toml", &more);
    ca.running.reload().await.unwrap();
    assert_eq!(ca.state().snapshot.load().config.extra_ca, None);
}

fn identity(data: &std::path::Path) -> KeyPair {
    let private = file::unlock(&data.join(KEYS), IDENTITY, None).unwrap();
    KeyPair::from_private(&private).unwrap()
}

/// A key set that waits for the identity key; gives what that key would sign.
fn unsigned(data: &std::path::Path) -> jit_ssh_api::key_set::KeySet {
    let identity = identity(data);
    let set = key_set::load(data, identity.public_key()).unwrap().set;
    std::fs::remove_file(data.join(key_set::FILE)).unwrap();
    key_set::write_to_sign(data, &set).unwrap();
    set
}

#[tokio::test]
async fn a_policy_edited_while_the_start_waits_for_a_signature_is_in_force() {
    let folder = data_folder();
    let data = folder.path();
    let set = unsigned(data);
    let mut starting = Box::pin(start(options(data)));
    let early = tokio::time::timeout(Duration::from_millis(1), &mut starting).await;
    assert!(early.is_err(), "it waits");
    let edited = POLICY.replace("15m", "10m");
    put(data, "policy.toml", &edited);
    let identity = identity(data);
    key_set::write(data, &key_set::sign(&identity, &set).unwrap()).unwrap();
    let running = starting.await.unwrap();
    assert_eq!(running.state.snapshot.load().policy.text(), edited);
}

#[tokio::test]
async fn a_mistake_in_the_policy_is_told_before_the_wait_for_a_signature() {
    let folder = data_folder();
    unsigned(folder.path());
    put(folder.path(), "policy.toml", "order = [");
    let refused = start(options(folder.path())).await.err();
    assert!(matches!(refused, Some(StartError::Files(_))));
}

#[test]
fn a_file_that_changed_after_its_first_look_is_seen_once() {
    let folder = data_folder();
    let mut watched = Watched::new(folder.path());
    watched.add([folder.path().join("cert.pem")]);
    assert!(!watched.changed());
    put(folder.path(), "policy.toml", "another length");
    assert!(watched.changed());
    assert!(!watched.changed());
    put(folder.path(), "cert.pem", "now there");
    assert!(watched.changed());
}

/// Puts a new TLS identity into the folder; gives its certificate.
fn put_pair(data: &std::path::Path) -> rustls_pki_types::CertificateDer<'static> {
    let made = rcgen::generate_simple_self_signed(vec!["localhost".to_owned()]).unwrap();
    put(data, "cert.pem", &made.cert.pem());
    put(data, "key.pem", &made.signing_key.serialize_pem());
    made.cert.der().clone()
}

/// Whether the CA shows this certificate, to a client that believes no other.
async fn shows(running: &Running, certificate: rustls_pki_types::CertificateDer<'static>) -> bool {
    let mut roots = rustls::RootCertStore::empty();
    roots.add(certificate).unwrap();
    let provider = rustls::crypto::aws_lc_rs::default_provider();
    let client = rustls::ClientConfig::builder_with_provider(provider.into())
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    let tcp = TcpStream::connect(running.address).await.unwrap();
    let name = "localhost".try_into().unwrap();
    tokio_rustls::TlsConnector::from(std::sync::Arc::new(client))
        .connect(name, tcp)
        .await
        .is_ok()
}

#[tokio::test]
async fn a_renewed_certificate_and_a_mistake_in_the_policy_do_not_hold_each_other_up() {
    let folder = data_folder();
    let data = folder.path();
    let with_tls = CONFIG.replace(
        "tls = \"none\"",
        "certificate = \"cert.pem\"\nkey = \"key.pem\"",
    );
    put(data, "ca.toml", &with_tls);
    let first = put_pair(data);
    let running = start(options(data)).await.unwrap();
    assert!(shows(&running, first.clone()).await);

    put(data, "policy.toml", &POLICY.replace("15m", "15 minutes"));
    let second = put_pair(data);
    assert!(running.reload().await.is_err());
    assert!(shows(&running, second.clone()).await);
    assert!(!shows(&running, first).await);
    let readiness = running.state.readiness();
    assert!(readiness.configuration.contains("refused"));
    assert_eq!(readiness.tls, "in force");

    // The key of the next pair, but not its certificate yet.
    let edited = POLICY.replace("15m", "10m");
    put(data, "policy.toml", &edited);
    let third = put_pair(data);
    let renewed = std::fs::read_to_string(data.join("cert.pem")).unwrap();
    std::fs::remove_file(data.join("cert.pem")).unwrap();
    assert!(running.reload().await.is_err());
    assert!(shows(&running, second).await);
    assert_eq!(running.state.snapshot.load().policy.text(), edited);
    let readiness = running.state.readiness();
    assert_eq!(readiness.configuration, "in force");
    assert!(readiness.tls.contains("refused"));
    assert!(readiness.ready);
    let gauges = running.state.gauges();
    assert!(
        running
            .state
            .metrics
            .render(gauges)
            .contains("reload_refused 1")
    );

    put(data, "cert.pem", &renewed);
    running.reload().await.unwrap();
    assert!(shows(&running, third).await);
    assert_eq!(running.state.readiness().tls, "in force");
}

#[tokio::test]
async fn no_policy_no_keys_no_key_set_no_start() {
    for missing in [
        "policy.toml",
        "ca.toml",
        "key-set.json",
        "keys/user-ca",
        "keys/ledger.pub",
    ] {
        let folder = data_folder();
        std::fs::remove_file(folder.path().join(missing)).unwrap();
        assert!(start(options(folder.path())).await.is_err(), "{missing}");
    }
}

#[tokio::test]
async fn a_key_set_of_another_ca_is_not_served() {
    let folder = data_folder();
    put(
        folder.path(),
        "ca.toml",
        &CONFIG.replace("name = \"ca.", "name = \"other."),
    );
    let refused = start(options(folder.path())).await.err();
    assert!(matches!(refused, Some(StartError::OtherKeySet { .. })));
}

#[tokio::test]
async fn one_folder_is_served_once_and_again_after_a_stop() {
    let folder = data_folder();
    let running = start(options(folder.path())).await.unwrap();
    let second = start(options(folder.path())).await.err();
    assert!(matches!(second, Some(StartError::Lock(_))));
    running.stop().await.unwrap();
    let began = Instant::now();
    let again = start(options(folder.path())).await.unwrap();
    assert!(
        began.elapsed() < Duration::from_secs(2),
        "{:?}",
        began.elapsed()
    );
    again.stop().await.unwrap();
}

async fn exchange(mut stream: impl AsyncRead + AsyncWrite + Unpin, request: &str) -> String {
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).await.unwrap();
    String::from_utf8(answer).unwrap()
}

const READY: &str = "GET /readyz HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n";

#[tokio::test]
async fn it_answers_over_tcp_and_at_the_admin_socket() {
    let ca = ca().await;
    let tcp = TcpStream::connect(ca.running.address).await.unwrap();
    assert!(exchange(tcp, READY).await.starts_with("HTTP/1.1 200"));
    let socket = UnixStream::connect(&ca.running.admin_socket).await.unwrap();
    let keys = "GET /v1/admin/keys HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n";
    assert!(exchange(socket, keys).await.starts_with("HTTP/1.1 200"));
    let tcp = TcpStream::connect(ca.running.address).await.unwrap();
    assert!(exchange(tcp, keys).await.starts_with("HTTP/1.1 401"));
    let mode = std::os::unix::fs::PermissionsExt::mode(
        &std::fs::metadata(&ca.running.admin_socket)
            .unwrap()
            .permissions(),
    );
    assert_eq!(mode & 0o777, 0o600);
}

#[tokio::test]
async fn silent_connections_do_not_keep_anybody_out() {
    let ca = ca().await;
    let mut silent = Vec::new();
    for _ in 0..600 {
        silent.push(TcpStream::connect(ca.running.address).await.unwrap());
    }
    let began = Instant::now();
    let tcp = TcpStream::connect(ca.running.address).await.unwrap();
    assert!(exchange(tcp, READY).await.starts_with("HTTP/1.1 200"));
    assert!(
        began.elapsed() < Duration::from_secs(1),
        "{:?}",
        began.elapsed()
    );
}

#[tokio::test]
async fn bytes_that_are_not_http_are_answered_or_closed_and_nothing_else() {
    let ca = ca().await;
    for bytes in [
        &b"\x16\x03\x01\x02\x00\x01\x00"[..],
        b"GET / HTTP/9.9\r\n\r\n",
        b"POST /v1/certificates HTTP/1.1\r\ncontent-length: 1\r\ncontent-length: 2\r\n\r\n",
        b"POST /v1/certificates HTTP/1.1\r\ncontent-length: -1\r\n\r\n",
        b"\x00\x00\x00",
    ] {
        let mut tcp = TcpStream::connect(ca.running.address).await.unwrap();
        tcp.write_all(bytes).await.unwrap();
        tcp.shutdown().await.unwrap();
        let mut answer = Vec::new();
        let _ = tcp.read_to_end(&mut answer).await;
        assert!(
            answer.is_empty() || answer.starts_with(b"HTTP/1.1 4"),
            "{answer:?}"
        );
    }
    let tcp = TcpStream::connect(ca.running.address).await.unwrap();
    assert!(exchange(tcp, READY).await.starts_with("HTTP/1.1 200"));
}

#[tokio::test]
async fn a_disk_below_its_reserve_is_no_fault_of_the_ledger_and_a_stop_is_clean() {
    let ca = ca().await;
    let state = std::sync::Arc::clone(ca.state());
    let refuse = || async {
        let asked = testing::request("GET", "/v1/roles", "");
        let asked = asked.body(crate::http::Body::default()).unwrap();
        assert_eq!(ca.send(testing::peer(), asked).await.status(), 401);
    };
    refuse().await;
    state.ledger.store().pretend_free(0);
    ca.clock.advance(Duration::from_secs(120));
    // The summary is due and has no room.
    let due = state.ledger.tick(state.now()).await;
    assert!(matches!(due, Err(LedgerError::DiskFull)), "{due:?}");
    drop(state);
    ca.running.stop().await.unwrap();
}

#[tokio::test]
async fn a_restart_on_a_full_disk_serves_and_ends_logins() {
    let mut ca = ca().await;
    let alice = Person::new("alice", &["Ops"]);
    let security = Person::new("security", &["Security"]);
    ca.sign_in(&alice).await;
    ca.sign_in(&security).await;
    let full = format!("{CONFIG}\n[disk]\nreserve = \"9999999GiB\"\n");
    put(ca.folder.path(), "ca.toml", &full);
    ca.running.stop().await.unwrap();
    ca.running = start(options(ca.folder.path())).await.unwrap();
    assert!(!ca.state().readiness().ready);
    let got = ca.ask(&alice, "POST", "/v1/certificates", "{}").await;
    assert_eq!(got.refusal(), "unavailable");
    // Those with the right find and end logins all the same.
    let got = ca.ask(&security, "GET", "/v1/admin/logins", "").await;
    let list: jit_ssh_api::admin::LoginList = got.json();
    let login = list.logins.iter().find(|it| it.subject == "alice").unwrap();
    let path = format!("/v1/admin/logins/{}", login.id);
    assert_eq!(ca.ask(&security, "DELETE", &path, "").await.status(), 200);
    let got = ca.ask(&alice, "POST", "/v1/certificates", "{}").await;
    assert_eq!(got.refusal(), "login-ended");
    let got = ca.ask(&security, "DELETE", "/v1/logins/self", "").await;
    assert_eq!(got.status(), 200);
}
