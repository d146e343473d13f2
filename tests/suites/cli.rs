//! The program's other verbs, as a router's owner uses them.

use airlane_tests::daemon::{Setup, airlane};
use airlane_tests::fake::{Fake, Script};

use crate::common::{pair, wait_model};

fn file(text: &str) -> (tempfile::TempDir, String) {
    let folder = tempfile::TempDir::new().expect("no temporary folder");
    let path = folder.path().join("airlane.toml");
    std::fs::write(&path, text).expect("written");
    let path = path.to_string_lossy().into_owned();
    (folder, path)
}

#[test]
fn check_tells_every_problem_with_path_and_line() {
    let (_folder, path) = file(
        "[endpoint]\nlisten = [\"nowhere\"]\n\n[[upstream]]\nname = \"a\"\nkind = \"telepathy\"\n\
         url = \"ftp://x\"\n\n[[alias]]\nname = \"fast\"\nmodels = []\n",
    );
    let (code, out, err) = airlane(&["check", "--config", &path]);
    let told = out + &err;
    assert_eq!(code, Some(2), "{told}");
    for (key, line) in
        [("endpoint.listen[0]", 2), ("upstream[0].kind", 6), ("upstream[0].url", 7), ("alias[0].models", 11)]
    {
        let found = told.lines().find(|text| text.contains(key)).unwrap_or_else(|| panic!("no {key} in {told}"));
        assert!(found.contains(&format!(":{line}")) || found.contains(&format!("line {line}")), "{found}");
    }
}

#[test]
fn check_tells_unknown_keys_and_bad_toml() {
    for (text, wanted) in [
        ("[endpoint]\nlistn = [\"0.0.0.0:1\"]\n", "listn"),
        ("[endpoint\n", "1"),
        ("[endpoint]\nheartbeat_s = \"ten\"\n", "heartbeat_s"),
        (
            "[[upstream]]\nname=\"a\"\nkind=\"openai\"\nurl=\"http://a\"\nkey_env=\"NOT_SET_ANYWHERE\"\n",
            "NOT_SET_ANYWHERE",
        ),
    ] {
        let (_folder, path) = file(text);
        let (code, out, err) = airlane(&["check", "--config", &path]);
        assert_eq!(code, Some(2), "{text}: {out}{err}");
        assert!((out.clone() + &err).contains(wanted), "{text}: {out}{err}");
    }
}

#[test]
fn check_is_content_with_a_right_file() {
    let (_folder, path) = file("[[upstream]]\nname = \"a\"\nkind = \"openai\"\nurl = \"http://192.168.1.20:8000\"\n");
    let (code, out, err) = airlane(&["check", "--config", &path]);
    assert_eq!(code, Some(0), "{out}{err}");
}

#[test]
fn the_example_config_is_right() {
    let example = airlane_tests::programs::repository().join("packaging/airlane.example.toml");
    let (code, out, err) = airlane(&["check", "--config", &example.to_string_lossy()]);
    assert_eq!(code, Some(0), "{out}{err}");
}

#[test]
fn a_missing_file_is_said() {
    for verb in ["check", "run"] {
        let (code, out, err) = airlane(&[verb, "--config", "/nonexistent/airlane.toml"]);
        assert!(code.is_some_and(|code| code != 0), "{verb}: {out}{err}");
        assert!((out + &err).contains("/nonexistent/airlane.toml"));
    }
}

#[test]
fn wrong_arguments_are_exit_code_2() {
    for arguments in [&["frobnicate"][..], &["run", "--no-such-thing"]] {
        assert_eq!(airlane(arguments).0, Some(2), "{arguments:?}");
    }
}

#[test]
fn help_and_version() {
    let (code, out, _) = airlane(&["--help"]);
    assert_eq!(code, Some(0));
    for verb in ["run", "check", "status", "models", "chat", "explain", "top", "version"] {
        assert!(out.contains(verb), "{verb} is missing in {out}");
    }
    let (code, out, _) = airlane(&["version"]);
    assert_eq!(code, Some(0));
    assert!(out.contains(env!("CARGO_PKG_VERSION")), "{out}");
}

#[test]
fn models_and_status_ask_the_running_daemon() {
    let (_fake, daemon) = pair("openai");
    let (code, out, err) = airlane(&["models", "--url", &daemon.url()]);
    assert_eq!(code, Some(0), "{err}");
    assert!(out.contains("fake-1") && out.contains("box"), "{out}");
    // The console's address is found by the data directory.
    let config = daemon.folder().join("client.toml");
    let data = daemon.folder().join("data");
    std::fs::write(&config, format!("[data]\ndir = \"{}\"\n", data.display())).expect("written");
    let config = config.display().to_string();
    for (verb, word) in [("status", "box"), ("models", "fake-1")] {
        let (code, out, err) = airlane(&[verb, "--config", &config]);
        assert_eq!(code, Some(0), "{verb}: {out}{err}");
        assert!(out.contains(word), "{verb}: {out}{err}");
    }
}

