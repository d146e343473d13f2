//! Tells when the pieces of a call's arguments have become a whole JSON object.

/// Follows a JSON object through its pieces, without keeping them.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Whole {
    depth: u32,
    in_string: bool,
    escaped: bool,
    begun: bool,
}

impl Whole {
    /// Takes the next piece and gives back what of it belongs to the object: models add a bracket too many at times.
    pub(super) fn feed<'a>(&mut self, piece: &'a str) -> &'a str {
        for (position, byte) in piece.bytes().enumerate() {
            if self.is_closed() {
                return piece.get(..position).unwrap_or(piece);
            }
            self.byte(byte);
        }
        piece
    }

    /// Whether the object has been closed: nothing that matters can follow.
    pub(super) const fn is_closed(&self) -> bool {
        self.begun && self.depth == 0
    }

    fn byte(&mut self, byte: u8) {
        if self.in_string {
            self.in_string = self.escaped || byte != b'"';
            self.escaped = !self.escaped && byte == b'\\';
            return;
        }
        match byte {
            b'"' => self.in_string = true,
            b'{' | b'[' => {
                self.begun = true;
                self.depth = self.depth.saturating_add(1);
            }
            b'}' | b']' => self.depth = self.depth.saturating_sub(1),
            _ => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn an_object_ends_with_its_last_bracket() {
        let mut whole = Whole::default();
        let text = r#" {"a": [1, {"b}": "\"}\\"}], "c": "ö]"}"#;
        for (position, char) in text.char_indices() {
            assert!(!whole.is_closed(), "at {position}");
            whole.feed(char.encode_utf8(&mut [0; 4]));
        }
        assert!(whole.is_closed());
        assert_eq!(whole.feed("}ö"), "");
        assert_eq!(Whole::default().feed("{\"ö\":1}}ö"), "{\"ö\":1}");
    }

    proptest! {
        #[test]
        fn any_object_is_whole_at_its_end_only(keys in proptest::collection::vec(".{0,8}", 0..4), texts in proptest::collection::vec(".{0,8}", 4)) {
            let object: serde_json::Map<_, _> =
                keys.into_iter().zip(texts).map(|(key, text)| (key, serde_json::json!([{ "x": text }]))).collect();
            let text = serde_json::to_string(&object).unwrap();
            let mut whole = Whole::default();
            whole.feed(&text[..text.len() - 1]);
            prop_assert!(!whole.is_closed());
            whole.feed("}");
            prop_assert!(whole.is_closed());
        }
    }
}
