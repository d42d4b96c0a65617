//! The loopback redirect (RFC 8252 §7.3): a listener on this machine, bound before the browser
//! opens, that takes one answer: the right path, method, host and state (A45). Whatever else
//! arrives (other pages, other users of this machine, forged errors) gets a short refusal, and the
//! sign-in goes on waiting.

use std::io;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};
use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;
use url::Url;

use super::{Callback, OidcError, Transaction};

/// A bound listener.
pub(crate) struct Loopback {
    listeners: Vec<TcpListener>,
    host: String,
    path: String,
}

impl Loopback {
    /// Binds 127.0.0.1, and `::1` as well where the redirect address says `localhost`; on one of
    /// the registered ports, or on any free one.
    pub(crate) async fn bind(redirect: &str, ports: &[u16]) -> Result<Self, OidcError> {
        let address = || OidcError::Address(redirect.to_owned());
        let url = super::safe_url(redirect)?;
        let name = url.host_str().ok_or_else(address)?;
        let by_name = name == "localhost";
        if url.scheme() != "http" || !(by_name || name == "127.0.0.1") {
            return Err(address());
        }
        let choices = if ports.is_empty() { &[0][..] } else { ports };
        for port in choices {
            match bind_port(*port, by_name).await {
                Ok((listeners, port)) => {
                    return Ok(Loopback {
                        listeners,
                        host: format!("{name}:{port}"),
                        path: url.path().to_owned(),
                    });
                }
                Err(error) if error.kind() == io::ErrorKind::AddrInUse => {}
                Err(error) => return Err(OidcError::Listen(error)),
            }
        }
        Err(OidcError::Ports(choices.to_vec()))
    }

    /// The redirect address with its port.
    pub(crate) fn redirect(&self) -> String {
        format!("http://{}{}", self.host, self.path)
    }

    /// Waits for the one answer. Connections are served side by side: browsers open some that they
    /// never use.
    pub(crate) async fn wait(
        self,
        transaction: &Transaction,
        patience: Duration,
    ) -> Result<Callback, OidcError> {
        let waiting = async {
            let mut readers: JoinSet<Option<(TcpStream, String)>> = JoinSet::new();
            loop {
                tokio::select! {
                    stream = self.accept(), if readers.len() < MAX_CONNECTIONS => {
                        if let Ok(stream) = stream {
                            readers.spawn(read_head(stream));
                        }
                    }
                    Some(read) = readers.join_next() => {
                        let Ok(Some((stream, head))) = read else { continue };
                        let verdict = judge(&head, &self.host, &self.path, transaction);
                        let answer = verdict.answer();
                        let answering = tokio::spawn(write_answer(stream, answer));
                        let outcome = match verdict {
                            Verdict::Taken(callback) => Ok(callback),
                            Verdict::Refused(error) => Err(error),
                            Verdict::NotOurs(_) => continue,
                        };
                        // The person should see the page; a browser that does not read it is no
                        // reason to fail.
                        let _ = answering.await;
                        return outcome;
                    }
                }
            }
        };
        tokio::time::timeout(patience, waiting)
            .await
            .unwrap_or(Err(OidcError::Timeout(patience.as_secs() / 60)))
    }

    async fn accept(&self) -> io::Result<TcpStream> {
        let mut listeners = self.listeners.iter();
        let (first, second) = (listeners.next(), listeners.next());
        match (first, second) {
            (Some(first), Some(second)) => tokio::select! {
                stream = first.accept() => Ok(stream?.0),
                stream = second.accept() => Ok(stream?.0),
            },
            (Some(only), None) => Ok(only.accept().await?.0),
            _ => std::future::pending().await,
        }
    }
}

async fn bind_port(port: u16, by_name: bool) -> io::Result<(Vec<TcpListener>, u16)> {
    // A free port for IPv4 may be taken for IPv6: then another one.
    for _ in 0..8 {
        let first = TcpListener::bind(SocketAddr::from((Ipv4Addr::LOCALHOST, port))).await?;
        let bound = first.local_addr()?.port();
        if !by_name {
            return Ok((vec![first], bound));
        }
        match TcpListener::bind(SocketAddr::from((Ipv6Addr::LOCALHOST, bound))).await {
            Ok(second) => return Ok((vec![first, second], bound)),
            Err(error) if error.kind() == io::ErrorKind::AddrInUse && port == 0 => {}
            Err(error) if error.kind() == io::ErrorKind::AddrInUse => return Err(error),
            // No IPv6 on this machine: nobody else can have it either.
            Err(_) => return Ok((vec![first], bound)),
        }
    }
    Err(io::ErrorKind::AddrInUse.into())
}

