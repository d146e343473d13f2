//! The ledger over the API, held against the API's description.

use domain::ledger::Sums;
use domain::money::MicroUsd;
use serde_json::{Value, json};

use super::api::{HOST, schema_of, wrong};
use super::*;
use crate::LedgerSummary;

const ID: EntryId = EntryId::new(1_795_867_200_000, 7);

/// A ledger that waits for its disk.
pub(super) fn stats() -> LedgerStats {
    LedgerStats {
        trouble: "the disk is full".to_owned(),
        spooled: 3,
        written: 2,
        lost: 1,
        bytes: 4_096,
        bytes_max: 8_192,
    }
}

/// What the query was, as an entry.
pub(super) fn page(filter: &Filter, after: Option<EntryId>, max: usize) -> Result<LedgerPage, String> {
    if filter.upstream.is_some() {
        return Err("the ledger is not open yet".to_owned());
    }
    let entry = json!({
        "id": after.unwrap_or(ID).to_string(), "time": "2026-11-28T12:00:00Z", "tenant": filter.tenant, "key": null,
        "app": null, "client": "10.0.0.7", "surface": "/v1/messages", "model": filter.model, "upstream": "cloud",
        "answered_by": "gpt", "lane": "normal", "outcome": filter.outcome, "cache": null, "reason": null,
        "input_tokens": filter.from_ms, "output_tokens": filter.to_ms, "cached_read_tokens": null,
        "cache_write_tokens": null, "reasoning_tokens": null, "is_input_estimated": true, "is_output_estimated": false,
        "images": 0, "cost_micro_usd": null, "is_cost_complete": false, "first_cost_micro_usd": null, "corrected": null,
        "saved_micro_usd": -5, "prices": null, "queue_ms": 1, "first_token_ms": null, "total_ms": 2, "bytes_out": max,
    });
    Ok(LedgerPage { entries: vec![entry], next: Some(ID.to_string()) })
}

/// One line of which something is unknown, and one without.
pub(super) fn sums(days: &RangeInclusive<Day>, tenant: Option<&str>) -> Result<Vec<Line>, String> {
    let count = u64::from(days.end().0 - days.start().0 + 1);
    let sums = Sums { requests: count, unknown: 1, cost: MicroUsd(1_400), saved: MicroUsd(-3), ..Sums::default() };
    let line = |tenant: &str| Line { tenant: tenant.to_owned(), model: "gpt".to_owned(), sums, ..Line::default() };
    match tenant {
        Some("nobody") => Ok(Vec::new()),
        Some("ill") => Err("the ledger cannot be read".to_owned()),
        Some(tenant) => Ok(vec![line(tenant)]),
        None => Ok(vec![line("anna"), line("bert")]),
    }
}

/// Three pieces, of which the one breaks that the filter names.
pub(super) fn pieces(filter: &Filter, format: Format) -> LedgerPieces {
    let breaks: Option<usize> = filter.tenant.as_deref().and_then(|number| number.parse().ok());
    Box::new((0..3).map(move |number| {
        if breaks == Some(number) { Err("the disk is gone".to_owned()) } else { Ok(format!("{format:?} {number}\n")) }
    }))
}

fn asked(path: &str, query: &str, headers: &[(&'static str, &'static str)]) -> Got {
    let uri = format!("{path}{query}");
    let request = TestRequest::get().uri(&uri).insert_header(HOST);
    ask(houses::busy(), headers.iter().fold(request, |request, header| request.insert_header(*header)))
}

fn value(path: &str, query: &str) -> Value {
    let got = asked(path, query, &[]);
    assert_eq!(got.status, StatusCode::OK, "{query}: {}", got.body);
    let value: Value = serde_json::from_str(&got.body).unwrap();
    assert_eq!(wrong(&value, &schema_of(path, "get", got.status)), None, "{query}: {value:#}");
    value
}

#[test]
fn what_is_asked_for_is_looked_for() {
    assert_eq!(value(crate::LEDGER, "")["spooled"], 3);
    let all = "?tenant=anna&model=fast&outcome=ok&from=2026-11-28&to=2026-11-28T12:00:00%2B01:00&limit=7";
    let query = format!("{all}&after={}", EntryId::new(9, 9));
    let page = value(crate::LEDGER_ENTRIES, &query);
    let entry = &page["entries"][0];
    let got =
        ["tenant", "model", "outcome", "input_tokens", "output_tokens", "bytes_out", "id"].map(|name| &entry[name]);
    let (from, to): (u64, u64) = (1_795_824_000_000, 1_795_863_600_000);
    let id = EntryId::new(9, 9).to_string();
    assert_eq!(got, [&json!("anna"), &json!("fast"), &json!("ok"), &json!(from), &json!(to), &json!(7), &json!(id)]);
    assert_eq!(page["next"], ID.to_string());
    let plain = value(crate::LEDGER_ENTRIES, "");
    assert_eq!((&plain["entries"][0]["bytes_out"], &plain["entries"][0]["tenant"]), (&json!(100), &Value::Null));
}

