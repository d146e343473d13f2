//! `airlane explain`: where a request would go, in sentences.

use std::fmt::Write;
use std::io::Read;
use std::path::Path;

use anyhow::{Context, anyhow, bail};
use bytes::Bytes;
use domain::lane::Lane;
use domain::surface::Surface;
use serde_json::{Value, json};
use webui::{Candidate, Decision};

use super::daemon::Daemon;
use super::plain::plain;
use super::{AskerArgs, DaemonArgs, Done, QuestionArgs, models};

/// Largest body that is read.
const BODY_BYTES_MAX: u64 = 256 * 1024 * 1024;
/// What the request says if nothing else is given.
const PROMPT: &str = "Hello";

pub(super) async fn run(args: &DaemonArgs, question: QuestionArgs) -> anyhow::Result<Done> {
    let surface = surface(&question.surface)?;
    let lane = Lane::of_name(&question.lane)
        .ok_or_else(|| anyhow!("there is no lane {:?}; there are interactive, normal and bulk", question.lane))?;
    let daemon = Daemon::find(args)?;
    let body = match &question.file {
        Some(file) => read(file, question.model)?,
        None => {
            let Some(model) = models::named_or_first(&daemon, question.model).await? else {
                return Ok(Done::NothingThere);
            };
            let prompt = question.prompt.join(" ");
            Bytes::from(body(surface, &model, if prompt.is_empty() { PROMPT } else { &prompt }).to_string())
        }
    };
    let path = format!("/api/v1/explain?{}", query(surface, lane, &question.asker)?);
    let Some(answer) = daemon.ask_console(&path, body).await? else {
        daemon.get("/readyz").await?;
        bail!("airlane at {} explains itself on its own machine only; run `airlane explain` there", daemon.url());
    };
    let decision: Decision =
        serde_json::from_slice(&answer).context("what answers there is no airlane of this version")?;
    print!("{}", plain(&text(&decision)));
    Ok(if decision.chosen.is_some() { Done::Yes } else { Done::NothingThere })
}

/// What stands in the path of the question, with what must not stand there as it is.
fn query(surface: Surface, lane: Lane, asker: &AskerArgs) -> anyhow::Result<String> {
    let client = asker.client.map(|client| client.to_string());
    let groups = Some(asker.groups.join(",")).filter(|groups| !groups.is_empty());
    let pairs = [
        ("surface", Some(surface.path())),
        ("lane", Some(lane.name())),
        ("app", asker.app.as_deref()),
        ("client", client.as_deref()),
        ("tenant", asker.tenant.as_deref()),
        ("key", asker.key.as_deref()),
        ("groups", groups.as_deref()),
    ];
    let given: Vec<(&str, &str)> = pairs.into_iter().filter_map(|(name, value)| Some((name, value?))).collect();
    Ok(serde_urlencoded::to_string(given)?)
}

fn surface(path: &str) -> anyhow::Result<Surface> {
    let known = || Surface::ALL.iter().map(|surface| surface.path()).collect::<Vec<_>>().join(", ");
    let found = Surface::ALL.into_iter().find(|surface| surface.path() == path);
    found.ok_or_else(|| anyhow!("clients cannot call {path:?}; they can call {}", known()))
}

/// The body of a file, with another model if one is given.
fn read(file: &Path, model: Option<String>) -> anyhow::Result<Bytes> {
    let mut body = Vec::new();
    let read = if file.as_os_str() == "-" {
        std::io::stdin().take(BODY_BYTES_MAX).read_to_end(&mut body)
    } else {
        std::fs::File::open(file).and_then(|opened| opened.take(BODY_BYTES_MAX).read_to_end(&mut body))
    };
    read.with_context(|| format!("{} cannot be read", file.display()))?;
    let Some(model) = model else { return Ok(body.into()) };
    let mut value: Value = serde_json::from_slice(&body).with_context(|| format!("{} is no JSON", file.display()))?;
    let members = value.as_object_mut().with_context(|| format!("{} holds no JSON object", file.display()))?;
    members.insert("model".to_owned(), model.into());
    Ok(value.to_string().into())
}

