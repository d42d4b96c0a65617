//! The only source of randomness. Functions that need chance take `&mut impl Entropy`.

use rand::rngs::StdRng;
use rand::{CryptoRng, RngCore, SeedableRng as _};

/// A cryptographic random generator, passed in.
pub trait Entropy: RngCore + CryptoRng {}
impl<T: RngCore + CryptoRng + ?Sized> Entropy for T {}

/// A fresh generator, seeded by the operating system.
pub fn from_system() -> StdRng {
    #[expect(
        clippy::disallowed_methods,
        reason = "the one place that asks for entropy"
    )]
    StdRng::from_entropy()
}

/// The same sequence every time, for tests.
#[cfg(test)]
pub(crate) fn seeded(seed: u64) -> StdRng {
    StdRng::seed_from_u64(seed)
}

/// Random bytes.
pub fn bytes<const N: usize>(rng: &mut impl Entropy) -> [u8; N] {
    let mut bytes = [0; N];
    rng.fill_bytes(&mut bytes);
    bytes
}
