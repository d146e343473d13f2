//! The house rules that no compiler checks: which room may open which door, and how large and how named things are.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

use airlane_tests::programs::repository;

/// Where the doors table stands.
const TABLE: &str = "daemon/docs/architecture.md";

/// Rooms and crates that every room of the daemon may use.
const OPEN_TO_ALL: [&str; 3] = ["domain", "wire", "edges"];

/// Longest source file, in lines.
const LINES_MAX: usize = 600;

/// Words that say nothing about what a type is for.
const EMPTY_WORDS: [&str; 3] = ["Manager", "Helper", "Util"];

/// Crates that bring a clock, IO, threads or random numbers: not for the pure ones.
const IMPURE: [&str; 14] = [
    "tokio",
    "actix-web",
    "hyper",
    "hyper-util",
    "reqwest",
    "rusqlite",
    "rand",
    "getrandom",
    "socket2",
    "tracing",
    "sysinfo",
    "nvml-wrapper",
    "chrono",
    "tempfile",
];

/// The files that stand in the house's hall, besides those that begin with a dot.
const HALL: [&str; 6] = ["CHANGELOG.md", "Cargo.lock", "Cargo.toml", "LICENSE", "README.md", "deny.toml"];

type Doors = BTreeMap<String, BTreeSet<String>>;

#[test]
fn rooms_open_only_the_doors_in_the_table() {
    let (doors, every) = read_doors();
    let mut wrong = Vec::new();
    for (room, file) in rooms() {
        let Some(open) = doors.get(&room) else {
            wrong.push(format!("room {room} ({}) has no row in {TABLE}", file.display()));
            continue;
        };
        for used in doors_used(&read(&file)) {
            let fine = used == room || open.contains(&used) || every.contains(&room) || OPEN_TO_ALL.contains(&&*used);
            if !fine && doors.contains_key(&used) {
                wrong.push(format!("{}: {room} may not use {used}", file.display()));
            }
        }
    }
    assert!(wrong.is_empty(), "the doors of {TABLE} are not kept:\n{}", wrong.join("\n"));
}

#[test]
fn the_doors_table_names_no_room_that_is_gone() {
    let (doors, _) = read_doors();
    let rooms: BTreeSet<String> = rooms().into_iter().map(|(room, _)| room).collect();
    let crates = crates();
    let gone: Vec<&String> =
        doors.keys().filter(|room| !rooms.contains(*room) && !crates.contains_key(*room)).collect();
    assert!(gone.is_empty(), "{TABLE} has rows for rooms that do not exist: {gone:?}");
}

#[test]
fn crates_depend_only_on_the_crates_in_the_table() {
    let (doors, _) = read_doors();
    let crates = crates();
    for (name, manifest) in &crates {
        let open = doors.get(name).unwrap_or_else(|| panic!("crate {name} has no row in {TABLE}"));
        for used in dependencies(manifest).intersection(&crates.keys().cloned().collect()) {
            assert!(open.contains(used), "crate {name} may not depend on {used}");
        }
    }
}

#[test]
fn pure_crates_have_no_clock_io_or_threads() {
    for name in ["domain", "wire"] {
        let manifest = &crates()[name];
        let impure: Vec<&str> = IMPURE.into_iter().filter(|used| dependencies(manifest).contains(*used)).collect();
        assert!(impure.is_empty(), "{name} is pure, but depends on {impure:?}");
        for file in sources(&repository().join("daemon/pure").join(name)) {
            let text = read(&file);
            for word in ["Instant::now", "SystemTime::now", "std::thread", "std::fs", "std::net::Tcp", "std::env"] {
                assert!(!text.contains(word), "{} is pure, but uses {word}", file.display());
            }
        }
    }
}

