//! Pictures as addresses: `https://…` or `data:image/png;base64,…`.

use crate::chat::ImageSource;

/// Reads the address of a picture.
///
/// # Errors
/// A `data:` address without base64, or with bytes of no known kind; the text says what is expected.
pub(super) fn source(url: &str) -> Result<ImageSource, &'static str> {
    let Some((scheme, rest)) = url.split_once(':') else {
        return Err("an address that begins with https:, http: or data: is expected");
    };
    if !scheme.eq_ignore_ascii_case("data") {
        return Ok(ImageSource::Url(url.to_owned()));
    }
    let (head, data) = rest.split_once(',').ok_or("a data: address has a comma before its data")?;
    let mut words = head.split(';');
    let media_type = words.next().unwrap_or_default().trim().to_ascii_lowercase();
    if !words.any(|word| word.trim().eq_ignore_ascii_case("base64")) {
        return Err("a data: address must hold base64 (data:image/png;base64,…)");
    }
    let media_type = match media_type.as_str() {
        // No registered type, but a usual slip; Anthropic refuses it.
        "image/jpg" => "image/jpeg".to_owned(),
        "" | "application/octet-stream" | "image" | "image/*" => {
            media_type_of(data).ok_or("the media type of the picture is missing")?.to_owned()
        }
        _ => media_type,
    };
    Ok(ImageSource::Base64 { media_type, data: data.to_owned() })
}

/// The kind of a picture by the base64 of its first bytes.
fn media_type_of(data: &str) -> Option<&'static str> {
    [("iVBORw0KGgo", "image/png"), ("/9j/", "image/jpeg"), ("R0lGOD", "image/gif"), ("UklGR", "image/webp")]
        .into_iter()
        .find_map(|(start, kind)| data.starts_with(start).then_some(kind))
}

/// Writes the address of a picture.
pub(super) fn url(source: &ImageSource) -> String {
    match source {
        ImageSource::Url(url) => url.clone(),
        ImageSource::Base64 { media_type, data } => format!("data:{media_type};base64,{data}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_read() {
        let base64 = |media_type: &str, data: &str| ImageSource::Base64 {
            media_type: media_type.to_owned(),
            data: data.to_owned(),
        };
        for (text, want) in [
            ("https://a.example/b.png", Ok(ImageSource::Url("https://a.example/b.png".into()))),
            ("data:image/png;base64,AAAA", Ok(base64("image/png", "AAAA"))),
            ("DATA:image/JPG;charset=x;Base64,AAAA", Ok(base64("image/jpeg", "AAAA"))),
            ("data:;base64,iVBORw0KGgoAAAA", Ok(base64("image/png", "iVBORw0KGgoAAAA"))),
            ("data:image/png,raw", Err("base64")),
            ("data:;base64,AAAA", Err("media type")),
            ("data:nothing", Err("comma")),
            ("iVBOR", Err("https:")),
        ] {
            match (source(text), want) {
                (Ok(got), Ok(want)) => {
                    assert_eq!(got, want, "{text}");
                    assert_eq!(source(&url(&got)), Ok(want), "{text}");
                }
                (Err(got), Err(want)) => assert!(got.contains(want), "{text}: {got}"),
                (got, want) => panic!("{text}: {got:?}, not {want:?}"),
            }
        }
    }
}
