//! The API for programs, held against its own description.

use serde_json::{Value, json};

use super::*;
use crate::openapi::DOCUMENT;

pub(super) const HOST: (&str, &str) = ("Host", "127.0.0.1:8485");

fn explain(uri: &str, body: &'static str, headers: &[(&'static str, &'static str)]) -> Got {
    let mut request = TestRequest::post().uri(uri).insert_header(HOST).set_payload(body);
    for header in headers {
        request = request.insert_header(*header);
    }
    ask(houses::busy(), request)
}

#[test]
fn a_question_is_read_and_answered() {
    let got = explain("/api/v1/explain?surface=/v1/messages&lane=interactive", "{}", &[]);
    assert_eq!((got.status, got.header("Content-Type")), (StatusCode::OK, "application/json"));
    let read: Decision = serde_json::from_str(&got.body).unwrap();
    assert_eq!((read.surface.as_str(), read.lane.as_str()), ("/v1/messages", "interactive"));
    let read: Decision = serde_json::from_str(&explain("/api/v1/explain", "{}", &[]).body).unwrap();
    assert_eq!((read.surface.as_str(), read.lane.as_str()), ("/v1/chat/completions", "normal"));
}

#[test]
fn wrong_questions_are_told_what_is_wrong() {
    let large = "x".repeat((1 << 20) + 1).leak();
    for (uri, body, headers, status, word) in [
        ("/api/v1/explain", "no", &[][..], StatusCode::BAD_REQUEST, "no JSON object"),
        ("/api/v1/explain?surface=/v1/nothing", "{}", &[], StatusCode::BAD_REQUEST, "/v1/messages"),
        ("/api/v1/explain?lane=fast", "{}", &[], StatusCode::BAD_REQUEST, "interactive"),
        ("/api/v1/explain", &*large, &[], StatusCode::PAYLOAD_TOO_LARGE, "body_max_mib"),
        ("/api/v1/explain", "{}", &[("Content-Encoding", "gzip")], StatusCode::UNSUPPORTED_MEDIA_TYPE, "packed"),
    ] {
        let got = explain(uri, body, headers);
        assert_eq!(got.status, status, "{uri}: {}", got.body);
        let error: Value = serde_json::from_str(&got.body).unwrap();
        assert!(error["error"]["message"].as_str().is_some_and(|text| text.contains(word)), "{uri}: {error}");
        assert_eq!(wrong(&error, &schema_of("/api/v1/explain", "post", got.status)), None);
    }
}

#[test]
fn pages_of_others_may_not_change_anything() {
    let wish = r#"{"node":"gpu-box","code":"4711-0815"}"#;
    let changing = [
        crate::FIND,
        crate::PAIR,
        crate::FORGET,
        crate::CODE,
        crate::CACHE_PURGE,
        crate::CACHE_WRONG,
        crate::TENANTS_SET,
        crate::TENANTS_REMOVE,
        crate::KEYS_CREATE,
        crate::KEYS_ROTATE,
        crate::KEYS_REVOKE,
        crate::LEDGER_REPRICE,
    ];
    for path in changing {
        let got = explain(path, wish, &[("Origin", "http://evil.example")]);
        assert_eq!(got.status, StatusCode::FORBIDDEN, "{path}: {}", got.body);
        assert_eq!(get(houses::busy(), path).status, StatusCode::METHOD_NOT_ALLOWED, "{path}");
    }
}

