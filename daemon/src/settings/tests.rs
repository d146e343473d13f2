use domain::config::{PolicyDraft, SemanticDraft};

use super::*;

fn problems(text: &str) -> Vec<String> {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("airlane.toml");
    std::fs::write(&file, text).unwrap();
    let source = Source { file: Some(file.clone()), ..Source::default() };
    match source.load() {
        Ok(_) => Vec::new(),
        Err(problems) => {
            let prefix = file.display().to_string();
            problems.to_string().lines().map(|line| line.trim_start_matches(&prefix).to_owned()).collect()
        }
    }
}

#[test]
fn every_problem_has_its_path_and_line() {
    let text = r#"[endpoint]
listen = "0.0.0.0:8484"
body_max_mib = 0
heartbaet_s = 3

[[upstream]]
name = "a"
kind = "openai"
url = "http://x:1"

[[upstream]]
kind = "olama"
key = "${AIRLANE_TEST_NO_SUCH_VARIABLE}"
key_env = "B"

[loging]
"#;
    let got = problems(text);
    let want = [
        ":2: endpoint.listen:",
        ":4: endpoint.heartbaet_s: there is no such key; did you mean heartbeat_s?",
        ":13: upstream[1].key: the environment has no variable AIRLANE_TEST_NO_SUCH_VARIABLE",
        ":14: upstream[1].key_env: the environment has no variable B",
        ":16: loging: there is no such key; did you mean log?",
        ":3: endpoint.body_max_mib: 0 is outside 1 to 1024",
        ":12: upstream[1].kind: \"olama\" is not one of openai, anthropic, ollama, loopback",
        ":11: upstream[1].url: is missing",
        ":11: upstream[1].name: is missing",
    ];
    assert_eq!(got.len(), want.len(), "{got:#?}");
    for (got, want) in got.iter().zip(want) {
        assert!(got.starts_with(want), "{got}\n{want}");
    }
}

#[test]
fn broken_toml_says_where() {
    let got = problems("[endpoint]\nlisten = [\"a\"\nx");
    assert!(got.iter().all(|line| line.starts_with(":2:") || line.starts_with(":3:")), "{got:#?}");
    assert!(!got.is_empty());
}

#[test]
fn keys_come_from_files_and_are_never_shown() {
    let dir = tempfile::tempdir().unwrap();
    std::fs::write(dir.path().join("key"), "sk-secret\n").unwrap();
    let file = dir.path().join("airlane.toml");
    std::fs::write(&file, "[[upstream]]\nname='a'\nkind='openai'\nurl='http://x:1'\nkey_file='key'\n").unwrap();
    let config = Source { file: Some(file), ..Source::default() }.load().unwrap();
    assert_eq!(config.upstreams[0].key.as_ref().unwrap().reveal(), "sk-secret");
    assert!(!format!("{config:?}").contains("sk-secret"));
    assert!(!config.discovery.enabled, "a file with upstreams means these");
}

#[test]
fn the_command_line_wins() {
    let source = Source {
        file: None,
        overrides: Overrides {
            listen: vec!["127.0.0.1:1".to_owned()],
            data: Some("/d".to_owned()),
            console: vec![],
            node: true,
        },
    };
    let config = source.load().unwrap();
    assert_eq!(config.endpoint.listen, ["127.0.0.1:1".parse().unwrap()]);
    assert_eq!(config.data.dir, Path::new("/d"));
    assert!(config.node.enabled);
    let wrong = Source { file: None, overrides: Overrides { listen: vec!["x".to_owned()], ..Overrides::default() } };
    assert!(wrong.load().unwrap_err().to_string().starts_with("command line: endpoint.listen[0]: \"x\""));
}

#[test]
fn a_file_that_is_not_there_is_said_plainly() {
    let source = Source { file: Some("/no/such/airlane.toml".into()), ..Source::default() };
    assert_eq!(
        source.load().unwrap_err().to_string(),
        "/no/such/airlane.toml: there is no such file; give its path with --config"
    );
}

/// The example with every commented key in force.
fn example() -> String {
    include_str!("../../../packaging/airlane.example.toml")
        .lines()
        .map(|line| match line.strip_prefix('#') {
            Some(key) if key.starts_with(|first: char| first.is_ascii_lowercase() || first == '[') => key,
            _ => line,
        })
        .fold(String::new(), |text, line| text + line + "\n")
}

#[test]
fn the_example_is_right_and_shows_every_key() {
    let dir = tempfile::tempdir().unwrap();
    std::fs::write(dir.path().join("openrouter.key"), "sk-or-1").unwrap();
    // Variables that a test machine may lack stand for one that it has.
    let text = example().replace("GPU_BOX_KEY", "CARGO_PKG_NAME").replace("ANTHROPIC_API_KEY", "CARGO_PKG_NAME");
    let read = read_draft(&text, dir.path());
    assert_eq!(read.problems, []);
    let config = check(&read.draft).expect("the example is a good config");
    assert_eq!((config.upstreams.len(), config.aliases.len()), (4, 1));

    let draft = &read.draft;
    let sections = format!(
        "{:?}{:?}{:?}{:?}{:?}{:?}{:?}{:?}{:?}",
        draft.endpoint,
        draft.console,
        draft.data,
        draft.log,
        draft.discovery,
        draft.gpu,
        draft.route,
        draft.cache,
        draft.ledger
    );
    assert!(!sections.contains("None"), "a key is not in the example: {sections}");
    assert!(!format!("{:?}", draft.nodes).contains("None") && draft.nodes.known.len() == 1, "{:?}", draft.nodes);
    let gpu_box = format!("{:?}", draft.upstreams[0]);
    assert_eq!(gpu_box.matches("None").count(), 1, "only tokens_per_s stands elsewhere: {gpu_box}");
    assert!(draft.upstreams[3].tokens_per_s.is_some());
    let policy = format!("{:?}", draft.policies);
    assert_eq!(policy.matches("None").count(), 2, "only embeddings and the pace stand elsewhere: {policy}");
}

#[test]
fn the_defaults_in_the_example_are_the_defaults() {
    let with_comments = read_draft(include_str!("../../../packaging/airlane.example.toml"), Path::new("."));
    assert_eq!(check(&with_comments.draft), Ok(Config::default()));
    let mut shown = read_draft(&example(), Path::new("/none")).draft;
    shown.upstreams.clear();
    shown.aliases.clear();
    shown.policies.clear();
    shown.nodes.known.clear();
    // These have no default to show, so they show an example.
    shown.endpoint.host_names = None;
    shown.endpoint.cors_origins = None;
    (shown.endpoint.tls_cert, shown.endpoint.tls_key) = (None, None);
    (shown.gpu.library, shown.node.name, shown.cache.table) = (None, None, None);
    assert_eq!(check(&shown), Ok(Config::default()));
}

#[test]
fn what_a_build_leaves_out_is_told() {
    let semantic = PolicyDraft { semantic: Some(SemanticDraft::default()), ..PolicyDraft::default() };
    let draft = Draft { policies: vec![PolicyDraft::default(), semantic], ..Draft::default() };
    assert!(left_out(&draft, true).is_empty());
    let problems = left_out(&draft, false);
    assert!(problems.len() == 1 && problems[0].path == "policy[1].semantic", "{problems:?}");
}
