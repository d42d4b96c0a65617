//! `ssh-config`: writes what makes plain `ssh` work, shows the change, takes it out again. A
//! configuration that `ssh -G` does not read is not put in place, whoever broke it.

use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::time::Duration;

use jit_ssh_api::key_set::Purpose;
use jit_ssh_terminal::{Failure, Terminal};
use serde::Serialize;

use crate::ca;
use crate::cli::SshConfig;
use crate::platform;
use crate::ssh_config::aliases::Aliases;
use crate::ssh_config::{self, Claimed, ConfigError, LeftOut, Part, Rendered};
use crate::state::{self, Home, KeyPlace};

/// What is printed.
#[derive(Serialize)]
pub(crate) struct Shown {
    include: PathBuf,
    config: PathBuf,
    changed: bool,
    #[serde(skip)]
    diff: String,
}

impl From<ConfigError> for Failure {
    fn from(error: ConfigError) -> Self {
        Failure::failed(format_args!("{error}."))
            .next("Put the program, or XDG_CONFIG_HOME and XDG_STATE_HOME, at a plainer path.")
    }
}

/// Writes, shows or removes.
pub(crate) fn run(arguments: &SshConfig, terminal: &mut Terminal) -> Result<(), Failure> {
    let home = Home::find()?;
    if arguments.remove {
        return remove(&home, arguments.dry_run, terminal);
    }
    somebody_signed_in(&home)?;
    if arguments.print {
        let rendered = content(&home)?.rendered;
        warn(&rendered, terminal);
        return terminal.raw(rendered.include.as_bytes());
    }
    if arguments.dry_run {
        let plan = Plan::to_install(&home)?;
        warn(&plan.content.rendered, terminal);
        return plan.shown().print(terminal);
    }
    install(&home, terminal)?.print(terminal)
}

/// Puts everything in place; what changed is for the caller to print.
pub(crate) fn install(home: &Home, terminal: &mut Terminal) -> Result<Shown, Failure> {
    let _lock = home.lock(state::PATIENCE)?;
    let plan = Plan::to_install(home)?;
    warn(&plan.content.rendered, terminal);
    check(&plan)?;
    plan.content.write(home)?;
    write_config(&plan.config, &plan.config_before, &plan.config_after)?;
    Ok(plan.shown())
}

fn remove(home: &Home, dry_run: bool, terminal: &mut Terminal) -> Result<(), Failure> {
    let _lock = home.lock(state::PATIENCE)?;
    let include = home.ssh_include();
    let config = config_path()?;
    let line = ssh_config::include_line(&include)?;
    let before = state::read_to_string(&config)?.unwrap_or_default();
    let plan = Plan {
        include_before: state::read_to_string(&include)?,
        content: Content::default(),
        config_after: ssh_config::without_include(&before, &line),
        config_before: before,
        include,
        config,
    };
    if !dry_run {
        write_config(&plan.config, &plan.config_before, &plan.config_after)?;
        state::remove(&plan.include)?;
        home.remove_aliases()?;
        for files in home.cas() {
            state::remove(&files.known_hosts())?;
        }
    }
    plan.shown().print(terminal)
}

/// Writes the include again after a contact with the CA, if it is in use. What fails here is said
/// by `doctor`: it must not stand in the way of an `ssh`.
pub(crate) fn refresh_include(home: &Home) {
    let include = home.ssh_include();
    if !include.exists() {
        return;
    }
    // What is read without the lock may be older than what another shell has written by now.
    let Ok(_lock) = home.lock(REFRESH_PATIENCE) else {
        return;
    };
    let Ok(Some(before)) = state::read_to_string(&include) else {
        return;
    };
    let Ok(content) = content(home) else {
        return;
    };
    let after = &content.rendered.include;
    if before == *after || ssh_reads(after) != Some(false) {
        let _ = content.write(home);
    }
}

/// Whether `~/.ssh/config` begins with our include.
pub(crate) fn is_installed(home: &Home) -> bool {
    matches!(
        look(home),
        Ok(Found::Current | Found::Other | Found::NoProgram(_) | Found::KnownHosts(_))
    )
}

/// How plain `ssh` finds us.
pub(crate) enum Found {
    /// As it would be written now.
    Current,
    /// Otherwise than it would be written now.
    Other,
    /// With a program that cannot be started.
    NoProgram(PathBuf),
    /// `~/.ssh/config` includes a file that is not there.
    NoInclude,
    /// Known hosts of ours are not there, or not what they would be now.
    KnownHosts(PathBuf),
    /// Not at all.
    NotIncluded,
}

