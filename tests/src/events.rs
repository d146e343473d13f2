//! Reads event streams and NDJSON, on its own: the suites must not judge the daemon with the daemon's reader.

use serde_json::Value;

/// One server-sent event.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Event {
    /// The event's name; empty when it has none.
    pub name: String,
    /// Its data lines, joined by line feeds.
    pub data: String,
}

impl Event {
    /// The data as JSON.
    ///
    /// # Panics
    /// When it is none.
    #[must_use]
    pub fn json(&self) -> Value {
        serde_json::from_str(&self.data).unwrap_or_else(|error| panic!("{error}: {:?}", self.data))
    }
}

/// The events of a stream's text; comments are left out.
#[must_use]
pub fn parse(text: &str) -> Vec<Event> {
    let mut events = Vec::new();
    let (mut name, mut data): (String, Vec<&str>) = (String::new(), Vec::new());
    for line in text.lines() {
        if line.is_empty() {
            if !data.is_empty() {
                events.push(Event { name: std::mem::take(&mut name), data: data.join("\n") });
            }
            data.clear();
            name.clear();
        } else if let Some(value) = line.strip_prefix("data:") {
            data.push(value.strip_prefix(' ').unwrap_or(value));
        } else if let Some(value) = line.strip_prefix("event:") {
            value.trim().clone_into(&mut name);
        }
    }
    events
}

/// The lines of an NDJSON text.
///
/// # Panics
/// When a line is no JSON.
#[must_use]
pub fn lines(text: &str) -> Vec<Value> {
    text.lines()
        .filter(|line| !line.trim().is_empty())
        .map(|line| serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {line:?}")))
        .collect()
}

/// Comment lines (heartbeats) of a stream's text.
#[must_use]
pub fn comments(text: &str) -> usize {
    text.lines().filter(|line| line.starts_with(':')).count()
}
