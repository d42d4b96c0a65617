//! Times and sizes as people write them: `15m`, `64MiB`. One unit, whole numbers, nothing implied.

use std::fmt;
use std::time::Duration;

use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

/// A length of time: `90s`, `15m`, `8h`, `7d`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Span(Duration);

/// A size in bytes: `512`, `64KiB`, `64MiB`, `1GiB`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Size(u64);

impl Span {
    /// So many seconds.
    pub const fn seconds(seconds: u64) -> Self {
        Span(Duration::from_secs(seconds))
    }

    /// So many hours.
    pub const fn hours(hours: u64) -> Self {
        Span(Duration::from_secs(hours * 3600))
    }

    /// As the standard library has it.
    pub const fn get(self) -> Duration {
        self.0
    }

    /// Reads `90s`, `15m`, `8h`, `7d`; at most ten years.
    pub fn parse(text: &str) -> Option<Self> {
        let (number, factor) = split(text, &[("s", 1), ("m", 60), ("h", 3600), ("d", 86_400)])?;
        let seconds = number.checked_mul(factor)?;
        (seconds <= 10 * 365 * 86_400).then_some(Span::seconds(seconds))
    }
}

impl Size {
    /// So many KiB.
    pub const fn kib(kib: u64) -> Self {
        Size(kib << 10)
    }

    /// So many MiB.
    pub const fn mib(mib: u64) -> Self {
        Size(mib << 20)
    }

    /// In bytes.
    pub const fn bytes(self) -> u64 {
        self.0
    }

    /// Reads `512`, `64KiB`, `64MiB`, `1GiB`.
    pub fn parse(text: &str) -> Option<Self> {
        let units = [
            ("KiB", 1 << 10),
            ("MiB", 1 << 20),
            ("GiB", 1 << 30),
            ("", 1),
        ];
        let (number, factor) = split(text, &units)?;
        number.checked_mul(factor).map(Size)
    }
}

/// The number, and the factor of its unit; no sign, no space, no second unit.
fn split(text: &str, units: &[(&str, u64)]) -> Option<(u64, u64)> {
    let end = text.bytes().take_while(u8::is_ascii_digit).count();
    let (number, unit) = text.split_at_checked(end)?;
    let (_, factor) = units.iter().find(|(name, _)| *name == unit)?;
    Some((number.parse().ok()?, *factor))
}

impl fmt::Display for Span {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let seconds = self.0.as_secs();
        match seconds {
            0 => f.write_str("0s"),
            s if s % 86_400 == 0 => write!(f, "{}d", s / 86_400),
            s if s % 3600 == 0 => write!(f, "{}h", s / 3600),
            s if s % 60 == 0 => write!(f, "{}m", s / 60),
            s => write!(f, "{s}s"),
        }
    }
}

impl fmt::Display for Size {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            0 => f.write_str("0"),
            b if b % (1 << 30) == 0 => write!(f, "{}GiB", b >> 30),
            b if b % (1 << 20) == 0 => write!(f, "{}MiB", b >> 20),
            b if b % (1 << 10) == 0 => write!(f, "{}KiB", b >> 10),
            b => write!(f, "{b}"),
        }
    }
}

impl Serialize for Span {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl Serialize for Size {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Span {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        Span::parse(&text)
            .ok_or_else(|| de::Error::custom(format!("`{text}` is not a time like 90s, 15m, 8h")))
    }
}

impl<'de> Deserialize<'de> for Size {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        Size::parse(&text)
            .ok_or_else(|| de::Error::custom(format!("`{text}` is not a size like 64KiB, 64MiB")))
    }
}

#[cfg(test)]
mod tests {
    use super::{Size, Span};

    #[test]
    fn times_and_sizes_are_read_as_they_are_written() {
        for text in ["90s", "15m", "8h", "7d", "0s"] {
            assert_eq!(Span::parse(text).unwrap().to_string(), text);
        }
        for text in ["512", "64KiB", "64MiB", "1GiB"] {
            assert_eq!(Size::parse(text).unwrap().to_string(), text);
        }
    }

    #[test]
    fn times_without_a_unit_signs_and_overflows_are_refused() {
        for text in [
            "",
            "15",
            "m",
            "-5m",
            "+5m",
            "1h30m",
            "5 m",
            "5M",
            "99999999999999999999s",
            "4000d",
        ] {
            assert_eq!(Span::parse(text), None, "{text}");
        }
        for text in ["", "64MB", "64 MiB", "-1", "99999999999GiB"] {
            assert_eq!(Size::parse(text), None, "{text}");
        }
    }
}
