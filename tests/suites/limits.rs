//! What may come in, and how much of it at once.

use std::time::Duration;

use airlane_tests::client::{Exchange, Request};
use airlane_tests::daemon::Setup;
use airlane_tests::fake::{Script, gzip};
use serde_json::json;

use crate::common::{BOUND, chat, chat_body, eventually, messages, metric, ollama_chat, pair, pair_with};

fn big(request: &Request, bytes: usize) -> Request {
    let mut request = request.clone();
    let mut body = request.body.take().unwrap_or_default();
    body.pop();
    body.extend_from_slice(format!(",\"padding\":\"{}\"}}", "x".repeat(bytes)).as_bytes());
    Request { body: Some(body), ..request }
}

#[test]
fn a_body_over_the_cap_is_413_in_the_dialect() {
    let (fake, daemon) = pair_with("openai", Setup::new().endpoint("body_max_mib = 1"));
    let size = 1024 * 1024;
    let openai = daemon.send(&big(&chat("fake-1", false), size));
    assert_eq!(openai.status(), 413);
    assert!(openai.json()["error"]["message"].as_str().is_some_and(|text| text.contains("1 MiB")), "{}", openai.text());
    let anthropic = daemon.send(&big(&messages("fake-1", false), size));
    assert_eq!((anthropic.status(), &anthropic.json()["error"]["type"]), (413, &json!("request_too_large")));
    let ollama = daemon.send(&big(&ollama_chat("fake-1", false), size));
    assert_eq!(ollama.status(), 413);
    assert!(ollama.json()["error"].is_string(), "{}", ollama.text());
    assert!(fake.requests().is_empty());
    let under = daemon.send(&big(&chat("fake-1", false), size - 4096));
    assert_eq!(under.status(), 200, "{}", under.text());
}

#[test]
fn a_chunked_body_over_the_cap_is_413_too() {
    let (_fake, daemon) = pair_with("openai", Setup::new().endpoint("body_max_mib = 1"));
    let mut exchange = Exchange::connect(daemon.address());
    exchange.write(b"POST /v1/chat/completions HTTP/1.1\r\nhost: a\r\ncontent-type: application/json\r\n");
    exchange.write(b"transfer-encoding: chunked\r\n\r\n");
    let chunk = format!("10000\r\n{}\r\n", " ".repeat(0x10000));
    for _ in 0..20 {
        exchange.write(chunk.as_bytes());
    }
    assert_eq!(exchange.head().status, 413);
}

#[test]
fn a_compressed_body_is_unpacked_and_counted_unpacked() {
    let (fake, daemon) = pair_with("openai", Setup::new().endpoint("body_max_mib = 1"));
    let body = chat_body("fake-1", false);
    let request = Request::raw("/v1/chat/completions", gzip(body.to_string().as_bytes()));
    let response = daemon.send(&request.with("content-encoding", "gzip"));
    assert_eq!(response.status(), 200, "{}", response.text());
    assert_eq!(fake.body(0)["messages"], body["messages"]);
    let bomb = big(&chat("fake-1", false), 8 * 1024 * 1024).body.unwrap_or_default();
    let request = Request::raw("/v1/chat/completions", gzip(&bomb)).with("content-encoding", "gzip");
    assert_eq!(daemon.send(&request).status(), 413);
}

#[test]
fn a_large_chunked_body_is_served() {
    let (fake, daemon) = pair("openai");
    let body = big(&chat("fake-1", false), 300_000).body.unwrap_or_default();
    let mut exchange = Exchange::connect(daemon.address());
    exchange.write(b"POST /v1/chat/completions HTTP/1.1\r\nhost: a\r\ncontent-type: application/json\r\n");
    exchange.write(b"transfer-encoding: chunked\r\n\r\n");
    for part in body.chunks(10_000) {
        exchange.write(format!("{:x}\r\n", part.len()).as_bytes());
        exchange.write(part);
        exchange.write(b"\r\n");
    }
    exchange.write(b"0\r\n\r\n");
    assert_eq!(exchange.finish().status(), 200);
    assert_eq!(fake.body(0)["padding"].as_str().map(str::len), Some(300_000));
}

