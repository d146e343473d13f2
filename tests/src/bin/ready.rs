//! `cargo ready`: every check that a change must pass before it is handed over, in the order in which they fail fastest.

use std::env;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};
use std::time::{Duration, Instant};

/// Largest stripped router binary, in bytes: half a MiB more than the 8 MiB that are planned, until what ADR 0005 names is done.
const ROUTER_BYTES_MAX: u64 = 17 * 512 * 1024;

/// The build for routers: they have no NVIDIA card, and clients on a LAN do not need HTTP/2 (ADR 0005).
const ROUTER_BUILD: &[&str] = &[
    "cargo",
    "build",
    "--locked",
    "--profile",
    "router",
    "-p",
    "airlane",
    "--no-default-features",
    "--features",
    "mdns",
];

const SHELLCHECK: &[&str] = &[
    "shellcheck",
    ".ci/run",
    "packaging/model-setup",
    "packaging/quickstart",
    "tests/fuzz/run",
    "tests/quickstart",
    "tests/setup",
];

/// One named check: commands that run in order, and a last look at what they made.
struct Step {
    name: &'static str,
    about: &'static str,
    commands: &'static [&'static [&'static str]],
    /// Variables set for the commands.
    vars: &'static [(&'static str, &'static str)],
    finish: fn(&Path) -> Result<String, String>,
    /// Part of a plain `cargo ready`.
    usual: bool,
}

const STEPS: &[Step] = &[
    Step {
        name: "setup",
        about: "what the tests need beside Rust (Python and Node clients, a small model, NVIDIA's library)",
        commands: &[&["tests/setup"]],
        ..STEP
    },
    Step { name: "fmt", about: "formatting", commands: &[&["cargo", "fmt", "--all", "--check"]], ..STEP },
    Step { name: "scripts", about: "shell scripts", commands: &[SHELLCHECK], ..STEP },
    Step {
        name: "deny",
        about: "licences, sources and bans of every dependency",
        commands: &[&["cargo", "deny", "check", "bans", "licenses", "sources"]],
        ..STEP
    },
    Step {
        name: "clippy",
        about: "lints, warnings denied",
        commands: &[
            &["cargo", "clippy", "--locked", "--workspace", "--all-targets", "--", "-D", "warnings"],
            &["cargo", "clippy", "--locked", "-p", "airlane", "--no-default-features", "--", "-D", "warnings"],
        ],
        ..STEP
    },
    Step {
        name: "doc",
        about: "documentation, warnings denied",
        commands: &[&["cargo", "doc", "--locked", "--workspace", "--no-deps", "--document-private-items"]],
        vars: &[("RUSTDOCFLAGS", "-D warnings")],
        ..STEP
    },
    Step {
        name: "test",
        about: "every test, with the real model and the real clients",
        commands: &[
            &["cargo", "build", "--locked", "--workspace"],
            &["cargo", "nextest", "run", "--locked", "--workspace", "--no-fail-fast"],
        ],
        ..STEP
    },
    Step {
        name: "router",
        about: "the router build and its size",
        commands: &[ROUTER_BUILD],
        finish: router_size,
        ..STEP
    },
    Step {
        name: "advisories",
        about: "known holes in dependencies; fetches its database, so it is not part of the usual run",
        commands: &[&["cargo", "deny", "check", "advisories"]],
        usual: false,
        ..STEP
    },
];

/// What a step has unless it says otherwise.
const STEP: Step = Step { name: "", about: "", commands: &[], vars: &[], finish: nothing_more, usual: true };

fn main() -> ExitCode {
    let names: Vec<String> = env::args().skip(1).collect();
    if names.iter().any(|name| name.starts_with('-')) {
        help();
        return ExitCode::SUCCESS;
    }
    if let Some(unknown) = names.iter().find(|name| !STEPS.iter().any(|step| step.name == **name)) {
        eprintln!("ready: there is no step {unknown:?}; `cargo ready --help` lists them");
        return ExitCode::from(2);
    }
    let chosen =
        STEPS.iter().filter(|step| if names.is_empty() { step.usual } else { names.iter().any(|n| n == step.name) });
    match run_all(&root(), chosen) {
        Ok(()) => ExitCode::SUCCESS,
        Err(name) => {
            eprintln!("\nready: step {name} failed; once mended, repeat it alone with: cargo ready {name}");
            ExitCode::FAILURE
        }
    }
}

fn help() {
    println!("cargo ready            every check, stopping at the first that fails");
    println!("cargo ready STEP...    only these:");
    for step in STEPS {
        println!("  {:<12} {}", step.name, step.about);
    }
}

/// Runs the steps in order; the error is the name of the one that failed.
fn run_all<'a>(root: &Path, steps: impl Iterator<Item = &'a Step>) -> Result<(), &'a str> {
    let mut done = Vec::new();
    for step in steps {
        eprintln!("\n== ready: {} ({})", step.name, step.about);
        let began = Instant::now();
        let note = match run_step(root, step) {
            Ok(note) => note,
            Err(problem) => {
                summary(&done);
                eprintln!("  {:<12} FAILED after {}: {problem}", step.name, seconds(began.elapsed()));
                return Err(step.name);
            }
        };
        done.push((step.name, began.elapsed(), note));
    }
    summary(&done);
    Ok(())
}

