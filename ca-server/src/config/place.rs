//! Where in the text a key stands, and what a misspelt one was probably meant to be.

use toml::de::{DeTable, DeValue};

use crate::config::Mistake;

/// The text with the place of every key.
pub(super) struct Places<'a> {
    text: &'a str,
    table: toml::Spanned<DeTable<'a>>,
}

impl<'a> Places<'a> {
    /// Reads the text as TOML of any shape.
    pub(super) fn of(text: &'a str) -> Result<Self, Vec<Mistake>> {
        let table = DeTable::parse(text).map_err(|error| vec![from_toml(text, &error)])?;
        Ok(Places { text, table })
    }

    /// Line of the longest known part of the path; none if not even its first key is there.
    pub(super) fn line(&self, path: &[&str]) -> Option<usize> {
        let (first, rest) = path.split_first()?;
        let mut value = find(self.table.get_ref(), first)?;
        for step in rest {
            let inner = match value.get_ref() {
                DeValue::Table(table) => find(table, step),
                DeValue::Array(array) => step
                    .parse::<usize>()
                    .ok()
                    .and_then(|index| array.get(index)),
                _ => None,
            };
            match inner {
                Some(inner) => value = inner,
                None => break,
            }
        }
        Some(line_of(self.text, value.span().start))
    }
}

fn find<'t, 'a>(table: &'t DeTable<'a>, name: &str) -> Option<&'t toml::Spanned<DeValue<'a>>> {
    table
        .iter()
        .find(|(key, _)| key.get_ref() == name)
        .map(|(_, value)| value)
}

/// A mistake that the TOML parser found.
pub(super) fn from_toml(text: &str, error: &toml::de::Error) -> Mistake {
    let line = error.span().map(|span| line_of(text, span.start));
    let what = error.message().lines().collect::<Vec<_>>().join(" ");
    let help = suggestion(&what).unwrap_or_default();
    Mistake { line, what, help }
}

fn line_of(text: &str, at: usize) -> usize {
    let before = text.as_bytes().get(..at).unwrap_or(text.as_bytes());
    before.iter().filter(|byte| **byte == b'\n').count() + 1
}

/// From "unknown field `adress`, expected one of `address`, `tls`": did you mean `address`?
fn suggestion(message: &str) -> Option<String> {
    let rest = message.strip_prefix("unknown field `")?;
    let (unknown, rest) = rest.split_once('`')?;
    let known = rest.split('`').skip(1).step_by(2);
    let (distance, nearest) = known.map(|name| (distance(unknown, name), name)).min()?;
    (distance <= nearest.len().max(3) / 3).then(|| format!("did you mean `{nearest}`?"))
}

/// Levenshtein's distance.
fn distance(a: &str, b: &str) -> usize {
    let mut row: Vec<usize> = (0..=b.chars().count()).collect();
    for (i, x) in a.chars().enumerate() {
        let mut diagonal = i;
        let mut left = i + 1;
        if let Some(first) = row.first_mut() {
            *first = left;
        }
        for (cell, y) in row.iter_mut().skip(1).zip(b.chars()) {
            let cost = diagonal + usize::from(x != y);
            diagonal = *cell;
            left = cost.min(left + 1).min(diagonal + 1);
            *cell = left;
        }
    }
    row.last().copied().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::{distance, suggestion};

    #[test]
    fn the_nearest_key_is_suggested_and_no_far_one() {
        let message = "unknown field `adress`, expected one of `address`, `tls`, `key`";
        assert_eq!(suggestion(message).unwrap(), "did you mean `address`?");
        assert_eq!(
            suggestion("unknown field `zebra`, expected one of `address`, `tls`"),
            None
        );
        assert_eq!(distance("kitten", "sitting"), 3);
    }
}
