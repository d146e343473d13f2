//! The `options` object, `format`, `think` and the other members that `/api/chat` and `/api/generate` share.

use serde_json::{Map, Value, json};

use crate::chat::{Format, Reasoning, Sampling};
use crate::malformed::{Malformed, Uncarried};
use crate::members::Members;

/// How a model is held in memory, and what happens when a text is too long: none of it changes an answer that fits.
const HARMLESS: [&str; 14] = [
    "num_ctx",
    "num_gpu",
    "num_thread",
    "num_batch",
    "num_keep",
    "main_gpu",
    "numa",
    "low_vram",
    "f16_kv",
    "logits_all",
    "vocab_only",
    "use_mmap",
    "use_mlock",
    "embedding_only",
];

/// Options that do nothing at this value, which clients like to send along.
const WITHOUT_EFFECT: [(&str, f64); 5] =
    [("tfs_z", 1.0), ("typical_p", 1.0), ("min_p", 0.0), ("repeat_penalty", 1.0), ("repeat_last_n", 64.0)];

/// Reads `options` with `logprobs` and `top_logprobs`. What has no neutral field goes to `extra` under its path.
pub(super) fn decode(top: &Members<'_>, extra: &mut Map<String, Value>) -> Result<Sampling, Malformed> {
    let mut sampling = match top.object("options")? {
        None => Sampling::default(),
        Some(options) => {
            keep_the_rest(&options, extra);
            sampling(&options)?
        }
    };
    sampling.logprobs = top.flag("logprobs")?;
    sampling.top_logprobs = top.count("top_logprobs")?.filter(|count| *count > 0);
    Ok(sampling)
}

fn sampling(options: &Members<'_>) -> Result<Sampling, Malformed> {
    let effective = |name: &str| -> Result<Option<f64>, Malformed> {
        Ok(options.number(name)?.filter(|number| !WITHOUT_EFFECT.contains(&(name, *number))))
    };
    Ok(Sampling {
        // −1 is "no limit", −2 "fill the context", 0 like −1.
        max_tokens: options.whole("num_predict")?.and_then(|number| u64::try_from(number).ok()).filter(|max| *max > 0),
        temperature: options.number("temperature")?,
        top_p: options.number("top_p")?,
        top_k: options.whole("top_k")?,
        min_p: effective("min_p")?,
        frequency_penalty: options.number("frequency_penalty")?,
        presence_penalty: options.number("presence_penalty")?,
        repeat_penalty: effective("repeat_penalty")?,
        // −1 asks for a random one.
        seed: options.whole("seed")?.filter(|seed| *seed >= 0),
        stop: stop(options)?,
        ..Sampling::default()
    })
}

fn stop(options: &Members<'_>) -> Result<Vec<String>, Malformed> {
    match options.value("stop") {
        Some(Value::String(text)) => Ok(vec![text.clone()]),
        _ => Ok(options.texts("stop")?.into_iter().map(str::to_owned).collect()),
    }
}

fn keep_the_rest(options: &Members<'_>, extra: &mut Map<String, Value>) {
    const READ: [&str; 10] = [
        "num_predict",
        "temperature",
        "top_p",
        "top_k",
        "min_p",
        "frequency_penalty",
        "presence_penalty",
        "repeat_penalty",
        "seed",
        "stop",
    ];
    let mirostat = options.value("mirostat").and_then(Value::as_f64).is_some_and(|version| version != 0.0);
    for (name, value) in options.iter() {
        let without_effect = match (name, value) {
            ("mirostat" | "mirostat_tau" | "mirostat_eta", _) => !mirostat,
            ("penalize_newline", Value::Bool(penalize)) => *penalize,
            _ => value.as_f64().is_some_and(|number| WITHOUT_EFFECT.contains(&(name, number))),
        };
        if !without_effect && !READ.contains(&name) && !HARMLESS.contains(&name) {
            extra.insert(options.at(name), value.clone());
        }
    }
}

/// Reads `format`: empty, `"json"` or a schema.
pub(super) fn decode_format(top: &Members<'_>) -> Result<Option<Format>, Malformed> {
    match top.value("format") {
        None => Ok(None),
        Some(Value::String(word)) if word.is_empty() => Ok(None),
        Some(Value::String(word)) if word == "json" => Ok(Some(Format::JsonObject)),
        Some(schema @ Value::Object(_)) => {
            Ok(Some(Format::JsonSchema { name: None, schema: schema.clone(), strict: None }))
        }
        Some(_) => Err(Malformed::new("format", "\"json\" or a JSON schema is expected")),
    }
}

