//! `policy check|test|explain|show`: on a bare file, or on the policy that is in force.

use std::path::{Path, PathBuf};

use clap::{Args, Subcommand};
use jit_ssh_api::admin::{ExplainRequest, Explanation, PolicyText};
use jit_ssh_connect::Request;
use jit_ssh_terminal::{Exit, Failure, Table, Terminal, span, utc};
use serde_json::{Map, Value, json};

use super::access::Access;
use crate::config::Config;
use crate::policy::{self as core, IssuerFacts, PolicyErrors};
use crate::time::Clock;

/// The policy.
#[derive(Debug, Subcommand)]
pub(super) enum Policy {
    /// Check a policy file: every fault with its line, and its own tests
    Check(File),
    /// Run the tests of a policy file
    Test(File),
    /// Say what somebody may have, and what stands against the rest
    Explain(Explain),
    /// Print the policy that is in force
    Show(Show),
}

/// `policy check`, `policy test`.
#[derive(Debug, Args)]
#[command(after_help = "\
Beside a ca.toml, the file is checked against the issuers configured there; a file on its own is
checked as if every issuer could say everything.

Example:
  jit-ssh-ca policy check new-policy.toml")]
pub(super) struct File {
    /// The file; without it, policy.toml of the data folder
    #[arg(value_name = "FILE")]
    file: Option<PathBuf>,
}

/// `policy explain`.
#[derive(Debug, Args)]
#[command(after_help = "\
Without FILE, the serving CA is asked.

Examples:
  jit-ssh-ca policy explain --group Ops
  jit-ssh-ca policy explain --email alice@example.com --claim department=sre new-policy.toml")]
pub(super) struct Explain {
    /// A group of that person; may stand there several times
    #[arg(long = "group", value_name = "GROUP")]
    groups: Vec<String>,
    /// Verified e-mail address
    #[arg(long)]
    email: Option<String>,
    /// Subject at the issuer
    #[arg(long)]
    subject: Option<String>,
    /// A further claim; the value may be JSON
    #[arg(long = "claim", value_name = "NAME=VALUE", value_parser = claim)]
    claims: Vec<(String, Value)>,
    /// Issuer; needed where there are several
    #[arg(long, value_name = "URL")]
    issuer: Option<String>,
    /// A policy file to ask instead of the serving CA
    #[arg(value_name = "FILE", conflicts_with = "ca")]
    file: Option<PathBuf>,
    #[command(flatten)]
    access: Access,
}

/// `policy show`.
#[derive(Debug, Args)]
#[command(after_help = "Example:\n  jit-ssh-ca policy show > policy.toml")]
pub(super) struct Show {
    #[command(flatten)]
    access: Access,
}

impl Policy {
    pub(super) fn run(self, data: &Path, terminal: &mut Terminal) -> Result<(), Failure> {
        match self {
            Policy::Check(file) => file.check(data, terminal),
            Policy::Test(file) => file.test(data, terminal),
            Policy::Explain(explain) => explain.run(data, terminal),
            Policy::Show(show) => show.run(data, terminal),
        }
    }
}

impl File {
    fn path(self, data: &Path) -> PathBuf {
        self.file.unwrap_or_else(|| data.join(POLICY_FILE))
    }

    fn check(self, data: &Path, terminal: &mut Terminal) -> Result<(), Failure> {
        let path = self.path(data);
        let policy = load(&path, terminal)?;
        let answer = json!({
            "file": path.display().to_string(),
            "digest": policy.digest(),
            "roles": policy.all_roles().iter().map(|role| role.name().as_str()).collect::<Vec<_>>(),
            "tests": policy.test_count(),
        });
        terminal.answer(&answer, |_| {
            format!(
                "{} is valid: {}, {} passed. SHA-256 {}.",
                path.display(),
                count(policy.all_roles().len(), "role"),
                count(policy.test_count(), "test"),
                policy.digest()
            )
        })
    }

    fn test(self, data: &Path, terminal: &mut Terminal) -> Result<(), Failure> {
        let path = self.path(data);
        let policy = load(&path, terminal)?;
        if policy.test_count() == 0 {
            return Err(Failure::failed(format_args!("{} has no tests.", path.display())).next(
                "Write one: [[tests]] who = { groups = [\"Ops\"] } may = [\"production-observer\"]",
            ));
        }
        let answer = json!({ "tests": policy.test_count(), "failed": 0 });
        terminal.answer(&answer, |_| {
            format!("{} passed.", count(policy.test_count(), "test"))
        })
    }
}

