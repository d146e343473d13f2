//! What of a request changes its answer, in one form for all that ask the same.
//!
//! A plain conversation (texts, and the usual knobs) has the same form in every dialect; everything else keeps its
//! surface, where nothing that this build does not know can be lost.

use domain::surface::{Surface, Task};

use super::Ask;
use crate::json::{canonical, elements, members, text_of, write_string};

/// Members that do not change what is answered, only how it is brought, billed or found; and the names of models, which a key
/// holds apart from this.
const TRANSPORT: [&str; 17] = [
    "keep_alive",
    "metadata",
    "model",
    "models",
    "name",
    "prompt_cache_key",
    "prompt_cache_retention",
    "route",
    "safety_identifier",
    "service_tier",
    "store",
    "stream",
    "stream_options",
    "tags",
    "timeout",
    "trace",
    "user",
];

/// The knobs that a surface knows, each with the name it has in the form. What a surface does not know is not taken for what
/// it is elsewhere.
const fn knobs(near: Surface) -> &'static [(&'static str, &'static str)] {
    match near {
        Surface::OpenaiChat => &[
            ("max_completion_tokens", "max_tokens"),
            ("max_tokens", "max_tokens"),
            ("n", "n"),
            ("seed", "seed"),
            ("stop", STOP),
            ("temperature", "temperature"),
            ("top_p", "top_p"),
        ],
        Surface::AnthropicMessages => &[
            ("max_tokens", "max_tokens"),
            ("stop_sequences", STOP),
            ("temperature", "temperature"),
            ("top_k", "top_k"),
            ("top_p", "top_p"),
        ],
        // These stand in its `options`.
        Surface::OllamaChat => &[
            ("num_predict", "max_tokens"),
            ("seed", "seed"),
            ("stop", STOP),
            ("temperature", "temperature"),
            ("top_k", "top_k"),
            ("top_p", "top_p"),
        ],
        Surface::OpenaiEmbeddings | Surface::OllamaEmbed => &[("dimensions", "dimensions")],
        _ => &[],
    }
}

/// The knob that is a text or some.
const STOP: &str = "stop";

impl Ask {
    /// The form. Requests whose forms differ may have different answers; those with the same form and model have the same.
    #[must_use]
    pub fn canonical(&self) -> Vec<u8> {
        self.plain().unwrap_or_else(|| self.own())
    }

    /// Whether the client wants the same answer each time: temperature 0, or a seed.
    #[must_use]
    pub fn is_deterministic(&self) -> bool {
        let knob = |name: &str| self.object.raw(name).or_else(|| self.option(name)).filter(|raw| *raw != "null");
        // Below 0 it means another one each time (llama.cpp, Ollama).
        let is_fixed = |raw: &str| raw.parse::<f64>().is_ok_and(|seed| seed >= 0.0);
        knob("seed").is_some_and(is_fixed) || knob("temperature").is_some_and(|raw| raw.parse() == Ok(0.0_f64))
    }

    /// Who asks, as far as the client says it: the user of a program that serves many.
    #[must_use]
    pub fn asker(&self) -> Vec<u8> {
        let mut out = Vec::new();
        for name in ["metadata", "safety_identifier", "user"] {
            if let Some(raw) = self.object.raw(name).filter(|raw| *raw != "null") {
                write_string(&mut out, name);
                canonical(raw, &mut out);
            }
        }
        out
    }

    /// How the conversation begins, in at most `bytes_max` bytes: its first message, or its text.
    #[must_use]
    pub fn head(&self, bytes_max: usize) -> String {
        let body = ["system", "instructions", "messages", "input", "prompt"];
        let raw = body.iter().find_map(|name| self.object.raw(name).filter(|raw| !raw.starts_with("[]")));
        let first = raw.and_then(|raw| elements(raw).next()).unwrap_or_default();
        let text = text_of(first).or_else(|| text_of(members(first).find(|(name, _)| *name == "\"content\"")?.1));
        let text = text.unwrap_or_default();
        text[..text.floor_char_boundary(bytes_max)].to_owned()
    }

