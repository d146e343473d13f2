//! A line for a terminal that proves in one go that the endpoint answers.

use crate::facts::{ModelRow, Overview};

/// The line, with a model that most likely can chat; `None` when there is no such model.
pub(super) fn line(base_url: &str, house: &Overview) -> Option<String> {
    let model = house.models.iter().filter(|model| model.chat != Some(false)).min_by_key(|model| rank(model, house))?;
    let body = serde_json::json!({ "model": model.id, "messages": [{ "role": "user", "content": "Say hello." }] });
    // The body stands in single quotes: with the escape that JSON has for them, no model name can end the quotation.
    let body = body.to_string().replace('\'', "\\u0027");
    Some(format!("curl {base_url}/v1/chat/completions \\\n  -H 'Content-Type: application/json' \\\n  -d '{body}'"))
}

/// Real models that are known to chat first; the loopback only gives the prompt back.
fn rank(model: &ModelRow, house: &Overview) -> (bool, bool) {
    let loopback = house.upstreams.iter().any(|row| row.is_loopback() && row.name == model.upstream);
    (loopback, model.chat.is_none())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::facts::{UpstreamRow, UpstreamState};

    fn model(id: &str, upstream: &str, chat: Option<bool>) -> ModelRow {
        ModelRow { id: id.to_owned(), upstream: upstream.to_owned(), context_tokens: None, chat }
    }

    fn house(models: Vec<ModelRow>) -> Overview {
        let state = UpstreamState::Answers { models: 1 };
        let loopback = UpstreamRow {
            name: "echo".into(),
            kind: "loopback".into(),
            where_: String::new(),
            state,
            health: crate::HealthRow::default(),
        };
        Overview { upstreams: vec![loopback], models, ..Overview::default() }
    }

    #[test]
    fn it_prefers_a_model_that_can_chat() {
        let echo = model("echo/echo", "echo", Some(true));
        let vectors = model("all-minilm", "ollama", Some(false));
        let unknown = model("mystery", "gpu-box", None);
        let chat = model("qwen3", "ollama", Some(true));
        for (models, chosen) in [
            (vec![echo.clone(), vectors.clone(), unknown.clone(), chat], Some("\"qwen3\"")),
            (vec![echo.clone(), vectors.clone(), unknown], Some("\"mystery\"")),
            (vec![vectors.clone(), echo], Some("\"echo/echo\"")),
            (vec![vectors], None),
        ] {
            let line = line("http://box:8484", &house(models));
            assert_eq!(line.is_some(), chosen.is_some());
            assert!(line.unwrap_or_default().contains(chosen.unwrap_or_default()));
        }
    }

    #[test]
    fn no_model_name_breaks_out_of_the_quotes() {
        let hostile = house(vec![model("x'; rm -rf ~ #\n\"$(id)", "gpu-box", None)]);
        let line = line("http://box:8484", &hostile).unwrap();
        let (_, body) = line.split_once("-d '").unwrap();
        let body = body.strip_suffix('\'').unwrap();
        assert!(!body.contains(['\'', '\n']));
        let read: serde_json::Value = serde_json::from_str(body).unwrap();
        assert_eq!(read["model"], "x'; rm -rf ~ #\n\"$(id)");
    }
}
