use super::*;
use crate::config::KnownNodeDraft;
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
fn nodes_are_woken_as_upstreams_are() {
    let known = |name: Option<&str>, wake: Option<&str>, seconds| KnownNodeDraft {
        name: name.map(str::to_owned),
        wake: wake.map(str::to_owned),
        wake_s: seconds,
        ..KnownNodeDraft::default()
    };
    let with = |known: Vec<KnownNodeDraft>| {
        check(&Draft { nodes: NodesDraft { known, ..NodesDraft::default() }, ..Draft::default() })
    };
    let config = with(vec![known(Some("gpu-box"), Some("aa:bb:cc:dd:ee:ff"), Some(9))]).unwrap();
    let dressed = |name| config.nodes.dress(Upstream::node(name, "http://10.0.0.2:8484".to_owned()));
    assert_eq!(dressed("gpu-box").wake.unwrap().guess, Duration::from_secs(9));
    assert_eq!(dressed("other"), Upstream::node("other", "http://10.0.0.2:8484".to_owned()));
    assert!(config.restart_needed(&Config::default()).is_empty(), "it is taken over at once");
    for (drafts, path) in [
        (vec![known(None, None, None)], "nodes.node[0].name"),
        (vec![known(Some("a b"), None, None)], "nodes.node[0].name"),
        (vec![known(Some("a"), None, None), known(Some("a"), None, None)], "nodes.node[1].name"),
        (vec![known(Some("a"), Some("x"), None)], "nodes.node[0].wake"),
        (vec![known(Some("a"), None, Some(3))], "nodes.node[0].wake_s"),
    ] {
        let problems = with(drafts).unwrap_err();
        assert_eq!(problems.iter().map(|problem| problem.path.as_str()).collect::<Vec<_>>(), [path]);
    }
}

#[test]
fn machines_to_be_woken_have_an_address() {
    let with = |wake: Option<&str>, address: Option<&str>, seconds| {
        let draft = UpstreamDraft {
            wake: wake.map(str::to_owned),
            wake_address: address.map(str::to_owned),
            wake_s: seconds,
            ..upstream("a", "openai", "http://x:1")
        };
        check(&Draft { upstreams: vec![draft], ..Draft::default() })
    };
    let wake = |checked: Result<Config, Vec<Problem>>| checked.unwrap().upstreams[0].wake;
    assert_eq!(wake(with(None, None, None)), None);
    let usual = wake(with(Some("AA:bb:0c:dd:ee:ff"), None, None)).unwrap();
    assert_eq!((usual.mac, usual.guess), ([0xaa, 0xbb, 0x0c, 0xdd, 0xee, 0xff], Duration::from_secs(45)));
    assert_eq!(usual.address.to_string(), "255.255.255.255:9");
    let own = wake(with(Some("aa-bb-cc-dd-ee-ff"), Some("192.168.1.255:7"), Some(9))).unwrap();
    assert_eq!((own.address.to_string().as_str(), own.guess), ("192.168.1.255:7", Duration::from_secs(9)));
    for (mac, address, seconds, path) in [
        (Some("aa:bb:cc:dd:ee"), None, None, "wake"),
        (Some("aa:bb:cc:dd:ee:ff:00"), None, None, "wake"),
        (Some("aa:bb:cc:dd:ee:+f"), None, None, "wake"),
        (Some(""), None, None, "wake"),
        (Some("aa:bb:cc:dd:ee:ff"), Some("192.168.1.255"), None, "wake_address"),
        (Some("aa:bb:cc:dd:ee:ff"), None, Some(0), "wake_s"),
        (None, Some("192.168.1.255:9"), None, "wake_address"),
        (None, None, Some(30), "wake_s"),
    ] {
        let problems = with(mac, address, seconds).unwrap_err();
        assert_eq!(problems.len(), 1, "{problems:?}");
        assert_eq!(problems[0].path, format!("upstream[0].{path}"));
    }
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
