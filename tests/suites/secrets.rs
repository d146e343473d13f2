//! Keys: from the environment or a file, shown to their upstream, and to nobody else.

use airlane_tests::daemon::{Setup, airlane};
use airlane_tests::fake::{Fake, Script};

use crate::common::{chat, eventually, pair, wait_model};

const KEY: &str = "sk-very-secret-1618";

fn sent_key(kind: &str, fake: &Fake) -> Option<String> {
    let request = fake.wait_request(0).request;
    let header = if kind == "anthropic" { "x-api-key" } else { "authorization" };
    request.header(header).map(str::to_owned)
}

fn expected(kind: &str) -> String {
    if kind == "anthropic" { KEY.to_owned() } else { format!("Bearer {KEY}") }
}

#[test]
fn a_key_comes_from_where_the_config_says() {
    let folder = tempfile::TempDir::new().expect("no temporary folder");
    let path = folder.path().join("key");
    std::fs::write(&path, format!("{KEY}\n")).expect("written");
    for kind in ["openai", "anthropic", "ollama"] {
        for line in [
            format!("key = \"{KEY}\""),
            "key = \"${SECRET_OF_THE_TEST}\"".to_owned(),
            "key_env = \"SECRET_OF_THE_TEST\"".to_owned(),
            format!("key_file = \"{}\"", path.display()),
        ] {
            let fake = Fake::start();
            let daemon =
                Setup::new().environment("SECRET_OF_THE_TEST", KEY).upstream("box", kind, &fake.url(), &line).start();
            wait_model(&daemon, "fake-1");
            assert_eq!(daemon.send(&chat("fake-1", false)).status(), 200);
            assert_eq!(sent_key(kind, &fake), Some(expected(kind)), "{kind}, {line}");
        }
    }
}

#[test]
fn clients_keys_stay_here_and_ours_is_not_theirs() {
    let (fake, daemon) = pair("openai");
    let request = chat("fake-1", false).with("authorization", "Bearer client-key").with("x-api-key", "client-key");
    let request = request.with("cookie", "session=client-cookie");
    assert_eq!(daemon.send(&request).status(), 200);
    let sent = fake.wait_request(0).request;
    assert!(!format!("{:?}", sent.headers).contains("client-"), "{:?}", sent.headers);
}

#[test]
fn further_headers_reach_the_upstream() {
    let fake = Fake::start();
    let lines = "headers = { \"api-key\" = \"azure-secret\", \"x-team\" = \"home\" }";
    let daemon = Setup::new().upstream("box", "openai", &fake.url(), lines).start();
    wait_model(&daemon, "fake-1");
    assert_eq!(daemon.send(&chat("fake-1", false)).status(), 200);
    let sent = fake.wait_request(0).request;
    assert_eq!((sent.header("api-key"), sent.header("x-team")), (Some("azure-secret"), Some("home")));
}

#[test]
fn a_key_is_nowhere_to_be_seen() {
    let fake = Fake::start();
    let daemon = Setup::new()
        .environment("SECRET_OF_THE_TEST", KEY)
        .upstream("box", "openai", &fake.url(), "key_env = \"SECRET_OF_THE_TEST\"")
        .start();
    wait_model(&daemon, "fake-1");
    fake.answer(Script::failing(401, None, &format!("Incorrect API key provided: {KEY}")));
    let response = daemon.send(&chat("fake-1", false));
    assert_eq!(response.status(), 502);
    assert!(!response.text().contains(KEY), "an upstream that repeats our key is not quoted: {}", response.text());
    fake.answer(Script::failing(400, None, &format!("bad request with {KEY} inside")));
    assert!(!daemon.send(&chat("fake-1", false)).text().contains(KEY));
    for path in ["/metrics", "/v1/models", "/healthz", "/readyz", "/api/tags"] {
        assert!(!daemon.get(path).text().contains(KEY), "{path}");
    }
    daemon.signal("HUP");
    daemon.write_config("wrong = [");
    eventually("the wrong file in the log", || daemon.log().contains("airlane.toml"));
    assert!(!daemon.log().contains(KEY), "{}", daemon.log());
    let told = std::fs::read_to_string(daemon.folder().join("data/daemon.json")).expect("read");
    assert!(!told.contains(KEY));
}

#[test]
fn check_never_prints_a_key() {
    let folder = tempfile::TempDir::new().expect("no temporary folder");
    let path = folder.path().join("airlane.toml");
    for text in [
        format!("[[upstream]]\nname = \"a\"\nkind = \"nothing\"\nurl = \"http://a\"\nkey = \"{KEY}\"\n"),
        format!("[[upstream]]\nname = \"a\"\nkind = \"openai\"\nurl = \"http://a\"\nkey = [\"{KEY}\"]\n"),
        format!("[[upstream]]\nname = \"a\"\nkind = \"openai\"\nurl = \"http://a\"\nkey = \"{KEY}\n"),
        format!("[[upstream]]\nname = \"a\"\nkind = \"openai\"\nurl = \"http://user:{KEY}@a\"\n"),
    ] {
        std::fs::write(&path, &text).expect("written");
        let (code, out, err) = airlane(&["check", "--config", &path.to_string_lossy()]);
        assert_eq!(code, Some(2), "{out}{err}");
        assert!(!(out.clone() + &err).contains(KEY), "the key is printed: {out}{err}");
    }
}
