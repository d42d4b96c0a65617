//! The real OpenID provider that we did not write: npm's oidc-provider, as `op/op.mjs` starts it.

use crate::dir::Dir;
use crate::process::{Child, Run, asset, installed};

/// It runs, and ends with the test.
#[derive(Debug)]
pub struct Op {
    /// Issuer identifier.
    pub issuer: String,
    #[expect(dead_code, reason = "ends with the test")]
    child: Child,
}

impl Op {
    /// Starts it with this algorithm for ID tokens, and the CA's `/sign-in` page as an address to
    /// redirect to. `None` where node is not installed.
    pub fn start(dir: &Dir, algorithm: &str, paste_redirect: &str) -> Option<Self> {
        if !installed("node") {
            return None;
        }
        install();
        let mut child = Run::new("node")
            .arg(asset("op/op.mjs"))
            .arg("0")
            .env("ALG", algorithm)
            .env("PASTE_REDIRECT", paste_redirect)
            .env("END_WITH_STDIN", "1")
            .env("NODE_NO_WARNINGS", "1")
            .start("op", dir);
        child.says("OpenID provider at http://127.0.0.1:");
        let issuer = crate::clock::until("the provider's address", || {
            let log = child.log();
            let line = log.lines().find(|line| line.starts_with("OpenID"))?;
            line.split(' ').next_back().map(str::to_owned)
        });
        Some(Op { issuer, child })
    }

    /// Changes a person: `{"groups": []}`.
    pub fn change(&self, person: &str, claims: &serde_json::Value) {
        self.person("POST", person, claims.to_string().as_bytes());
    }

    /// The person leaves the company.
    pub fn remove(&self, person: &str) {
        self.person("DELETE", person, b"");
    }

    fn person(&self, method: &str, person: &str, body: &[u8]) {
        let address = self.issuer.trim_start_matches("http://").parse().unwrap();
        let path = format!("/test/people/{person}");
        let answer = crate::http::send(address, method, &path, &[], body);
        assert_eq!(answer.status, 204, "{answer:?}");
    }
}

/// `npm ci`, once for all tests and scripts that run at the same time.
fn install() {
    Run::new("bash")
        .args(["-c", ". scripts/lib.sh && need_provider"])
        .at(asset(".."))
        .within(std::time::Duration::from_secs(120))
        .go()
        .ok();
}
