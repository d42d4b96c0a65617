//! The key revocation list that sshd reads at every login (`RevokedKeys`, PROTOCOL.krl): any bytes in,
//! a list out that every sshd can read, or none.
//!
//! Of a list that it cannot read, sshd takes one of two views: an empty file, or one without the magic,
//! is a text in which no key stands, so that nothing is revoked; any other damage refuses everybody
//! (A53). So every section is read to its end here first, and what an sshd somewhere could stumble over
//! is refused: long bitmaps (OpenSSH writes some that it does not read), signatures and extensions (each
//! known to some versions only), an unknown section, and whatever is left over. `ssh-keygen` is asked as
//! well, by the host's own version ([`crate::sshd::Sshd::reads_krl`]).

use ssh_key::PublicKey;

/// A list that sshd can read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Krl {
    bytes: Vec<u8>,
    entries: usize,
}

/// Why some bytes are no such list.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum KrlError {
    /// Without the magic, sshd takes the file for a text that lists no key.
    #[error("the revocation list is none: it does not begin as one")]
    Magic,
    /// A format from after this program.
    #[error("the revocation list has format {0}, and this program knows format 1")]
    Format(u32),
    /// Longer than one ever is.
    #[error("the revocation list is longer than {MOST_BYTES} bytes")]
    TooLong,
    /// It ends in the middle of something.
    #[error("the revocation list is cut off")]
    CutOff,
    /// A section that holds nothing where sshd asks for something, or something of the wrong size.
    #[error("a section of the revocation list (kind {0}) is damaged")]
    Section(u8),
    /// A section that not every sshd knows.
    #[error("the revocation list has a section of kind {0}, which not every sshd reads")]
    UnknownSection(u8),
    /// sshd refuses long ones, and then everybody.
    #[error(
        "a bitmap in the revocation list has more than {MOST_BITS} bits: sshd would refuse every login"
    )]
    Bitmap,
}

impl Krl {
    /// Reads a list to its end.
    pub(crate) fn parse(bytes: &[u8]) -> Result<Self, KrlError> {
        if bytes.len() > MOST_BYTES {
            return Err(KrlError::TooLong);
        }
        let rest = bytes.strip_prefix(MAGIC).ok_or(KrlError::Magic)?;
        let mut reader = Reader(rest);
        match reader.u32()? {
            1 => {}
            other => return Err(KrlError::Format(other)),
        }
        let (_version, _generated, _flags) = (reader.u64()?, reader.u64()?, reader.u64()?);
        let (_reserved, _comment) = (reader.string()?, reader.string()?);
        let mut entries = 0;
        while !reader.is_empty() {
            let kind = reader.u8()?;
            let section = reader.string()?;
            entries += match kind {
                CERTIFICATES => certificates(section)?,
                EXPLICIT_KEY => strings(kind, section, is_key)?,
                FINGERPRINT_SHA1 => strings(kind, section, |hash| hash.len() == 20)?,
                FINGERPRINT_SHA256 => strings(kind, section, |hash| hash.len() == 32)?,
                other => return Err(KrlError::UnknownSection(other)),
            };
        }
        Ok(Krl {
            bytes: bytes.to_vec(),
            entries,
        })
    }

    /// The file's exact bytes.
    pub(crate) fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// How much stands in it: serials, ranges, key identifiers, keys.
    pub(crate) fn entries(&self) -> usize {
        self.entries
    }
}

fn certificates(section: &[u8]) -> Result<usize, KrlError> {
    let mut reader = Reader(section);
    let ca = reader.string()?;
    // Empty: of any CA.
    if !ca.is_empty() && !is_key(ca) {
        return Err(KrlError::Section(CERTIFICATES));
    }
    let _reserved = reader.string()?;
    if reader.is_empty() {
        return Err(KrlError::Section(CERTIFICATES));
    }
    let mut entries = 0;
    while !reader.is_empty() {
        let kind = reader.u8()?;
        let data = reader.string()?;
        entries += match kind {
            SERIAL_LIST => serials(data)?,
            SERIAL_RANGE => {
                let mut data = Reader(data);
                let (first, last) = (data.u64()?, data.u64()?);
                if first > last || !data.is_empty() {
                    return Err(KrlError::Section(kind));
                }
                1
            }
            SERIAL_BITMAP => {
                let mut data = Reader(data);
                let _offset = data.u64()?;
                let bitmap = data.string()?;
                if bitmap.len() > MOST_BITS / 8 {
                    return Err(KrlError::Bitmap);
                }
                if bitmap.is_empty() || !data.is_empty() {
                    return Err(KrlError::Section(kind));
                }
                1
            }
            KEY_ID => strings(kind, data, |id| !id.contains(&0))?,
            other => return Err(KrlError::UnknownSection(other)),
        };
    }
    Ok(entries)
}

fn serials(data: &[u8]) -> Result<usize, KrlError> {
    let mut reader = Reader(data);
    let mut count = 0;
    while !reader.is_empty() {
        // sshd takes 0 for "no serial", and damage.
        if reader.u64()? == 0 {
            return Err(KrlError::Section(SERIAL_LIST));
        }
        count += 1;
    }
    if count == 0 {
        return Err(KrlError::Section(SERIAL_LIST));
    }
    Ok(count)
}

fn strings(kind: u8, data: &[u8], good: impl Fn(&[u8]) -> bool) -> Result<usize, KrlError> {
    let mut reader = Reader(data);
    let mut count = 0;
    while !reader.is_empty() {
        if !good(reader.string()?) {
            return Err(KrlError::Section(kind));
        }
        count += 1;
    }
    if count == 0 {
        return Err(KrlError::Section(kind));
    }
    Ok(count)
}

fn is_key(blob: &[u8]) -> bool {
    PublicKey::from_bytes(blob).is_ok()
}

struct Reader<'a>(&'a [u8]);

impl<'a> Reader<'a> {
    fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    fn take<const N: usize>(&mut self) -> Result<[u8; N], KrlError> {
        let (taken, rest) = self.0.split_first_chunk().ok_or(KrlError::CutOff)?;
        self.0 = rest;
        Ok(*taken)
    }

    fn u8(&mut self) -> Result<u8, KrlError> {
        self.take().map(u8::from_be_bytes)
    }

    fn u32(&mut self) -> Result<u32, KrlError> {
        self.take().map(u32::from_be_bytes)
    }

    fn u64(&mut self) -> Result<u64, KrlError> {
        self.take().map(u64::from_be_bytes)
    }

    fn string(&mut self) -> Result<&'a [u8], KrlError> {
        let length = usize::try_from(self.u32()?).map_err(|_| KrlError::CutOff)?;
        let (taken, rest) = self.0.split_at_checked(length).ok_or(KrlError::CutOff)?;
        self.0 = rest;
        Ok(taken)
    }
}

const MAGIC: &[u8; 8] = b"SSHKRL\n\0";
const MOST_BYTES: usize = 16 * 1024 * 1024;
const MOST_BITS: usize = 16_000;
const CERTIFICATES: u8 = 1;
const EXPLICIT_KEY: u8 = 2;
const FINGERPRINT_SHA1: u8 = 3;
const FINGERPRINT_SHA256: u8 = 5;
const SERIAL_LIST: u8 = 0x20;
const SERIAL_RANGE: u8 = 0x21;
const SERIAL_BITMAP: u8 = 0x22;
const KEY_ID: u8 = 0x23;

#[cfg(test)]
mod tests;