#[test]
fn no_file_is_too_long() {
    let long: Vec<String> = all_sources()
        .iter()
        .map(|file| (read(file).lines().count(), file))
        .filter(|(lines, _)| *lines > LINES_MAX)
        .map(|(lines, file)| format!("{} has {lines} lines", file.display()))
        .collect();
    assert!(long.is_empty(), "more than {LINES_MAX} lines; what is the second thing in there?\n{}", long.join("\n"));
}

/// What a measurement or a trial left behind is easily committed along with the rest.
#[test]
fn nothing_is_left_lying_in_the_hall() {
    let left: Vec<String> = fs::read_dir(repository())
        .expect("the repository is there")
        .map(|entry| entry.expect("an entry of it"))
        .filter(|entry| entry.path().is_file())
        .map(|entry| entry.file_name().to_string_lossy().into_owned())
        .filter(|name| !name.starts_with('.') && !HALL.contains(&name.as_str()))
        .collect();
    assert!(left.is_empty(), "these belong elsewhere, or into target/: {left:?}");
}

#[test]
fn types_say_what_they_are_for() {
    for file in all_sources() {
        let text = read(&file);
        for line in text.lines() {
            let Some(name) = type_name(line) else { continue };
            let empty = EMPTY_WORDS.iter().any(|word| name.contains(word));
            assert!(!empty, "{}: {name} says nothing: what does it do?", file.display());
        }
    }
}

/// The table's rows, and the rooms whose row says `every room`.
fn read_doors() -> (Doors, BTreeSet<String>) {
    parse_doors(&read(&repository().join(TABLE)))
}

/// Rows look like "| `gateway` | `meter`, `upstreams` |" and stand between two marks.
fn parse_doors(text: &str) -> (Doors, BTreeSet<String>) {
    let (mut doors, mut every) = (Doors::new(), BTreeSet::new());
    let table = text.split("<!-- doors -->").nth(1).and_then(|rest| rest.split("<!-- /doors -->").next());
    for row in table.expect("the doors table has lost its marks").lines().filter(|line| line.starts_with("| `")) {
        let mut columns = row.split('|').skip(1);
        let (room, uses) = (columns.next().unwrap_or_default(), columns.next().unwrap_or_default());
        let names = |column: &str| column.split('`').skip(1).step_by(2).map(str::to_owned).collect::<BTreeSet<_>>();
        for room in names(room) {
            if uses.trim() == "every room" {
                every.insert(room.clone());
            }
            doors.insert(room, names(uses));
        }
    }
    assert!(doors.len() > 3, "the doors table is empty");
    (doors, every)
}

/// Rooms of the daemon named in `crate::ROOM` or `crate::{ROOM, ...}`; comments do not count.
fn doors_used(text: &str) -> BTreeSet<String> {
    let code: String =
        text.lines().filter(|line| !line.trim_start().starts_with("//")).flat_map(|line| [line, "\n"]).collect();
    let mut used = BTreeSet::new();
    for rest in code.split("crate::").skip(1) {
        match rest.strip_prefix('{') {
            Some(group) => used.extend(heads_of_group(group)),
            None => used.extend(word(rest)),
        }
    }
    used
}

/// First words of the members of `a::b, c::{d, e}}...`, up to the brace that closes the group.
fn heads_of_group(text: &str) -> Vec<String> {
    let (mut depth, mut heads, mut at_head) = (0_usize, Vec::new(), true);
    for (position, letter) in text.char_indices() {
        match letter {
            '}' if depth == 0 => break,
            '}' => depth -= 1,
            '{' => depth += 1,
            ',' if depth == 0 => at_head = true,
            _ if at_head && depth == 0 && letter.is_alphabetic() => {
                heads.extend(word(&text[position..]));
                at_head = false;
            }
            _ => {}
        }
    }
    heads
}

fn word(text: &str) -> Option<String> {
    let word: String = text.chars().take_while(|letter| letter.is_alphanumeric() || *letter == '_').collect();
    Some(word).filter(|word| !word.is_empty())
}

