//! `host …`: invite hosts, see what they are and hold, label them, revoke them.

use std::collections::BTreeMap;
use std::path::Path;
use std::time::Duration;

use clap::{Args, Subcommand};
use jit_ssh_api::host::{
    Host as Entry, HostList, HostQuery, Invitation, InvitationList, InvitationRequest, Labels,
    LabelsRequest, Withdrawn, is_label,
};
use jit_ssh_api::revocation::Revocation;
use jit_ssh_connect::Request;
use jit_ssh_terminal::{Failure, Table, Terminal, utc};

use super::access::{Access, Caller};
use crate::config::units::Span;

/// Hosts.
#[derive(Debug, Subcommand)]
pub(super) enum Host {
    /// Invite hosts: prints a token, once, with which a server joins by itself
    Invite(Invite),
    /// List invitations that still count
    Invitations(Invitations),
    /// Withdraw an invitation: it counts no more
    Withdraw(Withdraw),
    /// List the hosts, with what each holds and how it is
    List(List),
    /// Show one host
    Show(Show),
    /// Change a host's labels, which decide what roles open there
    Label(Label),
    /// Revoke a host: it gets nothing more, and its names and keys are free
    Revoke(Revoke),
}

/// `host invite`.
#[derive(Debug, Args)]
#[command(after_help = "\
Whoever has the token can be such a host: give it to the server in a file, in JIT_SSH_INVITATION
or on standard input, never on a command line. A name belongs to the host that came with it
first, until that host is revoked. A host that comes again with the same keys costs nothing.

Examples:
  jit-ssh-ca host invite --name db-1.prod.example.com --label env=production
  jit-ssh-ca host invite --name 'web-*.prod.example.com' --label env=production \\
      --uses any --for 90d --from 10.20.0.0/16

On the server:
  jit-ssh-host enroll --ca https://ca.example.com --fingerprint SHA256:… \\
      --token-file /root/invitation")]
pub(super) struct Invite {
    /// Name that a host may have, exact or with `*` before a domain: `web-*.prod.example.com`; repeat
    /// it for more
    #[arg(long = "name", value_name = "NAME", required = true)]
    names: Vec<String>,
    /// Label that such a host gets; repeat it for more
    #[arg(long = "label", value_name = "NAME=VALUE", value_parser = label)]
    labels: Vec<(String, String)>,
    /// How many hosts may come with it: a number, or `any`
    #[arg(long, value_name = "NUMBER", default_value = "1", value_parser = uses)]
    uses: Uses,
    /// Network that it counts from; repeat it for more; without it, from anywhere
    #[arg(long, value_name = "CIDR")]
    from: Vec<String>,
    /// How long it counts
    #[arg(long = "for", value_name = "TIME", default_value = "1h", value_parser = span)]
    valid: Duration,
    #[command(flatten)]
    access: Access,
}

/// `host invitations`.
#[derive(Debug, Args)]
#[command(after_help = "Example:\n  jit-ssh-ca host invitations")]
pub(super) struct Invitations {
    #[command(flatten)]
    access: Access,
}

/// `host withdraw`.
#[derive(Debug, Args)]
#[command(after_help = "\
Hosts that came with it stay: revoke them where they should not.

Example:
  jit-ssh-ca host withdraw hm3vq5k2xw7aobc4tz6jrd2yne")]
pub(super) struct Withdraw {
    /// Identifier of an invitation, from `host invitations`
    id: String,
    #[command(flatten)]
    access: Access,
}

/// `host list`.
#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  jit-ssh-ca host list\n  jit-ssh-ca host list --label env=production --json"
)]
pub(super) struct List {
    /// Only hosts with this label; repeat it for more
    #[arg(long = "label", value_name = "NAME=VALUE", value_parser = label)]
    labels: Vec<(String, String)>,
    /// Revoked hosts too
    #[arg(long)]
    all: bool,
    #[command(flatten)]
    access: Access,
}