async fn read_head(mut stream: TcpStream) -> Option<(TcpStream, String)> {
    let reading = async {
        let mut head = Vec::new();
        let mut buffer = [0; 4096];
        loop {
            let read = stream.read(&mut buffer).await.ok()?;
            head.extend_from_slice(buffer.get(..read)?);
            if head.windows(4).any(|four| four == b"\r\n\r\n") {
                return String::from_utf8(head).ok();
            }
            if read == 0 || head.len() > MAX_HEAD {
                return None;
            }
        }
    };
    let head = tokio::time::timeout(Duration::from_secs(20), reading)
        .await
        .ok()??;
    Some((stream, head))
}

async fn write_answer(mut stream: TcpStream, answer: String) {
    let writing = async {
        stream.write_all(answer.as_bytes()).await?;
        stream.shutdown().await
    };
    // The browser may be gone; the sign-in is not.
    let _ = tokio::time::timeout(Duration::from_secs(3), writing).await;
}

enum Verdict {
    Taken(Callback),
    Refused(OidcError),
    NotOurs(&'static str),
}

impl Verdict {
    fn answer(&self) -> String {
        let (status, title, text) = match self {
            Verdict::Taken(_) => (
                "200 OK",
                "Back to your terminal",
                "The sign-in goes on there. You can close this tab.",
            ),
            Verdict::Refused(_) => (
                "200 OK",
                "The sign-in did not work",
                "Your terminal says why. You can close this tab.",
            ),
            Verdict::NotOurs(status) => (*status, "Nothing here", "This is not for you to see."),
        };
        let body = format!(
            "<!doctype html><html lang=en><meta charset=utf-8><meta name=viewport \
             content=\"width=device-width\"><title>jit-ssh</title><style>body{{font:1.1rem/1.5 \
             system-ui,sans-serif;max-width:32rem;margin:20vh auto;padding:0 1rem;color:#222;\
             background:#fff}}@media(prefers-color-scheme:dark){{body{{color:#ddd;background:#111}}}}\
             </style><h1>{title}</h1><p>{text}</p></html>\n"
        );
        format!(
            "HTTP/1.1 {status}\r\nContent-Type: text/html; charset=utf-8\r\nContent-Length: {}\r\n\
             Content-Security-Policy: default-src 'none'; style-src 'unsafe-inline'; \
             frame-ancestors 'none'\r\nReferrer-Policy: no-referrer\r\nCache-Control: no-store\r\n\
             X-Content-Type-Options: nosniff\r\nConnection: close\r\n\r\n{body}",
            body.len()
        )
    }
}

fn judge(head: &str, host: &str, path: &str, transaction: &Transaction) -> Verdict {
    let mut lines = head.split("\r\n");
    let mut request = lines.next().unwrap_or_default().split(' ');
    let (method, target) = (request.next(), request.next().unwrap_or_default());
    let (mut hosts, mut from_page) = (Vec::new(), false);
    for line in lines.take_while(|line| !line.is_empty()) {
        let Some((name, value)) = line.split_once(':') else {
            return Verdict::NotOurs("400 Bad Request");
        };
        if name.eq_ignore_ascii_case("host") {
            hosts.push(value.trim());
        }
        // A redirect of the browser's own carries no Origin; a page's script does.
        from_page |= name.eq_ignore_ascii_case("origin");
    }
    // DNS rebinding brings a foreign name here.
    if hosts != [host] || from_page {
        return Verdict::NotOurs("403 Forbidden");
    }
    if method != Some("GET") {
        return Verdict::NotOurs("405 Method Not Allowed");
    }
    let Ok(url) = Url::parse(&format!("http://{host}{target}")) else {
        return Verdict::NotOurs("400 Bad Request");
    };
    if url.path() != path || !target.starts_with(path) {
        return Verdict::NotOurs("404 Not Found");
    }
    match from_query(&url, transaction) {
        Ok(callback) => Verdict::Taken(callback),
        // Anybody can send a wrong state; only the issuer can send the right one.
        Err(OidcError::OtherTransaction | OidcError::Paste) => Verdict::NotOurs("403 Forbidden"),
        Err(error) => Verdict::Refused(error),
    }
}

/// Reads `code`, `state`, `iss` or `error` of a redirect; each may be there once.
pub(super) fn from_query(url: &Url, transaction: &Transaction) -> Result<Callback, OidcError> {
    let one = |name: &str| -> Result<Option<String>, OidcError> {
        let mut values = url.query_pairs().filter(|(key, _)| key == name);
        let first = values.next().map(|(_, value)| value.into_owned());
        if values.next().is_some() {
            return Err(OidcError::Paste);
        }
        Ok(first)
    };
    let (state, iss) = (one("state")?.unwrap_or_default(), one("iss")?);
    let (code, error) = (one("code")?, one("error")?);
    if !transaction.is_ours(&state) {
        return Err(OidcError::OtherTransaction);
    }
    transaction.check_issuer(iss.as_deref())?;
    match (code, error) {
        (Some(code), None) if !code.is_empty() => Ok(Callback { code, iss }),
        (_, Some(error)) => Err(OidcError::Refused {
            error,
            description: one("error_description")?,
        }),
        _ => Err(OidcError::Paste),
    }
}

const MAX_HEAD: usize = 32 * 1024;
const MAX_CONNECTIONS: usize = 32;

#[cfg(test)]
mod tests {
    use super::super::tests::transaction;
    use super::*;