    /// One of Ollama's options.
    fn option(&self, wanted: &str) -> Option<&str> {
        let name = |raw: &str| text_of(raw).is_some_and(|name| name == wanted);
        members(self.object.raw("options")?).find(|(raw, _)| name(raw)).map(|(_, value)| value)
    }

    /// The form that keeps the surface.
    fn own(&self) -> Vec<u8> {
        let is_text = |name: &str| self.near.task() == Task::Embedding && name == "encoding_format";
        let mut kept: Vec<(&str, &str)> =
            self.object.members().filter(|(name, _)| !TRANSPORT.contains(name) && !is_text(name)).collect();
        kept.sort_unstable();
        let mut out = Vec::with_capacity(512);
        out.extend_from_slice(self.near.name().as_bytes());
        for (name, value) in kept {
            out.push(b'\n');
            write_string(&mut out, name);
            out.push(b':');
            canonical(value, &mut out);
        }
        out
    }

    fn plain(&self) -> Option<Vec<u8>> {
        let mut plain = Plain::default();
        for (name, raw) in self.object.members() {
            if raw != "null" && !TRANSPORT.contains(&name) {
                plain.take(self.near, name, raw)?;
            }
        }
        Some(plain.write())
    }
}

/// A request that any dialect can hold.
#[derive(Default)]
struct Plain {
    system: Option<Vec<u8>>,
    /// Written: `["role","text"]`, one after another.
    messages: Vec<u8>,
    /// Written: texts to be made vectors of.
    texts: Vec<u8>,
    stop: Vec<u8>,
    /// By name, sorted when all are there.
    knobs: Vec<(&'static str, String)>,
}

impl Plain {
    /// Takes a member; `None` if the request is not plain.
    fn take(&mut self, near: Surface, name: &str, raw: &str) -> Option<()> {
        match (near, name) {
            (Surface::OpenaiChat | Surface::AnthropicMessages | Surface::OllamaChat, "messages") => {
                elements(raw).try_for_each(|message| self.message(message))
            }
            (Surface::AnthropicMessages, "system") => {
                let mut system = Vec::new();
                write_string(&mut system, &one_text(raw)?);
                self.system = Some(system);
                Some(())
            }
            (Surface::OllamaChat, "options") => {
                members(raw).try_for_each(|(name, raw)| self.knob(near, &text_of(name)?, raw))
            }
            (Surface::OllamaChat, _) => None,
            (Surface::OpenaiEmbeddings | Surface::OllamaEmbed, "input") => elements(raw).try_for_each(|text| {
                write_string(&mut self.texts, &text_of(text)?);
                Some(())
            }),
            (Surface::OpenaiEmbeddings, "encoding_format") => Some(()),
            _ => self.knob(near, name, raw),
        }
    }

    fn message(&mut self, message: &str) -> Option<()> {
        let (mut role, mut content) = (None, None);
        for (name, raw) in members(message) {
            match name {
                "\"role\"" if role.is_none() => role = text_of(raw),
                "\"content\"" if content.is_none() => content = one_text(raw),
                _ => return None,
            }
        }
        let out = &mut self.messages;
        out.push(b'[');
        write_string(out, &role?);
        out.push(b',');
        write_string(out, &content?);
        out.push(b']');
        Some(())
    }

    fn knob(&mut self, near: Surface, name: &str, raw: &str) -> Option<()> {
        let (_, name) = knobs(near).iter().find(|(known, _)| *known == name)?;
        if *name == STOP {
            return elements(raw).try_for_each(|text| {
                write_string(&mut self.stop, &text_of(text)?);
                Some(())
            });
        }
        // Which of two limits counts is the server's business.
        if self.knobs.iter().any(|(known, _)| known == name) {
            return None;
        }
        // Of the same value, however it is written; a number too large for that is nobody's knob.
        let value: f64 = raw.parse().ok().filter(|value: &f64| value.abs() < 9e15)?;
        if *name == "n" && value == 1.0 {
            return Some(());
        }
        self.knobs.push((name, value.to_string()));
        Some(())
    }

