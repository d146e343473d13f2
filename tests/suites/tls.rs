//! TLS to clients, with HTTP/2 by a real client.

use std::io::Read as _;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use airlane_tests::daemon::{Daemon, Setup};
use airlane_tests::fake::{Fake, Script};

use crate::common::{BOUND, chat, chat_body, eventually, wait_model};

struct House {
    fake: Fake,
    daemon: Daemon,
    folder: tempfile::TempDir,
}

fn house() -> House {
    let folder = tempfile::TempDir::new().expect("no temporary folder");
    let made = rcgen::generate_simple_self_signed(vec!["localhost".to_owned()]).expect("a certificate");
    std::fs::write(folder.path().join("cert.pem"), made.cert.pem()).expect("written");
    std::fs::write(folder.path().join("key.pem"), made.signing_key.serialize_pem()).expect("written");
    let fake = Fake::start();
    let path = |name: &str| folder.path().join(name).to_string_lossy().into_owned();
    let lines = format!("tls_cert = \"{}\"\ntls_key = \"{}\"", path("cert.pem"), path("key.pem"));
    let daemon = Setup::new().endpoint(&lines).fake("box", "openai", &fake).start();
    let house = House { fake, daemon, folder };
    eventually("the model over TLS", || house.curl(&["--http2"], "/v1/models", None).0.contains("fake-1"));
    house
}

impl House {
    fn command(&self, arguments: &[&str], path: &str, body: Option<&str>) -> Command {
        let port = self.daemon.address().port();
        let mut command = Command::new("curl");
        command
            .args(["--silent", "--show-error", "--no-buffer", "--max-time", "60", "--cacert"])
            .arg(self.folder.path().join("cert.pem"))
            .args([
                "--resolve",
                &format!("localhost:{port}:127.0.0.1"),
                "--write-out",
                "%{stderr}version=%{http_version}\n",
            ])
            .args(arguments)
            .arg(format!("https://localhost:{port}{path}"))
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        if let Some(body) = body {
            command.args(["--header", "content-type: application/json", "--data-binary", body]);
        }
        command
    }

    fn curl(&self, arguments: &[&str], path: &str, body: Option<&str>) -> (String, String) {
        let output = self.command(arguments, path, body).output().expect("curl is needed to speak HTTP/2");
        let text = |bytes: Vec<u8>| String::from_utf8_lossy(&bytes).into_owned();
        (text(output.stdout), text(output.stderr))
    }
}

#[test]
fn both_versions_are_spoken() {
    let house = house();
    for (argument, version) in [("--http2", "version=2"), ("--http1.1", "version=1.1")] {
        for stream in [false, true] {
            let body = chat_body("fake-1", stream).to_string();
            let (out, err) = house.curl(&[argument], "/v1/chat/completions", Some(&body));
            assert!(out.contains("Hello"), "{argument} stream={stream}: {out}{err}");
            assert!(err.contains(version), "{argument}: {err}");
        }
    }
}

fn read_until(child: &mut Child, wanted: &str) -> String {
    let out = child.stdout.as_mut().expect("stdout is piped");
    let mut text = Vec::new();
    let mut byte = [0];
    while !String::from_utf8_lossy(&text).contains(wanted) {
        assert_eq!(out.read(&mut byte).expect("readable"), 1, "no {wanted:?} in {}", String::from_utf8_lossy(&text));
        text.push(byte[0]);
    }
    String::from_utf8_lossy(&text).into_owned()
}

#[test]
fn http2_streams_are_not_held_back_and_end_with_the_client() {
    let house = house();
    house.fake.answer(Script::gated());
    let body = chat_body("fake-1", true).to_string();
    let mut curl = house.command(&["--http2"], "/v1/chat/completions", Some(&body)).spawn().expect("curl");
    house.fake.release(1);
    let _ = read_until(&mut curl, "Hello");
    house.fake.release(1);
    let _ = read_until(&mut curl, "wörld");
    curl.kill().expect("curl ends");
    let _ = curl.wait();
    assert!(house.fake.wait_closed(0, BOUND).is_some(), "the upstream's work is given up");
}

/// An upstream that speaks HTTP/2: another Airlane, which does so over TLS.
#[test]
fn an_upstream_may_speak_http2() {
    let back = house();
    let lines = format!("ca_file = {:?}", back.folder.path().join("cert.pem"));
    let url = format!("https://localhost:{}", back.daemon.address().port());
    let front = Setup::new().upstream("back", "openai", &url, &lines).start();
    wait_model(&front, "fake-1");
    let mut exchange = front.open(&chat("fake-1", false));
    assert!(exchange.finish().text().contains("Hello"));
    let connections = || front.log().matches("connected over HTTP/2").count();
    let before = connections();
    assert!(before > 0, "HTTP/2 is spoken");
    for _ in 0..3 {
        exchange.send(&chat("fake-1", true));
        assert!(exchange.finish().text().contains("[DONE]"));
    }
    back.fake.answer(Script::gated());
    assert_eq!(connections(), before, "one connection carries them all");
    let mut exchange = front.open(&chat("fake-1", true));
    back.fake.release(1);
    let _ = exchange.head();
    let _ = exchange.until("Hello");
    let _ = exchange.reset();
    assert!(back.fake.wait_closed(4, BOUND).is_some(), "leaving goes through both");
}

#[test]
fn http2_errors_and_large_bodies() {
    let house = house();
    house.fake.answer(Script { first_token_after: Duration::from_millis(10), ..Script::default() });
    let mut body = chat_body("fake-1", false);
    body["padding"] = "x".repeat(300_000).into();
    let path = house.folder.path().join("body.json");
    std::fs::write(&path, body.to_string()).expect("written");
    let (out, err) = house.curl(&["--http2"], "/v1/chat/completions", Some(&at(&path)));
    assert!(out.contains("Hello"), "{out}{err}");
    let (out, _) = house.curl(&["--http2"], "/v1/chat/completions", Some("{"));
    assert!(out.contains("invalid_request_error"), "{out}");
}

fn at(path: &Path) -> String {
    format!("@{}", path.display())
}

#[test]
fn a_wrong_certificate_file_is_said() {
    let folder = tempfile::TempDir::new().expect("no temporary folder");
    let config = folder.path().join("airlane.toml");
    std::fs::write(folder.path().join("cert.pem"), "nonsense").expect("written");
    let cert = folder.path().join("cert.pem").display().to_string();
    let text = format!("[endpoint]\nlisten = [\"127.0.0.1:0\"]\ntls_cert = \"{cert}\"\ntls_key = \"{cert}\"\n");
    std::fs::write(&config, text).expect("written");
    let data = folder.path().join("data").display().to_string();
    let config = config.display().to_string();
    let (code, out, err) =
        airlane_tests::daemon::airlane(&["run", "--config", &config, "--console", "127.0.0.1:0", "--data", &data]);
    assert!(code.is_some_and(|code| code != 0), "{out}{err}");
    assert!((out + &err).contains("cert.pem"), "the file is named");
}
