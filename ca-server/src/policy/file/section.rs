//! A table of the file, read key by key: unknown keys, wrong types and keys of later versions are
//! noted where they stand. A value of the wrong type is read as an empty one, so that it is not
//! missed as well.

use toml::de::{DeTable, DeValue};

use super::{At, Keys, Text, Texts};
use crate::policy::error::{Fault, Faults, did_you_mean};

/// A table of the file.
pub(super) struct Section<'a> {
    pub(super) name: String,
    pub(super) at: usize,
    pub(super) table: &'a DeTable<'a>,
}

impl std::fmt::Display for Section<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self.name.as_str() {
            "" => f.write_str("the policy"),
            name => write!(f, "`{name}`"),
        }
    }
}

impl<'a> Section<'a> {
    pub(super) fn below(&self, key: &str) -> String {
        match self.name.as_str() {
            "" => key.to_owned(),
            name => format!("{name}.{key}"),
        }
    }

    pub(super) fn get(&self, key: &str) -> Option<(usize, &'a DeValue<'a>)> {
        let value = self.table.get(key)?;
        Some((value.span().start, value.get_ref()))
    }

    /// Every key must be one of these; those of later versions get a word of their own.
    pub(super) fn keys(&self, keys: &Keys, faults: &mut Faults<'_>) {
        let Keys { known, later } = keys;
        for key in self.table.keys() {
            let (name, at) = (key.get_ref().as_ref(), key.span().start);
            if known.contains(&name) {
                continue;
            }
            if later.contains(&name) {
                let what = format!("`{name}` of {self} is not supported yet.");
                let suggestion = "Remove it, or wait for the version that has it.".to_owned();
                faults.add(at, Fault::NotSupportedYet, what, suggestion);
                continue;
            }
            let suggestion = if faults.is_full() {
                None
            } else {
                did_you_mean(name, known.iter().chain(*later).copied())
                    .or_else(|| Some(format!("The keys here are `{}`.", known.join("`, `"))))
            };
            faults.add(
                at,
                Fault::UnknownKey,
                format!("{self} has no key {name:?}."),
                suggestion,
            );
        }
    }

    pub(super) fn text(&self, key: &str, faults: &mut Faults<'_>) -> Option<Text> {
        let (at, value) = self.get(key)?;
        match value {
            DeValue::String(text) => Some(At {
                value: text.to_string(),
                at,
            }),
            other => {
                let kind = kind(other);
                let what = format!("`{key}` of {self} must be a string, not {kind}.");
                faults.add(
                    at,
                    Fault::WrongType,
                    what,
                    Some(format!("Write {key} = \"…\".")),
                );
                Some(At {
                    value: String::new(),
                    at,
                })
            }
        }
    }

    pub(super) fn texts(&self, key: &str, faults: &mut Faults<'_>) -> Option<Texts> {
        let (at, value) = self.get(key)?;
        let DeValue::Array(array) = value else {
            let kind = kind(value);
            let what = format!("`{key}` of {self} must be a list of strings, not {kind}.");
            let suggestion = match value {
                DeValue::String(text) => format!("Write {key} = [{text:?}]."),
                _ => format!("Write {key} = [\"…\"]."),
            };
            faults.add(at, Fault::WrongType, what, suggestion);
            return Some(At {
                value: Vec::new(),
                at,
            });
        };
        let mut texts = Vec::new();
        for entry in array {
            let at = entry.span().start;
            match entry.get_ref() {
                DeValue::String(text) => texts.push(At {
                    value: text.to_string(),
                    at,
                }),
                other => {
                    let kind = kind(other);
                    let what = format!("`{key}` of {self} must hold strings only, not {kind}.");
                    faults.add(at, Fault::WrongType, what, None);
                    texts.push(At {
                        value: String::new(),
                        at,
                    });
                }
            }
        }
        Some(At { value: texts, at })
    }

    pub(super) fn table(&self, key: &str, faults: &mut Faults<'_>) -> Option<Section<'a>> {
        let (at, value) = self.get(key)?;
        match value {
            DeValue::Table(table) => Some(Section {
                name: self.below(key),
                at,
                table,
            }),
            other => {
                let what = format!("`{key}` of {self} must be a table, not {}.", kind(other));
                faults.add(
                    at,
                    Fault::WrongType,
                    what,
                    Some(format!("Write {key} = {{ … }}.")),
                );
                None
            }
        }
    }

    /// `[[key]]`
    pub(super) fn many(&self, key: &str, faults: &mut Faults<'_>) -> Vec<Section<'a>> {
        let Some((at, value)) = self.get(key) else {
            return Vec::new();
        };
        let DeValue::Array(array) = value else {
            let what = format!("`{key}` must be a list of tables, not {}.", kind(value));
            faults.add(
                at,
                Fault::WrongType,
                what,
                Some(format!("Write [[{key}]], twice bracketed.")),
            );
            return Vec::new();
        };
        let mut sections = Vec::new();
        for (index, entry) in array.iter().enumerate() {
            let at = entry.span().start;
            match entry.get_ref() {
                DeValue::Table(table) => {
                    let name = format!("{key}[{}]", index.saturating_add(1));
                    sections.push(Section { name, at, table });
                }
                other => {
                    let what = format!("`{key}` must hold tables only, not {}.", kind(other));
                    faults.add(at, Fault::WrongType, what, None);
                }
            }
        }
        sections
    }

    /// `[key]` or `[[key]]`
    pub(super) fn one_or_more(&self, key: &str, faults: &mut Faults<'_>) -> Vec<Section<'a>> {
        match self.get(key) {
            Some((at, DeValue::Table(table))) => vec![Section {
                name: key.to_owned(),
                at,
                table,
            }],
            _ => self.many(key, faults),
        }
    }

    /// `[key.NAME]` for every NAME
    pub(super) fn children(&self, key: &str, faults: &mut Faults<'_>) -> Vec<(Text, Section<'a>)> {
        let Some(parent) = self.table(key, faults) else {
            return Vec::new();
        };
        let mut children = Vec::new();
        for (name, value) in parent.table {
            let name = At {
                value: name.get_ref().to_string(),
                at: name.span().start,
            };
            match value.get_ref() {
                DeValue::Table(table) => {
                    let section = Section {
                        name: parent.below(&name.value),
                        at: name.at,
                        table,
                    };
                    children.push((name, section));
                }
                other => {
                    let (written, kind) = (&name.value, kind(other));
                    let what = format!("`{key}.{written}` must be a table, not {kind}.");
                    let suggestion = format!("Write [{key}.NAME] above the keys of each.");
                    faults.add(name.at, Fault::WrongType, what, suggestion);
                }
            }
        }
        children
    }
}

pub(super) fn kind(value: &DeValue<'_>) -> &'static str {
    match value {
        DeValue::String(_) => "a string",
        DeValue::Integer(_) => "a whole number",
        DeValue::Float(_) => "a fraction",
        DeValue::Boolean(_) => "true or false",
        DeValue::Datetime(_) => "a date",
        DeValue::Array(_) => "a list",
        DeValue::Table(_) => "a table",
    }
}