/// Reads `think`: a switch or a level.
pub(super) fn decode_think(top: &Members<'_>) -> Result<Option<Reasoning>, Malformed> {
    let reasoning = |enabled, effort| Ok(Some(Reasoning { enabled: Some(enabled), effort, budget_tokens: None }));
    match top.value("think") {
        None => Ok(None),
        Some(Value::Bool(enabled)) => reasoning(*enabled, None),
        Some(Value::String(level)) if matches!(level.as_str(), "low" | "medium" | "high" | "max") => {
            reasoning(true, Some(level.clone()))
        }
        Some(_) => Err(Malformed::new("think", "true, false, \"low\", \"medium\" or \"high\" is expected")),
    }
}

/// Writes `options`, `logprobs` and `top_logprobs` into a body.
pub(super) fn encode(sampling: &Sampling, body: &mut Map<String, Value>) -> Result<(), Uncarried> {
    if sampling.n.is_some_and(|n| n > 1) {
        return Err(Uncarried::new("n", "Ollama gives one answer"));
    }
    if sampling.logit_bias.as_ref().is_some_and(|bias| bias.as_object().is_none_or(|bias| !bias.is_empty())) {
        return Err(Uncarried::new("logit_bias", NO_COUNTERPART));
    }
    let mut options = Map::new();
    let mut set = |name: &str, value: Option<Value>| {
        if let Some(value) = value {
            options.insert(name.to_owned(), value);
        }
    };
    set("num_predict", sampling.max_tokens.map(Value::from));
    set("temperature", sampling.temperature.map(Value::from));
    set("top_p", sampling.top_p.map(Value::from));
    set("top_k", sampling.top_k.map(Value::from));
    set("min_p", sampling.min_p.map(Value::from));
    set("frequency_penalty", sampling.frequency_penalty.map(Value::from));
    set("presence_penalty", sampling.presence_penalty.map(Value::from));
    set("repeat_penalty", sampling.repeat_penalty.map(Value::from));
    set("seed", sampling.seed.map(Value::from));
    set("stop", Some(&sampling.stop).filter(|stop| !stop.is_empty()).map(|stop| json!(stop)));
    if !options.is_empty() {
        body.insert("options".to_owned(), options.into());
    }
    if sampling.logprobs == Some(true) {
        body.insert("logprobs".to_owned(), true.into());
        if let Some(count) = sampling.top_logprobs {
            body.insert("top_logprobs".to_owned(), count.into());
        }
    }
    Ok(())
}

/// Why a member is refused.
pub(super) const NO_COUNTERPART: &str = "Ollama has no counterpart and would ignore it";

/// Refuses members that no neutral field stands for: Ollama ignores what it does not know.
pub(super) fn refuse_extra(extra: &Map<String, Value>) -> Result<(), Uncarried> {
    match extra.iter().find(|(_, value)| !value.is_null()) {
        Some((name, _)) => Err(Uncarried::new(name, NO_COUNTERPART)),
        None => Ok(()),
    }
}

/// Writes `format`.
pub(super) fn encode_format(format: Option<&Format>) -> Option<Value> {
    match format {
        None | Some(Format::Text) => None,
        Some(Format::JsonObject) => Some("json".into()),
        Some(Format::JsonSchema { schema, .. }) => Some(schema.clone()),
    }
}

