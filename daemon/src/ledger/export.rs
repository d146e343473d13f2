//! Entries as tables and as lines of JSON, piece by piece, so that millions of them take no memory.

use std::sync::Arc;
use std::time::Duration;

use domain::ledger::{Entry, EntryId, Filter, Format};
use domain::money::MicroUsd;
use serde_json::{Map, Value};

use super::Ledger;

/// Entries that are read together.
const STEP: usize = 500;

/// The pieces of an export; each is to be sent as it is. Blocks while it reads.
pub(crate) struct Export {
    ledger: Arc<Ledger>,
    filter: Filter,
    format: Format,
    next: Next,
}

enum Next {
    Begin,
    After(EntryId),
    End,
}

impl Export {
    /// All entries that `filter` names, the newest first.
    pub(crate) fn new(ledger: Arc<Ledger>, filter: Filter, format: Format) -> Self {
        Self { ledger, filter, format, next: Next::Begin }
    }

    fn piece(&mut self, after: Option<EntryId>) -> Result<String, String> {
        let page = self.ledger.page(&self.filter, after, STEP)?;
        let mut text = String::new();
        if after.is_none() && self.format == Format::Csv {
            let blank = Entry::new(EntryId::from_number(0));
            text = fields(&blank).map(|(name, _)| name).join(",") + "\r\n";
        }
        for entry in &page.entries {
            match self.format {
                Format::Csv => text += &(fields(entry).map(|(_, value)| cell(&value)).join(",") + "\r\n"),
                Format::JsonL => text += &format!("{}\n", object(entry)),
            }
        }
        self.next = page.next.map_or(Next::End, Next::After);
        Ok(text)
    }
}

impl Iterator for Export {
    /// The text, or a sentence that says why it ends too early.
    type Item = Result<String, String>;

    fn next(&mut self) -> Option<Self::Item> {
        let piece = match self.next {
            Next::Begin => self.piece(None),
            Next::After(id) => self.piece(Some(id)),
            Next::End => return None,
        };
        if piece.is_err() {
            self.next = Next::End;
        }
        Some(piece)
    }
}

/// An entry as JSON, with all that is known of it.
pub(crate) fn object(entry: &Entry) -> Value {
    let members = fields(entry).into_iter().map(|(name, value)| (name.to_owned(), value));
    Value::Object(members.collect::<Map<_, _>>())
}

