//! Values that must never reach a log, an error, the ledger or a core dump (invariant 9).

use zeroize::{Zeroize, Zeroizing};

/// A value without `Display`, whose `Debug` says nothing, wiped on drop.
#[derive(Clone)]
pub struct Secret<T: Zeroize>(Zeroizing<T>);

impl<T: Zeroize> Secret<T> {
    /// Takes the value.
    pub fn new(value: T) -> Self {
        Secret(Zeroizing::new(value))
    }

    /// The value, for the one place that needs it.
    pub fn expose(&self) -> &T {
        &self.0
    }
}

impl<T: Zeroize> std::fmt::Debug for Secret<T> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Secret(…)")
    }
}
