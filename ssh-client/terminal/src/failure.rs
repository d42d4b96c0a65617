//! A failure as a person reads it: what happened, why, what to do next.

use std::fmt;

use crate::{Exit, escape, escape_lines};

/// What a program says when it cannot do what it was asked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failure {
    exit: Exit,
    what: String,
    why: Option<String>,
    next: Vec<String>,
    details: Vec<(&'static str, String)>,
    quiet: bool,
}

impl Failure {
    /// One sentence that says what happened. Follow it with [`Failure::next`] wherever there is
    /// something to do.
    pub fn new(exit: Exit, what: impl fmt::Display) -> Self {
        let (what, why, next) = (what.to_string(), None, Vec::new());
        let (details, quiet) = (Vec::new(), false);
        Failure {
            exit,
            what,
            why,
            next,
            details,
            quiet,
        }
    }

    /// [`Exit::Failed`].
    pub fn failed(what: impl fmt::Display) -> Self {
        Failure::new(Exit::Failed, what)
    }

    /// [`Exit::Usage`].
    pub fn usage(what: impl fmt::Display) -> Self {
        Failure::new(Exit::Usage, what)
    }

    /// Ends the program with this code and not a word (the command has said all there is to say).
    pub fn silent(exit: Exit) -> Self {
        Failure {
            quiet: true,
            ..Failure::new(exit, "")
        }
    }

    /// The cause, where the first sentence does not say it.
    #[must_use]
    pub fn why(mut self, why: impl fmt::Display) -> Self {
        self.why = Some(why.to_string());
        self
    }

    /// One thing to do next; may be called again for a second one.
    #[must_use]
    pub fn next(mut self, next: impl fmt::Display) -> Self {
        self.next.push(next.to_string());
        self
    }

    /// A fact for programs, shown in `--json` only (`request_id`, `rule` …).
    #[must_use]
    pub fn detail(mut self, name: &'static str, value: impl fmt::Display) -> Self {
        self.details.push((name, value.to_string()));
        self
    }

    /// How the program is to end.
    pub fn exit(&self) -> Exit {
        self.exit
    }

    /// What happened.
    pub fn what(&self) -> &str {
        &self.what
    }

    /// The cause, if it was said.
    pub fn cause(&self) -> Option<&str> {
        self.why.as_deref()
    }

    /// What to do next.
    pub fn next_steps(&self) -> &[String] {
        &self.next
    }

    pub(crate) fn is_quiet(&self) -> bool {
        self.quiet
    }

    /// The failure as `--json` prints it.
    pub fn to_json(&self) -> serde_json::Value {
        let mut error = serde_json::Map::new();
        error.insert("what".into(), self.what.clone().into());
        if let Some(why) = &self.why {
            error.insert("why".into(), why.clone().into());
        }
        error.insert("next".into(), self.next.clone().into());
        error.insert("exit".into(), self.exit.code().into());
        for (name, value) in &self.details {
            error.insert((*name).into(), value.clone().into());
        }
        serde_json::json!({ "error": error })
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "error: {}", escape(&self.what))?;
        if let Some(why) = &self.why {
            write!(f, "\n  why:  {}", indented(why))?;
        }
        for next in &self.next {
            write!(f, "\n  next: {}", indented(next))?;
        }
        Ok(())
    }
}

impl std::error::Error for Failure {}

/// A closed pipe ends the program quietly (`jit-ssh roles | head -1`); all else is a failure.
impl From<std::io::Error> for Failure {
    fn from(error: std::io::Error) -> Self {
        if error.kind() == std::io::ErrorKind::BrokenPipe {
            return Failure::silent(Exit::Done);
        }
        Failure::failed("The output cannot be written.").why(error)
    }
}

fn indented(text: &str) -> String {
    escape_lines(text.trim_end()).replace('\n', "\n        ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failure_says_what_why_and_what_next() {
        let failure = Failure::new(Exit::Unreachable, "The CA cannot be reached.")
            .why("connection refused")
            .next("Check that it runs:\n  systemctl status jit-ssh-ca")
            .next("Try again.");
        assert_eq!(
            failure.to_string(),
            "error: The CA cannot be reached.\n  why:  connection refused\n  next: Check that it \
             runs:\n          systemctl status jit-ssh-ca\n  next: Try again."
        );
        assert_eq!(failure.to_json()["error"]["exit"], 5);
    }

    #[test]
    fn an_escape_sequence_in_a_problem_of_the_ca_reaches_no_terminal() {
        let failure = Failure::failed("\u{1b}]0;owned\u{7}")
            .why("\u{9b}31m")
            .next("a\rb");
        assert!(
            !failure
                .to_string()
                .chars()
                .any(|c| c.is_control() && c != '\n')
        );
    }

    #[test]
    fn a_closed_pipe_is_no_failure() {
        let failure = Failure::from(std::io::Error::from(std::io::ErrorKind::BrokenPipe));
        assert!(failure.is_quiet());
        assert_eq!(failure.exit(), Exit::Done);
    }
}
