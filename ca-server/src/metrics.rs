//! Every metric of the CA in one place, written in Prometheus' text format (0.0.4) by hand: counters
//! are atomics, and no label ever comes from outside.

use std::fmt::Write as _;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Duration;

use jit_ssh_api::problem::Kind;

use crate::http::access::Route;

/// Counters since the start.
#[derive(Debug)]
pub(crate) struct Metrics {
    requests: Vec<[AtomicU64; CLASSES.len()]>,
    problems: Vec<AtomicU64>,
    certificates: AtomicU64,
    host_certificates: AtomicU64,
    host_clones: AtomicU64,
    outage: AtomicU64,
    seconds: Histogram,
    connections_refused: AtomicU64,
    reloads: AtomicU64,
    reloads_refused: AtomicU64,
}

/// What is read when somebody asks.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Gauges {
    pub(crate) connections: usize,
    pub(crate) hosts: usize,
    pub(crate) held_requests: usize,
    pub(crate) ready: bool,
    pub(crate) reload_refused: bool,
    /// 0 ample, 1 reserve, 2 full.
    pub(crate) disk: u8,
}

#[derive(Debug, Default)]
struct Histogram {
    buckets: [AtomicU64; BOUNDS_MS.len()],
    micros: AtomicU64,
    count: AtomicU64,
}

impl Metrics {
    pub(crate) fn new() -> Self {
        Metrics {
            requests: Route::ALL.iter().map(|_| Default::default()).collect(),
            problems: Kind::ALL.iter().map(|_| AtomicU64::default()).collect(),
            certificates: AtomicU64::default(),
            host_certificates: AtomicU64::default(),
            host_clones: AtomicU64::default(),
            outage: AtomicU64::default(),
            seconds: Histogram::default(),
            connections_refused: AtomicU64::default(),
            reloads: AtomicU64::default(),
            reloads_refused: AtomicU64::default(),
        }
    }

    /// A request was answered; `route` is none where there was no such path.
    pub(crate) fn answered(&self, route: Option<Route>, status: u16, took: Duration) {
        let Some(route) = route else { return };
        let class = usize::from(status / 100)
            .saturating_sub(2)
            .min(CLASSES.len() - 1);
        let at = Route::ALL.iter().position(|known| *known == route);
        if let Some(count) = at
            .and_then(|at| self.requests.get(at))
            .and_then(|row| row.get(class))
        {
            count.fetch_add(1, Relaxed);
        }
        if route == Route::Certificates {
            self.seconds.add(took);
        }
    }

    /// A request was refused.
    pub(crate) fn refused(&self, kind: Kind) {
        let at = Kind::ALL.iter().position(|known| *known == kind);
        if let Some(count) = at.and_then(|at| self.problems.get(at)) {
            count.fetch_add(1, Relaxed);
        }
    }

    /// A certificate was signed.
    pub(crate) fn issued(&self, outage: bool) {
        self.certificates.fetch_add(1, Relaxed);
        self.outage.fetch_add(u64::from(outage), Relaxed);
    }

    /// A certificate of a host was signed.
    pub(crate) fn host_certified(&self) {
        self.host_certificates.fetch_add(1, Relaxed);
    }

    /// Somebody seems to be a host that is there already.
    pub(crate) fn clone_noticed(&self) {
        self.host_clones.fetch_add(1, Relaxed);
    }

    /// Too many connections.
    pub(crate) fn connection_refused(&self) {
        self.connections_refused.fetch_add(1, Relaxed);
    }

    /// A configuration was taken, or refused.
    pub(crate) fn reloaded(&self, taken: bool) {
        let counter = if taken {
            &self.reloads
        } else {
            &self.reloads_refused
        };
        counter.fetch_add(1, Relaxed);
    }

    /// The whole page.
    pub(crate) fn render(&self, gauges: Gauges) -> String {
        let mut out = String::with_capacity(8 * 1024);
        self.render_requests(&mut out);
        let counters: [(&str, &str, u64); 8] = [
            (
                "certificates_total",
                "Certificates signed.",
                self.certificates.load(Relaxed),
            ),
            (
                "certificates_during_outage_total",
                "Certificates signed while the issuer could not be reached.",
                self.outage.load(Relaxed),
            ),
            (
                "host_certificates_total",
                "Certificates of hosts signed.",
                self.host_certificates.load(Relaxed),
            ),
            (
                "host_clones_total",
                "Attempts to be a host that is there already.",
                self.host_clones.load(Relaxed),
            ),
            (
                "connections_refused_total",
                "Connections closed because there were too many.",
                self.connections_refused.load(Relaxed),
            ),
            (
                "reloads_total",
                "Configurations taken.",
                self.reloads.load(Relaxed),
            ),
            (
                "reloads_refused_total",
                "Configurations with mistakes, not taken.",
                self.reloads_refused.load(Relaxed),
            ),
            (
                "exchange_total",
                "Exchanges answered.",
                self.seconds.count.load(Relaxed),
            ),
        ];
        for (name, help, value) in counters {
            metric(&mut out, name, "counter", help);
            sample(&mut out, name, "", value);
        }
        let gauges: [(&str, &str, u64); 6] = [
            (
                "connections",
                "Connections open.",
                gauges.connections as u64,
            ),
            ("hosts", "Hosts enrolled.", gauges.hosts as u64),
            (
                "held_requests",
                "Requests of hosts that are held.",
                gauges.held_requests as u64,
            ),
            ("ready", "1 if the CA can issue.", u64::from(gauges.ready)),
            (
                "reload_refused",
                "1 if the files on disk were refused and older ones are in force.",
                u64::from(gauges.reload_refused),
            ),
            (
                "disk_state",
                "0 ample, 1 below the reserve, 2 full.",
                u64::from(gauges.disk),
            ),
        ];
        for (name, help, value) in gauges {
            metric(&mut out, name, "gauge", help);
            sample(&mut out, name, "", value);
        }
        self.seconds.render(&mut out);
        out
    }