#[test]
fn expect_100_continue_is_answered() {
    let (_fake, daemon) = pair("openai");
    let body = chat_body("fake-1", false).to_string();
    let mut exchange = Exchange::connect(daemon.address());
    let length = body.len();
    exchange.write(b"POST /v1/chat/completions HTTP/1.1\r\nhost: a\r\ncontent-type: application/json\r\n");
    exchange.write(format!("expect: 100-continue\r\ncontent-length: {length}\r\n\r\n").as_bytes());
    assert_eq!(exchange.interim(), 100, "the body is asked for before it is sent");
    exchange.write(body.as_bytes());
    assert_eq!(exchange.finish().status(), 200);
}

#[test]
fn headers_and_addresses_have_caps() {
    let (fake, daemon) = pair("openai");
    for request in [
        Request::get(&format!("/v1/models?{}", "x".repeat(300_000))),
        Request::get("/v1/models").with("x-large", &"x".repeat(300_000)),
        (0..2_000).fold(Request::get("/v1/models"), |request, number| request.with(&format!("x-{number}"), "1")),
    ] {
        let mut exchange = Exchange::start(daemon.address(), &request);
        let status = exchange.try_head().map_or(0, |head| head.status);
        assert!([0, 400, 413, 414, 431].contains(&status), "status {status}");
    }
    assert!(fake.requests().is_empty());
    assert_eq!(daemon.get("/healthz").status(), 200, "others are served on");
}

#[test]
fn slow_clients_are_let_go() {
    let (fake, daemon) = pair_with("openai", Setup::new().endpoint("client_timeout_s = 1"));
    let head = "POST /v1/chat/completions HTTP/1.1\r\nhost: a\r\ncontent-type: application/json\r\n";
    for (what, bytes) in [
        ("half a head", head.to_owned()),
        ("half a body", format!("{head}content-length: 5000\r\n\r\n{{\"model\"")),
        ("a body without an end", format!("{head}transfer-encoding: chunked\r\n\r\n2\r\n{{ \r\n")),
    ] {
        let mut exchange = Exchange::connect(daemon.address());
        exchange.write(bytes.as_bytes());
        let status = exchange.try_head().map(|head| head.status);
        assert!(matches!(status, None | Some(400 | 408)), "{what}: {status:?}");
    }
    assert!(fake.requests().is_empty());
}

#[test]
fn malformed_json_says_where() {
    let (fake, daemon) = pair("openai");
    let body = "{\"model\": \"fake-1\",\n \"messages\": [}";
    for path in ["/v1/chat/completions", "/v1/messages", "/api/chat"] {
        let response = daemon.send(&Request::raw(path, body));
        assert_eq!(response.status(), 400, "{path}: {}", response.text());
        assert!(response.text().contains("line 2"), "{path}: {}", response.text());
        assert!(response.json()["error"]["param"].is_null(), "no member is to blame: {}", response.text());
    }
    assert!(fake.requests().is_empty());
}

#[test]
fn wrong_types_name_the_member() {
    let (_fake, daemon) = pair("anthropic");
    let mut body = chat_body("fake-1", false);
    body["messages"][0]["content"] = json!(5);
    let response = daemon.post("/v1/chat/completions", &body);
    assert_eq!(response.status(), 400, "{}", response.text());
    assert!(response.text().contains("messages[0].content"), "{}", response.text());
    body["messages"] = json!([1]);
    let response = daemon.post("/v1/chat/completions", &body);
    assert!(response.text().contains("expected an object"), "{}", response.text());
}

#[test]
fn the_loopback_refuses_what_it_cannot_read() {
    let (_fake, daemon) = pair_with("openai", Setup::new().upstream("echo", "loopback", "", ""));
    let body = "{\"model\":\"echo/echo\",\"max_tokens\":1e400,\"messages\":[{\"role\":\"user\",\"content\":\"x\"}]}";
    let response = daemon.send(&Request::raw("/v1/chat/completions", body));
    assert_eq!(response.status(), 400, "{}", response.text());
}

#[test]
fn odd_bytes_are_refused_and_harm_nobody() {
    let (_fake, daemon) = pair("anthropic");
    let deep = format!("{{\"model\":\"fake-1\",\"messages\":{}{}}}", "[".repeat(5_000), "]".repeat(5_000));
    let surrogate = r#"{"model":"fake-1","messages":[{"role":"user","content":"\ud800"}]}"#;
    let mut latin = chat_body("fake-1", false).to_string().into_bytes();
    if let Some(at) = latin.iter().position(|&byte| byte == b'S') {
        latin[at] = 0xFF;
    }
    let cases: [(&str, Vec<u8>); 7] = [
        ("depth", deep.into_bytes()),
        ("a lone surrogate", surrogate.into()),
        ("no UTF-8", latin),
        ("nothing", Vec::new()),
        ("a list", b"[]".to_vec()),
        ("null", b"null".to_vec()),
        ("two values", b"{} {}".to_vec()),
    ];
    for (what, body) in cases {
        for path in ["/v1/chat/completions", "/v1/messages", "/v1/responses", "/v1/embeddings", "/api/chat"] {
            let response = daemon.send(&Request::raw(path, body.clone()));
            assert_eq!(response.status(), 400, "{what} on {path}: {}", response.text());
        }
    }
    assert_eq!(daemon.get("/healthz").status(), 200);
}

