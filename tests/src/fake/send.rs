//! Sends an answer with the script's pace, splits and cuts.

use std::io::Write as _;
use std::time::Duration;

use flate2::Compression;
use flate2::write::GzEncoder;
use tokio::io::{AsyncWrite, AsyncWriteExt as _};

use super::pieces::{Body, Mark, Rendered};
use super::script::Script;
use super::shared::Shared;

/// How sending ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Sent {
    /// All of it; the connection may carry the next request.
    Whole,
    /// The script cut it with an orderly close.
    CutFin,
    /// The script cut it with a reset.
    CutReset,
    /// The other side is gone.
    Lost,
}

/// Waits as the script says and writes head and body.
pub(super) async fn send<W: AsyncWrite + Unpin>(
    out: &mut W,
    shared: &Shared,
    id: usize,
    script: &Script,
    answer: Rendered,
    head_only: bool,
) -> Sent {
    pause(script.headers_after).await;
    let packer = script.gzip.then(|| GzEncoder::new(Vec::new(), Compression::fast()));
    let mut sender = Sender { out, shared, id, script, packer };
    let result = match answer.body {
        Body::Whole(ref body) => {
            let body = if script.gzip { gzip(body) } else { body.clone() };
            sender.whole(&answer, &body, head_only).await
        }
        Body::Pieces(ref pieces) => sender.pieces(&answer, pieces).await,
    };
    result.unwrap_or(Sent::Lost)
}

struct Sender<'a, W> {
    out: &'a mut W,
    shared: &'a Shared,
    id: usize,
    script: &'a Script,
    /// One for the whole body of a stream, flushed after each event as servers do.
    packer: Option<GzEncoder<Vec<u8>>>,
}

impl<W: AsyncWrite + Unpin> Sender<'_, W> {
    async fn whole(&mut self, answer: &Rendered, body: &[u8], head_only: bool) -> std::io::Result<Sent> {
        self.gate().await?;
        let mut head = head(answer, self.script);
        head.push_str(&format!("content-length: {}\r\n\r\n", body.len()));
        self.out.write_all(head.as_bytes()).await?;
        if head_only {
            return Ok(Sent::Whole);
        }
        let end = if self.script.cut.is_some() { body.len() / 2 } else { body.len() };
        for part in body[..end].chunks(self.script.bytes_per_write.unwrap_or(body.len().max(1))) {
            self.out.write_all(part).await?;
            self.out.flush().await?;
        }
        Ok(self.cut().unwrap_or(Sent::Whole))
    }

    async fn pieces(&mut self, answer: &Rendered, pieces: &[(Mark, Vec<u8>)]) -> std::io::Result<Sent> {
        let mut head = head(answer, self.script);
        head.push_str("transfer-encoding: chunked\r\n\r\n");
        self.out.write_all(head.as_bytes()).await?;
        self.out.flush().await?;
        let mut tokens = 0;
        for (mark, bytes) in pieces {
            if self.script.cut.is_some_and(|cut| cut.after_tokens == tokens) && *mark == Mark::Token {
                return Ok(self.cut().unwrap_or(Sent::CutFin));
            }
            if *mark == Mark::Token {
                pause(if tokens == 0 { self.script.first_token_after } else { self.script.gap }).await;
                self.gate().await?;
                tokens += 1;
                self.shared.token_sent(self.id);
            }
            self.chunks(bytes).await?;
        }
        if let Some(cut) = self.cut() {
            return Ok(cut);
        }
        if let Some(packer) = self.packer.take() {
            self.parts(&packer.finish()?).await?;
        }
        self.out.write_all(b"0\r\n\r\n").await?;
        self.out.flush().await?;
        Ok(Sent::Whole)
    }

    async fn gate(&self) -> std::io::Result<()> {
        if self.script.gated {
            self.shared.gate.acquire().await.map_err(std::io::Error::other)?.forget();
        }
        Ok(())
    }

    async fn chunks(&mut self, bytes: &[u8]) -> std::io::Result<()> {
        let packed;
        let bytes = match &mut self.packer {
            Some(packer) => {
                packer.write_all(bytes)?;
                packer.flush()?;
                packed = std::mem::take(packer.get_mut());
                &packed
            }
            None => bytes,
        };
        self.parts(bytes).await
    }

    async fn parts(&mut self, bytes: &[u8]) -> std::io::Result<()> {
        for part in bytes.chunks(self.script.bytes_per_write.unwrap_or(bytes.len().max(1))) {
            let mut chunk = format!("{:x}\r\n", part.len()).into_bytes();
            chunk.extend_from_slice(part);
            chunk.extend_from_slice(b"\r\n");
            self.out.write_all(&chunk).await?;
            self.out.flush().await?;
        }
        Ok(())
    }

    fn cut(&self) -> Option<Sent> {
        self.script.cut.map(|cut| if cut.reset { Sent::CutReset } else { Sent::CutFin })
    }
}

fn head(answer: &Rendered, script: &Script) -> String {
    let mut head = format!("HTTP/1.1 {} Scripted\r\n", answer.status);
    if !answer.content_type.is_empty() {
        head.push_str(&format!("content-type: {}\r\n", answer.content_type));
    }
    if script.gzip {
        head.push_str("content-encoding: gzip\r\n");
    }
    for (name, value) in &answer.headers {
        head.push_str(&format!("{name}: {value}\r\n"));
    }
    head
}

async fn pause(wait: Duration) {
    if !wait.is_zero() {
        tokio::time::sleep(wait).await;
    }
}

/// A whole gzip body.
#[must_use]
pub fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
    encoder.write_all(bytes).and_then(|()| encoder.finish()).unwrap_or_default()
}
