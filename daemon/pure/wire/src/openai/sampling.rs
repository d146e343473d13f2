//! Length, randomness and alternatives, shared by chat and legacy completions.

use serde::Deserialize;
use serde_json::{Map, Value};

use super::extra::put;
use crate::chat::Sampling;
use crate::json::Object;
use crate::malformed::Malformed;

/// Members that [`decode`] reads.
pub(super) const MEMBERS: [&str; 14] = [
    "max_tokens",
    "max_completion_tokens",
    "temperature",
    "top_p",
    "top_k",
    "min_p",
    "frequency_penalty",
    "presence_penalty",
    "repeat_penalty",
    "repetition_penalty",
    "seed",
    "stop",
    "n",
    "logit_bias",
];

#[derive(Deserialize)]
#[serde(untagged)]
enum Stop {
    One(String),
    Many(Vec<String>),
}

/// Reads everything but log-probabilities, which the two APIs ask for differently.
pub(super) fn decode(object: &Object) -> Result<Sampling, Malformed> {
    let repeat_penalty = match object.get("repeat_penalty")? {
        Some(penalty) => Some(penalty),
        None => object.get("repetition_penalty")?,
    };
    Ok(Sampling {
        max_tokens: max_tokens(object)?,
        temperature: object.get("temperature")?,
        top_p: object.get("top_p")?,
        top_k: object.get("top_k")?,
        min_p: object.get("min_p")?,
        frequency_penalty: object.get("frequency_penalty")?,
        presence_penalty: object.get("presence_penalty")?,
        repeat_penalty,
        seed: object.get("seed")?,
        stop: stop(object)?,
        n: object.get("n")?,
        logprobs: None,
        top_logprobs: None,
        logit_bias: object.get::<Map<String, Value>>("logit_bias")?.filter(|map| !map.is_empty()).map(Value::Object),
    })
}

fn max_tokens(object: &Object) -> Result<Option<u64>, Malformed> {
    let limit: Option<i64> = match object.get("max_completion_tokens")? {
        Some(limit) => Some(limit),
        None => object.get("max_tokens")?,
    };
    // Clients of llama.cpp and LM Studio write −1 for "no limit".
    Ok(limit.and_then(|limit| u64::try_from(limit).ok()))
}

fn stop(object: &Object) -> Result<Vec<String>, Malformed> {
    let stop = object
        .get::<Stop>("stop")
        .map_err(|_| Malformed::new("stop", "a string or an array of strings is expected"))?;
    Ok(match stop {
        None => Vec::new(),
        Some(Stop::One(text)) => vec![text],
        Some(Stop::Many(texts)) => texts,
    })
}

/// Writes everything but the length limit and log-probabilities.
pub(super) fn encode(sampling: &Sampling, body: &mut Map<String, Value>) {
    put(body, "temperature", sampling.temperature);
    put(body, "top_p", sampling.top_p);
    put(body, "top_k", sampling.top_k);
    put(body, "min_p", sampling.min_p);
    put(body, "frequency_penalty", sampling.frequency_penalty);
    put(body, "presence_penalty", sampling.presence_penalty);
    // llama.cpp's name and the one of vLLM, SGLang and OpenRouter: each server reads its own.
    put(body, "repeat_penalty", sampling.repeat_penalty);
    put(body, "repetition_penalty", sampling.repeat_penalty);
    put(body, "seed", sampling.seed);
    if !sampling.stop.is_empty() {
        body.insert("stop".to_owned(), sampling.stop.clone().into());
    }
    put(body, "n", sampling.n);
    put(body, "logit_bias", sampling.logit_bias.clone());
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_member_goes_through() {
        let text = br#"{"max_tokens":5,"temperature":1,"top_p":0.5,"top_k":40,"min_p":0.1,"frequency_penalty":-1,
            "presence_penalty":2,"repetition_penalty":1.1,"seed":-1,"stop":["a","b"],"n":2,"logit_bias":{"50256":-100}}"#;
        let sampling = decode(&Object::of(text).unwrap()).unwrap();
        let mut body = Map::new();
        encode(&sampling, &mut body);
        let bytes = serde_json::to_vec(&body).unwrap();
        let again = decode(&Object::of(&bytes).unwrap()).unwrap();
        assert_eq!(again, Sampling { max_tokens: None, ..sampling.clone() });
        assert_eq!(sampling.max_tokens, Some(5));
        assert_eq!(sampling.temperature, Some(1.0));
    }

    #[test]
    fn spellings() {
        let read = |text: &str| decode(&Object::of(text.as_bytes()).unwrap());
        assert_eq!(read(r#"{"max_tokens":1,"max_completion_tokens":2}"#).unwrap().max_tokens, Some(2));
        assert_eq!(read(r#"{"max_tokens":-1}"#).unwrap().max_tokens, None);
        assert_eq!(read(r#"{"stop":"x"}"#).unwrap().stop, ["x"]);
        assert_eq!(read(r#"{"stop":null,"logit_bias":{}}"#).unwrap(), Sampling::default());
        assert_eq!(read(r#"{"stop":[1]}"#).unwrap_err().at, "stop");
        assert_eq!(read(r#"{"temperature":"hot"}"#).unwrap_err().at, "temperature");
    }
}
