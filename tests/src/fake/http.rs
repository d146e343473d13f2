//! Reads HTTP/1.1 requests from a socket, byte by byte enough to see when the other side leaves.

use tokio::io::{AsyncRead, AsyncReadExt as _};

/// One request as it came over the wire.
#[derive(Debug, Clone)]
pub struct Incoming {
    /// Like `POST`.
    pub method: String,
    /// Path and query.
    pub path: String,
    /// Names in lower case.
    pub headers: Vec<(String, String)>,
    /// Body without its transfer coding.
    pub body: Vec<u8>,
}

impl Incoming {
    /// The first header of this name.
    #[must_use]
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
    }
}

/// Reads the next request; `None` at the end of the connection. Bytes beyond it stay in `buffer`.
pub(super) async fn read<R: AsyncRead + Unpin>(reader: &mut R, buffer: &mut Vec<u8>) -> Option<Incoming> {
    let head_end = loop {
        if let Some(at) = find(buffer, b"\r\n\r\n") {
            break at + 4;
        }
        more(reader, buffer).await?;
    };
    let head: Vec<u8> = buffer.drain(..head_end).collect();
    let mut request = parse_head(std::str::from_utf8(&head).ok()?)?;
    if request.header("transfer-encoding").is_some_and(|coding| coding.contains("chunked")) {
        request.body = read_chunked(reader, buffer).await?;
    } else if let Some(length) = request.header("content-length") {
        let length: usize = length.parse().ok()?;
        while buffer.len() < length {
            more(reader, buffer).await?;
        }
        request.body = buffer.drain(..length).collect();
    }
    Some(request)
}

fn parse_head(head: &str) -> Option<Incoming> {
    let mut lines = head.split("\r\n");
    let mut first = lines.next()?.split(' ');
    let (method, path) = (first.next()?.to_owned(), first.next()?.to_owned());
    let headers = lines
        .filter_map(|line| line.split_once(':'))
        .map(|(name, value)| (name.to_ascii_lowercase(), value.trim().to_owned()))
        .collect();
    Some(Incoming { method, path, headers, body: Vec::new() })
}

async fn read_chunked<R: AsyncRead + Unpin>(reader: &mut R, buffer: &mut Vec<u8>) -> Option<Vec<u8>> {
    let mut body = Vec::new();
    loop {
        let line_end = loop {
            if let Some(at) = find(buffer, b"\r\n") {
                break at;
            }
            more(reader, buffer).await?;
        };
        let size = usize::from_str_radix(std::str::from_utf8(&buffer[..line_end]).ok()?.trim(), 16).ok()?;
        let chunk_end = line_end + 2 + size + 2;
        while buffer.len() < chunk_end {
            more(reader, buffer).await?;
        }
        body.extend_from_slice(&buffer[line_end + 2..chunk_end - 2]);
        buffer.drain(..chunk_end);
        if size == 0 {
            return Some(body);
        }
    }
}

async fn more<R: AsyncRead + Unpin>(reader: &mut R, buffer: &mut Vec<u8>) -> Option<()> {
    match reader.read_buf(buffer).await {
        Ok(0) | Err(_) => None,
        Ok(_) => Some(()),
    }
}

/// Where `needle` starts.
pub(crate) fn find(haystack: &[u8], needle: &[u8]) -> Option<usize> {
    haystack.windows(needle.len()).position(|window| window == needle)
}
