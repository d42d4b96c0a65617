//! A CA endpoint that lies: stands between a client and a real CA, passes requests on, and changes
//! what comes back as the test wishes.

use std::io::{Read as _, Write as _};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex};

use serde_json::Value;

type Edit = dyn Fn(&str, &mut Value) + Send + Sync;

/// The liar. Its threads wait for callers until the test's process ends.
pub struct Proxy {
    /// What the client takes for the CA's address.
    pub url: String,
    seen: Arc<Mutex<Vec<String>>>,
}

impl std::fmt::Debug for Proxy {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Proxy").field("url", &self.url).finish()
    }
}

impl Proxy {
    /// In front of a CA; `edit` gets the path and the JSON of each good answer.
    pub fn start(ca: SocketAddr, edit: impl Fn(&str, &mut Value) + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let seen = Arc::new(Mutex::new(Vec::new()));
        let edit: Arc<Edit> = Arc::new(edit);
        let (own, log) = (url.clone(), seen.clone());
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let (edit, own, log) = (edit.clone(), own.clone(), log.clone());
                std::thread::spawn(move || pass(stream, ca, &own, &*edit, &log));
            }
        });
        Proxy { url, seen }
    }

    /// Paths that were asked for.
    pub fn seen(&self) -> Vec<String> {
        self.seen.lock().unwrap().clone()
    }
}

/// One request and its answer; `None` when a side went away.
fn pass(
    mut client: TcpStream,
    ca: SocketAddr,
    own: &str,
    edit: &Edit,
    log: &Mutex<Vec<String>>,
) -> Option<()> {
    let mut request = Vec::new();
    let mut buffer = [0; 16 * 1024];
    let end = loop {
        let read = client.read(&mut buffer).ok().filter(|&read| read > 0)?;
        request.extend(&buffer[..read]);
        if let Some(at) = request.windows(4).position(|bytes| bytes == b"\r\n\r\n") {
            break at + 4;
        }
    };
    let head = String::from_utf8_lossy(&request[..end]).into_owned();
    let length = header(&head, "content-length")
        .and_then(|value| value.parse().ok())
        .unwrap_or(0);
    while request.len() < end + length {
        let read = client.read(&mut buffer).ok().filter(|&read| read > 0)?;
        request.extend(&buffer[..read]);
    }
    let path = head.split(' ').nth(1)?.to_owned();
    log.lock().unwrap().push(path.clone());

    let lines = head.lines().filter(|line| !line.is_empty());
    let mut forwarded: String = lines
        .filter(|line| !line.to_ascii_lowercase().starts_with("connection:"))
        .map(|line| format!("{line}\r\n"))
        .collect();
    forwarded += "Connection: close\r\n\r\n";
    let mut server = TcpStream::connect(ca).ok()?;
    server.write_all(forwarded.as_bytes()).ok()?;
    server.write_all(&request[end..]).ok()?;
    let mut answer = Vec::new();
    server.read_to_end(&mut answer).ok()?;

    let text = String::from_utf8_lossy(&answer).into_owned();
    let (head, body) = text.split_once("\r\n\r\n")?;
    let body = match serde_json::from_str::<Value>(body) {
        Ok(mut value) if head.starts_with("HTTP/1.1 200") => {
            if let Some(url) = value.get_mut("url") {
                *url = Value::from(own);
            }
            edit(&path, &mut value);
            value.to_string()
        }
        _ => body.to_owned(),
    };
    let head: String = head
        .lines()
        .filter(|line| {
            let line = line.to_ascii_lowercase();
            !line.starts_with("content-length:") && !line.starts_with("connection:")
        })
        .map(|line| format!("{line}\r\n"))
        .collect();
    let answer = format!(
        "{head}Content-Length: {}\r\nConnection: close\r\n\r\n{body}",
        body.len()
    );
    client.write_all(answer.as_bytes()).ok()
}

fn header<'a>(head: &'a str, name: &str) -> Option<&'a str> {
    head.lines().find_map(|line| {
        let (key, value) = line.split_once(':')?;
        key.eq_ignore_ascii_case(name).then(|| value.trim())
    })
}