/// Names and values of all that an entry holds: the columns of a table. What is unknown is null, never zero.
fn fields(entry: &Entry) -> [(&'static str, Value); 32] {
    let usage = &entry.usage;
    let text = |text: &str| if text.is_empty() { Value::Null } else { text.into() };
    let money = |amount: Option<MicroUsd>| Value::from(amount.map(|amount| amount.0));
    let ms = |span: Duration| u64::try_from(span.as_millis()).unwrap_or(u64::MAX);
    let cost = entry.current_cost();
    let prices = entry.correction.as_ref().map_or(&entry.prices, |correction| &correction.prices);
    [
        ("id", entry.id.to_string().into()),
        ("time", time(entry.id.unix_ms())),
        ("tenant", text(&entry.tenant)),
        ("key", text(&entry.key)),
        ("app", text(&entry.app)),
        ("client", text(&entry.client)),
        ("surface", text(&entry.surface)),
        ("model", text(&entry.asked)),
        ("upstream", text(&entry.upstream)),
        ("answered_by", text(&entry.answered)),
        ("lane", text(&entry.lane)),
        ("outcome", text(&entry.outcome)),
        ("cache", text(&entry.cache)),
        ("reason", text(&entry.reason)),
        ("input_tokens", usage.input.into()),
        ("output_tokens", usage.output.into()),
        ("cached_read_tokens", usage.cached_read.into()),
        ("cache_write_tokens", usage.cache_write.into()),
        ("reasoning_tokens", usage.reasoning.into()),
        ("is_input_estimated", entry.estimated.input.into()),
        ("is_output_estimated", entry.estimated.output.into()),
        ("images", entry.images.into()),
        ("cost_micro_usd", money(cost.map(|cost| cost.micro_usd))),
        ("is_cost_complete", entry.known_cost().is_some().into()),
        ("first_cost_micro_usd", money(entry.cost.map(|cost| cost.micro_usd))),
        ("corrected", entry.correction.as_ref().map_or(Value::Null, |correction| time(correction.at_ms))),
        ("saved_micro_usd", money(entry.saved)),
        ("prices", prices.as_ref().map_or(Value::Null, |prices| prices.to_line().into())),
        ("queue_ms", ms(entry.queue).into()),
        ("first_token_ms", entry.first_token.map(ms).into()),
        ("total_ms", ms(entry.total).into()),
        ("bytes_out", entry.bytes_out.into()),
    ]
}

fn time(unix_ms: u64) -> Value {
    domain::rfc3339::format(Duration::from_millis(unix_ms)).into()
}

/// A value as a cell. A text that a spreadsheet would take for a formula gets a mark before it.
fn cell(value: &Value) -> String {
    let Value::String(text) = value else {
        return if value.is_null() { String::new() } else { value.to_string() };
    };
    let mark = if text.starts_with(['=', '+', '-', '@', '\t', '\r']) { "'" } else { "" };
    if text.contains([',', '"', '\r', '\n']) {
        format!("\"{mark}{}\"", text.replace('"', "\"\""))
    } else {
        format!("{mark}{text}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cells_are_texts_and_no_formulas() {
        for (text, want) in [
            ("plain", "plain"),
            ("a,b", "\"a,b\""),
            ("say \"hi\"", "\"say \"\"hi\"\"\""),
            ("two\nlines", "\"two\nlines\""),
            ("=1+1", "'=1+1"),
            ("=HYPERLINK(\"x\",\"y\")", "\"'=HYPERLINK(\"\"x\"\",\"\"y\"\")\""),
            ("+1", "'+1"),
            ("-1", "'-1"),
            ("@SUM", "'@SUM"),
            ("\tx", "'\tx"),
            ("a=b", "a=b"),
        ] {
            assert_eq!(cell(&text.into()), want);
        }
        assert_eq!([Value::Null, (-5).into(), true.into()].map(|value| cell(&value)), ["", "-5", "true"]);
    }

    #[test]
    fn what_is_unknown_is_no_zero() {
        let object = object(&Entry::new(EntryId::new(1_764_313_200_000, 7)));
        assert_eq!(object["time"], "2025-11-28T07:00:00.000000000Z");
        for name in ["input_tokens", "cost_micro_usd", "saved_micro_usd", "first_token_ms", "tenant", "prices"] {
            assert!(object[name].is_null(), "{name}");
        }
        assert_eq!((&object["is_cost_complete"], &object["total_ms"]), (&false.into(), &0.into()));
    }

    #[test]
    fn entries_are_as_the_api_says() {
        let document: Value = serde_json::from_str(include_str!("../../../webui/assets/openapi.json")).unwrap();
        let schema = &document["components"]["schemas"]["LedgerEntry"];
        let told =
            object(&Entry { tenant: "anna".into(), saved: Some(MicroUsd(-1)), ..Entry::new(EntryId::new(1, 1)) });
        let names = |value: &Value| value.as_object().unwrap().keys().cloned().collect::<Vec<_>>();
        let mut required: Vec<_> =
            schema["required"].as_array().unwrap().iter().map(|name| name.as_str().unwrap().to_owned()).collect();
        required.sort_unstable();
        let (mut said, mut properties) = (names(&told), names(&schema["properties"]));
        said.sort_unstable();
        properties.sort_unstable();
        assert_eq!((&said, &said), (&properties, &required));
        for (name, value) in told.as_object().unwrap() {
            let kind = match value {
                Value::Null => "null",
                Value::Bool(_) => "boolean",
                Value::Number(_) => "integer",
                Value::String(_) | Value::Array(_) | Value::Object(_) => "string",
            };
            let kinds = &schema["properties"][name]["type"];
            let is_told = kinds == kind || kinds.as_array().is_some_and(|kinds| kinds.contains(&kind.into()));
            assert!(is_told, "{name}: {value} is no {kinds}");
        }
    }
}