    const ISS: &str = "iss=https%3A%2F%2Fidp.example.com";

    async fn send(redirect: &str, request: &str) -> String {
        let url = Url::parse(redirect).unwrap();
        let address = ("127.0.0.1", url.port().unwrap());
        let mut stream = TcpStream::connect(address).await.unwrap();
        stream.write_all(request.as_bytes()).await.unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await.unwrap();
        answer
    }

    #[tokio::test]
    async fn forged_callbacks_are_refused_and_the_real_one_is_taken_once() {
        let transaction = transaction(true);
        let loopback = Loopback::bind("http://127.0.0.1/callback", &[])
            .await
            .unwrap();
        let redirect = loopback.redirect();
        let host = loopback.host.clone();
        let state = transaction.state().to_owned();
        let good = format!("/callback?code=C&state={state}&{ISS}");
        let forgeries = async {
            let wrong = "x".repeat(43);
            for (name, request) in [
                (
                    "wrong state",
                    format!(
                        "GET /callback?code=E&state={wrong}&{ISS} HTTP/1.1\r\nHost: {host}\r\n\r\n"
                    ),
                ),
                (
                    "no state",
                    format!("GET /callback?code=E&{ISS} HTTP/1.1\r\nHost: {host}\r\n\r\n"),
                ),
                (
                    "two states",
                    format!(
                        "GET /callback?code=E&state={state}&state={wrong} HTTP/1.1\r\nHost: {host}\r\n\r\n"
                    ),
                ),
                (
                    "forged error",
                    format!("GET /callback?error=access_denied HTTP/1.1\r\nHost: {host}\r\n\r\n"),
                ),
                (
                    "post",
                    format!("POST {good} HTTP/1.1\r\nHost: {host}\r\n\r\n"),
                ),
                (
                    "rebinding",
                    format!("GET {good} HTTP/1.1\r\nHost: evil.example:80\r\n\r\n"),
                ),
                ("no host", format!("GET {good} HTTP/1.1\r\n\r\n")),
                (
                    "two hosts",
                    format!("GET {good} HTTP/1.1\r\nHost: {host}\r\nHost: evil\r\n\r\n"),
                ),
                (
                    "script",
                    format!(
                        "GET {good} HTTP/1.1\r\nHost: {host}\r\nOrigin: https://evil.example\r\n\r\n"
                    ),
                ),
                (
                    "other path",
                    format!(
                        "GET /callback/x?code=E&state={state} HTTP/1.1\r\nHost: {host}\r\n\r\n"
                    ),
                ),
                (
                    "dots",
                    format!(
                        "GET /x/../callback?code=E&state={state}&{ISS} HTTP/1.1\r\nHost: {host}\r\n\r\n"
                    ),
                ),
                (
                    "favicon",
                    format!("GET /favicon.ico HTTP/1.1\r\nHost: {host}\r\n\r\n"),
                ),
            ] {
                let answer = send(&redirect, &request).await;
                assert!(answer.starts_with("HTTP/1.1 4"), "{name}: {answer}");
            }
            let idle =
                TcpStream::connect(("127.0.0.1", Url::parse(&redirect).unwrap().port().unwrap()))
                    .await
                    .unwrap();
            let answer = send(
                &redirect,
                &format!("GET {good} HTTP/1.1\r\nHost: {host}\r\n\r\n"),
            )
            .await;
            assert!(answer.contains("Back to your terminal"), "{answer}");
            assert!(!answer.contains(&state));
            drop(idle);
        };
        let waiting = loopback.wait(&transaction, Duration::from_secs(20));
        let (callback, ()) = tokio::join!(waiting, forgeries);
        let callback = callback.ok().unwrap();
        assert_eq!(callback.code, "C");
        let port = Url::parse(&redirect).unwrap().port().unwrap();
        assert!(
            TcpStream::connect(("127.0.0.1", port)).await.is_err(),
            "answers twice"
        );
    }

