//! Texts from elsewhere on a terminal.

/// The text without what a terminal would obey: a model's name may hold anything.
pub(super) fn plain(text: &str) -> String {
    let shown = |letter: char| {
        // Overrides that turn the direction of writing reorder what stands around them.
        let turns = matches!(letter, '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}');
        let is_obeyed = turns || (letter.is_control() && !matches!(letter, '\n' | '\t'));
        if is_obeyed { char::REPLACEMENT_CHARACTER } else { letter }
    };
    text.chars().map(shown).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_is_left_that_a_terminal_obeys() {
        for (text, want) in [
            ("qwen3:8b –\tgrößer 模型\n", "qwen3:8b –\tgrößer 模型\n"),
            ("\u{1b}[2Jgone\u{7}\r", "\u{fffd}[2Jgone\u{fffd}\u{fffd}"),
            ("\u{9b}31m\u{202e}txt", "\u{fffd}31m\u{fffd}txt"),
        ] {
            assert_eq!(plain(text), want);
        }
    }
}
