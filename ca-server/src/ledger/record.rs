//! Every kind of record: a *leaf*, which is public and final, and its private *parts*, which can be
//! erased one by one.
//!
//! A leaf is canonical JSON (RFC 8785: sorted members, no white space, whole numbers below 2^53), at
//! most 4 KiB:
//!
//! ```text
//! {"epoch":1,"facts":{…},"kind":"certificate","parts":{"identity":"HEX",…},"time":MS,"v":1}
//! ```
//!
//! `facts` hold nothing about a person but random identifiers; each of `parts` is
//! `SHA-256(32-byte salt ‖ part)`. The leaf's hash is `SHA-256(0x00 ‖ leaf)` (RFC 6962). What a person
//! can choose goes through JSON strings only, so that nothing forges a field (A83). The format is
//! written down in `docs/decisions/0040-ledger-leaves.md`.

use std::collections::BTreeMap;

use jit_ssh_api::hex;
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

use crate::entropy::{self, Entropy};
use crate::time::Timestamp;

/// Longest leaf in bytes.
pub const MAX_LEAF: usize = 4096;

/// Longest private part in bytes.
pub const MAX_PART: usize = 256 * 1024;

/// Version of the leaf format.
pub const VERSION: u64 = 1;

macro_rules! kinds {
    ($($(#[$doc:meta])* $variant:ident = $name:literal;)+) => {
        /// What a record is about.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
        pub enum Kind { $($(#[$doc])* $variant,)+ }

        impl Kind {
            /// All kinds.
            pub const ALL: &'static [Kind] = &[$(Kind::$variant,)+];

            /// As it stands in leaves and filters.
            pub fn name(self) -> &'static str {
                match self { $(Kind::$variant => $name,)+ }
            }
        }
    };
}

kinds! {
    /// The exact bytes of a certificate that is about to be signed.
    Certificate = "certificate";
    /// A certificate was recorded but not signed.
    SigningFailed = "signing-failed";
    /// A login was opened.
    LoginOpened = "login-opened";
    /// A login's identity was read afresh.
    LoginRefreshed = "login-refreshed";
    /// A login ended for good.
    LoginEnded = "login-ended";
    /// Something was refused to a known person.
    Refused = "refused";
    /// How much was refused without a record of its own.
    RefusedSummary = "refused-summary";
    /// Certificates, logins, keys were taken away; perhaps a person or role is locked.
    Revoked = "revoked";
    /// A person or role may have certificates again.
    Unlocked = "unlocked";
    /// Somebody used a right at the CA.
    Admin = "admin";
    /// Another policy came into force.
    Policy = "policy";
    /// Another key set came into force.
    KeySet = "key-set";
    /// Somebody invited hosts.
    HostInvited = "host-invited";
    /// A host joined, or joined again.
    HostEnrolled = "host-enrolled";
    /// The exact bytes of a host's certificate that is about to be signed.
    HostCertificate = "host-certificate";
    /// A host has other labels.
    HostLabels = "host-labels";
    /// A host was revoked.
    HostRevoked = "host-revoked";
    /// Somebody came with a name or key of a living host, or two machines are one.
    HostClone = "host-clone";
    /// A new epoch began, after a restore.
    Epoch = "epoch";
}

impl Kind {
    /// The kind of that name.
    pub fn named(name: &str) -> Option<Kind> {
        Kind::ALL.iter().copied().find(|kind| kind.name() == name)
    }
}

/// A public fact of a leaf.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum Fact {
    /// Yes or no.
    Flag(bool),
    /// Below 2^53.
    Number(u64),
    /// Text.
    Text(String),
}

impl From<&str> for Fact {
    fn from(text: &str) -> Self {
        Fact::Text(text.to_owned())
    }
}

impl From<String> for Fact {
    fn from(text: String) -> Self {
        Fact::Text(text)
    }
}

impl From<u64> for Fact {
    fn from(number: u64) -> Self {
        Fact::Number(number)
    }
}

impl From<bool> for Fact {
    fn from(flag: bool) -> Self {
        Fact::Flag(flag)
    }
}

/// Which private part of a record. The number is its place in the store.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[repr(u8)]
pub enum PartName {
    /// What a token said: JSON of an identity snapshot.
    Identity = 0,
    /// The bytes to be signed.
    ToBeSigned = 1,
    /// Names, addresses, keys: a JSON object.
    Details = 2,
}

impl PartName {
    /// All of them.
    pub const ALL: &'static [PartName] =
        &[PartName::Identity, PartName::ToBeSigned, PartName::Details];

    /// As it stands in leaves.
    pub fn name(self) -> &'static str {
        match self {
            PartName::Identity => "identity",
            PartName::ToBeSigned => "to-be-signed",
            PartName::Details => "details",
        }
    }
}

/// A private part, with the salt that hides it behind its commitment.
#[derive(Clone, PartialEq, Eq)]
pub struct Part {
    /// Which one.
    pub name: PartName,
    /// Random.
    pub salt: [u8; 32],
    /// The part itself.
    pub bytes: Vec<u8>,
}

impl Part {
    /// With a fresh salt.
    pub fn new(name: PartName, bytes: Vec<u8>, rng: &mut impl Entropy) -> Self {
        let salt = entropy::bytes(rng);
        Part { name, salt, bytes }
    }

    /// What the leaf says of it.
    pub fn commitment(&self) -> Hash {
        Hash(
            Sha256::new()
                .chain_update(self.salt)
                .chain_update(&self.bytes)
                .finalize()
                .into(),
        )
    }
}

impl std::fmt::Debug for Part {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Part({}, {} bytes)", self.name.name(), self.bytes.len())
    }
}

/// SHA-256, written in lower-case hexadecimal.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Hash(pub [u8; 32]);

impl Hash {
    /// Of these bytes.
    pub fn of(bytes: &[u8]) -> Self {
        Hash(Sha256::digest(bytes).into())
    }

    /// Hash of a leaf: `SHA-256(0x00 ‖ leaf)`.
    pub fn of_leaf(leaf: &[u8]) -> Self {
        Hash(
            Sha256::new()
                .chain_update([0])
                .chain_update(leaf)
                .finalize()
                .into(),
        )
    }

    /// Reads lower-case hexadecimal.
    pub(crate) fn parse(hex: &str) -> Option<Self> {
        let mut bytes = [0; 32];
        if hex.len() != 64 || !hex.bytes().all(|c| matches!(c, b'0'..=b'9' | b'a'..=b'f')) {
            return None;
        }
        for (byte, pair) in bytes.iter_mut().zip(hex.as_bytes().chunks_exact(2)) {
            let pair = std::str::from_utf8(pair).ok()?;
            *byte = u8::from_str_radix(pair, 16).ok()?;
        }
        Some(Hash(bytes))
    }
}

impl std::fmt::Display for Hash {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&hex(self.0))
    }
}

