//! The load of event streams: a process of its own, so that its CPU time is not the bench's.

use std::net::SocketAddr;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::task::JoinSet;

use crate::scenario::request_body;

/// How an event with data begins, the last one excepted.
const EVENT: &[u8] = b"data: {";

/// What makes an event the first one that a person would see: the role comes before it.
const VISIBLE: &[u8] = b"\"content\":\" token\"";

/// What ends a chunked answer.
const END: &[u8] = b"0\r\n\r\n";

/// Longest silence of the other side.
const SILENCE_MAX: Duration = Duration::from_secs(10);

#[derive(Clone, Copy)]
struct Plan {
    address: SocketAddr,
    count: u32,
    gap: Duration,
    tokens: usize,
    span: Duration,
}

/// What one connection saw.
#[derive(Default)]
struct Seen {
    first_tokens: Vec<Duration>,
    errors: u64,
}

/// `streams ADDRESS COUNT GAP_MS TOKENS SECONDS`: prints one line for the bench.
pub(crate) fn main(words: impl Iterator<Item = String>) -> ExitCode {
    let words: Vec<String> = words.collect();
    let Some(plan) = plan(&words) else {
        eprintln!("streams ADDRESS COUNT GAP_MS TOKENS SECONDS");
        return ExitCode::from(2);
    };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("no runtime");
    let began = Instant::now();
    let seen = runtime.block_on(all(plan));
    let took = began.elapsed();
    let mut times = seen.first_tokens;
    times.sort();
    // The first event and the last are written apart from the tokens between them.
    let chunks = times.len() * (plan.tokens + 2);
    let percentile = |part: f64| times.get((times.len() as f64 * part) as usize).map_or(0, Duration::as_micros);
    let (half, most) = (percentile(0.5), percentile(0.99));
    println!("RESULT {chunks} {} {half} {most} {}", seen.errors, took.as_micros());
    ExitCode::SUCCESS
}

fn plan(words: &[String]) -> Option<Plan> {
    let [address, count, gap_ms, tokens, span] = words else { return None };
    Some(Plan {
        address: address.parse().ok()?,
        count: count.parse().ok()?,
        gap: Duration::from_millis(gap_ms.parse().ok()?),
        tokens: tokens.parse().ok()?,
        span: Duration::from_secs(span.parse().ok()?),
    })
}

async fn all(plan: Plan) -> Seen {
    let until = Instant::now() + plan.span;
    let mut connections = JoinSet::new();
    for number in 0..plan.count {
        // Spread over several gaps, or all streams would tick at the same moments for ever.
        let delay = (plan.gap * 7 + Duration::from_millis(200)) * number / plan.count;
        connections.spawn(async move {
            tokio::time::sleep(delay).await;
            connection(plan, until).await
        });
    }
    let mut sum = Seen::default();
    while let Some(seen) = connections.join_next().await {
        let seen = seen.expect("a connection's task fell");
        sum.first_tokens.extend(seen.first_tokens);
        sum.errors += seen.errors;
    }
    sum
}

/// One stream after another until it is time.
async fn connection(plan: Plan, until: Instant) -> Seen {
    let mut seen = Seen::default();
    let body = request_body(1024, true, false);
    let request = format!(
        "POST /v1/chat/completions HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\n\
         content-length: {}\r\n\r\n{body}",
        body.len()
    );
    let Ok(mut stream) = TcpStream::connect(plan.address).await else {
        seen.errors += 1;
        return seen;
    };
    let _ = stream.set_nodelay(true);
    let mut buffer = vec![0; 16 * 1024];
    while Instant::now() < until {
        match one(&mut stream, request.as_bytes(), plan.tokens, &mut buffer).await {
            Some(first) => seen.first_tokens.push(first),
            None => {
                seen.errors += 1;
                return seen;
            }
        }
    }
    seen
}

/// Sends one request and reads its stream; gives the time to the first token, `None` if anything is wrong.
async fn one(stream: &mut TcpStream, request: &[u8], tokens: usize, buffer: &mut [u8]) -> Option<Duration> {
    let began = Instant::now();
    stream.write_all(request).await.ok()?;
    let (mut first, mut events, mut kept) = (None, 0, 0);
    loop {
        let length = tokio::time::timeout(SILENCE_MAX, stream.read(buffer.get_mut(kept..)?)).await.ok()?.ok()?;
        if length == 0 {
            return None;
        }
        let bytes = &buffer[..kept + length];
        if first.is_some() {
            events += memchr::memmem::find_iter(bytes, EVENT).count();
        } else if memchr::memmem::find(bytes, VISIBLE).is_some() {
            if !bytes.starts_with(b"HTTP/1.1 200") {
                return None;
            }
            // Nothing was dropped so far, so these are all events from the beginning.
            events = memchr::memmem::find_iter(bytes, EVENT).count();
            first = Some(began.elapsed());
        }
        if bytes.ends_with(END) {
            return first.filter(|_| events >= tokens + 2);
        }
        // The next piece may complete a mark that begins at the end of this one.
        let keep = bytes.len().min(EVENT.len() - 1);
        let from = if first.is_none() { 0 } else { bytes.len() - keep };
        let end = bytes.len();
        buffer.copy_within(from..end, 0);
        kept = end - from;
    }
}
