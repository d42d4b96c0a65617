//! What the three programs show at a terminal, so that they read as one.
//!
//! A program makes one [`Terminal`], works with it, and hands its result to [`Terminal::finish`],
//! which prints the failure, if any, and gives the exit code:
//!
//! ```
//! use jit_ssh_terminal::{Exit, Failure, Terminal};
//!
//! fn run(terminal: &mut Terminal) -> Result<(), Failure> {
//!     terminal.say("Signed in as alice@example.com.")?;
//!     Err(Failure::new(Exit::Refused, "The policy gives you no role.")
//!         .why("None of your groups is granted one.")
//!         .next("Ask for membership of a group that is: `jit-ssh roles` lists them."))
//! }
//!
//! let mut terminal = Terminal::standard(false);
//! let result = run(&mut terminal);
//! let code = terminal.finish(result);
//! ```
//!
//! Whatever comes from a CA, an identity provider or a file is untrusted text: everything printed
//! here passes [`escape()`] (A44, A76). A reader that closes the pipe ends the program quietly.

mod diff;
mod escape;
mod exit;
mod failure;
mod report;
mod spinner;
mod table;
mod terminal;
mod when;

pub use diff::LineDiff;
pub use escape::{escape, escape_lines, json_line};
pub use exit::Exit;
pub use failure::Failure;
pub use report::{Check, Report, State};
pub use spinner::Spinner;
pub use table::Table;
pub use terminal::{Captured, Terminal};
pub use when::{parse_when, span, utc};