impl std::fmt::Debug for Hash {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        std::fmt::Display::fmt(self, f)
    }
}

impl Serialize for Hash {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Hash {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        Hash::parse(&text).ok_or_else(|| serde::de::Error::custom("not a lower-case SHA-256"))
    }
}

/// The public side of a record. Members stand in the order of RFC 8785.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Leaf {
    /// Epoch of the ledger.
    pub epoch: u64,
    /// Public facts.
    pub facts: BTreeMap<String, Fact>,
    /// What it is about: [`Kind::name`]; a newer CA may know more kinds.
    pub kind: String,
    /// Commitments of the private parts; `identity` may be a part of an earlier record.
    pub parts: BTreeMap<String, Hash>,
    /// When.
    pub time: Timestamp,
    /// [`VERSION`].
    pub v: u64,
}

/// Why bytes are not a leaf, or a leaf cannot be written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum LeafError {
    /// Longer than [`MAX_LEAF`].
    #[error("a ledger leaf is longer than {MAX_LEAF} bytes")]
    TooLong,
    /// Not JSON, or other members than a leaf has.
    #[error("a ledger leaf is not readable")]
    Malformed,
    /// The same could be written otherwise, so that it would have two hashes.
    #[error("a ledger leaf is not canonical")]
    NotCanonical,
    /// Of a version that this build does not know.
    #[error("a ledger leaf has version {0}, which this build does not know")]
    Version(u64),
    /// A number of 2^53 or more.
    #[error("a ledger leaf holds a number of 2^53 or more")]
    Number,
}