/// The smallest body of this surface that says something.
fn body(surface: Surface, model: &str, prompt: &str) -> Value {
    let messages = json!([{ "role": "user", "content": prompt }]);
    match surface {
        Surface::OpenaiChat | Surface::OllamaChat => json!({ "model": model, "messages": messages }),
        Surface::AnthropicMessages | Surface::AnthropicCountTokens => {
            json!({ "model": model, "max_tokens": 1_024, "messages": messages })
        }
        Surface::OpenaiCompletions
        | Surface::OllamaGenerate
        | Surface::OllamaGenerateRaw
        | Surface::OllamaEmbeddings => json!({ "model": model, "prompt": prompt }),
        Surface::OpenaiResponses | Surface::OpenaiEmbeddings | Surface::OllamaEmbed => {
            json!({ "model": model, "input": prompt })
        }
    }
}

fn text(decision: &Decision) -> String {
    let mut out = String::new();
    // Writing into a String does not fail.
    let _ = write_text(&mut out, decision);
    out
}

fn write_text(out: &mut String, decision: &Decision) -> std::fmt::Result {
    let asked = format!(
        "A request for {} on {}, with about {} tokens in lane {}",
        decision.models.join(", then "),
        decision.surface,
        decision.prompt_tokens,
        decision.lane
    );
    match (&decision.chosen, &decision.refusal) {
        (Some(chosen), _) if chosen.waits => {
            writeln!(out, "{asked}, waits for {}/{}, or for whoever has room before.", chosen.upstream, chosen.model)?;
        }
        (Some(chosen), _) => writeln!(out, "{asked}, goes to {}/{} at once.", chosen.upstream, chosen.model)?,
        (None, Some(refusal)) => {
            writeln!(out, "{asked}, is refused: {}.", refusal.message.trim_end_matches('.'))?;
            if let Some(s) = refusal.retry_after_s {
                writeln!(out, "It may come back in {s} s.")?;
            }
        }
        (None, None) => writeln!(out, "{asked}, goes nowhere.")?,
    }
    if !decision.policies.is_empty() {
        writeln!(out, "\nWhat policies decided, and in which layer:")?;
    }
    for row in &decision.policies {
        let by: Vec<String> = row.by.iter().map(|by| format!("{} ({})", by.policy, by.layer)).collect();
        let value: Vec<&str> = row.value.split_whitespace().collect();
        writeln!(out, "   - {} = {}: {}", row.field, value.join(" "), by.join(", then "))?;
    }
    if !decision.candidates.is_empty() {
        writeln!(out, "\nThe places that may answer, best first:")?;
    }
    for (candidate, number) in decision.candidates.iter().zip(1..) {
        writeln!(out, "{number:3}. {}/{}: {}", candidate.upstream, candidate.model, candidate.reason)?;
        details(candidate).iter().try_for_each(|line| writeln!(out, "     {line}"))?;
    }
    if !decision.dropped.is_empty() {
        writeln!(out, "\nNot considered:")?;
    }
    for dropped in &decision.dropped {
        writeln!(out, "   - {}/{}: {}", dropped.upstream, dropped.model, dropped.reason)?;
    }
    Ok(())
}

