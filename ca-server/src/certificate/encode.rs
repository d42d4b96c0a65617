//! A certificate's bytes up to where the signature begins (PROTOCOL.certkeys, "New public key
//! formats"). Our own encoder, because the bytes must exist, and be recorded, before there is a
//! signature; `ssh-key`'s builder makes both at once, and would take serial 0.

use super::CertificateError;
use super::options::Entry;

/// The fields, in the order of the format.
pub(super) struct Fields<'a> {
    pub(super) certificate_type: &'static str,
    pub(super) nonce: &'a [u8],
    /// The public key's fields: its blob without the name in front.
    pub(super) key: &'a [u8],
    pub(super) serial: u64,
    pub(super) kind: u32,
    pub(super) key_id: &'a str,
    pub(super) principals: &'a [&'a str],
    pub(super) valid_after: u64,
    pub(super) valid_before: u64,
    pub(super) critical: &'a [Entry],
    pub(super) extensions: &'a [Entry],
    pub(super) ca: &'a [u8],
}

/// The bytes to be signed.
pub(super) fn to_be_signed(fields: &Fields<'_>) -> Result<Vec<u8>, CertificateError> {
    let mut out = Vec::with_capacity(1024);
    string(&mut out, fields.certificate_type.as_bytes())?;
    string(&mut out, fields.nonce)?;
    out.extend_from_slice(fields.key);
    out.extend_from_slice(&fields.serial.to_be_bytes());
    out.extend_from_slice(&fields.kind.to_be_bytes());
    string(&mut out, fields.key_id.as_bytes())?;
    nested(&mut out, |inner| {
        fields
            .principals
            .iter()
            .try_for_each(|name| string(inner, name.as_bytes()))
    })?;
    out.extend_from_slice(&fields.valid_after.to_be_bytes());
    out.extend_from_slice(&fields.valid_before.to_be_bytes());
    options(&mut out, fields.critical)?;
    options(&mut out, fields.extensions)?;
    string(&mut out, b"")?; // reserved
    string(&mut out, fields.ca)?;
    Ok(out)
}

/// `string name, string data` each; data that is not empty holds one string, as `ssh-keygen` does.
fn options(out: &mut Vec<u8>, entries: &[Entry]) -> Result<(), CertificateError> {
    nested(out, |inner| {
        entries.iter().try_for_each(|(name, data)| {
            string(inner, name.as_bytes())?;
            match data {
                None => string(inner, b""),
                Some(data) => nested(inner, |wrapped| string(wrapped, data.as_bytes())),
            }
        })
    })
}

/// A string whose content is written by `fill`.
fn nested(
    out: &mut Vec<u8>,
    fill: impl FnOnce(&mut Vec<u8>) -> Result<(), CertificateError>,
) -> Result<(), CertificateError> {
    let mut inner = Vec::with_capacity(256);
    fill(&mut inner)?;
    string(out, &inner)
}

/// RFC 4251 §5: four bytes of length, then the bytes.
pub(crate) fn string(out: &mut Vec<u8>, bytes: &[u8]) -> Result<(), CertificateError> {
    let length = u32::try_from(bytes.len()).map_err(|_| CertificateError::TooLong(bytes.len()))?;
    out.extend_from_slice(&length.to_be_bytes());
    out.extend_from_slice(bytes);
    Ok(())
}
