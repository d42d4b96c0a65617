//! Serial numbers: random, 63 bits, never 0. OpenSSH ignores serial 0 in revocation lists, so a
//! certificate with it could not be revoked (A35); a counter would be sparse after a restore, or
//! worse, repeat. 63 bits, because databases and JSON readers take signed numbers. The ledger keeps
//! them unique.

use crate::entropy::Entropy;

/// A fresh serial number.
pub(super) fn random(rng: &mut impl Entropy) -> u64 {
    loop {
        let serial = rng.next_u64() >> 1;
        if serial != 0 {
            return serial;
        }
    }
}
