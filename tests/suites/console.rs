//! The owner's page: it says what is true, loads nothing from elsewhere, and shows no key.

use airlane_tests::client::{Request, Response, send};
use airlane_tests::daemon::{Daemon, Setup};
use airlane_tests::fake::{Fake, Script};

use crate::common::{eventually, wait_model};

const KEY: &str = "sk-very-secret-1618";

fn house() -> (Fake, Daemon) {
    let fake = Fake::start();
    let lines = format!("key = \"{KEY}\"");
    let daemon = Setup::new().discovery("refresh_s = 1").upstream("box", "openai", &fake.url(), &lines).start();
    wait_model(&daemon, "fake-1");
    (fake, daemon)
}

fn get(daemon: &Daemon, path: &str) -> Response {
    send(daemon.console()[0], &Request::get(path))
}

#[test]
fn the_page_tells_upstreams_and_models() {
    let (_fake, daemon) = house();
    let page = get(&daemon, "/");
    assert_eq!(page.status(), 200, "{}", page.text());
    assert!(page.header("content-type").is_some_and(|value| value.starts_with("text/html")));
    for word in ["box", "fake-1"] {
        assert!(page.text().contains(word), "no {word} in {}", page.text());
    }
    assert!(!page.text().contains(KEY));
    assert!(page.header("content-security-policy").is_some(), "a page of the LAN's router guards itself");
    for foreign in ["src=\"http", "src=\"//", "url(http", "<link rel=\"stylesheet\" href=\"http"] {
        assert!(!page.text().contains(foreign), "something is loaded from elsewhere: {foreign}");
    }
}

#[test]
fn the_status_follows_the_upstream() {
    let (fake, daemon) = house();
    let status = || get(&daemon, "/api/v1/status");
    assert_eq!(status().status(), 200, "{}", status().text());
    assert!(status().json().is_object() && !status().text().contains(KEY));
    let healthy = status().json()["upstreams"].clone();
    fake.set_about(Some(Script::status(500)));
    eventually("the failing upstream in the status", || status().json()["upstreams"] != healthy);
}

#[test]
fn names_from_outside_are_shown_as_text() {
    let fake = Fake::with_models(&["<img src=x onerror=alert(1)>"]);
    let daemon = Setup::new().fake("box", "openai", &fake).start();
    wait_model(&daemon, "<img src=x onerror=alert(1)>");
    let page = get(&daemon, "/").text();
    assert!(page.contains("onerror"), "the model is shown: {page}");
    assert!(!page.contains("<img src=x"), "{page}");
}

#[test]
fn the_endpoint_has_no_console() {
    let (_fake, daemon) = house();
    assert_eq!(daemon.get("/api/v1/status").status(), 404);
}