#[test]
fn without_a_daemon_they_say_what_to_do() {
    let url = format!("http://{}", airlane_tests::sockets::refused());
    for arguments in [&["models", "--url", &url][..], &["status", "--url", &url], &["chat", "--url", &url, "hi"]] {
        let (code, out, err) = airlane(arguments);
        assert_eq!(code, Some(3), "{arguments:?}: {out}{err}");
        assert!(err.contains("airlane run") || err.contains("running"), "{arguments:?}: {out}{err}");
    }
}

#[test]
fn chat_streams_and_tells_how_it_went() {
    let (fake, daemon) = pair("openai");
    fake.answer(Script::text("A fine answer"));
    let (code, out, err) = airlane(&["chat", "--url", &daemon.url(), "--model", "fake-1", "Say", "something"]);
    assert_eq!(code, Some(0), "{err}");
    assert!(out.contains("A fine answer"), "{out}");
    let told = out + &err;
    assert!(told.contains("box") && told.contains("tokens/s"), "{told}");
    assert!(fake.body(0)["messages"][0]["content"].as_str().is_some_and(|text| text.contains("Say something")));
}

#[test]
fn chat_fails_with_the_reason() {
    let (fake, daemon) = pair("openai");
    fake.answer(Script::status(500));
    let (code, out, err) = airlane(&["chat", "--url", &daemon.url(), "--model", "fake-1", "hi"]);
    assert!(code.is_some_and(|code| code != 0), "{out}{err}");
    assert!(err.contains("scripted failure 500"), "{out}{err}");
    fake.answer(Script::cut(2, true));
    let (code, out, err) = airlane(&["chat", "--url", &daemon.url(), "--model", "fake-1", "hi"]);
    assert!(code.is_some_and(|code| code != 0), "a cut answer is no success: {out}{err}");
}

#[test]
fn without_a_model_nothing_is_asked() {
    let daemon = Setup::new().start();
    for command in ["chat", "explain"] {
        let (code, out, err) = airlane(&[command, "--url", &daemon.url(), "Hello"]);
        assert_eq!(code, Some(3), "{command}: {out}{err}");
        assert!(out.contains("no model to ask; `airlane status`"), "{command}: {out}{err}");
    }
}

#[test]
fn a_taken_port_is_said() {
    let taken = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = taken.local_addr().expect("an address").to_string();
    let (folder, path) = file("[discovery]\nenabled = false\n");
    let data = folder.path().join("data").to_string_lossy().into_owned();
    let (code, out, err) =
        airlane(&["run", "--config", &path, "--listen", &address, "--console", "127.0.0.1:0", "--data", &data]);
    assert!(code.is_some_and(|code| code != 0), "{out}{err}");
    assert!((out + &err).contains(&address), "the address is named");
}

#[test]
fn arguments_win_over_the_file() {
    let fake = Fake::start();
    let free = airlane_tests::sockets::refused();
    let setup = Setup::new().fake("box", "openai", &fake).argument("--listen").argument(&free.to_string());
    let daemon = setup.start();
    assert_eq!(daemon.address(), free);
    wait_model(&daemon, "fake-1");
}

#[test]
fn an_address_of_another_machine_is_said() {
    let (folder, path) = file("[discovery]\nenabled = false\n");
    let data = folder.path().join("data").to_string_lossy().into_owned();
    let (code, out, err) = airlane(&["run", "--config", &path, "--listen", "203.0.113.9:8484", "--data", &data]);
    assert_eq!(code, Some(1), "{out}{err}");
    assert!(err.contains("203.0.113.9:8484") && err.contains("no such address"), "{err}");
}

#[test]
fn status_takes_the_url_of_the_console_and_of_the_endpoint() {
    let (_fake, daemon) = pair("openai");
    let console = format!("http://{}", daemon.console()[0]);
    for (url, word) in [(console, "revision"), (daemon.url(), "ready")] {
        let (code, out, err) = airlane(&["status", "--url", &url]);
        assert_eq!(code, Some(0), "{url}: {out}{err}");
        assert!(out.contains(word), "{url}: {out}");
    }
}

/// A terminal takes some letters for orders: to clear itself, to change its title, to type.
#[test]
fn nobody_steers_the_terminal() {
    let (fake, daemon) = pair("openai");
    let evil = "a\u{1b}]0;title\u{7}b\u{9b}2Jc\td";
    fake.answer(Script { tokens: vec![evil.to_owned()], ..Script::default() });
    let (_, out, err) = airlane(&["chat", "--url", &daemon.url(), "--model", "fake-1", "hi"]);
    assert_eq!(out.trim_end(), "a\u{fffd}]0;title\u{fffd}b\u{fffd}2Jc\td", "{err}");
    fake.answer(Script::failing(400, None, evil));
    let (_, out, err) = airlane(&["chat", "--url", &daemon.url(), "--model", "fake-1", "hi"]);
    assert!(err.contains("a\u{fffd}]0;title\u{fffd}b\u{fffd}2Jc"), "{out}{err}");
}
