//! `airlane chat`: one question, the answer as it comes, and how fast it came.

use std::io::{IsTerminal, Read, Write};
use std::time::{Duration, Instant};

use anyhow::{Context, bail};
use bytes::Bytes;
use serde_json::json;
use wire::openai::chat_stream::Decoder;
use wire::reply::Event;
use wire::sse::Reader;

use super::daemon::Daemon;
use super::plain::plain;
use super::{DaemonArgs, Done, models};
use crate::upstreams::Reply;

/// Largest prompt that is read from standard input.
const PROMPT_BYTES_MAX: u64 = 8 * 1024 * 1024;

/// What there is to say about an answer.
#[derive(Default)]
struct Told {
    first_token: Option<Duration>,
    pieces: u64,
    output_tokens: Option<u64>,
    finished: bool,
}

pub(super) async fn run(args: &DaemonArgs, model: Option<String>, prompt: Vec<String>) -> anyhow::Result<Done> {
    let daemon = Daemon::find(args)?;
    let prompt = if prompt.is_empty() { read_prompt()? } else { prompt.join(" ") };
    let Some(model) = models::named_or_first(&daemon, model).await? else { return Ok(Done::NothingThere) };
    let body = json!({"model": model, "stream": true, "stream_options": {"include_usage": true},
        "messages": [{"role": "user", "content": prompt}]});
    let began = Instant::now();
    let mut reply = daemon.stream("/v1/chat/completions", Bytes::from(body.to_string())).await?;
    let header = |name: &str| reply.headers.get(name).and_then(|value| value.to_str().ok()).map(str::to_owned);
    let (upstream, far_model) = (header("x-airlane-upstream"), header("x-airlane-model"));
    let told = show(&mut reply, began).await?;
    let by = match (upstream, far_model) {
        (Some(upstream), Some(model)) => format!("{upstream}/{model}"),
        (Some(upstream), None) => upstream,
        (None, _) => model,
    };
    eprintln!("{}", plain(&summary(&by, &told, began.elapsed())));
    if !told.finished {
        bail!("the answer broke off");
    }
    Ok(Done::Yes)
}

fn read_prompt() -> anyhow::Result<String> {
    if std::io::stdin().is_terminal() {
        bail!("say something: airlane chat \"Why is the sky blue?\"");
    }
    let mut prompt = String::new();
    std::io::stdin().take(PROMPT_BYTES_MAX).read_to_string(&mut prompt).context("standard input is no text")?;
    Ok(prompt)
}

/// Prints the answer as it comes.
async fn show(reply: &mut Reply, began: Instant) -> anyhow::Result<Told> {
    let (mut reader, mut decoder, mut told) = (Reader::default(), Decoder::default(), Told::default());
    let mut out = std::io::stdout();
    while let Some(chunk) = reply.body.chunk().await.map_err(|_| anyhow::anyhow!("the connection to airlane broke"))? {
        let (mut frames, mut events) = (Vec::new(), Vec::new());
        reader.feed(&chunk, &mut frames)?;
        for frame in &frames {
            decoder.frame(frame, &mut events)?;
        }
        for event in events {
            if event.is_visible() {
                told.first_token.get_or_insert_with(|| began.elapsed());
                told.pieces += 1;
            }
            match event {
                Event::Text { text, .. } | Event::Refusal { text, .. } => {
                    write!(out, "{}", plain(&text))?;
                    out.flush()?;
                }
                Event::Usage(usage) => told.output_tokens = usage.output,
                Event::Done => told.finished = true,
                Event::Failed(failure) => {
                    writeln!(out)?;
                    bail!("{}", failure.message);
                }
                Event::Start { .. }
                | Event::Thinking { .. }
                | Event::Signature { .. }
                | Event::RedactedThinking { .. }
                | Event::ToolCall { .. }
                | Event::ToolArguments { .. }
                | Event::Finish { .. } => {}
            }
        }
    }
    writeln!(out)?;
    Ok(told)
}

/// One line: who answered, time to the first token, speed.
fn summary(by: &str, told: &Told, total: Duration) -> String {
    let Some(first) = told.first_token else {
        return format!("— {by} · no answer after {:.1} s", total.as_secs_f64());
    };
    let tokens = told.output_tokens.unwrap_or(told.pieces);
    let rest = total.saturating_sub(first).as_secs_f64();
    // The first token's time is the prompt's; the speed is that of those after it.
    #[expect(clippy::cast_precision_loss, reason = "token counts are far below 2^52")]
    let speed = if tokens > 1 && rest > 0.0 {
        format!(" · {:.1} tokens/s", (tokens - 1) as f64 / rest)
    } else {
        String::new()
    };
    format!("— {by} · first token after {} ms{speed} · {tokens} tokens", first.as_millis())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_summary_is_honest() {
        let told =
            Told { first_token: Some(Duration::from_millis(250)), pieces: 9, output_tokens: Some(11), finished: true };
        assert_eq!(
            summary("gpu/qwen", &told, Duration::from_millis(1_250)),
            "— gpu/qwen · first token after 250 ms · 10.0 tokens/s · 11 tokens"
        );
        let none = Told::default();
        assert_eq!(summary("gpu/qwen", &none, Duration::from_secs(2)), "— gpu/qwen · no answer after 2.0 s");
    }
}