impl Leaf {
    /// The canonical bytes.
    pub fn encode(&self) -> Result<Vec<u8>, LeafError> {
        let in_range = |number: u64| number < 1 << 53;
        let numbers = self.facts.values().all(|fact| match fact {
            Fact::Number(number) => in_range(*number),
            Fact::Flag(_) | Fact::Text(_) => true,
        });
        if !numbers || !in_range(self.epoch) || !in_range(self.time.millis()) {
            return Err(LeafError::Number);
        }
        if self.v != VERSION {
            return Err(LeafError::Version(self.v));
        }
        // RFC 8785 sorts by UTF-16 code units, `BTreeMap` by bytes: the same for ASCII names.
        if !self
            .facts
            .keys()
            .chain(self.parts.keys())
            .all(|name| name.is_ascii())
        {
            return Err(LeafError::NotCanonical);
        }
        let bytes = serde_json::to_vec(self).map_err(|_| LeafError::Malformed)?;
        if bytes.len() > MAX_LEAF {
            return Err(LeafError::TooLong);
        }
        Ok(bytes)
    }

    /// Reads a leaf, and refuses bytes that [`Leaf::encode`] would not have written.
    pub fn decode(bytes: &[u8]) -> Result<Leaf, LeafError> {
        if bytes.len() > MAX_LEAF {
            return Err(LeafError::TooLong);
        }
        let leaf: Leaf = serde_json::from_slice(bytes).map_err(|_| LeafError::Malformed)?;
        if leaf.encode()? != bytes {
            return Err(LeafError::NotCanonical);
        }
        Ok(leaf)
    }
}

/// A record ready for the store: leaf bytes, hash, parts.
#[derive(Clone, Debug)]
pub struct Entry {
    /// What it is about.
    pub kind: Kind,
    /// When.
    pub time: Timestamp,
    /// Canonical leaf.
    pub leaf: Vec<u8>,
    /// Its hash.
    pub hash: Hash,
    /// Parts of this record.
    pub parts: Vec<Part>,
}

impl Entry {
    /// The same record, referring to the identity that the store has of the same token: its salt is
    /// another one where the token was posted several times at once.
    pub(crate) fn with_identity(self, commitment: Hash) -> Result<Entry, LeafError> {
        let mut leaf = Leaf::decode(&self.leaf)?;
        match leaf.parts.get_mut(PartName::Identity.name()) {
            Some(said) if *said != commitment => *said = commitment,
            _ => return Ok(self),
        }
        let leaf = leaf.encode()?;
        Ok(Entry {
            hash: Hash::of_leaf(&leaf),
            leaf,
            ..self
        })
    }
}

/// Puts a record together.
#[derive(Clone)]
pub struct Draft {
    kind: Kind,
    leaf: Leaf,
    parts: Vec<Part>,
}

impl Draft {
    /// An empty record.
    pub fn new(kind: Kind, epoch: u64, time: Timestamp) -> Self {
        let leaf = Leaf {
            epoch,
            facts: BTreeMap::new(),
            kind: kind.name().to_owned(),
            parts: BTreeMap::new(),
            time,
            v: VERSION,
        };
        Draft {
            kind,
            leaf,
            parts: Vec::new(),
        }
    }

    /// A public fact. Nothing that names a person belongs here.
    #[must_use]
    pub fn fact(mut self, name: &'static str, fact: impl Into<Fact>) -> Self {
        self.leaf.facts.insert(name.to_owned(), fact.into());
        self
    }

    /// A private part of this record.
    #[must_use]
    pub fn part(mut self, part: Part) -> Self {
        self.leaf
            .parts
            .insert(part.name.name().to_owned(), part.commitment());
        self.parts.push(part);
        self
    }

    /// Refers to the identity that an earlier record holds.
    #[must_use]
    pub fn identity(mut self, commitment: Hash) -> Self {
        self.leaf
            .parts
            .insert(PartName::Identity.name().to_owned(), commitment);
        self
    }

    /// The finished record.
    pub fn finish(self) -> Result<Entry, LeafError> {
        if self.parts.iter().any(|part| part.bytes.len() > MAX_PART) {
            return Err(LeafError::TooLong);
        }
        let leaf = self.leaf.encode()?;
        Ok(Entry {
            kind: self.kind,
            time: self.leaf.time,
            hash: Hash::of_leaf(&leaf),
            leaf,
            parts: self.parts,
        })
    }
}

#[cfg(test)]
mod tests;