/// Looks at what is in place.
pub(crate) fn look(home: &Home) -> Result<Found, Failure> {
    let include = home.ssh_include();
    let line = ssh_config::include_line(&include)?;
    let config = state::read_to_string(&config_path()?)?.unwrap_or_default();
    if !ssh_config::has_include(&config, &line) {
        return Ok(Found::NotIncluded);
    }
    let Some(present) = state::read_to_string(&include)? else {
        return Ok(Found::NoInclude);
    };
    let gone = |program: &PathBuf| !platform::is_executable(program);
    if let Some(gone) = ssh_config::programs(&present).into_iter().find(gone) {
        return Ok(Found::NoProgram(gone));
    }
    let rendered = content(home)?.rendered;
    for (path, text) in rendered.known_hosts {
        if state::read_to_string(&path)?.as_ref() != Some(&text) {
            return Ok(Found::KnownHosts(path));
        }
    }
    Ok(if rendered.include == present {
        Found::Current
    } else {
        Found::Other
    })
}

/// Before the first sign-in no host and no account is known, and there is nothing to write.
fn somebody_signed_in(home: &Home) -> Result<(), Failure> {
    for files in home.cas() {
        if files.plain()?.is_some() {
            return Ok(());
        }
    }
    Err(ca::not_signed_in())
}

/// What is to be on disk.
#[derive(Default)]
struct Content {
    rendered: Rendered,
    aliases: Option<Aliases>,
}

impl Content {
    /// Writes what differs. The known hosts come first: dying before the include is written leaves
    /// one that names older hosts, which the next contact mends.
    fn write(&self, home: &Home) -> Result<(), Failure> {
        let include = home.ssh_include();
        let known_hosts = self.rendered.known_hosts.iter();
        let files = known_hosts.map(|(path, text)| (path, text));
        for (path, text) in files.chain([(&include, &self.rendered.include)]) {
            // One that cannot be read is replaced like any other that is not as it should be.
            if state::read_to_string(path).ok().flatten().as_ref() != Some(text) {
                state::write(path, text.as_bytes())?;
            }
        }
        if self.aliases.is_some() && home.aliases() != self.aliases {
            home.write_aliases(self.aliases.as_ref().unwrap_or(&Aliases::default()))?;
        }
        Ok(())
    }
}

fn content(home: &Home) -> Result<Content, Failure> {
    let program = platform::own_program().map_err(|error| {
        Failure::failed("This program is no longer where it was started from.")
            .why(format_args!("{error}."))
            .next("Install it again, then `jit-ssh ssh-config`.")
    })?;
    let mut known = Vec::new();
    for (files, pin) in home.cas_by_age()? {
        if let Some(mut plain) = files.plain()? {
            // ssh asks no agent whose it is: one of another user is not named to it.
            if plain.others_agent().is_some() {
                plain.key = KeyPlace::File;
            }
            let host_ca = ca::trusted(&pin, Purpose::HostCa)?;
            known.push((plain, files.fleet()?, host_ca, files));
        }
    }
    // Nobody's aliases matter before there are enrolled hosts.
    let aliases = if known.iter().any(|(_, fleet, ..)| !fleet.hosts.is_empty()) {
        Some(find_aliases(home)?)
    } else {
        None
    };
    let parts: Vec<Part<'_>> = known
        .iter()
        .map(|(plain, fleet, host_ca, files)| Part {
            files,
            plain,
            fleet,
            host_ca,
        })
        .collect();
    let none = Aliases::default();
    let rendered = ssh_config::render(&program, &parts, aliases.as_ref().unwrap_or(&none))?;
    Ok(Content { rendered, aliases })
}

/// What the person calls hosts, as ssh resolves it without what we write: that would start `ensure`.
fn find_aliases(home: &Home) -> Result<Aliases, Failure> {
    let (config, include) = (config_path()?, home.ssh_include());
    let line = ssh_config::include_line(&include)?;
    let own = state::read_to_string(&config)?.unwrap_or_default();
    let mut text = ssh_config::without_include(&own, &line);
    if !cfg!(windows) {
        text.push_str("\nMatch all\n    Include /etc/ssh/ssh_config\n");
    }
    let resolve = |name: &str| {
        // Nothing is looked up in the DNS.
        let quick = ["-o", "CanonicalizeHostname=no", name];
        let answer = ssh_g(&text, &quick).filter(|answer| answer.status.success())?;
        let settings = String::from_utf8(answer.stdout).ok()?;
        let host = settings
            .lines()
            .find_map(|line| line.strip_prefix("hostname "))?;
        Some(host.trim().to_owned())
    };
    Ok(Aliases::find(&config, &include, home.aliases(), resolve))
}

/// Says what is missing in what was written.
fn warn(rendered: &Rendered, terminal: &mut Terminal) {
    warn_left_out(&rendered.left_out, terminal);
    for claimed in rendered.claimed.iter().take(TOLD) {
        let Claimed { name, owner, by } = claimed;
        terminal.warn(format_args!(
            "{by} names the host {name:?}, which is {owner}'s: that CA was pinned first, and only its \
             certificates count there"
        ));
    }
    let more = rendered.claimed.len().saturating_sub(TOLD);
    if more > 0 {
        terminal.warn(format_args!(
            "… and {more} more hosts that another CA claims"
        ));
    }
}

