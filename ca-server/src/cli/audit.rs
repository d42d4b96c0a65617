//! `audit list`: the ledger, newest first.

use std::path::Path;

use clap::builder::PossibleValuesParser;
use clap::{Args, Subcommand};
use jit_ssh_api::admin::{AuditPage, AuditQuery, AuditRecord};
use jit_ssh_connect::Request;
use jit_ssh_terminal::{Failure, Terminal, parse_when, utc};
use serde_json::Value;

use super::access::Access;
use crate::ledger::record::Kind;
use crate::time::Clock;

/// The ledger.
#[derive(Debug, Subcommand)]
pub(super) enum Audit {
    /// List records, newest first: certificates, refusals, logins, admin commands
    List(List),
}

/// `audit list`.
#[derive(Debug, Args)]
#[command(after_help = "\
With --json, each record is one line of JSON.

Examples:
  jit-ssh-ca audit list --since 1d --user alice@example.com
  jit-ssh-ca audit list --kind refused --role production-admin
  jit-ssh-ca audit list --since 2026-11-01 --limit 0 --json > november.jsonl")]
pub(super) struct List {
    /// Only records of this kind
    #[arg(long, value_parser = kinds())]
    kind: Option<String>,
    /// Only about this person: e-mail address, subject or username
    #[arg(long)]
    user: Option<String>,
    /// Only about this role
    #[arg(long)]
    role: Option<String>,
    /// Only of this login
    #[arg(long, value_name = "ID")]
    login: Option<String>,
    /// Only the certificate with this serial
    #[arg(long, value_name = "NUMBER")]
    serial: Option<String>,
    /// Not before: `2h` ago (s, m, h, d, w), `2026-11-23`, `2026-11-23T22:59Z` (UTC)
    #[arg(long, value_name = "WHEN", value_parser = moment)]
    since: Option<u64>,
    /// Before: as --since
    #[arg(long, value_name = "WHEN", value_parser = moment)]
    until: Option<u64>,
    /// Show at most this many; 0: all
    #[arg(long, value_name = "NUMBER", default_value_t = 50)]
    limit: u32,
    #[command(flatten)]
    access: Access,
}

impl Audit {
    pub(super) fn run(self, data: &Path, terminal: &mut Terminal) -> Result<(), Failure> {
        let Audit::List(list) = self;
        list.run(data, terminal)
    }
}

impl List {
    fn run(self, data: &Path, terminal: &mut Terminal) -> Result<(), Failure> {
        let mut query = AuditQuery {
            kind: self.kind,
            user: self.user,
            role: self.role,
            login: self.login,
            serial: self.serial,
            since: self.since,
            until: self.until,
            ..AuditQuery::default()
        };
        let mut caller = self.access.open(data)?;
        let mut left = if self.limit == 0 {
            u64::MAX
        } else {
            u64::from(self.limit)
        };
        let (mut found, mut unknown) = (false, false);
        while left > 0 {
            query.limit = Some(u32::try_from(left.min(PAGE)).unwrap_or(u32::MAX));
            let page: AuditPage =
                caller.call(&Request::get_with("/v1/admin/audit", &query), terminal)?;
            unknown = page.unknown_user;
            for record in &page.records {
                terminal.answer(record, line)?;
                found = true;
            }
            left = left.saturating_sub(u64::try_from(page.records.len()).unwrap_or(u64::MAX));
            let last = page.records.last().map(|record| record.index);
            // A page that goes nowhere would be asked for for ever.
            if !page.more || last.is_none() || last >= query.before.or(Some(u64::MAX)) {
                break;
            }
            query.before = last;
        }
        if unknown {
            terminal.say("Nobody is known by that name.")?;
        } else if !found {
            terminal.say("There is no such record.")?;
        }
        Ok(())
    }
}

/// One record on one line: place, time, kind, who, then what a person asks first. `--json` has all.
fn line(record: &AuditRecord) -> String {
    let mut line = format!(
        "#{} {} {}",
        record.index,
        utc(record.time_ms / 1000),
        record.kind
    );
    if let Some(who) = who(record) {
        line.push_str(&format!(" {who}"));
    }
    let details = record.parts.get("details").and_then(Value::as_object);
    for name in SHOWN {
        let value = record.fields.get(*name).or_else(|| details?.get(*name));
        match value {
            None | Some(Value::Null) => {}
            Some(value) => line.push_str(&format!(" {name}={}", short(value))),
        }
    }
    let valid_before = record.fields.get("valid_before").and_then(Value::as_u64);
    if let Some(end) = valid_before {
        line.push_str(&format!(" until=\"{}\"", utc(end)));
    }
    line
}

/// The address or subject of the person, where that part was not erased.
fn who(record: &AuditRecord) -> Option<String> {
    let identity = record.parts.get("identity")?;
    if identity.is_null() {
        return Some("(erased)".to_owned());
    }
    let email = identity.get("email").filter(|email| !email.is_null());
    email.or_else(|| identity.get("subject")).map(short)
}

/// Text as it is where it can be mistaken for nothing else, all else as JSON; long ones are cut
/// (`--json` has them whole).
fn short(value: &Value) -> String {
    let text = match value {
        Value::String(text)
            if !text.is_empty()
                && !text.contains(|c: char| c.is_whitespace() || matches!(c, '=' | '"' | '\\')) =>
        {
            text.clone()
        }
        other => other.to_string(),
    };
    if text.chars().count() <= LONGEST {
        return text;
    }
    text.chars().take(LONGEST).chain(['…']).collect()
}

fn kinds() -> PossibleValuesParser {
    PossibleValuesParser::new(Kind::ALL.iter().map(|kind| kind.name()))
}

fn moment(text: &str) -> Result<u64, String> {
    parse_when(text, Clock::System.now().seconds())
        .ok_or_else(|| "write `2h` (ago), `2026-11-23` or `2026-11-23T22:59Z` (UTC)".to_owned())
}

/// Longest value on a line of text, in characters; the reason of a refusal fits.
const LONGEST: usize = 200;

/// What a line shows, in this order, of the fields and of the private details.
const SHOWN: &[&str] = &[
    "action", "by", "role", "rule", "reason", "username", "serial", "count", "number", "source",
    "login",
];

/// The CA gives at most 1000 at once.
const PAGE: u64 = 500;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_cannot_forge_a_field_of_a_line() {
        let record: AuditRecord = serde_json::from_value(serde_json::json!({
            "index": 7, "kind": "refused", "time_ms": 0, "epoch": 1, "leaf_sha256": "00",
            "fields": { "role": "x caller=root", "rule": "groups" },
            "parts": { "identity": { "subject": "a\nb", "email": null }, "details": null }
        }))
        .unwrap();
        assert_eq!(
            line(&record),
            "#7 1970-01-01 00:00:00 UTC refused \"a\\nb\" role=\"x caller=root\" rule=groups"
        );
    }
}