    fn render_requests(&self, out: &mut String) {
        metric(
            out,
            "requests_total",
            "counter",
            "Requests answered, by route and class of status.",
        );
        for (route, row) in Route::ALL.iter().zip(&self.requests) {
            for (class, count) in CLASSES.iter().zip(row) {
                let count = count.load(Relaxed);
                if count > 0 {
                    let (method, path) = (route.method(), route.path());
                    let labels =
                        format!("{{method=\"{method}\",route=\"{path}\",status=\"{class}\"}}");
                    sample(out, "requests_total", &labels, count);
                }
            }
        }
        metric(out, "problems_total", "counter", "Refusals, by type.");
        for (kind, count) in Kind::ALL.iter().zip(&self.problems) {
            let labels = format!("{{type=\"{}\"}}", kind.name());
            sample(out, "problems_total", &labels, count.load(Relaxed));
        }
    }
}

impl Histogram {
    fn add(&self, took: Duration) {
        let micros = u64::try_from(took.as_micros()).unwrap_or(u64::MAX);
        for (bound, count) in BOUNDS_MS.iter().zip(&self.buckets) {
            if micros <= bound * 1000 {
                count.fetch_add(1, Relaxed);
                break;
            }
        }
        self.micros.fetch_add(micros, Relaxed);
        self.count.fetch_add(1, Relaxed);
    }

    fn render(&self, out: &mut String) {
        metric(
            out,
            "exchange_seconds",
            "histogram",
            "Time from an exchange's head to its answer.",
        );
        let mut below = 0;
        for (bound, count) in BOUNDS_MS.iter().zip(&self.buckets) {
            below += count.load(Relaxed);
            let labels = format!("{{le=\"{}.{:03}\"}}", bound / 1000, bound % 1000);
            sample(out, "exchange_seconds_bucket", &labels, below);
        }
        let count = self.count.load(Relaxed);
        sample(
            out,
            "exchange_seconds_bucket",
            "{le=\"+Inf\"}",
            count.max(below),
        );
        let micros = self.micros.load(Relaxed);
        let sum = format!("{}.{:06}", micros / 1_000_000, micros % 1_000_000);
        let _ = writeln!(out, "{PREFIX}exchange_seconds_sum {sum}");
        sample(out, "exchange_seconds_count", "", count.max(below));
    }
}

fn metric(out: &mut String, name: &str, kind: &str, help: &str) {
    let _ = writeln!(
        out,
        "# HELP {PREFIX}{name} {help}\n# TYPE {PREFIX}{name} {kind}"
    );
}

fn sample(out: &mut String, name: &str, labels: &str, value: u64) {
    let _ = writeln!(out, "{PREFIX}{name}{labels} {value}");
}

const PREFIX: &str = "jit_ssh_ca_";
const CLASSES: [&str; 4] = ["2xx", "3xx", "4xx", "5xx"];
const BOUNDS_MS: [u64; 11] = [1, 2, 5, 10, 20, 50, 100, 250, 500, 1000, 5000];

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::{Gauges, Metrics};
    use crate::http::access::Route;

    #[test]
    fn the_page_is_in_prometheus_format() {
        let metrics = Metrics::new();
        metrics.answered(Some(Route::Certificates), 200, Duration::from_millis(3));
        metrics.answered(Some(Route::Certificates), 403, Duration::from_millis(30));
        metrics.issued(false);
        let gauges = Gauges {
            connections: 3,
            hosts: 2,
            held_requests: 1,
            ready: true,
            reload_refused: false,
            disk: 0,
        };
        let page = metrics.render(gauges);
        for line in [
            "jit_ssh_ca_requests_total{method=\"POST\",route=\"/v1/certificates\",status=\"4xx\"} 1",
            "jit_ssh_ca_certificates_total 1",
            "jit_ssh_ca_connections 3",
            "jit_ssh_ca_exchange_seconds_bucket{le=\"0.005\"} 1",
            "jit_ssh_ca_exchange_seconds_bucket{le=\"+Inf\"} 2",
            "jit_ssh_ca_exchange_seconds_sum 0.033000",
        ] {
            assert!(page.lines().any(|it| it == line), "{line}\n{page}");
        }
        let named = page
            .lines()
            .all(|line| line.starts_with('#') || line.starts_with("jit_ssh_ca_"));
        assert!(named);
    }
}