/// `host show`.
#[derive(Debug, Args)]
#[command(after_help = "Example:\n  jit-ssh-ca host show web-1.prod.example.com")]
pub(super) struct Show {
    /// Name or identifier of a host
    host: String,
    #[command(flatten)]
    access: Access,
}

/// `host label`.
#[derive(Debug, Args)]
#[command(after_help = "\
Labels that are not named stay. The host hears of the change at once: a role with
`hosts = { env = \"production\" }` opens its accounts on hosts with that label, and on no others.

Examples:
  jit-ssh-ca host label web-1.prod.example.com env=production tier=web
  jit-ssh-ca host label web-1.prod.example.com --remove tier")]
pub(super) struct Label {
    /// Name or identifier of a host
    host: String,
    /// Labels to set
    #[arg(value_name = "NAME=VALUE", value_parser = label, required_unless_present = "remove")]
    labels: Vec<(String, String)>,
    /// Label to take away; repeat it for more
    #[arg(long, value_name = "NAME")]
    remove: Vec<String>,
    #[command(flatten)]
    access: Access,
}

/// `host revoke`.
#[derive(Debug, Args)]
#[command(after_help = "\
Its names and keys are free again: a server that is set up anew enrols with a new invitation. To
come back, a revoked host enrols anew as well.

Example:
  jit-ssh-ca host revoke web-1.prod.example.com")]
pub(super) struct Revoke {
    /// Name or identifier of a host
    #[arg(required = true, value_name = "HOST")]
    hosts: Vec<String>,
    #[command(flatten)]
    access: Access,
}

/// How often an invitation counts.
#[derive(Clone, Copy, Debug)]
enum Uses {
    Any,
    Times(u32),
}

fn uses(text: &str) -> Result<Uses, String> {
    if text == "any" {
        return Ok(Uses::Any);
    }
    match text.parse() {
        Ok(0) | Err(_) => Err("write a number from 1, or `any`".to_owned()),
        Ok(times) => Ok(Uses::Times(times)),
    }
}

fn span(text: &str) -> Result<Duration, String> {
    Span::parse(text)
        .map(Span::get)
        .ok_or_else(|| "write a time with one unit: 90s, 15m, 8h, 7d".to_owned())
}

fn label(text: &str) -> Result<(String, String), String> {
    match text.split_once('=') {
        Some((name, value)) if is_label(name) && is_label(value) => {
            Ok((name.to_owned(), value.to_owned()))
        }
        _ => Err("write NAME=VALUE, each of 1 to 63 of a-z 0-9 . _ -".to_owned()),
    }
}

impl Host {
    pub(super) fn run(self, data: &Path, terminal: &mut Terminal) -> Result<(), Failure> {
        match self {
            Host::Invite(invite) => invite.run(data, terminal),
            Host::Invitations(list) => list.run(data, terminal),
            Host::Withdraw(withdraw) => withdraw.run(data, terminal),
            Host::List(list) => list.run(data, terminal),
            Host::Show(show) => show.run(data, terminal),
            Host::Label(label) => label.run(data, terminal),
            Host::Revoke(revoke) => revoke.run(data, terminal),
        }
    }
}

impl Invite {
    fn run(self, data: &Path, terminal: &mut Terminal) -> Result<(), Failure> {
        let request = InvitationRequest {
            names: self.names,
            labels: self.labels.into_iter().collect(),
            uses: match self.uses {
                Uses::Any => None,
                Uses::Times(times) => Some(times),
            },
            from: self.from,
            valid_seconds: self.valid.as_secs(),
        };
        let mut caller = self.access.open(data)?;
        let invitation: Invitation =
            caller.call(&Request::post(INVITATIONS, &request)?, terminal)?;
        // The token alone, so that `… host invite … > token` is a file to hand over.
        terminal.answer(&invitation, |invitation| invitation.token.clone())?;
        terminal.note(format_args!(
            "This is shown once. Invitation {} counts until {}; `jit-ssh-ca host withdraw {}` takes it \
             back.",
            invitation.id,
            utc(invitation.expires),
            invitation.id
        ));
        Ok(())
    }
}

