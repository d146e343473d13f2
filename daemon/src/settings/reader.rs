//! Takes typed values out of a TOML table and remembers what was wrong and where everything stood.

#![expect(
    clippy::wildcard_enum_match_arm,
    reason = "a value that is not of the wanted type is wrong whatever else it is"
)]

use serde::de::DeserializeOwned;
use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::Located;

/// What reading a whole file found.
pub(super) struct Notes<'t> {
    text: &'t str,
    pub(super) problems: Vec<Located>,
    /// Path of each key and the line on which it stands.
    pub(super) lines: Vec<(String, usize)>,
}

/// One table that is being read; keys that nobody takes are unknown.
pub(super) struct Table<'t, 'n> {
    path: String,
    line: usize,
    values: Vec<(String, usize, DeValue<'t>)>,
    known: Vec<&'static str>,
    notes: &'n mut Notes<'t>,
}

impl<'t> Notes<'t> {
    pub(super) fn new(text: &'t str) -> Self {
        Self { text, problems: Vec::new(), lines: Vec::new() }
    }

    pub(super) fn line(&self, offset: usize) -> usize {
        self.text.get(..offset).map_or(1, |before| before.matches('\n').count() + 1)
    }

    pub(super) fn problem(&mut self, path: impl Into<String>, line: usize, message: impl Into<String>) {
        self.problems.push(Located { path: path.into(), line: Some(line), message: message.into(), file: None });
    }
}

impl<'t, 'n> Table<'t, 'n> {
    pub(super) fn new(path: String, line: usize, table: DeTable<'t>, notes: &'n mut Notes<'t>) -> Self {
        let mut values = Vec::new();
        for (key, value) in table {
            let name = key.get_ref().to_string();
            let line = notes.line(key.span().start);
            notes.lines.push((join(&path, &name), line));
            values.push((name, line, value.into_inner()));
        }
        Self { path, line, values, known: Vec::new(), notes }
    }

    fn take_value(&mut self, key: &'static str) -> Option<(usize, DeValue<'t>)> {
        self.known.push(key);
        let position = self.values.iter().position(|(name, _, _)| name == key)?;
        let (_, line, value) = self.values.swap_remove(position);
        Some((line, value))
    }

    /// Takes a value; one of another type is a problem and counts as absent.
    pub(super) fn take<T: DeserializeOwned>(&mut self, key: &'static str) -> Option<T> {
        let (line, value) = self.take_value(key)?;
        let found = describe(&value);
        match T::deserialize(toml::de::ValueDeserializer::from(Spanned::new(0..0, value))) {
            Ok(value) => Some(value),
            Err(error) => {
                let path = join(&self.path, key);
                self.notes.problem(path, line, format!("{} ({found} stands here)", error.message()));
                None
            }
        }
    }

    /// Takes a text and fills in `${NAME}` from the environment.
    pub(super) fn take_text(&mut self, key: &'static str) -> Option<String> {
        let text: String = self.take(key)?;
        self.expand(key, text)
    }

    /// Takes a list of texts and fills in `${NAME}` from the environment.
    pub(super) fn take_texts(&mut self, key: &'static str) -> Option<Vec<String>> {
        let texts: Vec<String> = self.take(key)?;
        Some(texts.into_iter().filter_map(|text| self.expand(key, text)).collect())
    }

    /// Takes a sub-table; absent is empty.
    pub(super) fn take_table(&mut self, key: &'static str) -> Option<Table<'t, '_>> {
        let (line, value) = self.take_value(key)?;
        let path = join(&self.path, key);
        match value {
            DeValue::Table(table) => Some(Table::new(path, line, table, self.notes)),
            other => {
                self.notes.problem(
                    path.clone(),
                    line,
                    format!("must be a table: write [{path}], not {}", describe(&other)),
                );
                None
            }
        }
    }