#[test]
fn optional_members_may_be_null() {
    let (_fake, daemon) = pair("anthropic");
    let mut body = chat_body("fake-1", false);
    for name in ["temperature", "tools", "tool_choice", "stop", "response_format", "stream_options", "n", "user"] {
        body[name] = serde_json::Value::Null;
    }
    let response = daemon.post("/v1/chat/completions", &body);
    assert_eq!(response.status(), 200, "{}", response.text());
}

#[test]
fn more_than_the_places_wait_and_then_are_refused() {
    let (fake, daemon) =
        pair_with("openai", Setup::new().endpoint("max_concurrent = 1\nqueue_wait_s = 1\nmax_waiting = 8"));
    fake.answer(Script::hang());
    let _first = daemon.open(&chat("fake-1", false));
    let _ = fake.wait_request(0);
    for (request, status) in
        [(chat("fake-1", false), 503), (messages("fake-1", false), 529), (ollama_chat("fake-1", false), 503)]
    {
        let response = daemon.send(&request);
        assert!([429, status].contains(&response.status()), "{}: {}", request.path, response.text());
        assert!(response.header("retry-after").is_some(), "{}: no Retry-After", request.path);
    }
    assert_eq!(fake.requests().len(), 1);
}

#[test]
fn who_waits_is_served_when_a_place_is_free() {
    let (fake, daemon) = pair_with("openai", Setup::new().endpoint("max_concurrent = 1\nqueue_wait_s = 600"));
    fake.answer_next(Script::hang());
    let first = daemon.open(&chat("fake-1", false));
    let _ = fake.wait_request(0);
    let mut second = daemon.open(&chat("fake-1", false));
    eventually("the second one waits", || {
        metric(&daemon.get("/metrics").text(), &["waiting"]).is_some_and(|waiting| waiting == 1.0)
    });
    let _ = first.leave();
    assert_eq!(second.finish().status(), 200);
}

#[test]
fn a_full_queue_is_refused_at_once() {
    let (fake, daemon) =
        pair_with("openai", Setup::new().endpoint("max_concurrent = 1\nqueue_wait_s = 600\nmax_waiting = 0"));
    fake.answer(Script::hang());
    let _first = daemon.open(&chat("fake-1", false));
    let _ = fake.wait_request(0);
    let response = daemon.send(&chat("fake-1", false));
    assert!([429, 503].contains(&response.status()), "{}", response.text());
}

#[test]
fn many_at_once_are_all_served() {
    let (fake, daemon) = pair("openai");
    fake.answer(Script { gap: Duration::from_millis(20), ..Script::default() });
    let mut open: Vec<Exchange> = (0..200).map(|_| daemon.open(&chat("fake-1", true))).collect();
    for exchange in &mut open {
        let response = exchange.finish();
        assert_eq!(response.status(), 200);
        assert!(response.text().ends_with("data: [DONE]\n\n"), "{}", response.text());
    }
    assert!(fake.wait_for(199, BOUND, |record| record.finished).is_some());
}

#[test]
fn a_whole_answer_may_be_compressed_for_who_asks() {
    let (fake, daemon) = pair("openai");
    let text = "many words ".repeat(5_000);
    fake.answer(Script::text(&text));
    let plain = daemon.send(&chat("fake-1", false));
    assert_eq!(plain.header("content-encoding"), None, "nobody asked");
    let mut packed = daemon.send(&chat("fake-1", false).with("accept-encoding", "gzip"));
    if packed.header("content-encoding") == Some("gzip") {
        let mut unpacked = Vec::new();
        std::io::copy(&mut flate2::read::MultiGzDecoder::new(&*packed.body), &mut unpacked).expect("gzip");
        packed.body = unpacked;
    }
    assert_eq!(packed.json()["choices"][0]["message"]["content"], text.as_str());
}
