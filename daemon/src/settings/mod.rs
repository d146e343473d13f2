//! The config file: read, checked, watched.
//!
//! A file becomes a [`Draft`] here and a `Config` in `domain`; every problem carries the line it stands on.

mod file;
mod folder;
mod read;
mod reader;
mod watch;
mod zone;

use std::fmt;
use std::path::{Path, PathBuf};

use domain::config::{Config, Draft, Problem, check};
use folder::Whole;

pub(crate) use file::read_draft;
pub(crate) use watch::watch;

/// Largest config file: thousands of upstreams fit.
const CONFIG_BYTES_MAX: usize = 4 * 1024 * 1024;

/// What the command line puts in the place of the file's values.
#[derive(Debug, Clone, Default)]
pub(crate) struct Overrides {
    /// `--listen`
    pub(crate) listen: Vec<String>,
    /// `--console`
    pub(crate) console: Vec<String>,
    /// `--data`
    pub(crate) data: Option<String>,
    /// `--node`
    pub(crate) node: bool,
}

/// Where settings come from.
#[derive(Debug, Clone, Default)]
pub(crate) struct Source {
    /// The file; without one, everything has its default and upstreams are discovered.
    pub(crate) file: Option<PathBuf>,
    /// The command line.
    pub(crate) overrides: Overrides,
}

impl Source {
    /// Reads and checks everything.
    ///
    /// # Errors
    /// All problems at once, or the reason why the file cannot be read.
    pub(crate) fn load(&self) -> Result<Config, Problems> {
        let mut whole = match &self.file {
            None => Whole::default(),
            Some(path) => {
                let text = read::text(path, CONFIG_BYTES_MAX).map_err(|error| Problems::unreadable(path, &error))?;
                let dir = path.parent().unwrap_or(Path::new("."));
                Whole::of(read_draft(&text, dir), dir)
            }
        };
        if !whole.problems.is_empty() {
            // Values that could not be read hide what check() would say of them, but not of the others.
            let mut problems = std::mem::take(&mut whole.problems);
            for problem in check(&whole.draft).err().unwrap_or_default() {
                let located = whole.locate(problem);
                if !problems.iter().any(|known| known.path == located.path && known.file == located.file) {
                    problems.push(located);
                }
            }
            return Err(Problems { file: self.file.clone(), problems });
        }
        self.overrides.apply(&mut whole.draft, &mut whole.lines);
        let left_out = left_out(&whole.draft, cfg!(feature = "semantic"));
        let checked = if left_out.is_empty() { check(&whole.draft) } else { Err(left_out) };
        checked.map_err(|problems| Problems {
            file: self.file.clone(),
            problems: problems.into_iter().map(|problem| whole.locate(problem)).collect(),
        })
    }
}

/// What the file asks for and this build leaves out.
fn left_out(draft: &Draft, has_semantic: bool) -> Vec<Problem> {
    let asks = draft.policies.iter().enumerate().filter(|(_, policy)| policy.semantic.is_some() && !has_semantic);
    let why = "this build leaves questions in other words out, as that for routers does; take the whole one";
    asks.map(|(position, _)| Problem::new(format!("policy[{position}].semantic"), why)).collect()
}

impl Overrides {
    fn apply(&self, draft: &mut Draft, lines: &mut Vec<(String, usize)>) {
        let mut forget = |path: &str| lines.retain(|(known, _)| !known.starts_with(path));
        if !self.listen.is_empty() {
            draft.endpoint.listen = Some(self.listen.clone());
            forget("endpoint.listen");
        }
        if !self.console.is_empty() {
            draft.console.listen = Some(self.console.clone());
            forget("console.listen");
        }
        if let Some(dir) = &self.data {
            draft.data.dir = Some(dir.clone());
            forget("data.dir");
        }
        if self.node {
            draft.node.enabled = Some(true);
            forget("node.enabled");
        }
    }
}

/// A problem with the line on which its key stands; `None` for a key that is missing or came from the command line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Located {
    pub(crate) path: String,
    pub(crate) line: Option<usize>,
    pub(crate) message: String,
    /// Where it stands, if not in the config file.
    pub(crate) file: Option<PathBuf>,
}

impl Located {
    /// Finds the line of the problem's key, or else of the table in which it is missing.
    fn find(problem: domain::config::Problem, lines: &[(String, usize)]) -> Self {
        let mut path = problem.path.as_str();
        let line = loop {
            if let Some((_, line)) = lines.iter().find(|(known, _)| known == path) {
                break Some(*line);
            }
            match path.rfind(['.', '[']) {
                Some(end) => path = &path[..end],
                None => break None,
            }
        };
        Self { line, message: problem.message, path: problem.path, file: None }
    }
}

/// Why there is no config.
#[derive(Debug)]
pub(crate) struct Problems {
    pub(crate) file: Option<PathBuf>,
    pub(crate) problems: Vec<Located>,
}

impl Problems {
    fn unreadable(path: &Path, error: &std::io::Error) -> Self {
        let message = if error.kind() == std::io::ErrorKind::NotFound {
            "there is no such file; give its path with --config".to_owned()
        } else {
            format!("cannot be read: {error}")
        };
        Self {
            file: Some(path.to_owned()),
            problems: vec![Located { path: String::new(), line: None, message, file: None }],
        }
    }
}

impl std::error::Error for Problems {}

impl fmt::Display for Problems {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (position, problem) in self.problems.iter().enumerate() {
            if position > 0 {
                writeln!(formatter)?;
            }
            let file = problem.file.as_ref().or(self.file.as_ref());
            let file = file.map_or_else(|| "command line".to_owned(), |file| file.display().to_string());
            let line = problem.line.map(|line| format!(":{line}")).unwrap_or_default();
            let path = if problem.path.is_empty() { String::new() } else { format!(": {}", problem.path) };
            write!(formatter, "{file}{line}{path}: {}", problem.message)?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests;
