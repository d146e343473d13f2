//! What of a request is compared by its meaning: its last text, and everything else in one form.

use domain::semantic::{NotAQuestion, Question, check};
use domain::surface::Surface;
use serde_json::value::RawValue;

use super::Ask;
use super::canon::one_text;
use crate::json::{elements, members, text_of};

/// Most messages of a conversation whose last one is compared; what the owner says (`system`) is not counted.
const MESSAGES_MAX: usize = 3;

/// Members that make tools of a request.
const TOOLS: [&str; 4] = ["tools", "functions", "tool_choice", "function_call"];

/// Members of which a request has more than one answer, or an answer that is no text.
const SEVERAL: [&str; 6] = ["logprobs", "top_logprobs", "modalities", "audio", "best_of", "prediction"];

impl Ask {
    /// The request as a question for the semantic cache.
    ///
    /// # Errors
    /// Why it is none.
    pub fn question(&self) -> Result<Question, NotAQuestion> {
        let is_set = |names: &[&str]| names.iter().any(|name| self.object.raw(name).is_some_and(says_something));
        if self.wish.needs.tools || self.wish.tool_loop || is_set(&TOOLS) {
            return Err(NotAQuestion::Tools);
        }
        if self.wish.needs.vision {
            return Err(NotAQuestion::Attachment);
        }
        let has_many = self.object.get::<u64>("n").map_or(true, |n| n.is_some_and(|n| n != 1));
        if has_many || is_set(&SEVERAL) {
            return Err(NotAQuestion::Several);
        }
        let (text, rest) = match self.near {
            Surface::OpenaiChat | Surface::AnthropicMessages | Surface::OllamaChat => self.of_messages()?,
            Surface::OllamaGenerate => self.of_prompt()?,
            _ => return Err(NotAQuestion::NoText),
        };
        let language = check(&text)?;
        let mut rest = rest.canonical();
        rest.extend_from_slice(b"\nlanguage=");
        rest.extend_from_slice(language.code().as_bytes());
        Ok(Question { text, rest })
    }