/// What stands behind a candidate's position.
fn details(candidate: &Candidate) -> Vec<String> {
    let score = &candidate.score;
    let seconds = |ms: u64| format!("{:.1} s", ms as f64 / 1_000.0);
    let spans =
        [("wakes", score.wake_ms), ("waits", score.wait_ms), ("loads", score.load_ms), ("reads", score.prefill_ms)];
    let mut parts: Vec<String> =
        spans.iter().filter(|(_, ms)| *ms > 0).map(|(verb, ms)| format!("{verb} {}", seconds(*ms))).collect();
    parts.push(format!("writes {}", seconds(score.decode_ms)));
    let running = match (score.running, score.others) {
        (0, 0) => "works on nothing".to_owned(),
        (1, 0) => "works on 1 request".to_owned(),
        (many, 0) => format!("works on {many} requests"),
        (ours, others) => format!("works on {ours} of ours and {others} of others"),
    };
    let slow = Some(score.slow_percent).filter(|percent| *percent > 100);
    let slow = slow.map(|percent| format!(", takes {percent} % of its usual time")).unwrap_or_default();
    let price = match score.price_micro_usd {
        0 => "costs nothing".to_owned(),
        micros => format!("costs about ${:.6}", micros as f64 / 1e6),
    };
    let whose = if candidate.local { "in the house" } else { "a cloud" };
    let room = if candidate.room { "" } else { ", has no room" };
    let mut lines =
        vec![format!("{whose}, called on {}; {running}{room}{slow}; {}; {price}", candidate.surface, parts.join(", "))];
    if let Some(why) = &candidate.cannot_take {
        lines.push(format!("passed over, since it cannot take this request: {why}"));
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::*;
    use webui::{Chosen, DecidedBy, DroppedRow, Parts, PolicyRow, RefusalRow};

    fn decision() -> Decision {
        Decision {
            surface: "/v1/chat/completions".to_owned(),
            models: vec!["fast".to_owned(), "slow".to_owned()],
            lane: "normal".to_owned(),
            prompt_tokens: 42,
            dropped: vec![DroppedRow {
                upstream: "attic".to_owned(),
                model: "qwen".to_owned(),
                reason: "it is offline: connection refused".to_owned(),
            }],
            policies: vec![PolicyRow {
                field: "lane".to_owned(),
                value: "normal".to_owned(),
                by: vec![DecidedBy { layer: "house".to_owned(), policy: "calm".to_owned() }],
            }],
            ..Decision::default()
        }
    }

    #[test]
    fn a_choice_is_told_in_sentences() {
        let gpu = Candidate {
            upstream: "gpu".to_owned(),
            model: "qwen".to_owned(),
            surface: "/v1/chat/completions".to_owned(),
            local: true,
            reason: "auto: first token in about 0.1 s, all of it in 4.3 s".to_owned(),
            room: true,
            score: Parts { prefill_ms: 120, decode_ms: 4_200, running: 1, ..Parts::default() },
            ..Candidate::default()
        };
        let cloud = Candidate {
            upstream: "cloud".to_owned(),
            local: false,
            surface: "/v1/messages".to_owned(),
            cannot_take: Some("`logit_bias` has no counterpart".to_owned()),
            score: Parts {
                wait_ms: 60,
                load_ms: 10_000,
                price_micro_usd: 1_234,
                others: 3,
                slow_percent: 150,
                ..Parts::default()
            },
            room: false,
            ..gpu.clone()
        };
        let chosen = Some(Chosen { upstream: "gpu".to_owned(), model: "qwen".to_owned(), waits: false });
        let told = text(&Decision { chosen, candidates: vec![gpu, cloud], ..decision() });
        insta::assert_snapshot!(told, @r"
        A request for fast, then slow on /v1/chat/completions, with about 42 tokens in lane normal, goes to gpu/qwen at once.

        What policies decided, and in which layer:
           - lane = normal: calm (house)

        The places that may answer, best first:
          1. gpu/qwen: auto: first token in about 0.1 s, all of it in 4.3 s
             in the house, called on /v1/chat/completions; works on 1 request; reads 0.1 s, writes 4.2 s; costs nothing
          2. cloud/qwen: auto: first token in about 0.1 s, all of it in 4.3 s
             a cloud, called on /v1/messages; works on 0 of ours and 3 of others, has no room, takes 150 % of its usual time; waits 0.1 s, loads 10.0 s, writes 0.0 s; costs about $0.001234
             passed over, since it cannot take this request: `logit_bias` has no counterpart

        Not considered:
           - attic/qwen: it is offline: connection refused
        ");
    }

    #[test]
    fn a_refusal_is_told_with_its_end() {
        let refusal = RefusalRow {
            kind: "busy".to_owned(),
            message: "Airlane is busy: 9 requests are waiting already".to_owned(),
            retry_after_s: Some(7),
        };
        insta::assert_snapshot!(text(&Decision { refusal: Some(refusal), ..decision() }), @r"
        A request for fast, then slow on /v1/chat/completions, with about 42 tokens in lane normal, is refused: Airlane is busy: 9 requests are waiting already.
        It may come back in 7 s.

        What policies decided, and in which layer:
           - lane = normal: calm (house)

        Not considered:
           - attic/qwen: it is offline: connection refused
        ");
    }

    #[test]
    fn every_surface_has_a_body_that_it_takes() {
        for near in Surface::ALL {
            let body = Bytes::from(body(near, "m", "hi").to_string());
            let ask = wire::exchange::Ask::read(near, &body).unwrap_or_else(|error| panic!("{near:?}: {error}"));
            assert_eq!(ask.model(), "m");
        }
    }
}
