//! What one person may have written in a day: each certificate, and each opening or refresh of a login,
//! stays in the ledger for ever, so that nobody may fill the disk with them (A87). A request is charged
//! once, and only for what the ledger took.
//!
//! Charged before it is written, so that requests side by side do not all pass; given back where the
//! ledger wrote nothing. A caller who goes away meanwhile has paid: what was on its way may be written.

use crate::issue::IssueError;
use crate::login::LiveLogin;
use crate::server::state::{Snapshot, State};
use crate::time::Timestamp;

/// The day's budget of one person, from the side of one request.
pub(super) struct Budget<'a> {
    state: &'a State,
    person: &'a str,
    limit: u32,
    now: Timestamp,
    charged: bool,
}

impl<'a> Budget<'a> {
    /// Nothing is charged yet.
    pub(super) fn new(
        state: &'a State,
        snapshot: &Snapshot,
        login: &'a LiveLogin,
        now: Timestamp,
    ) -> Self {
        Budget {
            state,
            person: &login.identity.person,
            limit: snapshot.config.limits.certificates_per_day,
            now,
            charged: false,
        }
    }

    /// Charges this request, unless it was charged before.
    pub(super) fn charge(&mut self) -> Result<(), IssueError> {
        if self.charged {
            return Ok(());
        }
        let counted = self
            .state
            .certificates
            .count(self.person, self.limit, self.now);
        counted.map_err(|wait| {
            self.state.ledger.count_refused_to(self.person, self.now);
            IssueError::TooManyToday { wait }
        })?;
        self.charged = true;
        Ok(())
    }

    /// Hands `done` on; the charge is given back unless it is to be kept.
    pub(super) fn keep_if<T>(
        &mut self,
        kept: bool,
        done: Result<T, IssueError>,
    ) -> Result<T, IssueError> {
        if !kept && self.charged {
            self.state.certificates.give_back(self.person, self.limit);
            self.charged = false;
        }
        done
    }
}
