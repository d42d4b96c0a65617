//! Who runs `ensure`: which `ssh`, told what on its command line; whether anybody is there to be asked,
//! and how long anybody may be waited for.

use std::time::Duration;

use crate::platform;
use crate::sign_in::Way;
use crate::state;

/// Who runs us, and whether somebody can be asked.
pub(super) struct Caller {
    ssh: Option<SshCall>,
    /// There is a terminal.
    pub(super) terminal: bool,
    desktop: bool,
}

/// What the calling `ssh` was told on its command line.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct SshCall {
    batch: bool,
    print_only: bool,
}

impl Caller {
    pub(super) fn find() -> Self {
        Caller {
            ssh: platform::calling_ssh().map(|arguments| SshCall::read(&arguments)),
            terminal: platform::terminal().is_ok(),
            desktop: platform::desktop(),
        }
    }

    /// `ssh -G`.
    pub(super) fn is_dry(&self) -> bool {
        self.ssh.is_some_and(|ssh| ssh.print_only)
    }

    pub(super) fn may_be_asked(&self) -> bool {
        match self.ssh {
            Some(ssh) => !ssh.batch && !ssh.print_only && (self.terminal || self.desktop),
            // Unknown who asks: without a terminal it may be a tool that only wants the
            // configuration, and no browser should open for that.
            None => self.terminal,
        }
    }

    /// How long others may hold the files. Tools that ask for the configuration wait for nobody, and
    /// where nobody watches an end is better than a certificate.
    pub(super) fn patience(&self) -> Duration {
        if self.is_dry() {
            DRY_PATIENCE
        } else if self.ssh.is_some_and(|ssh| ssh.batch) || !self.terminal {
            UNWATCHED_PATIENCE
        } else {
            state::PATIENCE
        }
    }

    pub(super) fn way(&self) -> Way {
        if self.desktop {
            Way::Browser
        } else {
            Way::Paste
        }
    }
}

impl SshCall {
    /// Reads the options of `ssh` (getopt: flags may stand together, values may stick to them).
    fn read(arguments: &[String]) -> Self {
        let mut call = SshCall::default();
        let mut words = arguments.iter().skip(1);
        let mut host_seen = false;
        while let Some(word) = words.next() {
            let Some(flags) = word.strip_prefix('-').filter(|flags| !flags.is_empty()) else {
                // The host; options may follow it, the command begins with the next plain word.
                if host_seen {
                    break;
                }
                host_seen = true;
                continue;
            };
            if flags == "-" {
                break;
            }
            let mut rest = flags.chars();
            while let Some(flag) = rest.next() {
                if flag == 'G' {
                    call.print_only = true;
                }
                if WITH_VALUE.contains(flag) {
                    let stuck: String = rest.by_ref().collect();
                    let value = if stuck.is_empty() {
                        words.next().cloned().unwrap_or_default()
                    } else {
                        stuck
                    };
                    call.batch |= flag == 'o' && is_batch_mode(&value);
                }
            }
        }
        call
    }
}

fn is_batch_mode(option: &str) -> bool {
    let mut parts = option.splitn(2, ['=', ' ', '\t']).map(str::trim);
    let (name, value) = (parts.next(), parts.next());
    name.is_some_and(|name| name.eq_ignore_ascii_case("batchmode"))
        && value.is_some_and(|value| {
            let value = value.trim_start_matches(['=', ' ']);
            value.eq_ignore_ascii_case("yes") || value.eq_ignore_ascii_case("true")
        })
}

/// What an `ssh -G` may take because of others: a renewal of theirs, no more.
const DRY_PATIENCE: Duration = Duration::from_secs(1);
const UNWATCHED_PATIENCE: Duration = Duration::from_secs(10);

/// Options of OpenSSH's `ssh` that take a value.
const WITH_VALUE: &str = "BbcDEeFIiJLlmOoPpQRSWw";

#[cfg(test)]
mod tests {
    use super::*;

    fn read(line: &str) -> SshCall {
        let words: Vec<String> = line.split('|').map(str::to_owned).collect();
        SshCall::read(&words)
    }

    #[test]
    fn tools_that_must_not_be_asked_are_recognised() {
        for batch in [
            "ssh|-oBatchMode=yes|host",
            "ssh|-o|BatchMode=yes|host|ls",
            "ssh|-o|batchmode yes|host",
            "ssh|-vvo|BatchMode=yes|host",
            "ssh|-x|-l|root|-oBatchMode=yes|--|host|cmd",
            "ssh|host|-o|BatchMode=yes",
        ] {
            assert!(read(batch).batch, "{batch}");
        }
        for dry in [
            "ssh|-G|host",
            "ssh|-vG|host",
            "ssh|-p|22|-G|host",
            "ssh|host|-G",
        ] {
            assert!(read(dry).print_only, "{dry}");
        }
        for neither in [
            "ssh|host",
            "ssh|host|ls|-G",
            "ssh|-p|22|host|tar|-oBatchMode=yes",
            "ssh|-F|-G|host",
            "ssh|-oBatchMode=no|host",
            "ssh|-o|ProxyCommand=x -oBatchMode=yes|host",
            "ssh",
            "",
        ] {
            assert_eq!(read(neither), SshCall::default(), "{neither}");
        }
    }

    #[test]
    fn nobody_is_asked_in_batch_mode_nor_without_terminal_and_desktop() {
        let with = |ssh, terminal, desktop| Caller {
            ssh,
            terminal,
            desktop,
        };
        let plain = Some(SshCall::default());
        let batch = Some(read("ssh|-oBatchMode=yes|h"));
        let dry = Some(read("ssh|-G|h"));
        assert!(with(plain, true, false).may_be_asked());
        assert!(with(plain, false, true).may_be_asked());
        assert!(!with(plain, false, false).may_be_asked());
        assert!(!with(batch, true, true).may_be_asked());
        assert!(!with(dry, true, true).may_be_asked());
        assert!(!with(None, false, true).may_be_asked());
    }
}
