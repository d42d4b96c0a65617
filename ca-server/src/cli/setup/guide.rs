//! What to do next, ready to paste: at the identity provider, on every server, on every laptop.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::Path;

use jit_ssh_api::discovery::Flow;

use crate::cli::init::{Made, New, Plan};
use crate::policy::Account;

/// Knows the CA that was set up.
pub(super) struct Guide<'a> {
    plan: &'a Plan,
    made: &'a Made,
    new: &'a New,
}

/// How far it came.
pub(super) struct State<'a> {
    pub(super) started: bool,
    pub(super) under_systemd: bool,
    pub(super) data: &'a Path,
    pub(super) passphrase_file: &'a Path,
    pub(super) made_passphrase: bool,
}

impl<'a> Guide<'a> {
    pub(super) fn new(plan: &'a Plan, made: &'a Made, new: &'a New) -> Self {
        Guide { plan, made, new }
    }

    /// Redirect addresses to register for the client.
    pub(super) fn redirects(&self) -> Vec<String> {
        let mut addresses = Vec::new();
        for client in self
            .plan
            .config
            .issuers
            .iter()
            .flat_map(|issuer| &issuer.clients)
        {
            if client.flows.contains(&Flow::Loopback) {
                if client.redirect_ports.is_empty() {
                    addresses.push(client.redirect.clone());
                }
                for port in &client.redirect_ports {
                    let host = client
                        .redirect
                        .strip_suffix("/callback")
                        .unwrap_or(&client.redirect);
                    addresses.push(format!("{host}:{port}/callback"));
                }
            }
            if client.flows.contains(&Flow::Paste) {
                addresses.push(format!("{}/sign-in", self.plan.url));
            }
        }
        addresses
    }

    /// The command for every server.
    pub(super) fn server(&self) -> String {
        let mut accounts: BTreeMap<&str, Vec<String>> = BTreeMap::new();
        for grant in &self.new.grants {
            for account in &grant.accounts {
                let (account, role) = match account {
                    Account::Fixed(name) => (name.as_str(), grant.role.to_string()),
                    // For each person; docs/hosts.md.
                    Account::Own => ("alice", format!("{}+alice", grant.role)),
                };
                let roles = accounts.entry(account).or_default();
                if !roles.contains(&role) {
                    roles.push(role);
                }
            }
        }
        if accounts.is_empty() {
            accounts.insert("observer", vec!["production-observer".to_owned()]);
        }
        let mut command = format!(
            "sudo jit-ssh-host install --ca {} --fingerprint {}",
            self.plan.url, self.made.fingerprint
        );
        for (account, roles) in accounts {
            // Writing to a string does not fail.
            let _ = write!(command, " --account {account}={}", roles.join(","));
        }
        command.push_str(" --create-accounts");
        command
    }

    /// The command for every laptop.
    pub(super) fn laptop(&self) -> String {
        format!(
            "jit-ssh login --ca {} --fingerprint {}",
            self.plan.url, self.made.fingerprint
        )
    }

    /// All of it for a person.
    pub(super) fn text(&self, state: &State<'_>) -> String {
        let mut text = String::new();
        let _ = self.write(&mut text, state);
        text.trim_end().to_owned()
    }

    fn write(&self, out: &mut String, state: &State<'_>) -> std::fmt::Result {
        let what = if state.started { "runs" } else { "is made" };
        writeln!(out, "The CA of {} {what}.\n", self.plan.url)?;
        writeln!(
            out,
            "  data         {}   (ca.toml, policy.toml, keys, ledger)",
            state.data.display()
        )?;
        let keep = if state.made_passphrase {
            "   (keep a copy elsewhere: it unlocks the keys)"
        } else {
            ""
        };
        writeln!(
            out,
            "  passphrase   {}{keep}",
            state.passphrase_file.display()
        )?;
        writeln!(out, "  fingerprint  {}", self.made.fingerprint)?;
        if let Some(command) = &self.made.sign_key_set {
            writeln!(
                out,
                "\nWhere the identity key is, sign the key set, and bring the signature back beside it:\n  {command}"
            )?;
        }
        if !state.started {
            let start = if state.under_systemd {
                "systemctl enable --now jit-ssh-ca".to_owned()
            } else {
                format!(
                    "jit-ssh-ca serve --data {} --passphrase-file {}",
                    state.data.display(),
                    state.passphrase_file.display()
                )
            };
            writeln!(out, "\nStart it:\n  {start}")?;
        }
        writeln!(
            out,
            "\nAt {}, for client {}, register these redirect addresses:",
            self.new.issuer, self.new.client_id
        )?;
        for address in self.redirects() {
            writeln!(out, "  {address}")?;
        }
        writeln!(out, "\nOn every server:\n  {}", self.server())?;
        writeln!(out, "\nOn every laptop:\n  {}", self.laptop())?;
        let host = self
            .new
            .hosts
            .first()
            .map_or("HOST", String::as_str)
            .replace('*', "HOST");
        writeln!(out, "  ssh {host}")
    }
}