/// Writes `think`. A token budget becomes "think": Ollama knows levels at most.
pub(super) fn encode_think(reasoning: Option<&Reasoning>) -> Result<Option<Value>, Uncarried> {
    let Some(reasoning) = reasoning else { return Ok(None) };
    if reasoning.enabled == Some(false) {
        return Ok(Some(false.into()));
    }
    match reasoning.effort.as_deref() {
        None if reasoning.enabled == Some(true) || reasoning.budget_tokens.is_some() => Ok(Some(true.into())),
        None => Ok(None),
        Some("none") => Ok(Some(false.into())),
        Some("minimal" | "low") => Ok(Some("low".into())),
        Some("medium") => Ok(Some("medium".into())),
        Some("high" | "xhigh" | "max") => Ok(Some("high".into())),
        Some(_) => Err(Uncarried::new("reasoning_effort", "Ollama knows low, medium and high")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(body: &Value) -> Result<(Sampling, Vec<String>), Malformed> {
        let mut extra = Map::new();
        let sampling = decode(&Members::top(body.as_object().unwrap()), &mut extra)?;
        Ok((sampling, extra.into_iter().map(|(name, _)| name).collect()))
    }

    #[test]
    fn options_become_sampling_and_back() {
        let body = json!({"options": {"num_predict": 100, "temperature": 0.5, "top_p": 0.9, "top_k": 20, "min_p": 0.05,
            "frequency_penalty": 1.0, "presence_penalty": 1.5, "repeat_penalty": 1.2, "seed": 42, "stop": ["\n", "user:"]},
            "logprobs": true, "top_logprobs": 3});
        let (sampling, extra) = read(&body).unwrap();
        assert!(extra.is_empty());
        let mut back = Map::new();
        encode(&sampling, &mut back).unwrap();
        assert_eq!(Value::from(back), body);
    }

    #[test]
    fn what_changes_the_answer_is_kept_under_its_path() {
        for (options, want) in [
            (json!({"num_ctx": 8192, "num_gpu": 1, "num_thread": 4, "num_batch": 2, "use_mmap": true}), vec![]),
            (
                json!({"mirostat": 0, "mirostat_tau": 5.0, "tfs_z": 1.0, "typical_p": 1, "penalize_newline": true}),
                vec![],
            ),
            (json!({"mirostat": 2, "mirostat_tau": 5.0}), vec!["options.mirostat", "options.mirostat_tau"]),
            (json!({"typical_p": 0.7, "repeat_last_n": 33}), vec!["options.typical_p", "options.repeat_last_n"]),
            (json!({"novelty": 1, "nothing": null}), vec!["options.novelty"]),
        ] {
            let (sampling, extra) = read(&json!({ "options": options })).unwrap();
            assert_eq!((extra, sampling), (want.into_iter().map(str::to_owned).collect(), Sampling::default()));
        }
    }

    #[test]
    fn no_limit_and_random_seed_are_nothing() {
        for options in [json!({"num_predict": -1}), json!({"num_predict": -2}), json!({"num_predict": 0, "seed": -1})] {
            assert_eq!(read(&json!({ "options": options })).unwrap().0, Sampling::default());
        }
        assert_eq!(read(&json!({"options": {"stop": "x"}})).unwrap().0.stop, ["x"]);
        assert_eq!(read(&json!({"options": {"stop": [1]}})).unwrap_err().at, "options.stop[0]");
        assert_eq!(read(&json!({"options": {"top_k": "x"}})).unwrap_err().at, "options.top_k");
    }

    #[test]
    fn think_both_ways() {
        for (think, enabled, effort, back) in [
            (json!(true), true, None, json!(true)),
            (json!(false), false, None, json!(false)),
            (json!("low"), true, Some("low"), json!("low")),
            (json!("max"), true, Some("max"), json!("high")),
        ] {
            let body = json!({ "think": think });
            let reasoning = decode_think(&Members::top(body.as_object().unwrap())).unwrap().unwrap();
            assert_eq!((reasoning.enabled, reasoning.effort.as_deref()), (Some(enabled), effort));
            assert_eq!(encode_think(Some(&reasoning)).unwrap(), Some(back));
        }
        let effort = |word: &str| Reasoning { effort: Some(word.to_owned()), ..Reasoning::default() };
        assert_eq!(encode_think(Some(&effort("minimal"))).unwrap(), Some(json!("low")));
        assert_eq!(encode_think(Some(&effort("none"))).unwrap(), Some(json!(false)));
        assert_eq!(encode_think(Some(&effort("huge"))).unwrap_err().field, "reasoning_effort");
        let budget = Reasoning { budget_tokens: Some(2000), ..Reasoning::default() };
        assert_eq!(encode_think(Some(&budget)).unwrap(), Some(json!(true)));
        assert_eq!(encode_think(Some(&Reasoning::default())).unwrap(), None);
    }

    #[test]
    fn what_ollama_cannot_do_is_refused() {
        for (sampling, field) in [
            (Sampling { n: Some(2), ..Sampling::default() }, "n"),
            (Sampling { logit_bias: Some(json!({"50256": -100})), ..Sampling::default() }, "logit_bias"),
        ] {
            assert_eq!(encode(&sampling, &mut Map::new()).unwrap_err().field, field);
        }
        let fine = Sampling { n: Some(1), logit_bias: Some(json!({})), ..Sampling::default() };
        assert_eq!(encode(&fine, &mut Map::new()), Ok(()));
    }
}
