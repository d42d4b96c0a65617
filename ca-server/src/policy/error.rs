//! What is wrong with a policy file: each fault with its place, the reason why it is one, and what
//! to write instead. All of a file's faults are found in one go. Whoever wrote the file must act.

use std::fmt;

/// Everything that is wrong with one policy, in the order of the file; never empty.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PolicyErrors {
    pub(super) errors: Vec<PolicyError>,
    pub(super) more: usize,
}

/// One fault.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PolicyError {
    /// Line, from 1.
    pub line: usize,
    /// Column in characters, from 1.
    pub column: usize,
    /// Which kind of fault.
    pub fault: Fault,
    /// What is wrong, with the names in it.
    pub what: String,
    /// What to write instead, where that can be said.
    pub suggestion: Option<String>,
}

/// Kinds of faults.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Fault {
    /// Not UTF-8, too large, or not TOML.
    Syntax,
    /// A key that no version knows.
    UnknownKey,
    /// A key or value of a later version.
    NotSupportedYet,
    /// A key that must be there is not.
    Missing,
    /// A string where a list belongs, and the like.
    WrongType,
    /// A value that is not one of those possible, or out of bounds.
    BadValue,
    /// A list, table or string with nothing in it, where that would match nobody or everybody.
    Empty,
    /// The same thing twice.
    Twice,
    /// A role that the policy does not have.
    UnknownRole,
    /// An issuer that is not configured, or not named where there are several.
    Issuer,
    /// It waits for something that the issuer can never say.
    NeverSaid,
    /// One of the policy's own tests fails.
    TestFails,
}

impl Fault {
    /// Why this is refused rather than read some way.
    pub fn why(self) -> &'static str {
        match self {
            Fault::Syntax => "A file that is half understood could grant what nobody wrote.",
            Fault::UnknownKey => {
                "A key that is not understood could be a limit that would not be kept."
            }
            Fault::NotSupportedYet => {
                "This version cannot keep what it asks for, and ignoring it would grant more."
            }
            Fault::Missing => "Nothing is implied in a policy.",
            Fault::WrongType => "Values are never converted.",
            Fault::BadValue => "Names and limits are exact.",
            Fault::Empty => "Whether that means nobody or everybody would be a guess.",
            Fault::Twice => "Two places for one thing drift apart.",
            Fault::UnknownRole => "A role that does not exist would be granted to nobody.",
            Fault::Issuer => "The same name at another identity provider is another person.",
            Fault::NeverSaid => "The rule could never hold.",
            Fault::TestFails => "The policy does not do what it says of itself.",
        }
    }
}

impl PolicyErrors {
    /// The faults, in the order of the file; at most [`MOST_ERRORS`].
    pub fn iter(&self) -> impl Iterator<Item = &PolicyError> {
        self.errors.iter()
    }

    /// How many there are beside those of [`PolicyErrors::iter`].
    pub fn more(&self) -> usize {
        self.more
    }
}

impl fmt::Display for PolicyError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "line {}, column {}: {} {}",
            self.line,
            self.column,
            self.what,
            self.fault.why()
        )?;
        match &self.suggestion {
            Some(suggestion) => write!(f, " {suggestion}"),
            None => Ok(()),
        }
    }
}

impl fmt::Display for PolicyErrors {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, error) in self.errors.iter().enumerate() {
            if index > 0 {
                f.write_str("\n")?;
            }
            error.fmt(f)?;
        }
        match self.more {
            0 => Ok(()),
            more => write!(f, "\nand {more} more"),
        }
    }
}

impl std::error::Error for PolicyError {}
impl std::error::Error for PolicyErrors {}

/// Collects faults while a file is read.
#[derive(Debug)]
pub(super) struct Faults<'t> {
    text: &'t str,
    found: Vec<(usize, PolicyError)>,
    more: usize,
}

impl<'t> Faults<'t> {
    pub(super) fn new(text: &'t str) -> Self {
        Faults {
            text,
            found: Vec::new(),
            more: 0,
        }
    }

    /// Notes a fault at a byte offset of the text.
    pub(super) fn add(
        &mut self,
        at: usize,
        fault: Fault,
        what: impl Into<String>,
        suggestion: impl Into<Option<String>>,
    ) {
        // A value of the wrong type stands as an empty one: what is wrong with that is no news.
        let known =
            |(there, error): &(usize, PolicyError)| *there == at && error.fault == Fault::WrongType;
        if self.found.iter().any(known) {
            return;
        }
        if self.is_full() {
            self.more = self.more.saturating_add(1);
            return;
        }
        let (line, column) = position(self.text, at);
        let (what, suggestion) = (what.into(), suggestion.into());
        self.found.push((
            at,
            PolicyError {
                line,
                column,
                fault,
                what,
                suggestion,
            },
        ));
    }

    /// Enough was found: looking for similar names would be wasted.
    pub(super) fn is_full(&self) -> bool {
        self.found.len() >= MOST_ERRORS
    }

    pub(super) fn has(&self, fault: Fault) -> bool {
        self.found.iter().any(|(_, error)| error.fault == fault)
    }

    pub(super) fn count(&self) -> usize {
        self.found.len().saturating_add(self.more)
    }

    pub(super) fn is_empty(&self) -> bool {
        self.found.is_empty()
    }

    pub(super) fn into_errors(mut self) -> PolicyErrors {
        self.found.sort_by_key(|(at, _)| *at);
        let errors = self.found.into_iter().map(|(_, error)| error).collect();
        PolicyErrors {
            errors,
            more: self.more,
        }
    }
}

/// Line and column of a byte offset, both from 1.
pub(super) fn position(text: &str, at: usize) -> (usize, usize) {
    let before = text.get(..at).unwrap_or(text);
    let start = before
        .rfind('\n')
        .map_or(0, |newline| newline.saturating_add(1));
    let line = before.matches('\n').count().saturating_add(1);
    let column = before
        .get(start..)
        .unwrap_or("")
        .chars()
        .count()
        .saturating_add(1);
    (line, column)
}

/// "Did you mean …?", if one of the names is near enough.
pub(super) fn did_you_mean<'n>(
    written: &str,
    names: impl IntoIterator<Item = &'n str>,
) -> Option<String> {
    let near = names
        .into_iter()
        .filter_map(|name| Some((distance(written, name)?, name)))
        .min()
        .map(|(_, name)| name)?;
    Some(format!("Did you mean `{near}`?"))
}

/// Edits from one name to another, none if that is more than a third of the longer. Case counts for nothing.
fn distance(a: &str, b: &str) -> Option<usize> {
    let (a, b) = (a.to_ascii_lowercase(), b.to_ascii_lowercase());
    let most = a.len().max(b.len()) / 3;
    if a.len().abs_diff(b.len()) > most || a.len() > 100 {
        return None;
    }
    if a.len() > 3 && (b.contains(&a) || a.contains(&b)) {
        return Some(1);
    }
    let mut row: Vec<usize> = (0..=b.chars().count()).collect();
    for (i, x) in a.chars().enumerate() {
        let mut diagonal = i;
        let mut left = i.saturating_add(1);
        if let Some(first) = row.first_mut() {
            *first = left;
        }
        for (cell, y) in row.iter_mut().skip(1).zip(b.chars()) {
            let replaced = diagonal.saturating_add(usize::from(x != y));
            diagonal = *cell;
            left = replaced
                .min(left.saturating_add(1))
                .min(diagonal.saturating_add(1));
            *cell = left;
        }
    }
    row.last().copied().filter(|edits| *edits <= most)
}

/// Most faults that are told at once.
pub const MOST_ERRORS: usize = 50;