#[test]
fn wrong_wishes_are_told_what_is_wrong() {
    for (path, body, status, word) in [
        (crate::PAIR, "no", StatusCode::BAD_REQUEST, "expected"),
        (crate::PAIR, r#"{"node":"gpu-box"}"#, StatusCode::BAD_REQUEST, "code"),
        (crate::PAIR, r#"{"node":"gpu-box","code":"1"}"#, StatusCode::CONFLICT, "the code is wrong"),
        (crate::FORGET, r#"{"name":"attic"}"#, StatusCode::CONFLICT, "paired"),
        (crate::FORGET, " ".repeat(70_000).leak(), StatusCode::BAD_REQUEST, "body"),
        (crate::TENANTS_SET, r#"{"name":"a b"}"#, StatusCode::CONFLICT, "name"),
        (crate::TENANTS_SET, r#"{"name":"a","device":"b"}"#, StatusCode::BAD_REQUEST, "device"),
        (crate::TENANTS_REMOVE, r#"{"name":"bob"}"#, StatusCode::CONFLICT, "no such"),
        (crate::KEYS_CREATE, "{}", StatusCode::BAD_REQUEST, "tenant"),
        (crate::KEYS_ROTATE, r#"{"id":"x"}"#, StatusCode::CONFLICT, "no such"),
        (crate::KEYS_REVOKE, r#"{"id":"x"}"#, StatusCode::CONFLICT, "no such"),
        (crate::LEDGER_REPRICE, r#"{"from":"soon"}"#, StatusCode::BAD_REQUEST, "soon"),
        (crate::LEDGER_REPRICE, r#"{"tenant":"ill"}"#, StatusCode::CONFLICT, "cannot be read"),
        (crate::CACHE_PURGE, "{}", StatusCode::BAD_REQUEST, "name what shall go"),
        (crate::CACHE_PURGE, r#"{"tenants":"a"}"#, StatusCode::BAD_REQUEST, "tenants"),
        (crate::CACHE_PURGE, r#"{"tenant":"a"}"#, StatusCode::CONFLICT, "full"),
        (crate::CACHE_WRONG, "{}", StatusCode::BAD_REQUEST, "request_id"),
        (crate::CACHE_WRONG, r#"{"request_id":"b"}"#, StatusCode::CONFLICT, "of late"),
    ] {
        let got = explain(path, body, &[]);
        assert_eq!(got.status, status, "{path}: {}", got.body);
        let error: Value = serde_json::from_str(&got.body).unwrap();
        assert!(error["error"]["message"].as_str().is_some_and(|text| text.contains(word)), "{path}: {error}");
        assert_eq!(wrong(&error, &schema_of(path, "post", got.status)), None);
    }
}

#[test]
fn kept_answers_are_listed_as_the_query_says() {
    let list = |query: &str, headers: &[(&'static str, &'static str)]| {
        let uri = format!("{}{query}", crate::CACHE_ENTRIES);
        let mut request = TestRequest::get().uri(&uri).insert_header(HOST);
        for header in headers {
            request = request.insert_header(*header);
        }
        ask(houses::busy(), request)
    };
    for (query, count) in [("", 2), ("?limit=1", 1), ("?tenant=10.0.0.8", 1), ("?tenant=nobody", 0)] {
        let listed: CacheEntries = serde_json::from_str(&list(query, &[]).body).unwrap();
        assert_eq!(listed.entries.len(), count, "{query}");
    }
    for (query, headers, status) in [
        ("?tenants=a", &[][..], StatusCode::BAD_REQUEST),
        ("?limit=many", &[], StatusCode::BAD_REQUEST),
        ("?model=fast", &[], StatusCode::CONFLICT),
        ("", &[("Origin", "http://evil.example")], StatusCode::FORBIDDEN),
    ] {
        let got = list(query, headers);
        assert_eq!(got.status, status, "{query}: {}", got.body);
        let error: Value = serde_json::from_str(&got.body).unwrap();
        assert_eq!(wrong(&error, &schema_of(crate::CACHE_ENTRIES, "get", got.status)), None);
    }
}

#[test]
fn pages_of_others_may_not_ask() {
    for (headers, status) in [
        (&[("Origin", "http://127.0.0.1:8485")][..], StatusCode::OK),
        (&[("Origin", "http://127.0.0.1:8485"), ("Sec-Fetch-Site", "same-origin")], StatusCode::OK),
        (&[("Sec-Fetch-Site", "none")], StatusCode::OK),
        (&[("Origin", "http://evil.example")], StatusCode::FORBIDDEN),
        (&[("Origin", "http://127.0.0.1:3000")], StatusCode::FORBIDDEN),
        (&[("Origin", "null")], StatusCode::FORBIDDEN),
        (&[("Sec-Fetch-Site", "cross-site")], StatusCode::FORBIDDEN),
        (&[("Sec-Fetch-Site", "same-site"), ("Origin", "http://127.0.0.1:8485")], StatusCode::FORBIDDEN),
        (&[("Host", "evil.example:8485")], StatusCode::MISDIRECTED_REQUEST),
    ] {
        let got = explain("/api/v1/explain", "{}", headers);
        assert_eq!(got.status, status, "{headers:?}: {}", got.body);
    }
}

#[test]
fn the_document_names_all_paths_and_no_others() {
    let document: Value = serde_json::from_str(DOCUMENT).unwrap();
    let mut paths: Vec<&str> = document["paths"].as_object().unwrap().keys().map(String::as_str).collect();
    let mut known = [
        crate::STATUS,
        crate::TELEMETRY,
        crate::PLACES,
        crate::EXPLAIN,
        crate::NODES,
        crate::FIND,
        crate::PAIR,
        crate::FORGET,
        crate::CODE,
        crate::CACHE,
        crate::CACHE_ENTRIES,
        crate::CACHE_PURGE,
        crate::CACHE_WRONG,
        crate::LEDGER,
        crate::LEDGER_ENTRIES,
        crate::LEDGER_SUMMARY,
        crate::LEDGER_EXPORT,
        crate::LEDGER_REPRICE,
        crate::TENANTS,
        crate::TENANTS_SET,
        crate::TENANTS_REMOVE,
        crate::KEYS,
        crate::KEYS_CREATE,
        crate::KEYS_ROTATE,
        crate::KEYS_REVOKE,
        crate::OPENAPI,
    ];
    paths.sort_unstable();
    known.sort_unstable();
    assert_eq!(paths, known);
    let router = include_str!("../lib.rs");
    assert_eq!(router.matches("\"/api/").count(), known.len(), "a path of the router is no constant");
    assert_eq!(get(houses::empty(), crate::OPENAPI).body, DOCUMENT);
    let surfaces = &document["paths"][crate::EXPLAIN]["post"]["parameters"][0]["schema"]["enum"];
    for surface in domain::surface::Surface::ALL {
        assert!(surfaces.as_array().unwrap().contains(&json!(surface.path())), "{}", surface.path());
    }
    for state in domain::health::State::ALL {
        let states = &document["components"]["schemas"]["Health"]["properties"]["state"]["enum"];
        assert!(states.as_array().unwrap().contains(&json!(state.name())), "{}", state.name());
    }
}

#[test]
fn every_answer_is_as_the_document_says() {
    let check = |path: &str, method: &str, got: &Got| {
        assert_eq!(got.status, StatusCode::OK, "{path}");
        let value: Value = serde_json::from_str(&got.body).unwrap();
        assert_eq!(wrong(&value, &schema_of(path, method, got.status)), None, "{path}: {value:#}");
    };
    for house in [houses::empty(), houses::busy(), houses::on_fire(), houses::hostile()] {
        check(crate::STATUS, "get", &get(house, crate::STATUS));
    }
    for telemetry in [machines::gaming(), machines::broken(), machines::router(), Telemetry::default()] {
        let request = TestRequest::get().uri(crate::TELEMETRY).insert_header(HOST);
        check(crate::TELEMETRY, "get", &ask_with(houses::empty(), telemetry, request));
    }
    check(crate::PLACES, "get", &get(houses::busy(), crate::PLACES));
    for house in [houses::empty(), houses::busy()] {
        check(crate::NODES, "get", &get(house, crate::NODES));
    }
    for (path, body) in [
        (crate::FIND, ""),
        (crate::PAIR, r#"{"node":"gpu-box","code":"4711-0815"}"#),
        (crate::FORGET, r#"{"name":"gpu-box"}"#),
        (crate::CODE, ""),
        (crate::CACHE_PURGE, r#"{"all":true}"#),
        (crate::CACHE_WRONG, r#"{"request_id":"a"}"#),
        (crate::TENANTS_SET, r#"{"name":"anna","devices":["10.0.0.8"]}"#),
        (crate::TENANTS_REMOVE, r#"{"name":"anna"}"#),
        (crate::KEYS_CREATE, r#"{"tenant":"anna","lifetime_s":60}"#),
        (crate::KEYS_ROTATE, r#"{"id":"abcdefgh"}"#),
        (crate::KEYS_REVOKE, r#"{"id":"abcdefgh"}"#),
        (crate::LEDGER_REPRICE, r#"{"from":"2026-11-01","model":"gpt"}"#),
    ] {
        check(path, "post", &explain(path, body, &[]));
    }
    check(crate::CACHE, "get", &get(houses::empty(), crate::CACHE));
    check(crate::TENANTS, "get", &get(houses::empty(), crate::TENANTS));
    check(crate::KEYS, "get", &get(houses::empty(), crate::KEYS));
    check(crate::CACHE_ENTRIES, "get", &get(houses::empty(), crate::CACHE_ENTRIES));
    check(crate::OPENAPI, "get", &get(houses::empty(), crate::OPENAPI));
    for lane in ["normal", "bulk"] {
        let uri = format!("{}?lane={lane}", crate::EXPLAIN);
        check(crate::EXPLAIN, "post", &explain(&uri, "{}", &[]));
    }
    let read: Places = serde_json::from_str(&get(houses::busy(), crate::PLACES).body).unwrap();
    assert_eq!(read, houses::places());
}

#[test]
fn the_check_finds_what_is_wrong() {
    let schema = schema_of(crate::PLACES, "get", StatusCode::OK);
    let right = serde_json::to_value(houses::places()).unwrap();
    assert_eq!(wrong(&right, &schema), None);
    for (pointer, value) in [
        ("/running", json!(-1)),
        ("/waiting", Value::Null),
        ("/upstreams", json!({})),
        ("/upstreams/0/health/state", json!("splendid")),
        ("/upstreams/0/models/0", json!({"model": "m"})),
        ("/upstreams/1/health", json!({"state": "offline", "key": "sk-1"})),
    ] {
        let mut changed = right.clone();
        *changed.pointer_mut(pointer).unwrap() = value;
        assert!(wrong(&changed, &schema).is_some(), "{pointer}");
    }
}

pub(super) fn schema_of(path: &str, method: &str, status: StatusCode) -> Value {
    let document: Value = serde_json::from_str(DOCUMENT).unwrap();
    let answer = &document["paths"][path][method]["responses"][status.as_str()];
    answer["content"]["application/json"]["schema"].clone()
}

/// What is wrong with a value by a schema, as far as the document uses JSON Schema.
pub(super) fn wrong(value: &Value, schema: &Value) -> Option<String> {
    if let Some(name) = schema["$ref"].as_str() {
        let document: Value = serde_json::from_str(DOCUMENT).unwrap();
        let schema = document.pointer(name.trim_start_matches('#')).unwrap_or_else(|| panic!("no {name}"));
        return wrong(value, schema).map(|what| format!("{name}: {what}"));
    }
    if let Some(choices) = schema["oneOf"].as_array() {
        let fits = choices.iter().filter(|choice| wrong(value, choice).is_none()).count();
        return (fits != 1).then(|| format!("{value} fits {fits} of {}", schema["oneOf"]));
    }
    let kind = &schema["type"];
    let kinds = kind.as_array().cloned().unwrap_or_else(|| vec![kind.clone()]);
    if !kinds.iter().filter_map(Value::as_str).any(|kind| is_kind(value, kind)) {
        return Some(format!("{value} is no {kinds:?}"));
    }
    if schema["enum"].as_array().is_some_and(|values| !values.contains(value)) {
        return Some(format!("{value} is none of {}", schema["enum"]));
    }
    if schema["minimum"].as_i64().is_some_and(|least| value.as_i64().is_some_and(|number| number < least)) {
        return Some(format!("{value} is less than {}", schema["minimum"]));
    }
    match value {
        Value::Object(members) => {
            let properties = &schema["properties"];
            let required = schema["required"].as_array().into_iter().flatten().filter_map(Value::as_str);
            let missing = required.map(str::to_owned).find(|name| !members.contains_key(name));
            let unknown =
                members.keys().find(|name| schema["additionalProperties"] == false && properties.get(name).is_none());
            missing
                .map(|name| format!("{name} is missing"))
                .or_else(|| unknown.map(|name| format!("{name} is not told")))
                .or_else(|| {
                    members.iter().filter(|(name, _)| properties.get(name).is_some()).find_map(|(name, member)| {
                        wrong(member, &properties[name]).map(|what| format!("{name}: {what}"))
                    })
                })
        }
        Value::Array(items) => items.iter().find_map(|item| wrong(item, &schema["items"])),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => None,
    }
}

fn is_kind(value: &Value, kind: &str) -> bool {
    match kind {
        "object" => value.is_object(),
        "array" => value.is_array(),
        "string" => value.is_string(),
        "boolean" => value.is_boolean(),
        "integer" => value.is_u64() || value.is_i64(),
        "number" => value.is_number(),
        "null" => value.is_null(),
        other => panic!("the check does not know {other}"),
    }
}
