//! Exit codes: the same six in all programs, documented in every `--help`.

/// How a program ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Exit {
    /// 0: done.
    Done,
    /// 1: something failed.
    Failed,
    /// 2: the command line or a file that a person wrote is not understood.
    Usage,
    /// 3: the policy, or the CA's rules, say no.
    Refused,
    /// 4: there is no live login.
    NotSignedIn,
    /// 5: the CA or the identity provider cannot be reached, or cannot serve now: try again.
    Unreachable,
}

impl Exit {
    /// Text for the end of every `--help`.
    pub const HELP: &'static str = "\
Exit codes: 0 done, 1 failed, 2 wrong usage, 3 refused, 4 not signed in, 5 CA or identity provider unreachable";

    /// The number.
    pub fn code(self) -> u8 {
        match self {
            Exit::Done => 0,
            Exit::Failed => 1,
            Exit::Usage => 2,
            Exit::Refused => 3,
            Exit::NotSignedIn => 4,
            Exit::Unreachable => 5,
        }
    }
}

impl From<Exit> for std::process::ExitCode {
    fn from(exit: Exit) -> Self {
        std::process::ExitCode::from(exit.code())
    }
}