    fn write(mut self) -> Vec<u8> {
        self.knobs.sort_unstable();
        let mut out = b"plain\n".to_vec();
        if let Some(system) = self.system {
            out.extend_from_slice(b"[\"system\",");
            out.extend_from_slice(&system);
            out.push(b']');
        }
        for part in [&self.messages, &self.texts, &self.stop] {
            out.extend_from_slice(part);
            out.push(b'\n');
        }
        for (name, value) in self.knobs {
            out.extend_from_slice(format!("{name}={value}\n").as_bytes());
        }
        out
    }
}

/// A text, or a list that holds one text block and nothing else.
pub(super) fn one_text(raw: &str) -> Option<std::borrow::Cow<'_, str>> {
    if !raw.starts_with('[') {
        return text_of(raw);
    }
    let mut blocks = elements(raw);
    let (block, None) = (blocks.next()?, blocks.next()) else { return None };
    let (mut kind, mut text) = (None, None);
    for (name, raw) in members(block) {
        match name {
            "\"type\"" if kind.is_none() => kind = text_of(raw),
            "\"text\"" if text.is_none() => text = text_of(raw),
            _ => return None,
        }
    }
    text.filter(|_| kind.as_deref() == Some("text"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use bytes::Bytes;
    use proptest::prelude::*;

    fn ask(surface: Surface, body: &str) -> Ask {
        Ask::read(surface, &Bytes::copy_from_slice(body.as_bytes())).expect(body)
    }

    fn form(surface: Surface, body: &str) -> String {
        String::from_utf8(ask(surface, body).canonical()).unwrap()
    }

    #[test]
    fn a_plain_conversation_is_the_same_in_every_dialect() {
        let openai = form(
            Surface::OpenaiChat,
            r#"{"model":"a","messages":[{"role":"system","content":"Be brief."},{"role":"user","content":"caf\u00e9?"}],
            "temperature":0,"max_tokens":64,"stop":"END","stream":true,"user":"u1","n":1}"#,
        );
        let anthropic = form(
            Surface::AnthropicMessages,
            r#"{"max_tokens":64,"model":"b","stop_sequences":["END"],"system":[{"type":"text","text":"Be brief."}],
            "temperature":0.0,"metadata":{"user_id":"x"},
            "messages":[{"content":[{"text":"café?","type":"text"}],"role":"user"}]}"#,
        );
        let ollama = form(
            Surface::OllamaChat,
            r#"{"model":"c","messages":[{"role":"system","content":"Be brief."},{"role":"user","content":"café?"}],
            "options":{"stop":["END"],"num_predict":64,"temperature":0},"keep_alive":"5m"}"#,
        );
        assert!(openai.starts_with("plain\n"), "{openai}");
        assert_eq!((&openai, &openai), (&anthropic, &ollama));
    }

    #[test]
    fn everything_that_changes_an_answer_changes_the_form() {
        let bodies = [
            r#"{"model":"a","messages":[{"role":"user","content":"x"}]}"#,
            r#"{"model":"a","messages":[{"role":"user","content":"x "}]}"#,
            r#"{"model":"a","messages":[{"role":"assistant","content":"x"}]}"#,
            r#"{"model":"a","messages":[{"role":"system","content":"x"}]}"#,
            r#"{"model":"a","messages":[{"role":"user","content":"x"},{"role":"user","content":""}]}"#,
            r#"{"model":"a","messages":[{"role":"user","content":"x","name":"n"}]}"#,
            r#"{"model":"a","messages":[{"role":"user","content":["x"]}]}"#,
            r#"{"model":"a","messages":[{"role":"user","content":[{"type":"text","text":"x"},{"type":"text","text":""}]}]}"#,
            r#"{"model":"a","messages":[{"role":"user","content":[{"type":"text","text":"x","cache_control":{}}]}]}"#,
            r#"{"model":"a","messages":[{"role":"user","content":[{"type":"image_url","image_url":{"url":"x"}}]}]}"#,
            r#"{"model":"a","messages":[{"role":"user","content":"x"}],"temperature":0}"#,
            r#"{"model":"a","messages":[{"role":"user","content":"x"}],"temperature":0.5}"#,
            r#"{"model":"a","messages":[{"role":"user","content":"x"}],"top_p":0}"#,
            r#"{"model":"a","messages":[{"role":"user","content":"x"}],"seed":1}"#,
            r#"{"model":"a","messages":[{"role":"user","content":"x"}],"seed":123456789012345678}"#,
            r#"{"model":"a","messages":[{"role":"user","content":"x"}],"seed":123456789012345679}"#,
            r#"{"model":"a","messages":[{"role":"user","content":"x"}],"n":2}"#,
            r#"{"model":"a","messages":[{"role":"user","content":"x"}],"max_tokens":1}"#,
            r#"{"model":"a","messages":[{"role":"user","content":"x"}],"stop":"y"}"#,
            r#"{"model":"a","messages":[{"role":"user","content":"x"}],"stop":["y","z"]}"#,
            r#"{"model":"a","messages":[{"role":"user","content":"x"}],"tools":[{"type":"function"}]}"#,
            r#"{"model":"a","messages":[{"role":"user","content":"x"}],"response_format":{"type":"json_object"}}"#,
            r#"{"model":"a","messages":[{"role":"user","content":"x"}],"reasoning_effort":"low"}"#,
            r#"{"model":"a","messages":[{"role":"user","content":"x"}],"logprobs":true}"#,
            r#"{"model":"a","messages":[{"role":"user","content":"x"}],"something_new":1}"#,
        ];
        let forms: Vec<String> = bodies.iter().map(|body| form(Surface::OpenaiChat, body)).collect();
        for (position, one) in forms.iter().enumerate() {
            let twin = forms.iter().rposition(|other| other == one).unwrap();
            assert_eq!(twin, position, "{} and {}", bodies[position], bodies[twin]);
        }
        let anthropic = |system: &str| {
            let messages = r#""max_tokens":9,"messages":[{"role":"user","content":"x"}]"#;
            form(Surface::AnthropicMessages, &format!(r#"{{"model":"a",{messages},"system":{system}}}"#))
        };
        assert_ne!(anthropic("\"a\""), anthropic("\"b\""));
        assert_ne!(anthropic("\"\""), anthropic("null"));
    }

    #[test]
    fn a_member_that_a_dialect_does_not_know_is_nothing_of_another() {
        let body = |member: &str| {
            format!(r#"{{"model":"a","max_tokens":9,"messages":[{{"role":"user","content":"x"}}],{member}}}"#)
        };
        for (near, unknown, known) in [
            (Surface::OpenaiChat, r#""stop_sequences":["y"]"#, r#""stop":["y"]"#),
            (Surface::OpenaiChat, r#""num_predict":9"#, r#""user":"u""#),
            (Surface::AnthropicMessages, r#""stop":["y"]"#, r#""stop_sequences":["y"]"#),
            (Surface::AnthropicMessages, r#""n":1"#, r#""metadata":{}"#),
            (Surface::OllamaChat, r#""temperature":0"#, r#""options":{"temperature":0}"#),
        ] {
            assert_ne!(form(near, &body(unknown)), form(near, &body(known)), "{near:?} {unknown}");
            assert!(!form(near, &body(unknown)).starts_with("plain"), "{near:?} {unknown}");
        }
    }

    #[test]
    fn what_is_said_twice_keeps_its_order() {
        let limits = |a: u8, b: u8| {
            let messages = r#""messages":[{"role":"user","content":"x"}]"#;
            form(
                Surface::OpenaiChat,
                &format!(r#"{{"model":"a",{messages},"max_tokens":{a},"max_completion_tokens":{b}}}"#),
            )
        };
        assert_ne!(limits(1, 2), limits(2, 1));
        let twice = |a: &str, b: &str| {
            let messages = format!(r#""messages":[{{"role":"{a}","content":"x","role":"{b}"}}]"#);
            form(Surface::OpenaiChat, &format!(r#"{{"model":"a",{messages}}}"#))
        };
        assert_ne!(twice("user", "system"), twice("system", "system"));
    }

    #[test]
    fn texts_for_vectors_are_the_same_in_both_dialects() {
        let openai = form(Surface::OpenaiEmbeddings, r#"{"model":"a","input":"x","encoding_format":"base64"}"#);
        assert_eq!(openai, form(Surface::OllamaEmbed, r#"{"model":"a","input":["x"]}"#));
        assert_ne!(openai, form(Surface::OllamaEmbed, r#"{"model":"a","input":["x"],"truncate":false}"#));
        assert_ne!(openai, form(Surface::OpenaiEmbeddings, r#"{"model":"a","input":["x",""]}"#));
        assert_ne!(openai, form(Surface::OpenaiEmbeddings, r#"{"model":"a","input":"x","dimensions":3}"#));
        // Ollama's older form does not normalise its vectors.
        assert_ne!(openai, form(Surface::OllamaEmbeddings, r#"{"model":"a","prompt":"x"}"#));
        let tokens = |input: &str| form(Surface::OpenaiEmbeddings, &format!(r#"{{"model":"a","input":{input}}}"#));
        assert_ne!(tokens("[1,2]"), tokens("[[1],[2]]"));
        assert_ne!(tokens("[12]"), tokens("[\"12\"]"));
    }

    #[test]
    fn who_wants_the_same_each_time() {
        for (surface, body, want) in [
            (Surface::OpenaiChat, r#"{"model":"a","messages":[{}],"temperature":0}"#, true),
            (Surface::OpenaiChat, r#"{"model":"a","messages":[{}],"temperature":0.0}"#, true),
            (Surface::OpenaiChat, r#"{"model":"a","messages":[{}],"temperature":null}"#, false),
            (Surface::OpenaiChat, r#"{"model":"a","messages":[{}],"temperature":0.1,"seed":7}"#, true),
            (Surface::OpenaiChat, r#"{"model":"a","messages":[{}],"seed":null}"#, false),
            (Surface::OpenaiChat, r#"{"model":"a","messages":[{}]}"#, false),
            (Surface::OllamaChat, r#"{"model":"a","messages":[],"options":{"temperature":0}}"#, true),
            (Surface::OllamaChat, r#"{"model":"a","messages":[],"options":{"seed":1}}"#, true),
            (Surface::OllamaChat, r#"{"model":"a","messages":[],"options":{"top_k":1}}"#, false),
        ] {
            assert_eq!(ask(surface, body).is_deterministic(), want, "{body}");
        }
    }

    #[test]
    fn a_conversation_has_a_head() {
        for (surface, body, want) in [
            (Surface::OpenaiChat, r#"{"model":"a","messages":[{"role":"user","content":"Grüße an alle"}]}"#, "Grü"),
            (Surface::AnthropicMessages, r#"{"model":"a","max_tokens":1,"messages":[{}],"system":"Say hi"}"#, "Say "),
            (Surface::OpenaiCompletions, r#"{"model":"a","prompt":"On"}"#, "On"),
            (Surface::OpenaiChat, r#"{"model":"a","messages":[{"role":"user","content":[]}]}"#, ""),
        ] {
            assert_eq!(ask(surface, body).head(4), want, "{body}");
        }
    }

    proptest! {
        #[test]
        fn texts_keep_apart(a in prop::collection::vec("[ab\"\\[\\],\\n]{0,3}", 1..4), b in prop::collection::vec("[ab\"\\[\\],\\n]{0,3}", 1..4)) {
            let body = |texts: &[String]| {
                let messages: Vec<_> = texts.iter().map(|text| serde_json::json!({"role": "user", "content": text})).collect();
                serde_json::json!({"model": "m", "messages": messages}).to_string()
            };
            prop_assert_eq!(form(Surface::OpenaiChat, &body(&a)) == form(Surface::OpenaiChat, &body(&b)), a == b);
        }
    }
}
