use super::*;
use proptest::prelude::*;

fn upstream(name: &str, kind: &str, url: &str) -> UpstreamDraft {
    UpstreamDraft {
        name: Some(name.to_owned()),
        kind: Some(kind.to_owned()),
        url: Some(url.to_owned()),
        ..UpstreamDraft::default()
    }
}

#[test]
fn an_empty_file_is_a_good_config() {
    let config = check(&Draft::default()).unwrap();
    assert_eq!(config, Config::default());
    assert_eq!(config.endpoint.listen[0].port(), 8484);
    assert!(config.discovery.enabled);
}

#[test]
fn all_problems_are_told_at_once() {
    let mut draft = Draft::default();
    draft.endpoint.listen = Some(vec!["8484".to_owned()]);
    draft.endpoint.body_max_mib = Some(0);
    draft.endpoint.tls_cert = Some("cert.pem".to_owned());
    draft.endpoint.allow_networks = Some(vec!["10.0.0.0/40".to_owned()]);
    draft.log.level = Some("loud".to_owned());
    draft.gpu.library = Some("libnvidia-ml.so.1".to_owned());
    draft.upstreams = vec![
        upstream("a", "opanai", "http://x:1"),
        upstream("a", "ollama", "ftp://x"),
        UpstreamDraft { headers: vec![("bad name".to_owned(), crate::secret::Secret::new("x"))], ..Default::default() },
        upstream("l", "loopback", "http://x"),
        upstream("airlane", "openai", "https://user:pass@host"),
    ];
    draft.aliases = vec![
        AliasDraft::default(),
        AliasDraft { name: Some("f".into()), models: Some(vec!["f".into()]), ..AliasDraft::default() },
    ];
    let paths: Vec<String> = check(&draft).unwrap_err().into_iter().map(|problem| problem.path).collect();
    assert_eq!(
        paths,
        [
            "endpoint.listen[0]",
            "endpoint.tls_cert",
            "endpoint.allow_networks[0]",
            "endpoint.body_max_mib",
            "log.level",
            "gpu.library",
            "upstream[0].kind",
            "upstream[1].url",
            "upstream[1].name",
            "upstream[2].kind",
            "upstream[2].url",
            "upstream[2].headers.bad name",
            "upstream[2].name",
            "upstream[3].url",
            "upstream[4].url",
            "upstream[4].name",
            "alias[0].name",
            "alias[0].models",
            "alias[1].models",
        ]
    );
}

#[test]
fn a_problem_never_shows_a_password() {
    let draft = Draft { upstreams: vec![upstream("a", "openai", "https://u:hunter2@host")], ..Draft::default() };
    assert!(!format!("{:?}", check(&draft).unwrap_err()).contains("hunter2"));
}

#[test]
fn urls_as_people_write_them() {
    for (kind, text, origin, path, query) in [
        (UpstreamKind::Openai, "http://h:1", "http://h:1", "", None),
        (UpstreamKind::Openai, "http://h:1/", "http://h:1", "", None),
        (UpstreamKind::Openai, "https://h/v1/", "https://h", "/v1", None),
        (UpstreamKind::Openai, "https://h/v1/chat/completions", "https://h", "/v1", None),
        (UpstreamKind::Openai, "https://h/o/d/x?api-version=1", "https://h", "/o/d/x", Some("api-version=1")),
        (UpstreamKind::Ollama, "http://h:11434/v1", "http://h:11434", "", None),
        (UpstreamKind::Ollama, "http://[fd00::1]:11434/api/", "http://[fd00::1]:11434", "", None),
        (UpstreamKind::Anthropic, "https://h/v1/messages", "https://h", "/v1", None),
    ] {
        let url = parse_url(text, kind).expect(text);
        assert_eq!(
            (url.origin.as_str(), url.base_path.as_str(), url.query.as_deref()),
            (origin, path, query),
            "{text}"
        );
    }
    for text in [
        "h:1",
        "http://",
        "http://h:0",
        "http://h:99999",
        "http://h:",
        "http://a b/",
        "http://[::1",
        "http://h/ x",
        "http://h/#a",
    ] {
        assert!(parse_url(text, UpstreamKind::Openai).is_err(), "{text}");
    }
}

#[test]
fn changes_that_need_a_restart_are_named() {
    let old = Config::default();
    let mut new = old.clone();
    new.endpoint.body_max_bytes = 1;
    assert!(old.restart_needed(&new).is_empty());
    new.endpoint.listen.clear();
    new.data.dir = PathBuf::from("/elsewhere");
    new.gpu = Gpu { enabled: false, library: Some(PathBuf::from("/elsewhere")) };
    assert_eq!(old.restart_needed(&new), ["endpoint.listen", "data.dir", "gpu.enabled", "gpu.library"]);
}

proptest! {
    #[test]
    fn any_text_is_an_url_or_a_problem(text in "\\PC{0,40}") {
        let _ = parse_url(&text, UpstreamKind::Ollama);
        let _ = parse_url(&format!("http://{text}"), UpstreamKind::Openai);
    }
}
