//! Who uses a card: a process under a short name that shows no argument of its command line.

use serde::{Deserialize, Serialize};

/// A process on a card.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Process {
    /// Its process id.
    pub pid: u32,
    /// The program's name; `None` where this machine does not know the process, as from within a container.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// Memory of the card that it holds, in bytes.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub vram_bytes: Option<u64>,
    /// Its share of the card's computing, in percent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub utilization_percent: Option<u32>,
}

impl Process {
    /// What people call it.
    #[must_use]
    pub fn title(&self) -> String {
        self.name.clone().unwrap_or_else(|| format!("process {}", self.pid))
    }
}

/// Longest name of a program that is shown, in characters.
const NAME_CHARS_MAX: usize = 40;

/// Programs that run a script: the script's name says more than theirs.
const INTERPRETERS: [&str; 6] = ["python", "node", "ruby", "perl", "bash", "sh"];

/// A short name for a process, from the kernel's name for it and its command line.
///
/// It never holds an argument, which may be a secret: only the program's file name, or for an interpreter the file name
/// of its script or the first word of its module (`python3 -m vllm.entrypoints…` is `vllm`).
#[must_use]
pub fn label(kernel_name: &str, command: &[String]) -> String {
    let program = command.first().map_or(kernel_name, |path| program(kernel_name, path));
    let name = if is_interpreter(program) { script(&command[1..]).unwrap_or(program) } else { program };
    let name = if name.is_empty() { kernel_name } else { name };
    name.chars().filter(|letter| !letter.is_control()).take(NAME_CHARS_MAX).collect()
}

/// The program's file name. Servers may put a text with their arguments in the place of the command line
/// (`sglang::scheduler port 1`): where there is a blank, the kernel must know the name as well.
fn program<'a>(kernel_name: &'a str, path: &'a str) -> &'a str {
    let name = file_name(path);
    let blank = |text: &str| text.contains(char::is_whitespace);
    if name.is_empty() || blank(name) || (blank(path) && !name.starts_with(kernel_name)) { kernel_name } else { name }
}

fn is_interpreter(program: &str) -> bool {
    let bare = program.trim_end_matches(|letter: char| letter.is_ascii_digit() || letter == '.');
    INTERPRETERS.contains(&bare)
}

/// The script or module that an interpreter runs; `None` where its arguments say neither at once.
fn script(arguments: &[String]) -> Option<&str> {
    let name = match arguments {
        [flag, module, ..] if flag == "-m" => module.split('.').next()?,
        [path, ..] if !path.starts_with('-') => file_name(path),
        _ => return None,
    };
    // A file's name; whatever else stands there is not shown.
    let plain = |letter: char| letter.is_alphanumeric() || "-_.+".contains(letter);
    (!name.is_empty() && name.chars().all(plain)).then_some(name)
}

/// The part after the last separator of Linux or Windows (games run under Wine).
fn file_name(path: &str) -> &str {
    path.rsplit(['/', '\\']).next().unwrap_or(path)
}

/// Names of programs that serve models, in lower case, without an ending.
const MODEL_SERVERS: [&str; 18] = [
    "ollama",
    "ollama_llama_server",
    "llama-server",
    "llama-swap",
    "llama_cpp",
    "llamafile",
    "vllm",
    "sglang",
    "sglang_router",
    "lms",
    "lm-studio",
    "lmstudio",
    "llmster",
    "koboldcpp",
    "localai",
    "tabbyapi",
    "text-generation-server",
    "text-embeddings-router",
];

/// Whether a process of this name serves models, so that requests of ours may be what it works on.
#[must_use]
pub fn is_model_server(name: &str) -> bool {
    let name = name.to_ascii_lowercase();
    // `vllm::enginecore`, `sglang::scheduler`: parts of one server.
    let base = name.split("::").next().unwrap_or(&name);
    let base = [".exe", ".py", ".appimage"].iter().find_map(|ending| base.strip_suffix(ending)).unwrap_or(base);
    MODEL_SERVERS.contains(&base)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn command(words: &[&str]) -> Vec<String> {
        words.iter().map(|word| (*word).to_owned()).collect()
    }

    #[test]
    fn names_say_who_it_is_and_show_no_argument() {
        for (kernel_name, words, want) in [
            ("llama-server", &["/opt/llama/llama-server", "--api-key", "sk-1"][..], "llama-server"),
            ("ollama", &["/usr/bin/ollama", "runner", "--model", "/x"], "ollama"),
            ("python3", &["/usr/bin/python3", "-m", "vllm.entrypoints.openai.api_server", "--api-key", "sk-1"], "vllm"),
            ("python3.11", &["python3.11", "/home/a/ComfyUI/main.py", "--token=sk-1"], "main.py"),
            ("vllm", &["/venv/bin/python3", "/venv/bin/vllm", "serve"], "vllm"),
            ("python3", &["python3", "-c", "print('sk-1')"], "python3"),
            ("python3", &["python3", "-u", "sk-1"], "python3"),
            ("python3", &["python3", "http://user:sk-1@host/?x"], "python3"),
            ("python3", &["python3"], "python3"),
            ("VLLM::EngineCor", &["VLLM::EngineCore"], "VLLM::EngineCore"),
            ("sglang::schedul", &["sglang::scheduler_TP0 sk-1"], "sglang::schedul"),
            ("postgres", &["postgres: u db/sk-1"], "postgres"),
            ("game.exe", &["C:\\Program Files\\Game\\game.exe", "sk-1"], "game.exe"),
            ("Cyberpunk2077.e", &["Z:\\games\\bin\\Cyberpunk2077.exe", "-skip"], "Cyberpunk2077.exe"),
            ("kworker", &[], "kworker"),
            ("blender", &[""], "blender"),
            ("x", &["/usr/bin/"], "x"),
            ("x", &["a\u{1b}[31m"], "a[31m"),
        ] {
            assert_eq!(label(kernel_name, &command(words)), want, "{words:?}");
        }
    }

    #[test]
    fn model_servers_are_known() {
        for name in ["ollama", "Ollama.exe", "llama-server", "VLLM::EngineCore", "vllm", "koboldcpp.py", "LM-Studio"] {
            assert!(is_model_server(name), "{name}");
        }
        for name in ["", "blender", "main.py", "my-ollama-notes", "python3", "Xorg"] {
            assert!(!is_model_server(name), "{name}");
        }
    }

    proptest! {
        #[test]
        fn no_argument_after_the_script_is_ever_shown(secret in "[a-z]{12}", place in 2_usize..6) {
            let mut words = command(&["python3", "-m", "vllm", "--key", "x", "y", "z"]);
            words[place + 1].clone_from(&secret);
            prop_assert!(!label("python3", &words).contains(&secret));
            words[0] = "/bin/game".to_owned();
            prop_assert_eq!(label("game", &words), "game");
        }

        #[test]
        fn names_are_short_and_printable(kernel_name in "\\PC{0,20}", words in prop::collection::vec("\\PC{0,80}", 0..4)) {
            let name = label(&kernel_name, &words);
            prop_assert!(name.chars().count() <= NAME_CHARS_MAX);
            prop_assert!(!name.chars().any(char::is_control));
        }
    }
}
