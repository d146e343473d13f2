//! `policies.d` beside the config file: more policies, each file with as many as it likes.

use std::ffi::OsStr;
use std::path::{Path, PathBuf};

use domain::config::{Draft, Problem};

use super::file::Read;
use super::{CONFIG_BYTES_MAX, Located, read, read_draft};

/// The folder's name.
const FOLDER: &str = "policies.d";

/// Most files that are read: one for each tenant of an office.
const FILES_MAX: usize = 1_000;

/// The config as read from all its files.
#[derive(Default)]
pub(super) struct Whole {
    pub(super) draft: Draft,
    /// Path of each key of the config file, and its line.
    pub(super) lines: Vec<(String, usize)>,
    pub(super) problems: Vec<Located>,
    files: Vec<PolicyFile>,
}

/// Where the policies of one file stand among all.
struct PolicyFile {
    path: PathBuf,
    first: usize,
    count: usize,
    lines: Vec<(String, usize)>,
}

impl Whole {
    /// What the config file says, and the files of the folder beside it, in the order of their names.
    pub(super) fn of(config: Read, dir: &Path) -> Self {
        let Read { draft, problems, lines } = config;
        let mut whole = Self { draft, lines, problems, files: Vec::new() };
        match files(dir) {
            Ok(files) => files.into_iter().for_each(|file| whole.add(file)),
            Err(problem) => whole.problems.push(problem),
        }
        whole
    }

    fn add(&mut self, path: PathBuf) {
        let text = match read::text(&path, CONFIG_BYTES_MAX) {
            Ok(text) => text,
            Err(error) => return self.problems.push(unreadable(path, &error)),
        };
        let Read { draft, problems, lines } = read_draft(&text, path.parent().unwrap_or(Path::new(".")));
        let of_file = |problem: Located| Located { file: Some(path.clone()), ..problem };
        self.problems.extend(problems.into_iter().map(of_file));
        for (key, line) in lines.iter().filter(|(key, _)| !key.starts_with("policy") && !key.contains(['.', '['])) {
            let message = "only [[policy]] may stand in this folder; write this into the config file".to_owned();
            self.problems.push(of_file(Located { path: key.clone(), line: Some(*line), message, file: None }));
        }
        let (first, count) = (self.draft.policies.len(), draft.policies.len());
        self.draft.policies.extend(draft.policies);
        self.files.push(PolicyFile { path, first, count, lines });
    }

    /// The problem with the file and the line of its key.
    pub(super) fn locate(&self, problem: Problem) -> Located {
        let number = problem.path.strip_prefix("policy[").and_then(|rest| rest.split_once(']'));
        let number = number.and_then(|(number, rest)| Some((number.parse::<usize>().ok()?, rest)));
        let file = number.and_then(|(number, rest)| {
            let holds = |file: &&PolicyFile| (file.first..file.first + file.count).contains(&number);
            let file = self.files.iter().find(holds)?;
            Some((file, format!("policy[{}]{rest}", number - file.first)))
        });
        match file {
            Some((file, path)) => {
                let located = Located::find(Problem { path, ..problem }, &file.lines);
                Located { file: Some(file.path.clone()), ..located }
            }
            None => Located::find(problem, &self.lines),
        }
    }
}

/// The files of the folder, in the order of their names; none where there is no folder.
///
/// # Errors
/// The folder cannot be read, or holds too many.
pub(super) fn files(dir: &Path) -> Result<Vec<PathBuf>, Located> {
    let folder = dir.join(FOLDER);
    let entries = match std::fs::read_dir(&folder) {
        Ok(entries) => entries,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(unreadable(folder, &error)),
    };
    let is_policy = |path: &PathBuf| {
        let is_hidden = path.file_name().is_some_and(|name| name.as_encoded_bytes().starts_with(b"."));
        path.extension() == Some(OsStr::new("toml")) && !is_hidden
    };
    let mut files: Vec<PathBuf> =
        entries.filter_map(|entry| Some(entry.ok()?.path())).filter(is_policy).take(FILES_MAX + 1).collect();
    if files.len() > FILES_MAX {
        let message = format!("holds more than {FILES_MAX} files; put several policies into one");
        return Err(Located { path: String::new(), line: None, message, file: Some(folder) });
    }
    files.sort();
    Ok(files)
}

fn unreadable(path: PathBuf, error: &std::io::Error) -> Located {
    Located { path: String::new(), line: None, message: format!("cannot be read: {error}"), file: Some(path) }
}

#[cfg(test)]
mod tests {
    use super::super::Source;

    #[test]
    fn policies_come_from_a_folder_as_well() {
        let dir = tempfile::tempdir().unwrap();
        let write = |name: &str, text: &str| {
            let path = dir.path().join(name);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(&path, text).unwrap();
            path
        };
        let file = write("airlane.toml", "[[policy]]\nname = \"own\"\n");
        let source = Source { file: Some(file), ..Source::default() };
        let names = || -> Vec<String> {
            let config = source.load().unwrap_or_else(|problems| panic!("{problems}"));
            config.policies.iter().map(|policy| policy.name.clone()).collect()
        };
        assert_eq!(names(), ["own"]);
        write("policies.d/20-kids.toml", "[[policy]]\nname = \"kids\"\n\n[[policy]]\nname = \"teens\"\n");
        write("policies.d/10-house.toml", "[[policy]]\nname = \"house\"\n");
        write("policies.d/.hidden.toml", "no toml");
        write("policies.d/readme.md", "no toml");
        assert_eq!(names(), ["own", "house", "kids", "teens"]);

        let wrong =
            write("policies.d/30-wrong.toml", "[[policy]]\nname = \"x\"\n\n[[policy]]\nname = \"own\"\nlane = \"z\"\n");
        let told = source.load().unwrap_err().to_string();
        let wrong = wrong.display();
        for want in [
            format!("{wrong}:5: policy[1].name: another policy is called \"own\""),
            format!("{wrong}:6: policy[1].lane: \"z\" is not one of interactive"),
        ] {
            assert!(told.lines().any(|line| line.starts_with(&want)), "{want}\n{told}");
        }
        write("policies.d/30-wrong.toml", "[log]\nlevel = \"debug\"\n");
        let told = source.load().unwrap_err().to_string();
        assert!(told.starts_with(&format!("{wrong}:1: log: only [[policy]] may stand")), "{told}");
    }
}