    #[tokio::test]
    async fn an_answer_of_the_wrong_issuer_ends_the_sign_in() {
        let transaction = transaction(true);
        let loopback = Loopback::bind("http://127.0.0.1/callback", &[])
            .await
            .unwrap();
        let (redirect, host) = (loopback.redirect(), loopback.host.clone());
        let state = transaction.state();
        let request = format!(
            "GET /callback?code=C&state={state}&iss=https://evil HTTP/1.1\r\nHost: {host}\r\n\r\n"
        );
        let waiting = loopback.wait(&transaction, Duration::from_secs(20));
        let (outcome, answer) = tokio::join!(waiting, send(&redirect, &request));
        assert!(matches!(outcome, Err(OidcError::OtherIssuer)));
        assert!(answer.contains("did not work"));
    }

    #[tokio::test]
    async fn busy_ports_are_passed_over_and_named_when_all_are() {
        let busy = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = busy.local_addr().unwrap().port();
        let free = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let next = free.local_addr().unwrap().port();
        drop(free);
        let loopback = Loopback::bind("http://localhost/callback", &[port, next])
            .await
            .unwrap();
        assert_eq!(
            loopback.redirect(),
            format!("http://localhost:{next}/callback")
        );
        let error = Loopback::bind("http://127.0.0.1/callback", &[port])
            .await
            .err()
            .unwrap();
        assert!(matches!(error, OidcError::Ports(_)));
        for bad in [
            "http://192.0.2.1/callback",
            "https://localhost/",
            "http://[::1]/callback",
        ] {
            assert!(Loopback::bind(bad, &[]).await.is_err(), "{bad}");
        }
    }

    #[tokio::test]
    async fn nobody_coming_is_a_timeout() {
        let transaction = transaction(false);
        let loopback = Loopback::bind("http://127.0.0.1/callback", &[])
            .await
            .unwrap();
        let outcome = loopback.wait(&transaction, Duration::from_millis(50)).await;
        assert!(matches!(outcome, Err(OidcError::Timeout(_))));
    }

    proptest::proptest! {
        #[test]
        fn any_bytes_at_the_callback_are_judged_and_never_taken(bytes: Vec<u8>, text: String) {
            let (transaction, host) = (transaction(true), "127.0.0.1:4711");
            let bytes = String::from_utf8_lossy(&bytes).into_owned();
            for junk in [&bytes, &text] {
                let state = transaction.state();
                for head in [
                    junk.clone(),
                    format!("GET {junk} HTTP/1.1\r\nHost: {host}\r\n\r\n"),
                    format!("GET /callback?{junk} HTTP/1.1\r\nHost: {host}\r\n\r\n"),
                    format!("GET /callback?code=C&state={state} HTTP/1.1\r\n{junk}\r\n\r\n"),
                ] {
                    let verdict = judge(&head, host, "/callback", &transaction);
                    proptest::prop_assert!(!matches!(verdict, Verdict::Taken(_)), "{head:?}");
                }
            }
        }
    }
}
