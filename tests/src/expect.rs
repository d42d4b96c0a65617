//! What a test expects, as types, so that a misspelt expectation does not compile; and how a text
//! is made comparable.

use jit_ssh_api::issue::CertificateAnswer;
use jit_ssh_api::problem::{Kind, Problem};

use crate::http::Answer;

/// How an ask ended.
#[derive(Clone, Debug)]
pub enum Outcome {
    /// With a certificate.
    Issued(Box<CertificateAnswer>),
    /// With this kind of refusal.
    Refused(Kind, Box<Problem>),
}

impl Answer {
    /// The outcome of an ask.
    ///
    /// # Panics
    /// When the answer is neither a certificate nor a problem of a known kind.
    #[track_caller]
    pub fn outcome(&self) -> Outcome {
        if self.status == 200 {
            return Outcome::Issued(Box::new(self.json()));
        }
        let problem = self.problem();
        let kind = problem
            .kind()
            .unwrap_or_else(|| panic!("unknown kind of problem: {problem:?}"));
        Outcome::Refused(kind, Box::new(problem))
    }

    /// It was refused with this kind.
    ///
    /// # Panics
    /// When it was not, or with another one.
    #[track_caller]
    pub fn refused(&self, kind: Kind) -> Problem {
        match self.outcome() {
            Outcome::Refused(seen, problem) if seen == kind => *problem,
            other => panic!("expected {kind:?}: {other:?}"),
        }
    }
}

/// Every attempt of a list is refused with this kind; the list must not be empty.
///
/// # Panics
/// When one is not, with its name.
#[track_caller]
pub fn all_refused(
    kind: Kind,
    attempts: impl IntoIterator<Item = (String, String)>,
    mut attempt: impl FnMut(&str) -> Answer,
) {
    let mut count = 0;
    for (what, input) in attempts {
        count += 1;
        match attempt(&input).outcome() {
            Outcome::Refused(seen, _) if seen == kind => {}
            other => panic!("{what}: expected {kind:?}, got {other:?}"),
        }
    }
    assert_ne!(count, 0, "nothing was attempted");
}

/// No control character but line feed and tab: nothing that a terminal would obey.
///
/// # Panics
/// When there is one.
#[track_caller]
pub fn is_harmless(text: &str) {
    let bad = text
        .chars()
        .find(|&c| c.is_control() && c != '\n' && c != '\t');
    assert_eq!(bad, None, "a terminal would obey this: {text:?}");
}