#[test]
fn days_and_months_are_summed_up() {
    let read = |query: &str| serde_json::from_value::<LedgerSummary>(value(crate::LEDGER_SUMMARY, query)).unwrap();
    let month = read("?month=2026-11");
    assert_eq!((month.from.as_str(), month.to.as_str(), month.lines.len()), ("2026-11-01", "2026-11-30", 2));
    assert_eq!((month.total.requests, month.total.cost_micro_usd, month.total.unknown_cost), (60, Some(2_800), 2));
    assert_eq!(month.total.saved_micro_usd, -6);
    let day = read("?day=2026-11-28&tenant=anna");
    assert_eq!((day.from.as_str(), day.to.as_str(), day.total.requests), ("2026-11-28", "2026-11-28", 1));
    assert_eq!((day.lines[0].tenant.as_str(), day.lines[0].model.as_str()), ("anna", "gpt"));
    let none = read("?day=2026-11-28&tenant=nobody");
    assert_eq!((none.lines.len(), none.total.cost_micro_usd), (0, Some(0)));
}

#[test]
fn an_export_comes_in_pieces_and_whole_or_not_at_all() {
    for (format, kind, want) in [
        ("csv", "text/csv; charset=utf-8", "Csv 0\nCsv 1\nCsv 2\n"),
        ("jsonl", "application/x-ndjson", "JsonL 0\nJsonL 1\nJsonL 2\n"),
    ] {
        let got = asked(crate::LEDGER_EXPORT, &format!("?format={format}"), &[]);
        assert_eq!((got.status, got.header("Content-Type"), got.body.as_str()), (StatusCode::OK, kind, want));
    }
    // Nothing was sent yet: it can be told.
    let got = asked(crate::LEDGER_EXPORT, "?format=csv&tenant=0", &[]);
    assert_eq!(got.status, StatusCode::CONFLICT);
    assert!(got.body.contains("the disk is gone"), "{}", got.body);
    let broken = rt::System::new().block_on(async {
        let filter = Filter { tenant: Some("2".to_owned()), ..Filter::default() };
        let pieces = crate::pieces::Pieces::begin(pieces(&filter, Format::Csv)).await.unwrap();
        actix_web::body::to_bytes(pieces).await
    });
    assert_eq!(broken.unwrap_err().to_string(), "the disk is gone");
}

#[test]
fn wrong_queries_are_told_what_is_wrong() {
    let foreign = &[("Origin", "http://evil.example")][..];
    for (path, query, headers, status, word) in [
        (crate::LEDGER_ENTRIES, "?tenants=a", &[][..], StatusCode::BAD_REQUEST, "tenants"),
        (crate::LEDGER_ENTRIES, "?limit=many", &[], StatusCode::BAD_REQUEST, "invalid digit"),
        (crate::LEDGER_ENTRIES, "?from=yesterday", &[], StatusCode::BAD_REQUEST, "2026-11-28T07:00:00Z"),
        (crate::LEDGER_ENTRIES, "?after=7", &[], StatusCode::BAD_REQUEST, "16 hexadecimal digits"),
        (crate::LEDGER_ENTRIES, "?upstream=cloud", &[], StatusCode::CONFLICT, "not open yet"),
        (crate::LEDGER_ENTRIES, "", foreign, StatusCode::FORBIDDEN, "another site"),
        (crate::LEDGER_SUMMARY, "", &[], StatusCode::BAD_REQUEST, "month=2026-11"),
        (crate::LEDGER_SUMMARY, "?day=today", &[], StatusCode::BAD_REQUEST, "2026-11-28"),
        (crate::LEDGER_SUMMARY, "?month=2026-13", &[], StatusCode::BAD_REQUEST, "2026-11"),
        (crate::LEDGER_SUMMARY, "?month=2026-11&tenant=ill", &[], StatusCode::CONFLICT, "cannot be read"),
        (crate::LEDGER_SUMMARY, "?month=2026-11", foreign, StatusCode::FORBIDDEN, "another site"),
        (crate::LEDGER_EXPORT, "", &[], StatusCode::BAD_REQUEST, "format"),
        (crate::LEDGER_EXPORT, "?format=xls", &[], StatusCode::BAD_REQUEST, "jsonl"),
        (crate::LEDGER_EXPORT, "?format=csv&to=later", &[], StatusCode::BAD_REQUEST, "is no time"),
        (crate::LEDGER_EXPORT, "?format=csv", foreign, StatusCode::FORBIDDEN, "another site"),
    ] {
        let got = asked(path, query, headers);
        assert_eq!(got.status, status, "{path}{query}: {}", got.body);
        let error: Value = serde_json::from_str(&got.body).unwrap();
        assert!(error["error"]["message"].as_str().is_some_and(|text| text.contains(word)), "{path}{query}: {error}");
        assert_eq!(wrong(&error, &schema_of(path, "get", got.status)), None);
    }
}
