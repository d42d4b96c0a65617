//! Where a program's words go: answers to stdout, remarks to stderr, and with `--json` one line of
//! JSON on stdout for every command, also for one that failed.

use std::fmt::Display;
use std::io::{self, BufRead as _, IsTerminal as _, Write};
use std::process::ExitCode;
use std::sync::{Arc, Mutex, PoisonError};

use serde::Serialize;

use crate::{Exit, Failure, Spinner, escape_lines, json_line};

/// stdout, stderr and the person at the keyboard, if there is one.
pub struct Terminal {
    json: bool,
    out: Box<dyn Write + Send>,
    err: Box<dyn Write + Send>,
    /// stdin and stderr are a terminal: questions can be asked.
    interactive: bool,
    /// stderr is a terminal: a spinner may turn.
    lively: bool,
    coloured: bool,
}

impl Terminal {
    /// The process's own streams. `json`: the person asked for `--json`.
    pub fn standard(json: bool) -> Self {
        let lively = io::stderr().is_terminal();
        let plain = |name, value: &str| std::env::var_os(name).is_some_and(|v| v == value);
        let no_colour = std::env::var_os("NO_COLOR").is_some_and(|v| !v.is_empty());
        Terminal {
            json,
            out: Box::new(io::stdout()),
            err: Box::new(io::stderr()),
            interactive: lively && io::stdin().is_terminal(),
            lively: lively && !plain("TERM", "dumb"),
            coloured: lively && !no_colour && !plain("TERM", "dumb"),
        }
    }

    /// Keeps what is written, for tests; nobody is at the keyboard.
    pub fn captured(json: bool) -> (Self, Captured) {
        let captured = Captured::default();
        let terminal = Terminal {
            json,
            out: Box::new(captured.out.clone()),
            err: Box::new(captured.err.clone()),
            interactive: false,
            lively: false,
            coloured: false,
        };
        (terminal, captured)
    }

    /// `--json` was asked for.
    pub fn is_json(&self) -> bool {
        self.json
    }

    /// Somebody can answer a question.
    pub fn is_interactive(&self) -> bool {
        self.interactive
    }

    /// Text for a person on stdout, with a line feed; nothing with `--json`. Escapes all but line
    /// feeds.
    pub fn say(&mut self, text: impl Display) -> Result<(), Failure> {
        if self.json {
            return Ok(());
        }
        Ok(writeln!(self.out, "{}", escape_lines(&text.to_string()))?)
    }

    /// The answer of a command: one line of JSON, or the text made of it (none if it is empty).
    pub fn answer<T: Serialize>(
        &mut self,
        value: &T,
        text: impl FnOnce(&T) -> String,
    ) -> Result<(), Failure> {
        if self.json {
            let line = json_line(value)
                .map_err(|error| Failure::failed("The answer is no JSON.").why(error))?;
            return Ok(writeln!(self.out, "{line}")?);
        }
        let text = text(value);
        if text.is_empty() {
            Ok(())
        } else {
            self.say(text)
        }
    }

    /// The answer of a command that did a part of it, and the failure of the rest: two texts for a
    /// person; with `--json` one line, the answer with the failure as its `error`.
    pub fn answer_in_part<T: Serialize>(
        &mut self,
        value: &T,
        failure: Failure,
        text: impl FnOnce(&T) -> String,
    ) -> Result<(), Failure> {
        if !self.json {
            self.answer(value, text)?;
            return Err(failure);
        }
        let no_json = |error| Failure::failed("The answer is no JSON.").why(error);
        let mut whole = serde_json::to_value(value).map_err(no_json)?;
        if let (Some(whole), serde_json::Value::Object(error)) =
            (whole.as_object_mut(), failure.to_json())
        {
            whole.extend(error);
        }
        self.answer(&whole, |_| String::new())?;
        Err(Failure::silent(failure.exit()))
    }

    /// Bytes as they are on stdout, with or without `--json`: files that are asked for by name
    /// (completions, a public key line). Never untrusted text.
    pub fn raw(&mut self, bytes: &[u8]) -> Result<(), Failure> {
        Ok(self.out.write_all(bytes)?)
    }

    /// A remark on stderr, with or without `--json`; failing to write it is no failure.
    pub fn note(&mut self, text: impl Display) {
        let _ = writeln!(self.err, "{}", escape_lines(&text.to_string()));
    }

    /// `warning: …` on stderr.
    pub fn warn(&mut self, text: impl Display) {
        self.note(format_args!("warning: {text}"));
    }

    /// Asks yes or no. Where nobody can answer, refuses and says which option answers instead.
    pub fn confirm(&mut self, question: &str, option: &str) -> Result<bool, Failure> {
        if !self.interactive {
            return Err(
                Failure::usage(format_args!("Nobody can answer: {question}"))
                    .next(format_args!("Answer beforehand with `{option}`.")),
            );
        }
        let _ = write!(self.err, "{} [y/N] ", escape_lines(question));
        let _ = self.err.flush();
        let mut line = String::new();
        io::stdin().lock().read_line(&mut line)?;
        Ok(matches!(
            line.trim().to_ascii_lowercase().as_str(),
            "y" | "yes"
        ))
    }