/// Every source file of the daemon with the room it belongs to.
fn rooms() -> Vec<(String, PathBuf)> {
    let base = repository().join("daemon/src");
    sources(&base)
        .into_iter()
        .filter_map(|file| {
            let first = file.strip_prefix(&base).ok()?.components().next()?;
            Some((first.as_os_str().to_str()?.trim_end_matches(".rs").to_owned(), file))
        })
        .collect()
}

/// Crates that the daemon is made of, with their manifests.
fn crates() -> BTreeMap<String, String> {
    [("domain", "daemon/pure/domain"), ("wire", "daemon/pure/wire"), ("webui", "webui")]
        .into_iter()
        .map(|(name, folder)| (name.to_owned(), read(&repository().join(folder).join("Cargo.toml"))))
        .collect()
}

/// Names under `[dependencies]`; what only tests use may be anything.
fn dependencies(manifest: &str) -> BTreeSet<String> {
    let section = manifest.split("\n[dependencies]\n").nth(1).unwrap_or_default();
    let lines = section.lines().take_while(|line| !line.starts_with('['));
    lines
        .filter_map(|line| line.split(['.', '=', ' ']).next())
        .filter(|name| !name.is_empty())
        .map(str::to_owned)
        .collect()
}

fn type_name(line: &str) -> Option<String> {
    let words: Vec<&str> = line.split_whitespace().collect();
    let position = words.iter().position(|word| ["struct", "enum", "trait", "type"].contains(word))?;
    let public = |word: &&str| word.starts_with("pub") || word.starts_with("unsafe");
    if position > 0 && !words[..position].iter().all(public) {
        return None;
    }
    word(words.get(position + 1)?)
}

fn all_sources() -> Vec<PathBuf> {
    ["daemon", "webui", "tests"].iter().flat_map(|folder| sources(&repository().join(folder))).collect()
}

/// All Rust files below a folder, build folders excepted.
fn sources(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    let entries = fs::read_dir(folder).unwrap_or_else(|error| panic!("{}: {error}", folder.display()));
    for path in entries.map(|entry| entry.expect("a folder cannot be listed").path()) {
        if path.is_dir() && !path.ends_with("target") {
            found.extend(sources(&path));
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            found.push(path);
        }
    }
    found.sort();
    found
}

fn read(path: &Path) -> String {
    fs::read_to_string(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

mod reading {
    use super::*;

    #[test]
    fn doors_are_found_however_they_are_opened() {
        for (text, want) in [
            ("use crate::meter::Meter;", vec!["meter"]),
            ("use crate::{meter, store::{Row, Rows}, tasks};", vec!["meter", "store", "tasks"]),
            ("let x = crate::store::open();", vec!["store"]),
            ("pub(in crate::gateway) fn f() {}", vec!["gateway"]),
            ("// as crate::store does", vec![]),
        ] {
            let want: BTreeSet<String> = want.into_iter().map(str::to_owned).collect();
            assert_eq!(doors_used(text), want, "{text}");
        }
    }

    #[test]
    fn a_table_is_read() {
        let text = "<!-- doors -->\n| room | may use |\n|---|---|\n| `a` | every room |\n| `b`, `c` | `d`, `e` |\n| `d` | nothing |\n<!-- /doors -->";
        let (doors, every) = parse_doors(text);
        assert_eq!(doors.keys().map(String::as_str).collect::<Vec<_>>(), ["a", "b", "c", "d"]);
        assert!(every.contains("a") && doors["c"].contains("e") && doors["d"].is_empty());
    }

    #[test]
    fn names_of_types_are_found() {
        for (line, want) in [
            ("pub(crate) struct PoolManager<T> {", Some("PoolManager")),
            ("enum A { B }", Some("A")),
            ("    type Value = X;", Some("Value")),
            ("// the struct Manager", None),
            ("let type_ = 1;", None),
        ] {
            assert_eq!(type_name(line).as_deref(), want, "{line}");
        }
    }
}
