//! What measurements share: TLS connections to a CA, requests that are ready to be written, and what a
//! process has used.

use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

/// A connection of its own: TCP and a whole TLS handshake.
///
/// # Panics
/// When the CA does not take it.
pub async fn connect(address: SocketAddr, tls: &TlsConnector) -> TlsStream<TcpStream> {
    let connected = try_connect(address, tls).await;
    connected.unwrap()
}

async fn try_connect(
    address: SocketAddr,
    tls: &TlsConnector,
) -> std::io::Result<TlsStream<TcpStream>> {
    let tcp = TcpStream::connect(address).await?;
    handshake(tcp, address, tls).await
}

/// The same from an address of its own, of a CA that may be away.
pub async fn try_connect_from(
    from: SocketAddr,
    address: SocketAddr,
    tls: &TlsConnector,
) -> std::io::Result<TlsStream<TcpStream>> {
    let socket = tokio::net::TcpSocket::new_v4()?;
    socket.bind(from)?;
    handshake(socket.connect(address).await?, address, tls).await
}

async fn handshake(
    tcp: TcpStream,
    address: SocketAddr,
    tls: &TlsConnector,
) -> std::io::Result<TlsStream<TcpStream>> {
    tcp.set_nodelay(true)?;
    tls.connect(address.ip().into(), tcp).await
}

/// Writes the request and reads the answer whole; anything but success ends the measurement.
///
/// # Panics
/// When the answer is cut off, or is none with status 200.
pub async fn exchange(stream: &mut TlsStream<TcpStream>, request: &[u8]) -> Vec<u8> {
    let answer = try_exchange(stream, request).await;
    answer.unwrap()
}

/// The body of the answer, or why there is none: of a CA that may be ended meanwhile.
///
/// # Panics
/// When there is an answer whose status is not 200.
pub async fn try_exchange(
    stream: &mut TlsStream<TcpStream>,
    request: &[u8],
) -> std::io::Result<Vec<u8>> {
    let cut = || std::io::Error::from(std::io::ErrorKind::UnexpectedEof);
    stream.write_all(request).await?;
    let mut buffer = Vec::with_capacity(8192);
    let (head, length) = loop {
        if stream.read_buf(&mut buffer).await? == 0 {
            return Err(cut());
        }
        if let Some(end) = buffer.windows(4).position(|window| window == b"\r\n\r\n") {
            let head = String::from_utf8_lossy(&buffer[..end]).to_ascii_lowercase();
            let length = head
                .lines()
                .find_map(|line| line.strip_prefix("content-length:"))
                .and_then(|value| value.trim().parse::<usize>().ok())
                .unwrap_or(0);
            break (end + 4, length);
        }
    };
    while buffer.len() < head + length {
        if stream.read_buf(&mut buffer).await? == 0 {
            return Err(cut());
        }
    }
    assert!(
        buffer.starts_with(b"HTTP/1.1 200"),
        "{}",
        String::from_utf8_lossy(&buffer)
    );
    Ok(buffer.split_off(head))
}

/// Trusts that certificate and keeps no session: each new connection is a whole handshake.
///
/// # Panics
/// When the certificate cannot be read.
pub fn connector(certificate: &Path) -> TlsConnector {
    use rustls::pki_types::CertificateDer;
    use rustls::pki_types::pem::PemObject as _;
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let mut roots = rustls::RootCertStore::empty();
    roots
        .add(CertificateDer::from_pem_file(certificate).unwrap())
        .unwrap();
    let mut config = rustls::ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    config.resumption = rustls::client::Resumption::disabled();
    TlsConnector::from(Arc::new(config))
}

/// User and system time of a process so far, seconds (proc(5), fields 14 and 15 of `stat`).
///
/// # Panics
/// When there is no such process.
pub fn cpu_seconds(pid: u32) -> f64 {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap();
    let after_name = stat.rsplit_once(')').unwrap().1;
    let fields: Vec<&str> = after_name.split_whitespace().collect();
    let ticks: f64 = fields[11].parse::<f64>().unwrap() + fields[12].parse::<f64>().unwrap();
    ticks / rustix::param::clock_ticks_per_second() as f64
}

/// Memory of a process that is resident, MiB.
///
/// # Panics
/// When there is no such process.
pub fn resident_mb(pid: u32) -> f64 {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
    let line = status
        .lines()
        .find_map(|line| line.strip_prefix("VmRSS:"))
        .unwrap();
    line.trim()
        .trim_end_matches(" kB")
        .trim()
        .parse::<f64>()
        .unwrap()
        / 1024.0
}

/// The value below which that share of sorted values lies.
pub fn percentile(sorted: &[f64], percent: usize) -> f64 {
    let last = sorted.len() - 1;
    sorted[(percent * last + 50) / 100]
}

/// The one in the middle.
pub fn median(values: &mut [f64]) -> f64 {
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}

/// Two digits behind the point are more than any of these measurements is worth.
pub fn round(value: f64) -> f64 {
    (value * 100.0).round() / 100.0
}
