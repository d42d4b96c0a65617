//! Logins that were used lately, so that a renewal need not read them from the store. Bounded; the
//! one writer writes it through after each commit, in the order of the commits. The truth stays in
//! the store: the writer asks it again in the transaction that records.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};

use super::{KeyHash, LoginState};
use crate::store::guard;

/// Two generations: the older one is dropped whole when the newer one is full.
#[derive(Default)]
pub(crate) struct LoginCache {
    inner: Mutex<Inner>,
}

#[derive(Default)]
struct Inner {
    new: HashMap<KeyHash, Arc<LoginState>>,
    old: HashMap<KeyHash, Arc<LoginState>>,
    generation: u64,
}

impl LoginCache {
    pub(crate) fn get(&self, key: &KeyHash) -> Option<Arc<LoginState>> {
        let mut inner = guard(&self.inner);
        if let Some(state) = inner.new.get(key) {
            return Some(Arc::clone(state));
        }
        let state = inner.old.remove(key)?;
        inner.keep(Arc::clone(&state));
        Some(state)
    }

    /// For [`LoginCache::insert_if`]: counts what the writer took back.
    pub(crate) fn generation(&self) -> u64 {
        guard(&self.inner).generation
    }

    /// What a reader found, unless the writer took anything back since it looked.
    pub(crate) fn insert_if(&self, seen: u64, state: Arc<LoginState>) {
        let mut inner = guard(&self.inner);
        if inner.generation == seen {
            inner.keep(state);
        }
    }

    /// The writer opened this login. (If another one had the key, the writer ended that first.)
    pub(crate) fn opened(&self, state: Arc<LoginState>) {
        guard(&self.inner).keep(state);
    }

    /// The writer committed a newer identity.
    pub(crate) fn refreshed(&self, state: Arc<LoginState>) {
        let mut inner = guard(&self.inner);
        inner.generation = inner.generation.wrapping_add(1);
        inner.keep(state);
    }

    /// The writer ended the login of this key.
    pub(crate) fn ended(&self, key: &KeyHash) {
        let mut inner = guard(&self.inner);
        inner.generation = inner.generation.wrapping_add(1);
        inner.new.remove(key);
        inner.old.remove(key);
    }
}

impl Inner {
    fn keep(&mut self, state: Arc<LoginState>) {
        if self.new.len() >= GENERATION {
            self.old = std::mem::take(&mut self.new);
        }
        self.old.remove(&state.key);
        self.new.insert(state.key, state);
    }
}

const GENERATION: usize = 512;
