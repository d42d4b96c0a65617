use std::time::{Duration, Instant};

use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::net::{TcpStream, UnixStream};

use super::testing::{self, CONFIG, POLICY, Person, ca, data_folder, put};
use super::{ServeOptions, StartError, start};
use crate::signer::SignerError;
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