    /// A line from the person, without the line end; `None` where nobody can answer or the input
    /// has ended.
    pub fn ask(&mut self, question: &str) -> Result<Option<String>, Failure> {
        if !self.interactive {
            return Ok(None);
        }
        let _ = write!(self.err, "{} ", escape_lines(question));
        let _ = self.err.flush();
        let mut line = String::new();
        let read = io::stdin().lock().read_line(&mut line)?;
        Ok((read > 0).then(|| line.trim_end_matches(['\r', '\n']).to_owned()))
    }

    /// Turns until it is dropped, if stderr is a terminal.
    pub fn spinner(&self, text: &str) -> Spinner {
        Spinner::start(text, self.lively)
    }

    /// Prints the failure, if any: to stderr for a person, as JSON to stdout with `--json`.
    pub fn finish(&mut self, result: Result<(), Failure>) -> ExitCode {
        let exit = match result.and_then(|()| Ok(self.out.flush()?)) {
            Ok(()) => Exit::Done,
            Err(failure) => {
                self.show(&failure);
                failure.exit()
            }
        };
        exit.into()
    }

    /// Prints a failure without ending anything.
    pub fn show(&mut self, failure: &Failure) {
        if failure.is_quiet() {
            return;
        }
        if self.json {
            let line = json_line(&failure.to_json()).unwrap_or_default();
            // Nothing is left to be said where this cannot be.
            let _ = writeln!(self.out, "{line}").and_then(|()| self.out.flush());
            return;
        }
        let mut text = failure.to_string();
        if self.coloured {
            text = text.replacen("error:", "\u{1b}[1;31merror:\u{1b}[0m", 1);
        }
        let _ = writeln!(self.err, "{text}");
    }
}

/// What a captured terminal was told.
#[derive(Clone, Debug, Default)]
pub struct Captured {
    out: Buffer,
    err: Buffer,
}

impl Captured {
    /// What went to stdout.
    pub fn out(&self) -> String {
        self.out.text()
    }

    /// What went to stderr.
    pub fn err(&self) -> String {
        self.err.text()
    }
}

#[derive(Clone, Debug, Default)]
struct Buffer(Arc<Mutex<Vec<u8>>>);

impl Buffer {
    fn text(&self) -> String {
        let bytes = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        String::from_utf8_lossy(&bytes).into_owned()
    }
}

impl Write for Buffer {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let mut buffer = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        buffer.extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn with_json_a_program_prints_json_and_nothing_else() {
        let (mut terminal, captured) = Terminal::captured(true);
        terminal.say("for people").unwrap();
        terminal
            .answer(&serde_json::json!({"role": "x"}), |_| "text".into())
            .unwrap();
        let _ = terminal.finish(Err(Failure::new(Exit::Refused, "No.").next("Ask.")));
        assert_eq!(
            captured.out(),
            "{\"role\":\"x\"}\n{\"error\":{\"exit\":3,\"next\":[\"Ask.\"],\"what\":\"No.\"}}\n"
        );
        assert_eq!(captured.err(), "");
    }

    #[test]
    fn half_an_answer_is_one_line_of_json_and_two_texts_for_a_person() {
        let part = serde_json::json!({"role": "x"});
        for (json, out, err) in [
            (
                true,
                "{\"error\":{\"exit\":3,\"next\":[],\"what\":\"No.\"},\"role\":\"x\"}\n",
                "",
            ),
            (false, "x\n", "error: No.\n"),
        ] {
            let (mut terminal, captured) = Terminal::captured(json);
            let refused = Failure::new(Exit::Refused, "No.");
            let result = terminal.answer_in_part(&part, refused, |_| "x".into());
            assert_eq!(result.clone().unwrap_err().exit(), Exit::Refused);
            let _ = terminal.finish(result);
            assert_eq!((captured.out(), captured.err()), (out.into(), err.into()));
        }
    }

    #[test]
    fn without_json_answers_and_failures_go_separate_ways() {
        let (mut terminal, captured) = Terminal::captured(false);
        terminal
            .answer(&1, |n| format!("{n} role\u{1b}[2J"))
            .unwrap();
        terminal.warn("the clock is wrong");
        let _ = terminal.finish(Err(Failure::failed("No.").next("Ask.")));
        assert_eq!(captured.out(), "1 role\\u{1b}[2J\n");
        assert_eq!(
            captured.err(),
            "warning: the clock is wrong\nerror: No.\n  next: Ask.\n"
        );
    }

    #[test]
    fn a_question_that_nobody_can_answer_names_the_option() {
        let (mut terminal, _) = Terminal::captured(false);
        let failure = terminal.confirm("End the login?", "--yes").unwrap_err();
        assert_eq!(failure.exit(), Exit::Usage);
        assert!(failure.to_string().contains("--yes"));
    }
}
