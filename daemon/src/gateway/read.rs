//! Reads a request's body, bounded in size and time.

use std::time::Duration;

use actix_web::dev::Decompress;
use actix_web::error::PayloadError;
use actix_web::http::header::{CONTENT_ENCODING, CONTENT_LENGTH};
use actix_web::{HttpRequest, web};
use bytes::{Bytes, BytesMut};
use futures_util::StreamExt;

use super::answer_error::ServeError;

/// Reads the whole body, unpacked.
///
/// # Errors
/// It is too large, too slow, packed in a way that we do not know, or the connection broke.
pub(super) async fn body(
    request: &HttpRequest,
    payload: web::Payload,
    bytes_max: usize,
    silence_max: Duration,
) -> Result<Bytes, ServeError> {
    let told: Option<usize> = request.headers().get(CONTENT_LENGTH).and_then(|value| value.to_str().ok()?.parse().ok());
    if told.is_some_and(|told| told > bytes_max) {
        return Err(ServeError::TooLarge { bytes_max });
    }
    check_encoding(request)?;
    let mut chunks = Decompress::from_headers(payload.into_inner(), request.headers());
    let mut next = async || match tokio::time::timeout(silence_max, chunks.next()).await {
        Ok(None) => Ok(None),
        Ok(Some(Ok(chunk))) => Ok(Some(chunk)),
        Ok(Some(Err(error))) => Err(broken(&error)),
        Err(_) => Err(ServeError::SlowBody { waited: silence_max }),
    };
    // The usual request comes in one chunk and is kept without copying.
    let Some(first) = next().await? else { return Ok(Bytes::new()) };
    if told.is_some_and(|told| told == first.len()) && first.len() <= bytes_max {
        return Ok(first);
    }
    let mut whole = BytesMut::with_capacity(told.unwrap_or(0).max(first.len()));
    let mut chunk = Some(first);
    while let Some(bytes) = chunk {
        if whole.len() + bytes.len() > bytes_max {
            return Err(ServeError::TooLarge { bytes_max });
        }
        whole.extend_from_slice(&bytes);
        chunk = next().await?;
    }
    Ok(whole.freeze())
}

fn check_encoding(request: &HttpRequest) -> Result<(), ServeError> {
    let encoding = request.headers().get(CONTENT_ENCODING).map(|value| value.to_str().unwrap_or("?").trim());
    match encoding {
        None | Some("" | "identity" | "gzip" | "deflate") => Ok(()),
        Some(other) => Err(ServeError::Encoding(other.chars().take(40).collect())),
    }
}

#[expect(clippy::wildcard_enum_match_arm, reason = "HTTP/2's variant is there in some builds only")]
fn broken(error: &PayloadError) -> ServeError {
    match error {
        PayloadError::Overflow => ServeError::TooLarge { bytes_max: 0 },
        PayloadError::EncodingCorrupted => ServeError::Encoding("damaged".to_owned()),
        _ => ServeError::BrokenBody(error.to_string()),
    }
}
