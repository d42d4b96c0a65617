//! `status`: who is signed in, with which roles, for how long; from files alone. `--short` is for
//! prompts: one line, no network, a few milliseconds.

use std::path::Path;

use jit_ssh_terminal::{Exit, Failure, Terminal, escape, span};
use serde::Serialize;

use crate::ca;
use crate::certificate::Certificate;
use crate::cli::Status;
use crate::command::login::person;
use crate::state::{self, CaFiles, Home, KeyPlace, LoginState, Pin, TokenPlace};

/// What is printed.
#[derive(Serialize)]
struct Shown {
    cas: Vec<ShownCa>,
}

#[derive(Serialize)]
struct ShownCa {
    name: String,
    url: String,
    fingerprint: String,
    signed_in: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    login: Option<ShownLogin>,
}

#[derive(Serialize)]
struct ShownLogin {
    person: String,
    issuer: String,
    groups: Vec<String>,
    roles: Vec<String>,
    ends: u64,
    left: u64,
    key: &'static str,
    refresh_token: TokenPlace,
    certificates: Vec<ShownCertificate>,
}

#[derive(Serialize)]
struct ShownCertificate {
    role: String,
    serial: String,
    valid_before: u64,
    left: u64,
}

/// Prints.
pub(crate) fn run(arguments: &Status, terminal: &mut Terminal) -> Result<(), Failure> {
    let home = Home::find()?;
    let now = jit_ssh_connect::now();
    let cas = match &arguments.which.ca {
        Some(named) => vec![ca::choose(&home, Some(named))?],
        None => home.cas(),
    };
    if arguments.short {
        return short(&cas, now, terminal);
    }
    let mut shown = Shown { cas: Vec::new() };
    for files in &cas {
        if let Some(pin) = files.pin()? {
            shown.cas.push(describe(files, &pin, now)?);
        }
    }
    let signed_in = shown.cas.iter().any(|ca| ca.signed_in);
    if shown.cas.is_empty() && !terminal.is_json() {
        return Err(ca::not_signed_in());
    }
    terminal.answer(&shown, in_words)?;
    if signed_in {
        Ok(())
    } else {
        Err(Failure::silent(Exit::NotSignedIn))
    }
}

fn short(cas: &[CaFiles], now: u64, terminal: &mut Terminal) -> Result<(), Failure> {
    let mut words = Vec::new();
    for files in cas {
        let Some(login) = live(files, now)? else {
            continue;
        };
        let now = now.saturating_add_signed(login.skew);
        let newest = state::read_to_string(&files.stable_certificate())
            .ok()
            .flatten()
            .and_then(|line| Certificate::parse(&line).ok())
            .filter(|certificate| certificate.valid_before > now);
        words.push(match newest {
            Some(certificate) => {
                let left = certificate.valid_before - now;
                format!("{} {}", certificate.role().unwrap_or("?"), span(left))
            }
            None => format!("signed in {}", span(login.login.ends.saturating_sub(now))),
        });
    }
    if words.is_empty() {
        return Err(Failure::silent(Exit::NotSignedIn));
    }
    terminal.answer(&words, |words| words.join(", "))
}

/// The login, unless it is over.
fn live(files: &CaFiles, now: u64) -> Result<Option<LoginState>, Failure> {
    let login = files.login()?;
    Ok(login.filter(|login| {
        login.login.ended.is_none() && login.login.ends > now.saturating_add_signed(login.skew)
    }))
}

fn describe(files: &CaFiles, pin: &Pin, now: u64) -> Result<ShownCa, Failure> {
    let login = live(files, now)?.map(|login| {
        let now = now.saturating_add_signed(login.skew);
        ShownLogin {
            person: person(&login.login),
            issuer: login.login.issuer.clone(),
            groups: login.login.groups.clone(),
            roles: login
                .roles
                .roles
                .iter()
                .filter(|role| role.refused.is_none())
                .map(|role| role.name.clone())
                .collect(),
            ends: login.login.ends,
            left: login.login.ends.saturating_sub(now),
            key: match (&login.key, &login.named_key) {
                (_, Some(_)) => "named",
                (KeyPlace::Agent { .. }, None) => "agent",
                (KeyPlace::File, None) => "file",
            },
            refresh_token: login.renewal.refresh_token,
            certificates: certificates(&files.roles(), now),
        }
    });
    Ok(ShownCa {
        name: files.name.clone(),
        url: pin.known.url.clone(),
        fingerprint: pin.known.fingerprint.clone(),
        signed_in: login.is_some(),
        login,
    })
}

fn certificates(folder: &Path, now: u64) -> Vec<ShownCertificate> {
    let Ok(entries) = std::fs::read_dir(folder) else {
        return Vec::new();
    };
    let mut certificates: Vec<ShownCertificate> = entries
        .filter_map(|entry| state::read_to_string(&entry.ok()?.path()).ok()?)
        .filter_map(|line| Certificate::parse(&line).ok())
        .filter(|certificate| certificate.valid_before > now)
        .map(|certificate| ShownCertificate {
            role: certificate.role().unwrap_or("?").to_owned(),
            serial: certificate.serial.to_string(),
            valid_before: certificate.valid_before,
            left: certificate.valid_before - now,
        })
        .collect();
    certificates.sort_by(|a, b| a.role.cmp(&b.role));
    certificates
}

fn in_words(shown: &Shown) -> String {
    let mut lines = Vec::new();
    for ca in &shown.cas {
        let Some(login) = &ca.login else {
            lines.push(format!("{}: nobody is signed in. `jit-ssh login`", ca.name));
            continue;
        };
        lines.push(format!(
            "{}: {}, for {} more",
            ca.name,
            login.person,
            span(login.left)
        ));
        let list = |items: &[String]| {
            if items.is_empty() {
                "none".to_owned()
            } else {
                items.join(", ")
            }
        };
        lines.push(format!("  roles         {}", list(&login.roles)));
        lines.push(format!("  groups        {}", list(&login.groups)));
        let held: Vec<String> = login
            .certificates
            .iter()
            .map(|held| format!("{} for {}", held.role, span(held.left)))
            .collect();
        lines.push(format!("  certificates  {}", list(&held)));
        let place = match login.key {
            "agent" => "in the agent, until the login ends",
            "file" => "in a file",
            _ => "the one that you named",
        };
        lines.push(format!("  key           {place}"));
    }
    // A line feed in what others chose would begin a line that looks like ours.
    let lines: Vec<String> = lines.iter().map(|line| escape(line)).collect();
    lines.join("\n")
}