impl Explain {
    fn run(self, data: &Path, terminal: &mut Terminal) -> Result<(), Failure> {
        let request = ExplainRequest {
            issuer: self.issuer,
            subject: self.subject,
            email: self.email,
            groups: self.groups,
            claims: self.claims.into_iter().collect::<Map<_, _>>(),
        };
        let explanation: Explanation = match self.file {
            Some(path) => load(&path, terminal)?
                .explain(&request, Clock::System.now())
                .map_err(|error| {
                    Failure::usage(error).next("`jit-ssh-ca policy explain --help` has examples.")
                })?,
            None => {
                let request = Request::post("/v1/admin/policy/explain", &request)?;
                self.access.open(data)?.call(&request, terminal)?
            }
        };
        terminal.answer(&explanation, text)
    }
}

impl Show {
    fn run(self, data: &Path, terminal: &mut Terminal) -> Result<(), Failure> {
        let policy: PolicyText = self
            .access
            .open(data)?
            .call(&Request::get("/v1/admin/policy"), terminal)?;
        terminal.note(format_args!(
            "# in force since {}, SHA-256 {}",
            utc(policy.since),
            policy.digest
        ));
        terminal.answer(&policy, |policy| policy.text.trim_end().to_owned())
    }
}

/// Reads a policy, against the issuers of a `ca.toml` beside it, if there is one.
pub(super) fn load(path: &Path, terminal: &mut Terminal) -> Result<core::Policy, Failure> {
    let bytes = std::fs::read(path).map_err(|error| {
        Failure::usage(format_args!("{} cannot be read.", path.display()))
            .why(error)
            .next("Name the file, or the data folder with a policy.toml in it: `--data DIR`.")
    })?;
    let folder = path.parent().unwrap_or(Path::new(""));
    let facts = match Config::load(folder) {
        Ok(config) => IssuerFacts::from(config.issuers.as_slice()),
        Err(error) => {
            if folder.join(crate::config::FILE).exists() {
                terminal.warn(format_args!("the ca.toml beside it is left out: {error}"));
            }
            IssuerFacts::default()
        }
    };
    core::Policy::parse_bytes(&bytes, &facts).map_err(|errors| faults(path, &errors))
}

/// Every fault of a policy as one failure.
pub(super) fn faults(path: &Path, errors: &PolicyErrors) -> Failure {
    let mut lines: Vec<String> = errors
        .iter()
        .map(|error| {
            let suggestion = error.suggestion.as_deref().unwrap_or_default();
            let (line, column) = (error.line, error.column);
            let said = format!("{}:{line}:{column}: {}", path.display(), error.what);
            format!("{said} {suggestion}").trim_end().to_owned()
        })
        .collect();
    if errors.more() > 0 {
        lines.push(format!("and {} more", errors.more()));
    }
    let number = errors.iter().count().saturating_add(errors.more());
    Failure::new(
        Exit::Usage,
        format_args!("{} has {}.", path.display(), count(number, "fault")),
    )
    .why(lines.join("\n"))
    .next("Mend them all: a policy is taken up whole or not at all.")
}

fn text(explanation: &Explanation) -> String {
    let mut table = Table::new([
        "ROLE",
        "MAY",
        "FOR",
        "ACCOUNTS",
        "WHY NOT, AND WHAT WOULD HELP",
    ]);
    for role in &explanation.roles.roles {
        let (may, why) = match &role.refused {
            None => ("yes", String::new()),
            Some(refused) => ("no", format!("{} {}", refused.reason, refused.help)),
        };
        table.row([
            role.name.clone(),
            may.to_owned(),
            span(role.max_validity),
            role.accounts.join(", "),
            why,
        ]);
    }
    let rights = match explanation.rights.as_slice() {
        [] => "none".to_owned(),
        rights => rights.join(", "),
    };
    format!(
        "{table}\n\nRights at the CA: {rights}\nPolicy {}",
        explanation.policy
    )
}

fn claim(text: &str) -> Result<(String, Value), String> {
    let (name, value) = text.split_once('=').ok_or("write NAME=VALUE")?;
    let value = serde_json::from_str(value).unwrap_or_else(|_| Value::String(value.to_owned()));
    Ok((name.to_owned(), value))
}

pub(super) fn count(number: usize, word: &str) -> String {
    let plural = if number == 1 { "" } else { "s" };
    format!("{number} {word}{plural}")
}

/// Name of the policy in the data folder.
pub(super) use crate::data::POLICY as POLICY_FILE;
