//! Pictures as bare base64: what kind they are is only in their first bytes.

use base64::Engine;
use base64::engine::general_purpose::STANDARD_NO_PAD;

use crate::chat::{ImageSource, Part};
use crate::malformed::{Malformed, Uncarried};

/// Reads one entry of `images`. Some clients send a data URL: its prefix is passed over.
pub(super) fn decode(text: &str, at: impl FnOnce() -> String) -> Result<Part, Malformed> {
    let data = match text.strip_prefix("data:") {
        Some(rest) => rest.split_once(";base64,").map_or("", |(_, data)| data),
        None => text,
    };
    match media_type(data) {
        Some(media_type) => {
            let source = ImageSource::Base64 { media_type: media_type.to_owned(), data: data.to_owned() };
            Ok(Part::Image { source, detail: None })
        }
        None => Err(Malformed::new(at(), "base64 of a PNG, JPEG, WebP, GIF or BMP picture is expected")),
    }
}

/// Writes one entry of `images`.
pub(super) fn encode(source: &ImageSource, at: impl FnOnce() -> String) -> Result<String, Uncarried> {
    match source {
        ImageSource::Base64 { data, .. } => Ok(data.clone()),
        ImageSource::Url(_) => Err(Uncarried::new(at(), "Ollama takes a picture's bytes, not its address")),
    }
}

fn media_type(data: &str) -> Option<&'static str> {
    // 16 characters are 12 bytes: enough for every signature.
    let head = STANDARD_NO_PAD.decode(data.as_bytes().get(..16)?).ok()?;
    match head.as_slice() {
        [0x89, b'P', b'N', b'G', ..] => Some("image/png"),
        [0xff, 0xd8, 0xff, ..] => Some("image/jpeg"),
        [b'G', b'I', b'F', b'8', ..] => Some("image/gif"),
        [b'B', b'M', ..] => Some("image/bmp"),
        [b'R', b'I', b'F', b'F', _, _, _, _, b'W', b'E', b'B', b'P'] => Some("image/webp"),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_bytes_tell_the_kind() {
        for (data, want) in [
            ("iVBORw0KGgoAAAANSUhEUg==", Some("image/png")),
            ("/9j/4AAQSkZJRgABAQ==", Some("image/jpeg")),
            ("R0lGODlhAQABAIAAAAAAAP", Some("image/gif")),
            ("UklGRiQAAABXRUJQVlA4IA==", Some("image/webp")),
            ("data:image/png;base64,iVBORw0KGgoAAAANSUhEUg==", Some("image/png")),
            ("aGVsbG8gd29ybGQgaGVsbG8=", None),
            ("not base64 at all, no!", None),
            ("éééééééééééé", None),
            ("", None),
        ] {
            let read = decode(data, || "images[0]".to_owned());
            let kind = match &read {
                Ok(Part::Image { source: ImageSource::Base64 { media_type, data }, .. }) => {
                    assert!(!data.starts_with("data:"));
                    Some(media_type.as_str())
                }
                _ => None,
            };
            assert_eq!(kind, want, "{data}");
        }
    }
}