fn summary(done: &[(&str, Duration, String)]) {
    eprintln!("\n== ready: summary");
    for (name, took, note) in done {
        eprintln!("  {name:<12} ok {:>7}  {note}", seconds(*took));
    }
}

fn run_step(root: &Path, step: &Step) -> Result<String, String> {
    for command in step.commands {
        let line = command.join(" ");
        eprintln!("$ {line}");
        let Some((program, arguments)) = command.split_first() else { continue };
        let status = Command::new(program_path(root, program))
            .args(arguments)
            .envs(step.vars.iter().copied())
            .env("PATH", search_path(root))
            .current_dir(root)
            .status()
            .map_err(|error| format!("{program} could not be started: {error}"))?;
        if !status.success() {
            return Err(format!("`{line}` ended with {status}"));
        }
    }
    (step.finish)(root)
}

/// A program with a slash belongs to the repository; others come from the search path.
fn program_path(root: &Path, program: &str) -> PathBuf {
    if program.contains('/') { root.join(program) } else { PathBuf::from(program) }
}

/// The tools that `tests/setup` fetched come last: a tool that the machine has is preferred.
fn search_path(root: &Path) -> String {
    let own = root.join("target/tools/bin");
    let given = env::var("PATH").unwrap_or_default();
    format!("{given}:{}", own.display())
}

fn nothing_more(_: &Path) -> Result<String, String> {
    Ok(String::new())
}

fn router_size(root: &Path) -> Result<String, String> {
    let target = env::var_os("CARGO_TARGET_DIR").map_or_else(|| root.join("target"), PathBuf::from);
    let path = target.join("router/airlane");
    let size = fs::metadata(&path).map_err(|error| format!("{}: {error}", path.display()))?.len();
    let text = format!("{} of {} MiB", tenths_of_mib(size), tenths_of_mib(ROUTER_BYTES_MAX));
    if size > ROUTER_BYTES_MAX { Err(format!("the binary takes {text}")) } else { Ok(text) }
}

/// Mebibytes with one decimal, rounded up.
fn tenths_of_mib(bytes: u64) -> String {
    let tenths = (bytes * 10).div_ceil(1 << 20);
    format!("{}.{}", tenths / 10, tenths % 10)
}

fn seconds(took: Duration) -> String {
    format!("{}.{} s", took.as_secs(), took.subsec_millis() / 100)
}

/// The repository: the parent of this package.
fn root() -> PathBuf {
    let package = Path::new(env!("CARGO_MANIFEST_DIR"));
    package.parent().unwrap_or(package).to_path_buf()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_round_up() {
        for (bytes, text) in [(0, "0.0"), (1, "0.1"), (1 << 20, "1.0"), (ROUTER_BYTES_MAX + 1, "8.6")] {
            assert_eq!(tenths_of_mib(bytes), text);
        }
    }

    #[test]
    fn steps_have_names_of_their_own() {
        for (position, step) in STEPS.iter().enumerate() {
            assert!(!STEPS[..position].iter().any(|other| other.name == step.name), "{} twice", step.name);
        }
    }
}
