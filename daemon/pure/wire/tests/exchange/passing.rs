//! Where client and upstream speak the same surface, a request keeps every byte but the model's name.

use domain::surface::Surface;

use crate::asks::read;

/// Members that this build does not know, written as nobody would: they are passed on as they are.
const ODD: &str = r#""x_odd": { "b":  1.50,"a" :null, "e":1E+2, "t":"\u00e9\/" , "z":[ ] },"temperature":0.10"#;

const BODIES: [(Surface, &str); 10] = [
    (Surface::OpenaiChat, r#""messages": [ {"role":"user","content":"Hi","x":1} ]"#),
    (Surface::OpenaiCompletions, r#""prompt": [ 1, 2 ]"#),
    (Surface::OpenaiEmbeddings, r#""input": [ "a" ]"#),
    (Surface::OpenaiResponses, r#""input": [ {"type":"computer_call"} ]"#),
    (Surface::AnthropicMessages, r#""max_tokens":1,"messages": [ {"role":"user","content":[{"type":"document"}]} ]"#),
    (Surface::AnthropicCountTokens, r#""messages": [ {"role":"user","content":"Hi"} ]"#),
    (Surface::OllamaChat, r#""messages": [ {"role":"user","content":"Hi"} ],"options":{"mirostat":2}"#),
    (Surface::OllamaGenerate, r#""prompt": "Hi","template":"x""#),
    (Surface::OllamaGenerateRaw, r#""prompt": "Hi","raw" : true"#),
    (Surface::OllamaEmbed, r#""input": "a""#),
];

fn passed(near: Surface, body: &str) -> String {
    String::from_utf8(read(near, body).outgoing(near, "up/m", "127.0.0.1").unwrap().into()).unwrap()
}

#[test]
fn unknown_members_keep_their_bytes() {
    for (near, own) in BODIES {
        let body = format!(r#"{{ {ODD} , "model" : "fast",{own},"stream":false }}"#);
        let passed = passed(near, &body);
        assert!(passed.contains(r#"{ "b":  1.50,"a" :null, "e":1E+2, "t":"\u00e9\/" , "z":[ ] }"#), "{passed}");
        assert!(passed.contains(r#""temperature":0.10"#), "{passed}");
        let value = |text: &str| serde_json::from_str::<serde_json::Value>(text).unwrap();
        let mut want = value(&body);
        want["model"] = "up/m".into();
        assert_eq!(value(&passed), want);
        let names = |text: &str| value(text).as_object().unwrap().keys().cloned().collect::<Vec<_>>();
        assert_eq!(names(&passed), names(&body), "the order of members");
    }
}

#[test]
fn what_is_meant_for_the_gateway_stays_here() {
    let body = r#"{"model":"fast","models":["a"],"messages":[{}]}"#;
    assert_eq!(passed(Surface::OpenaiChat, body), r#"{"model":"up/m","messages":[{}]}"#);
    let body = r#"{"name":"fast","messages":[{}]}"#;
    assert_eq!(passed(Surface::OllamaChat, body), r#"{"messages":[{}],"model":"up/m"}"#);
}

#[test]
fn mistral_tells_usage_unasked_and_refuses_to_be_asked() {
    for options in ["", r#","stream_options":{"include_usage":true}"#] {
        let body = format!(r#"{{"model":"m","messages":[{{}}],"stream":true{options}}}"#);
        let sent = read(Surface::OpenaiChat, &body).outgoing(Surface::OpenaiChat, "up", "api.mistral.ai").unwrap();
        assert_eq!(sent, r#"{"model":"up","messages":[{}],"stream":true}"#);
    }
}

#[test]
fn a_claude_gets_no_reasoning_that_it_did_not_sign() {
    let body = r#"{"model":"m","max_tokens":1,"messages":[{"role":"user","content":"a"},
        {"role":"assistant","content":[{"type":"thinking","thinking":"hm","signature":""},{"type":"text","text":"b"}]},
        {"role":"user","content":"c"}]}"#;
    for (model, kept) in [("claude-sonnet-4-5", false), ("glm-4.6", true)] {
        let ask = read(Surface::AnthropicMessages, body);
        let sent = ask.outgoing(Surface::AnthropicMessages, model, "127.0.0.1").unwrap();
        assert_eq!(String::from_utf8_lossy(&sent).contains("hm"), kept, "{model}");
    }
}

#[test]
fn a_stream_always_tells_its_usage() {
    let options =
        |more: &str| passed(Surface::OpenaiChat, &format!(r#"{{"model":"m","messages":[{{}}],"stream":true{more}}}"#));
    for (more, want) in [
        ("", r#""stream_options":{"include_usage":true}}"#),
        (r#","stream_options":null"#, r#""stream_options":{"include_usage":true}}"#),
        (r#","stream_options":{"include_usage":false}"#, r#""stream_options":{"include_usage":true}}"#),
        (r#","stream_options":{ "x":1 }"#, r#""stream_options":{"x":1,"include_usage":true}}"#),
        (r#","stream_options":{ "include_usage":true }"#, r#""stream_options":{ "include_usage":true }}"#),
    ] {
        assert!(options(more).ends_with(want), "{}", options(more));
    }
    assert!(
        !passed(Surface::AnthropicMessages, r#"{"model":"m","max_tokens":1,"messages":[{}],"stream":true}"#)
            .contains("stream_options")
    );
}
