//! What a `doctor` found: one text and one JSON shape for all three programs.
//!
//! ```json
//! {"state":"bad","checks":[{"name":"clock","state":"bad","what":"2m off the CA's","mend":["Set it."]}]}
//! ```
//!
//! `state` is `good`, `note` (works, and is worth a look) or `bad`; that of the whole is its worst.
//! `mend` is what to do about it, empty for what is good.

use std::fmt::Display;

use serde::Serialize;

use crate::{Exit, Failure, Terminal};

/// All that was looked at.
#[derive(Clone, Debug, Default)]
pub struct Report {
    checks: Vec<Check>,
}

/// One thing that was looked at.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Check {
    name: String,
    state: State,
    what: String,
    mend: Vec<String>,
}

/// How a thing is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum State {
    /// As it should be.
    Good,
    /// It works, and is worth a look.
    Note,
    /// Something does not work.
    Bad,
}

impl Check {
    /// As it should be.
    pub fn good(name: impl Into<String>, what: impl Display) -> Self {
        Check {
            name: name.into(),
            state: State::Good,
            what: what.to_string(),
            mend: Vec::new(),
        }
    }

    /// Works, and is worth a look.
    pub fn note(name: impl Into<String>, what: impl Display, mend: impl Into<String>) -> Self {
        Check {
            state: State::Note,
            mend: vec![mend.into()],
            ..Check::good(name, what)
        }
    }

    /// Does not work.
    pub fn bad(name: impl Into<String>, what: impl Display, mend: impl Into<String>) -> Self {
        Check {
            state: State::Bad,
            ..Check::note(name, what, mend)
        }
    }

    /// Something was tried and failed, with what the failure says to do next.
    pub fn failed(name: impl Into<String>, failure: &Failure) -> Self {
        let what = match failure.cause() {
            Some(why) => format!("{} {why}", failure.what()),
            None => failure.what().to_owned(),
        };
        Check {
            state: State::Bad,
            mend: failure.next_steps().to_vec(),
            ..Check::good(name, what)
        }
    }

    /// How it is.
    pub fn state(&self) -> State {
        self.state
    }
}

impl Report {
    /// Adds what was found.
    pub fn push(&mut self, check: Check) {
        self.checks.push(check);
    }

    /// The worst of all.
    pub fn state(&self) -> State {
        let states = self.checks.iter().map(Check::state);
        states.max().unwrap_or(State::Good)
    }

    /// Says all of it; a failure without another word where something is bad.
    pub fn tell(&self, terminal: &mut Terminal) -> Result<(), Failure> {
        #[derive(Serialize)]
        struct Shape<'a> {
            state: State,
            checks: &'a [Check],
        }
        let shape = Shape {
            state: self.state(),
            checks: &self.checks,
        };
        terminal.answer(&shape, |_| self.in_words())?;
        match self.state() {
            State::Bad => Err(Failure::silent(Exit::Failed)),
            State::Good | State::Note => Ok(()),
        }
    }

    fn in_words(&self) -> String {
        // What was found may come from elsewhere: no line of it can look like one of ours.
        let below = |text: &str| text.trim_end().replace('\n', "\n      ");
        let mut lines = Vec::new();
        for check in &self.checks {
            let mark = match check.state {
                State::Good => "ok  ",
                State::Note => "note",
                State::Bad => "BAD ",
            };
            lines.push(format!("{mark}  {}: {}", check.name, below(&check.what)));
            let mend = check.mend.iter();
            lines.extend(mend.map(|mend| format!("      -> {}", below(mend))));
        }
        lines.join("\n")
    }
}

impl Extend<Check> for Report {
    fn extend<T: IntoIterator<Item = Check>>(&mut self, checks: T) {
        self.checks.extend(checks);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn report() -> Report {
        let mut report = Report::default();
        report.push(Check::good("ssh", "9.2"));
        report.push(Check::note("agent", "none", "None is needed."));
        report
    }

    #[test]
    fn the_worst_check_is_how_the_whole_is_and_how_the_program_ends() {
        let (mut terminal, captured) = Terminal::captured(false);
        assert_eq!(report().tell(&mut terminal), Ok(()));
        let mut bad = report();
        let failure = Failure::failed("No answer.").why("refused").next("Look.");
        bad.push(Check::failed("CA", &failure));
        assert_eq!(bad.state(), State::Bad);
        let ended = bad.tell(&mut terminal).unwrap_err();
        assert_eq!(ended.exit(), Exit::Failed);
        let words = "ok    ssh: 9.2\nnote  agent: none\n      -> None is needed.\n";
        let more = "BAD   CA: No answer. refused\n      -> Look.\n";
        assert_eq!(captured.out(), format!("{words}{words}{more}"));
    }

    #[test]
    fn programs_read_one_shape() {
        let (mut terminal, captured) = Terminal::captured(true);
        report().tell(&mut terminal).unwrap();
        assert_eq!(
            captured.out(),
            "{\"state\":\"note\",\"checks\":[\
             {\"name\":\"ssh\",\"state\":\"good\",\"what\":\"9.2\",\"mend\":[]},\
             {\"name\":\"agent\",\"state\":\"note\",\"what\":\"none\",\"mend\":[\"None is needed.\"]}]}\n"
        );
    }

    #[test]
    fn what_was_found_cannot_look_like_a_check_of_its_own() {
        let (mut terminal, captured) = Terminal::captured(false);
        let mut report = Report::default();
        report.push(Check::bad(
            "CA",
            "no\nok    CA: \u{1b}[2Jall is well",
            "Look.",
        ));
        let _ = report.tell(&mut terminal);
        assert!(!captured.out().contains("\nok"), "{}", captured.out());
        assert!(!captured.out().contains('\u{1b}'), "{}", captured.out());
    }
}