impl Invitations {
    fn run(self, data: &Path, terminal: &mut Terminal) -> Result<(), Failure> {
        let mut caller = self.access.open(data)?;
        let list: InvitationList = caller.call(&Request::get(INVITATIONS), terminal)?;
        terminal.answer(&list, |list| {
            let mut table = Table::new(["INVITATION", "NAMES", "LABELS", "LEFT", "FROM", "UNTIL"]);
            for it in &list.invitations {
                table.row([
                    it.id.clone(),
                    it.names.join(" "),
                    written(&it.labels),
                    it.uses
                        .map_or_else(|| "any".to_owned(), |uses| uses.to_string()),
                    it.from.join(" "),
                    utc(it.expires),
                ]);
            }
            if table.is_empty() {
                "There is no invitation that still counts.".to_owned()
            } else {
                table.to_string()
            }
        })
    }
}

impl Withdraw {
    fn run(self, data: &Path, terminal: &mut Terminal) -> Result<(), Failure> {
        if !is_id(&self.id) {
            return Err(Failure::usage(format_args!(
                "`{}` is not the identifier of an invitation.",
                self.id
            ))
            .next("`jit-ssh-ca host invitations` shows them."));
        }
        let mut caller = self.access.open(data)?;
        let request = Request::delete(&format!("{INVITATIONS}/{}", self.id));
        let withdrawn: Withdrawn = caller.call(&request, terminal)?;
        terminal.answer(&withdrawn, |withdrawn| {
            format!("Invitation {} counts no more.", withdrawn.id)
        })
    }
}

impl List {
    fn run(self, data: &Path, terminal: &mut Terminal) -> Result<(), Failure> {
        let query = HostQuery {
            all: self.all,
            name: None,
        };
        let mut caller = self.access.open(data)?;
        let mut list: HostList = caller.call(&Request::get_with(HOSTS, &query), terminal)?;
        let wanted = |host: &Entry| {
            let mut labels = self.labels.iter();
            labels.all(|(name, value)| host.labels.get(name) == Some(value))
        };
        list.hosts.retain(wanted);
        terminal.answer(&list, |list| table(&list.hosts))
    }
}

impl Show {
    fn run(self, data: &Path, terminal: &mut Terminal) -> Result<(), Failure> {
        let mut caller = self.access.open(data)?;
        let host = find(&mut caller, &self.host, terminal)?;
        terminal.answer(&host, shown)
    }
}

impl Label {
    fn run(self, data: &Path, terminal: &mut Terminal) -> Result<(), Failure> {
        let mut caller = self.access.open(data)?;
        let host = find(&mut caller, &self.host, terminal)?;
        let mut labels: BTreeMap<String, String> = host.labels;
        for name in &self.remove {
            if labels.remove(name).is_none() {
                return Err(
                    Failure::failed(format_args!("{} has no label {name}.", self.host)).next(
                        format_args!("`jit-ssh-ca host show {}` shows them.", self.host),
                    ),
                );
            }
        }
        labels.extend(self.labels);
        let path = format!("{HOSTS}/{}/labels", host.id);
        let request = Request::post(&path, &LabelsRequest { labels })?;
        let host: Entry = caller.call(&request, terminal)?;
        terminal.answer(&host, |host| {
            format!(
                "{} has the labels {}.",
                called(host),
                or_none(&written(&host.labels))
            )
        })
    }
}

