//! The daemon's own config reader, without the parts of its room that touch files and tasks.

use std::path::Path;

#[path = "../../../daemon/src/settings/file.rs"]
mod file;
#[path = "../../../daemon/src/settings/read.rs"]
mod read;
#[path = "../../../daemon/src/settings/reader.rs"]
mod reader;
#[path = "../../../daemon/src/settings/zone.rs"]
mod zone;

/// As in the daemon's `settings` room.
pub(crate) struct Located {
    pub(crate) path: String,
    pub(crate) line: Option<usize>,
    pub(crate) message: String,
    #[expect(dead_code, reason = "the daemon sets it where a problem stands in another file")]
    pub(crate) file: Option<std::path::PathBuf>,
}

/// Any text gives a draft with problems, or a config.
pub fn read_and_check(text: &str) {
    let read = file::read_draft(text, Path::new("/nowhere"));
    let lines = text.matches('\n').count() + 1;
    for problem in &read.problems {
        assert!(problem.line.is_none_or(|line| (1..=lines).contains(&line)), "{}: {}", problem.path, problem.message);
    }
    let _ = (domain::config::check(&read.draft), read.lines);
}