    /// Takes an array of tables and reads each with `read`.
    pub(super) fn each_table<T>(&mut self, key: &'static str, read: impl Fn(&mut Table<'t, '_>) -> T) -> Vec<T> {
        let Some((line, value)) = self.take_value(key) else { return Vec::new() };
        let key = join(&self.path, key);
        let DeValue::Array(array) = value else {
            self.notes.problem(key.clone(), line, format!("must be written as [[{key}]], once for each"));
            return Vec::new();
        };
        let mut values = Vec::new();
        for (position, item) in array.into_iter().enumerate() {
            let path = format!("{key}[{position}]");
            let line = self.notes.line(item.span().start);
            self.notes.lines.push((path.clone(), line));
            match item.into_inner() {
                DeValue::Table(table) => {
                    let mut table = Table::new(path, line, table, self.notes);
                    values.push(read(&mut table));
                    table.finish();
                }
                other => self.notes.problem(path, line, format!("must be a table, not {}", describe(&other))),
            }
        }
        values
    }

    /// The names of all keys that are left; for tables whose keys are free.
    pub(super) fn take_all_texts(mut self) -> Vec<(String, String)> {
        let values = std::mem::take(&mut self.values);
        let mut texts = Vec::new();
        for (name, line, value) in values {
            match value {
                DeValue::String(text) => {
                    if let Some(text) = self.expand_at(&name, line, &text) {
                        texts.push((name, text));
                    }
                }
                other => {
                    let path = join(&self.path, &name);
                    self.notes.problem(path, line, format!("must be a text in quotes, not {}", describe(&other)));
                }
            }
        }
        texts
    }

    /// A problem with a key of this table.
    pub(super) fn problem(&mut self, key: &str, message: impl Into<String>) {
        let path = join(&self.path, key);
        let line = self.notes.lines.iter().rev().find(|(known, _)| *known == path).map_or(self.line, |(_, line)| *line);
        self.notes.problem(path, line, message);
    }

    /// Says which keys nobody knows.
    pub(super) fn finish(self) {
        for (name, line, _) in &self.values {
            let near =
                self.known.iter().min_by_key(|known| distance(known, name)).filter(|known| distance(known, name) <= 3);
            let help = match near {
                Some(near) => format!("; did you mean {near}?"),
                None => format!("; known here: {}", self.known.join(", ")),
            };
            self.notes.problem(join(&self.path, name), *line, format!("there is no such key{help}"));
        }
    }

    fn expand(&mut self, key: &str, text: String) -> Option<String> {
        if !text.contains("${") {
            return Some(text);
        }
        let path = join(&self.path, key);
        let line = self.notes.lines.iter().rev().find(|(known, _)| *known == path).map_or(self.line, |(_, line)| *line);
        self.expand_at(key, line, &text)
    }

    fn expand_at(&mut self, key: &str, line: usize, text: &str) -> Option<String> {
        match expand(text, |name| std::env::var(name).ok()) {
            Ok(text) => Some(text),
            Err(message) => {
                self.notes.problem(join(&self.path, key), line, message);
                None
            }
        }
    }
}

/// Replaces `${NAME}` by what `lookup` gives.
pub(super) fn expand(text: &str, lookup: impl Fn(&str) -> Option<String>) -> Result<String, String> {
    let mut out = String::new();
    let mut rest = text;
    while let Some((before, after)) = rest.split_once("${") {
        let (name, after) = after.split_once('}').ok_or("holds ${ without a closing }")?;
        out.push_str(before);
        out.push_str(&lookup(name).ok_or_else(|| format!("the environment has no variable {name}"))?);
        rest = after;
    }
    out.push_str(rest);
    Ok(out)
}

fn join(path: &str, key: &str) -> String {
    if path.is_empty() { key.to_owned() } else { format!("{path}.{key}") }
}

fn describe(value: &DeValue<'_>) -> &'static str {
    match value {
        DeValue::String(_) => "a text",
        DeValue::Integer(_) => "a whole number",
        DeValue::Float(_) => "a number with a point",
        DeValue::Boolean(_) => "true or false",
        DeValue::Datetime(_) => "a date",
        DeValue::Array(_) => "a list",
        DeValue::Table(_) => "a table",
    }
}

/// Levenshtein distance, for words of a config file.
fn distance(a: &str, b: &str) -> usize {
    let b: Vec<char> = b.chars().take(64).collect();
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, left) in a.chars().take(64).enumerate() {
        let mut diagonal = i;
        row[0] = i + 1;
        for (j, right) in b.iter().enumerate() {
            let cost = diagonal + usize::from(left != *right);
            diagonal = row[j + 1];
            row[j + 1] = cost.min(diagonal + 1).min(row[j] + 1);
        }
    }
    row[b.len()]
}