/// Says which names of a CA are not used.
pub(crate) fn warn_left_out(left_out: &LeftOut, terminal: &mut Terminal) {
    for name in left_out.0.iter().take(TOLD) {
        terminal.warn(format_args!(
            "the CA names {name:?}, which is left out: not a plain name, or a pattern for nearly every \
             host"
        ));
    }
    let more = left_out.0.len().saturating_sub(TOLD);
    if more > 0 {
        terminal.warn(format_args!("… and {more} more names that are left out"));
    }
}

/// Names that are told one by one.
const TOLD: usize = 20;

/// `~/.ssh/config`, where links of dotfile managers lead to.
pub(crate) fn config_path() -> Result<PathBuf, Failure> {
    let home = platform::home().ok_or(state::StateError::NoHome)?;
    let path = home.join(".ssh").join("config");
    Ok(std::fs::canonicalize(&path).unwrap_or(path))
}

struct Plan {
    include: PathBuf,
    include_before: Option<String>,
    content: Content,
    config: PathBuf,
    config_before: String,
    config_after: String,
}

impl Plan {
    fn to_install(home: &Home) -> Result<Self, Failure> {
        let include = home.ssh_include();
        let config = config_path()?;
        let line = ssh_config::include_line(&include)?;
        let before = state::read_to_string(&config)?.unwrap_or_default();
        let content = content(home)?;
        let config_after = if ssh_config::has_include(&before, &line) {
            before.clone()
        } else {
            ssh_config::with_include(&before, &line)
        };
        Ok(Plan {
            include_before: state::read_to_string(&include)?,
            content,
            config_after,
            config_before: before,
            include,
            config,
        })
    }

    fn shown(&self) -> Shown {
        let before = self.include_before.as_deref().unwrap_or_default();
        let mut diff = String::new();
        for (path, old, new) in [
            (
                &self.config,
                self.config_before.as_str(),
                self.config_after.as_str(),
            ),
            (
                &self.include,
                before,
                self.content.rendered.include.as_str(),
            ),
        ] {
            let changes = ssh_config::diff(old, new);
            if !changes.is_empty() {
                diff.push_str(&format!("{}\n{changes}", path.display()));
            }
        }
        Shown {
            include: self.include.clone(),
            config: self.config.clone(),
            changed: !diff.is_empty(),
            diff,
        }
    }
}

impl Shown {
    /// The changes, or that there are none.
    pub(crate) fn print(&self, terminal: &mut Terminal) -> Result<(), Failure> {
        terminal.answer(self, |shown| {
            if shown.changed {
                shown.diff.trim_end().to_owned()
            } else {
                "The ssh configuration is as it should be.".to_owned()
            }
        })
    }
}

/// Replaces the person's own file whole, with the mode that it had.
fn write_config(path: &Path, before: &str, after: &str) -> Result<(), Failure> {
    if before == after {
        return Ok(());
    }
    let modes = std::fs::metadata(path)
        .ok()
        .map(|facts| facts.permissions());
    if let Some(folder) = path.parent()
        && !folder.exists()
    {
        platform::private_dir(folder)?;
    }
    state::replace(path, after.as_bytes())?;
    if let Some(modes) = modes {
        std::fs::set_permissions(path, modes)?;
    }
    Ok(())
}

/// Asks `ssh -G` whether it reads what we are about to write; a configuration that was unreadable
/// before is the person's to mend first.
fn check(plan: &Plan) -> Result<(), Failure> {
    let broken = |whose: &str, next: &str| {
        Err(Failure::failed(format_args!(
            "ssh does not read {whose}; nothing was changed."
        ))
        .next(next))
    };
    if ssh_reads(&plan.content.rendered.include) == Some(false) {
        return broken(
            "what jit-ssh would write",
            "Report it, with the output of `jit-ssh ssh-config --print` and `ssh -V`.",
        );
    }
    if ssh_reads(&plan.config_before) == Some(false) {
        return broken(
            &plan.config.display().to_string(),
            "Mend it first: `ssh -G example.com` says which line.",
        );
    }
    Ok(())
}

/// Whether ssh reads this text as a configuration; `None` where that cannot be tried.
fn ssh_reads(text: &str) -> Option<bool> {
    // No host is ever called so, and so no command of a Match is run.
    let answer = ssh_g(text, &["jit-ssh-check.invalid"])?;
    Some(answer.status.success())
}

/// `ssh -G` with this text as the configuration; `None` where that cannot be tried.
fn ssh_g(text: &str, arguments: &[&str]) -> Option<Output> {
    let folder = platform::state_dir()?;
    platform::private_dir(&folder).ok()?;
    let path = folder.join(format!("check.{}", std::process::id()));
    let _ = std::fs::remove_file(&path);
    let mut file = platform::create_private(&path).ok()?;
    let asked = file.write_all(text.as_bytes()).and_then(|()| {
        Command::new("ssh")
            .arg("-G")
            .arg("-F")
            .arg(&path)
            .args(arguments)
            .stdin(Stdio::null())
            .stderr(Stdio::null())
            .output()
    });
    let _ = std::fs::remove_file(&path);
    asked.ok()
}

/// How long a refresh waits for another shell that writes the include; the next contact is another
/// chance.
const REFRESH_PATIENCE: Duration = Duration::from_secs(1);