impl Revoke {
    fn run(self, data: &Path, terminal: &mut Terminal) -> Result<(), Failure> {
        let mut caller = self.access.open(data)?;
        for name in &self.hosts {
            let host = find(&mut caller, name, terminal)?;
            if let Some(revoked) = host.revoked {
                return Err(Failure::failed(format_args!(
                    "{} was revoked at {}.",
                    called(&host),
                    utc(revoked)
                ))
                .next("Nothing is left to revoke: `jit-ssh-ca host list` shows who lives."));
            }
            let request = Request::delete(&format!("{HOSTS}/{}", host.id));
            let revoked: Revocation = caller.call(&request, terminal)?;
            terminal.answer(&revoked, |revoked| {
                format!(
                    "{} is revoked, with {} certificates; the bundle {} says so.",
                    called(&host),
                    revoked.certificates.len(),
                    revoked.bundle
                )
            })?;
        }
        Ok(())
    }
}

/// A host by its name or identifier.
fn find(caller: &mut Caller, host: &str, terminal: &mut Terminal) -> Result<Entry, Failure> {
    let query = HostQuery {
        all: false,
        name: Some(host.to_owned()),
    };
    let mut list: HostList = caller.call(&Request::get_with(HOSTS, &query), terminal)?;
    if let Some(host) = list.hosts.pop() {
        return Ok(host);
    }
    if is_id(host) {
        return caller.call(&Request::get(&format!("{HOSTS}/{host}")), terminal);
    }
    Err(Failure::failed(format_args!("There is no host {host}."))
        .next("`jit-ssh-ca host list` shows them all."))
}

fn is_id(text: &str) -> bool {
    crate::login::LoginId::parse(text).is_some()
}

fn table(hosts: &[Entry]) -> String {
    let mut table = Table::new([
        "HOST",
        "LABELS",
        "SEEN",
        "BUNDLE",
        "OPENSSH",
        "CERTIFICATE",
        "STATE",
    ]);
    for host in hosts {
        table.row([
            called(host).to_owned(),
            written(&host.labels),
            utc(host.seen),
            holds(host),
            host.report.openssh.clone(),
            utc(host.certificate_ends),
            state(host),
        ]);
    }
    if table.is_empty() {
        "There is no such host. `jit-ssh-ca host invite` invites one.".to_owned()
    } else {
        table.to_string()
    }
}

fn shown(host: &Entry) -> String {
    let mut lines = vec![
        format!("Host         {}", host.id),
        format!("Names        {}", or_none(&host.names.join(" "))),
        format!("Labels       {}", or_none(&written(&host.labels))),
    ];
    lines.extend(host.keys.iter().map(|key| format!("Key          {key}")));
    lines.extend([
        format!("Enrolled     {}", utc(host.enrolled)),
        format!("Seen         {}", utc(host.seen)),
        format!("Bundle       {}", holds(host)),
        format!("Certificate  until {}", utc(host.certificate_ends)),
        format!("OpenSSH      {}", or_none(&host.report.openssh)),
        format!("Program      {}", or_none(&host.report.version)),
        format!("State        {}", state(host)),
    ]);
    let findings = host.report.findings.iter();
    lines.extend(findings.map(|finding| format!("  {}: {}", finding.check, finding.detail)));
    lines.join("\n")
}

fn called(host: &Entry) -> &str {
    host.names.first().unwrap_or(&host.id)
}

/// The bundle that it holds, of which.
fn holds(host: &Entry) -> String {
    match host.bundle {
        None => format!("none of {}", host.newest_bundle),
        Some(held) if held == host.newest_bundle => held.to_string(),
        Some(held) => format!("{held} of {}", host.newest_bundle),
    }
}

fn state(host: &Entry) -> String {
    match (host.revoked, host.report.findings.len()) {
        (Some(revoked), _) => format!("revoked {}", utc(revoked)),
        (None, 0) => "ok".to_owned(),
        (None, findings) => format!("{findings} findings"),
    }
}

fn written(labels: &Labels) -> String {
    let labels = labels.iter().map(|(name, value)| format!("{name}={value}"));
    labels.collect::<Vec<_>>().join(" ")
}

fn or_none(text: &str) -> &str {
    if text.is_empty() { "none" } else { text }
}

const INVITATIONS: &str = "/v1/admin/invitations";
const HOSTS: &str = "/v1/admin/hosts";
