//! An upstream for measuring: it answers from bytes made beforehand and does nothing else.

use std::fmt::Write as _;
use std::time::Duration;

use bytes::Bytes;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use crate::fake::find;

/// What the fast upstream answers.
#[derive(Debug, Clone)]
pub struct Fast {
    /// `GET /v1/models`.
    models: Bytes,
    /// Unary answer with head.
    whole: Bytes,
    /// Head of a stream.
    stream_head: Bytes,
    /// One chunk of a stream each.
    chunks: Vec<Bytes>,
    /// All of a stream in one piece, when there is no gap.
    stream_at_once: Option<Bytes>,
    gap: Duration,
}

fn whole(content_type: &str, body: &str) -> Bytes {
    let length = body.len();
    let head = format!("HTTP/1.1 200 OK\r\ncontent-type: {content_type}\r\ncontent-length: {length}\r\n\r\n");
    Bytes::from(head + body)
}

fn chunked(event: &str) -> Bytes {
    Bytes::from(format!("{:x}\r\n{event}\r\n", event.len()))
}

fn event(delta: &str, finish: &str) -> String {
    format!(
        "data: {{\"id\":\"chatcmpl-bench\",\"object\":\"chat.completion.chunk\",\"created\":1700000000,\
         \"model\":\"bench\",\"choices\":[{{\"index\":0,\"delta\":{delta},\"finish_reason\":{finish}}}]}}\n\n"
    )
}

impl Fast {
    /// Makes the answers: `tokens` per stream with `gap` between them, `reply_bytes` of text in a unary answer.
    #[must_use]
    pub fn new(tokens: usize, gap: Duration, reply_bytes: usize) -> Self {
        let text = "x".repeat(reply_bytes);
        let usage = format!(r#"{{"prompt_tokens":11,"completion_tokens":{tokens},"total_tokens":{}}}"#, 11 + tokens);
        let reply = format!(
            r#"{{"id":"chatcmpl-bench","object":"chat.completion","created":1700000000,"model":"bench","choices":[{{"index":0,"message":{{"role":"assistant","content":"{text}"}},"finish_reason":"stop"}}],"usage":{usage}}}"#
        );
        let mut chunks = vec![chunked(&event(r#"{"role":"assistant","content":""}"#, "null"))];
        chunks.extend((0..tokens).map(|_| chunked(&event(r#"{"content":" token"}"#, "null"))));
        let mut end = event("{}", "\"stop\"");
        let _ = write!(
            end,
            "data: {{\"id\":\"chatcmpl-bench\",\"object\":\"chat.completion.chunk\",\"created\":1700000000,\
             \"model\":\"bench\",\"choices\":[],\"usage\":{usage}}}\n\ndata: [DONE]\n\n"
        );
        let mut last = chunked(&end).to_vec();
        last.extend_from_slice(b"0\r\n\r\n");
        chunks.push(Bytes::from(last));
        let head = "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n";
        let at_once = gap.is_zero().then(|| [&[Bytes::from(head)], chunks.as_slice()].concat().concat().into());
        let models = r#"{"object":"list","data":[{"id":"bench","object":"model","created":1,"owned_by":"bench"}]}"#;
        Self {
            models: whole("application/json", models),
            whole: whole("application/json", &reply),
            stream_head: Bytes::from(head),
            chunks,
            stream_at_once: at_once,
            gap,
        }
    }

    /// Serves one connection to its end.
    ///
    /// # Errors
    /// When the other side leaves in the middle.
    pub async fn serve(&self, mut stream: TcpStream) -> std::io::Result<()> {
        stream.set_nodelay(true)?;
        let mut buffer = Vec::with_capacity(16 * 1024);
        loop {
            let Some(length) = read_request(&mut stream, &mut buffer).await? else { return Ok(()) };
            let request = &buffer[..length];
            if request.starts_with(b"GET") {
                stream.write_all(&self.models).await?;
            } else if find(request, b"\"stream\":true").or_else(|| find(request, b"\"stream\": true")).is_some() {
                self.stream(&mut stream).await?;
            } else {
                stream.write_all(&self.whole).await?;
            }
            buffer.drain(..length);
        }
    }

    async fn stream(&self, stream: &mut TcpStream) -> std::io::Result<()> {
        if let Some(bytes) = &self.stream_at_once {
            return stream.write_all(bytes).await;
        }
        stream.write_all(&self.stream_head).await?;
        let mut ticks = tokio::time::interval(self.gap);
        for chunk in &self.chunks {
            ticks.tick().await;
            stream.write_all(chunk).await?;
        }
        Ok(())
    }
}

/// Reads until a whole request lies in the buffer; gives its length, `None` at the end of the connection.
async fn read_request(stream: &mut TcpStream, buffer: &mut Vec<u8>) -> std::io::Result<Option<usize>> {
    loop {
        if let Some(end) = find(buffer, b"\r\n\r\n") {
            let length = end + 4 + body_length(&buffer[..end]);
            while buffer.len() < length {
                if stream.read_buf(buffer).await? == 0 {
                    return Ok(None);
                }
            }
            return Ok(Some(length));
        }
        if stream.read_buf(buffer).await? == 0 {
            return Ok(None);
        }
    }
}

fn body_length(head: &[u8]) -> usize {
    let head = String::from_utf8_lossy(head).to_ascii_lowercase();
    let value = head.split("content-length:").nth(1).and_then(|rest| rest.split("\r\n").next());
    value.and_then(|value| value.trim().parse().ok()).unwrap_or(0)
}