    fn of_messages(&self) -> Result<(String, Self), NotAQuestion> {
        let messages: Vec<&str> = elements(self.object.raw("messages").ok_or(NotAQuestion::NoText)?).collect();
        let (last, earlier) = messages.split_last().ok_or(NotAQuestion::NoText)?;
        let mut turns = 1;
        for message in earlier {
            let (role, _) = said(message)?;
            turns += usize::from(!matches!(&*role, "system" | "developer"));
        }
        if turns > MESSAGES_MAX {
            return Err(NotAQuestion::Conversation);
        }
        let (role, text) = said(last)?;
        if role != "user" {
            return Err(NotAQuestion::NoText);
        }
        let mut list = String::from("[");
        for message in earlier {
            list.push_str(message);
            list.push(',');
        }
        list.push_str(r#"{"role":"user","content":""}]"#);
        let list = RawValue::from_string(list).map_err(|_| NotAQuestion::NoText)?;
        let mut rest = self.same();
        rest.object.set("messages", &list);
        Ok((text, rest))
    }

    fn of_prompt(&self) -> Result<(String, Self), NotAQuestion> {
        let prompt = self.object.raw("prompt").and_then(text_of).ok_or(NotAQuestion::NoText)?;
        // The tokens of an earlier conversation.
        if self.object.raw("context").is_some_and(says_something) {
            return Err(NotAQuestion::Conversation);
        }
        let mut rest = self.same();
        rest.object.set("prompt", "");
        Ok((prompt.into_owned(), rest))
    }

    fn same(&self) -> Self {
        Self { wish: self.wish.clone(), object: self.object.clone(), cache: self.cache.clone(), ..*self }
    }
}

/// Whether a member is there and no empty one.
fn says_something(raw: &str) -> bool {
    !matches!(raw, "null" | "false" | "[]" | "{}" | "\"\"" | "\"none\"")
}

/// Role and text of a message that holds nothing else.
fn said(message: &str) -> Result<(String, String), NotAQuestion> {
    let (mut role, mut text) = (None, None);
    for (name, raw) in members(message) {
        match name {
            "\"role\"" if role.is_none() => role = text_of(raw),
            "\"content\"" if text.is_none() => text = one_text(raw),
            "\"tool_calls\"" | "\"tool_call_id\"" | "\"function_call\"" | "\"tool_name\"" if says_something(raw) => {
                return Err(NotAQuestion::Tools);
            }
            _ if raw == "null" => {}
            _ => return Err(NotAQuestion::Attachment),
        }
    }
    match (role, text) {
        (Some(role), Some(text)) if matches!(&*role, "system" | "developer" | "user" | "assistant") => {
            Ok((role.into_owned(), text.into_owned()))
        }
        (Some(_), None) => Err(NotAQuestion::Attachment),
        _ => Err(NotAQuestion::NoText),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use bytes::Bytes;

    fn question(surface: Surface, body: &str) -> Result<Question, NotAQuestion> {
        Ask::read(surface, &Bytes::copy_from_slice(body.as_bytes())).expect(body).question()
    }

    fn chat(messages: &str, more: &str) -> Result<Question, NotAQuestion> {
        question(Surface::OpenaiChat, &format!(r#"{{"model":"m","messages":[{messages}]{more}}}"#))
    }

    const ASKED: &str = r#"{"role":"user","content":"How do I boil an egg?"}"#;

    #[test]
    fn what_is_no_question() {
        use NotAQuestion::*;
        let turn = |role: &str| format!(r#"{{"role":"{role}","content":"Hello there"}},"#);
        let long = turn("user") + &turn("assistant") + &turn("user") + ASKED;
        let pictures =
            r#"{"role":"user","content":[{"type":"text","text":"x y"},{"type":"image_url","image_url":{"url":"u"}}]}"#;
        for (messages, more, want) in [
            (ASKED, "", None),
            (&*(turn("system") + &turn("user") + &turn("assistant") + ASKED), "", None),
            (&*long, "", Some(Conversation)),
            (&*(ASKED.to_owned() + "," + turn("assistant").trim_end_matches(',')), "", Some(NoText)),
            (ASKED, r#","tools":[{"type":"function","function":{"name":"f"}}]"#, Some(Tools)),
            (ASKED, r#","tools":[],"tool_choice":"none","n":1,"logprobs":false"#, None),
            (ASKED, r#","tool_choice":"auto""#, Some(Tools)),
            (ASKED, r#","n":2"#, Some(Several)),
            (ASKED, r#","logprobs":true"#, Some(Several)),
            (pictures, "", Some(Attachment)),
            (r#"{"role":"user","content":"Hello you","name":"bob"}"#, "", Some(Attachment)),
            (r#"{"role":"tool","tool_call_id":"1","content":"x"}"#, "", Some(Tools)),
            (r#"{"role":"user","content":"What time is it?"}"#, "", Some(Time)),
        ] {
            assert_eq!(chat(messages, more).err(), want, "{messages} {more}");
        }
        for (surface, body, want) in [
            (Surface::OpenaiCompletions, r#"{"model":"m","prompt":"How do I boil an egg?"}"#, Some(NoText)),
            (Surface::OpenaiEmbeddings, r#"{"model":"m","input":"How do I boil an egg?"}"#, Some(NoText)),
            (Surface::OllamaGenerate, r#"{"model":"m","prompt":"How do I boil an egg?"}"#, None),
            (Surface::OllamaGenerate, r#"{"model":"m","prompt":"And an egg?","context":[1,2]}"#, Some(Conversation)),
            (Surface::OllamaGenerate, r#"{"model":"m","prompt":"How is it?","raw":true}"#, Some(NoText)),
            (Surface::OllamaGenerate, r#"{"model":"m","prompt":"What is it?","images":["aGk="]}"#, Some(Attachment)),
        ] {
            assert_eq!(question(surface, body).err(), want, "{body}");
        }
    }

    #[test]
    fn only_the_text_may_differ() {
        let asked = |text: &str, before: &str, more: &str| {
            chat(&format!(r#"{before}{{"role":"user","content":"{text}"}}"#), more).expect(text)
        };
        let one = asked("How do I boil an egg?", "", "");
        assert_eq!(one.text, "How do I boil an egg?");
        assert_eq!(one.rest, asked("How do I fry the eggs?", "", r#","stream":true"#).rest);
        let system = r#"{"role":"system","content":"Be brief."},"#;
        let turns = r#"{"role":"user","content":"a"},{"role":"assistant","content":"b"},"#;
        let mut others = vec![
            one.rest,
            asked("How do I boil an egg?", system, "").rest,
            asked("How do I boil an egg?", turns, "").rest,
            asked("How do I boil an egg?", "", r#","temperature":0"#).rest,
            asked("How do I boil an egg?", "", r#","max_tokens":5"#).rest,
            asked("How do I boil an egg?", "", r#","response_format":{"type":"json_object"}"#).rest,
            asked("How do I boil an egg?", "", r#","something_new":1"#).rest,
            asked("Wie koche ich ein Ei?", "", "").rest,
        ];
        let count = others.len();
        others.sort();
        others.dedup();
        assert_eq!(others.len(), count);
    }

    #[test]
    fn dialects_ask_the_same() {
        let openai = chat(ASKED, r#","max_tokens":9"#).unwrap();
        let body = r#"{"model":"x","max_tokens":9,"messages":[{"role":"user","content":[{"type":"text","text":"How do I boil an egg?"}]}]}"#;
        assert_eq!(question(Surface::AnthropicMessages, body).unwrap(), openai);
    }
}
