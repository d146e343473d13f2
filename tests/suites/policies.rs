//! What policies allow, whatever the dialect and however a client asks for it.

use std::time::{SystemTime, UNIX_EPOCH};

use airlane_tests::client::{Request, Response, send};
use airlane_tests::daemon::{Daemon, Setup, airlane};
use airlane_tests::fake::{Fake, Script};
use serde_json::{Value, json};

use crate::common::{chat, chat_body, eventually, messages_body, metric, wait_model};

/// A box of the house with `small` and `big`, and a cloud with `small` and `wide`, which the alias `both` prefers.
struct House {
    gpu: Fake,
    cloud: Fake,
    daemon: Daemon,
}

impl House {
    fn with(policies: &str) -> Self {
        let (gpu, cloud) =
            (Fake::with_models(&["small", "big", "vectors-embed"]), Fake::with_models(&["small", "wide"]));
        let daemon = Setup::new()
            .table(policies)
            .fake("gpu", "openai", &gpu)
            .upstream("cloud", "openai", &cloud.url(), "local = false\n")
            .alias("both", &["cloud/small", "gpu/small"])
            .start();
        for model in ["big", "wide"] {
            wait_model(&daemon, model);
        }
        Self { gpu, cloud, daemon }
    }

    /// Asks as the program `kids`.
    fn kids(&self, path: &str, body: &Value) -> Response {
        self.daemon.send(&Request::post(path, body).with("user-agent", "kids/1.0"))
    }

    fn sent(&self) -> (usize, usize) {
        (self.gpu.requests().len(), self.cloud.requests().len())
    }
}

/// The smallest body of each surface.
fn bodies(model: &str) -> [(&'static str, Value); 8] {
    let prompt = json!({"model": model, "prompt": "Say something"});
    let input = json!({"model": model, "input": "Say something"});
    [
        ("/v1/chat/completions", chat_body(model, false)),
        ("/v1/chat/completions", chat_body(model, true)),
        ("/v1/responses", input.clone()),
        ("/v1/completions", prompt.clone()),
        ("/v1/messages", messages_body(model, true)),
        ("/api/chat", chat_body(model, true)),
        ("/api/generate", prompt),
        ("/v1/embeddings", input),
    ]
}

fn with(mut body: Value, member: &str, value: Value) -> Value {
    body[member] = value;
    body
}

/// That it was refused by this policy.
fn assert_refused(response: &Response, policy: &str, what: &str) {
    let text = response.text();
    assert_eq!(response.status(), 403, "{what}: {text}");
    assert!(text.contains(&format!("policy \\\"{policy}\\\"")), "{what}: {text}");
}

const KIDS: &str = "[[policy]]\nname = \"kids\"\napps = [\"kids\"]\n";

#[test]
fn a_model_that_is_not_allowed_is_refused_in_every_dialect() {
    let house = House::with(&format!("{KIDS}allow_models = [\"small\"]\n"));
    for (path, body) in bodies("big") {
        let response = house.kids(path, &body);
        assert_refused(&response, "kids", path);
        let error = response.json();
        match path {
            "/v1/messages" => assert_eq!(error["error"]["type"], "permission_error"),
            _ if path.starts_with("/api/") => assert!(error["error"].is_string(), "{error}"),
            _ => assert_eq!(error["error"]["code"], "policy", "{error}"),
        }
    }
    for name in ["big,wide", "big:floor", "gpu/big", "cloud/wide"] {
        assert_refused(&house.kids("/v1/chat/completions", &chat_body(name, false)), "kids", name);
    }
    assert_eq!(house.sent(), (0, 0), "nothing went upstream");
    // Lists go to what is allowed of them, and others are served as ever.
    for body in [
        chat_body("big,small", false),
        with(chat_body("big", false), "models", json!(["wide", "small"])),
        chat_body("auto", false),
        chat_body("both", false),
    ] {
        assert_eq!(house.kids("/v1/chat/completions", &body).status(), 200, "{body}");
    }
    let asked = house.gpu.requests().len() + house.cloud.requests().len();
    let models = (house.gpu.requests().into_iter().chain(house.cloud.requests()))
        .filter(|record| String::from_utf8_lossy(&record.request.body).contains("\"small\""));
    assert_eq!((asked, models.count()), (4, 4));
    assert_eq!(house.daemon.send(&chat("big", false)).status(), 200);
}

#[test]
fn an_alias_that_is_allowed_leads_to_its_models() {
    let house = House::with(&format!("{KIDS}allow_models = [\"both\"]\nallow_upstreams = [\"g*\"]\n"));
    assert_eq!(house.kids("/v1/chat/completions", &chat_body("both", false)).status(), 200);
    assert_eq!(house.sent(), (1, 0), "the cloud is no upstream of theirs");
    assert_refused(&house.kids("/v1/chat/completions", &chat_body("small", false)), "kids", "not by its own name");
}

#[test]
fn what_is_local_only_never_leaves_the_house() {
    let more = "[route]\nhedge = true\n[cache]\nscope = \"house\"\n";
    let house = House::with(&format!("{more}{KIDS}privacy = \"local-only\"\n"));
    assert_eq!(house.kids("/v1/chat/completions", &chat_body("both", false)).status(), 200);
    assert_eq!(house.sent(), (1, 0), "although the alias prefers the cloud");
    for (path, body) in bodies("wide") {
        assert_refused(&house.kids(path, &body), "kids", path);
    }
    assert_refused(&house.kids("/v1/chat/completions", &chat_body("cloud", false)), "kids", "the virtual name");
    // Neither when the house fails, nor with the client's own wishes.
    house.gpu.answer(Script::status(500));
    let failed = house.kids("/v1/chat/completions", &chat_body("both", false));
    assert!(failed.status() >= 500, "{}", failed.text());
    let wish = json!({"only": ["cloud"]});
    let wished = house.kids("/v1/chat/completions", &with(chat_body("both", false), "provider", wish));
    assert_eq!(wished.status(), 403, "{}", wished.text());
    assert!(house.cloud.requests().is_empty(), "{:?}", house.cloud.requests());
    // Nor is it given what others got from there, although the house shares its answers.
    let same = with(chat_body("wide", false), "temperature", json!(0));
    for _ in 0..2 {
        let others = house.daemon.post("/v1/chat/completions", &same);
        assert_eq!(others.status(), 200, "{}", others.text());
    }
    assert_eq!(house.cloud.requests().len(), 1, "kept for the others");
    assert_refused(&house.kids("/v1/chat/completions", &same), "kids", "a kept answer");
}

#[test]
fn layers_narrow_what_others_leave() {
    let policies = "[[policy]]\nname = \"chats\"\nmodels = [\"b*\"]\nallow_upstreams = [\"*\"]\nprivacy = \"any\"\n\
        [[policy]]\nname = \"here\"\nclients = [\"127.0.0.0/8\"]\nallow_models = [\"*\"]\ndeny = [\"tools\"]\n\
        [[policy]]\nname = \"house\"\nprivacy = \"local-only\"\n";
    let house = House::with(policies);
    assert_refused(&house.kids("/v1/chat/completions", &chat_body("wide", false)), "house", "outermost");
    assert_eq!(house.kids("/v1/chat/completions", &chat_body("both", false)).status(), 200);
    let tools = json!([{"type": "function", "function": {"name": "f", "parameters": {"type": "object"}}}]);
    let asks = with(chat_body("big", false), "tools", tools);
    let refused = house.kids("/v1/chat/completions", &asks);
    assert_refused(&refused, "here", "tools");
    assert!(refused.text().contains("does not allow tools"), "{}", refused.text());
    assert_eq!(house.sent(), (1, 0));
}

#[test]
fn the_model_is_told_what_the_policies_say() {
    let house =
        House::with(&format!("{KIDS}system = \"Be short.\"\n[[policy]]\nname = \"house\"\nsystem = \"Be kind.\"\n"));
    let told = |path: &str, body: &Value| {
        let number = house.gpu.requests().len();
        assert_eq!(house.kids(path, body).status(), 200, "{path}");
        house.gpu.body(number)["messages"][0].clone()
    };
    let want = json!({"role": "system", "content": "Be kind.\n\nBe short."});
    for (path, body) in [
        ("/v1/chat/completions", chat_body("big", true)),
        ("/v1/messages", messages_body("big", false)),
        ("/api/chat", chat_body("big", false)),
    ] {
        assert_eq!(told(path, &body), want, "{path}");
    }
    let own = with(messages_body("big", false), "system", json!("Speak French."));
    assert_eq!(told("/v1/messages", &own)["content"], "Be kind.\n\nBe short.\n\nSpeak French.");
    let vectors = house.kids("/v1/embeddings", &json!({"model": "vectors-embed", "input": "x"}));
    assert_eq!(vectors.status(), 200, "{}", vectors.text());
}

#[test]
fn outside_of_its_hours_a_policy_says_when_to_come_back() {
    let days = SystemTime::now().duration_since(UNIX_EPOCH).expect("after 1970").as_secs() / 86_400;
    // 1970 began on a Thursday. Two days on is neither today nor, a moment later, tomorrow.
    let names = ["thu", "fri", "sat", "sun", "mon", "tue", "wed"];
    let later = names[usize::try_from((days + 3) % 7).expect("small")];
    let house =
        House::with(&format!("{KIDS}time_zone = \"UTC\"\nhours = {{ days = [\"{later}\"], from = \"08:00\" }}\n"));
    for (path, body) in bodies("big") {
        let response = house.kids(path, &body);
        assert_refused(&response, "kids", path);
        let wait: u64 = response.header("retry-after").and_then(|wait| wait.parse().ok()).expect("a time to come back");
        assert!((86_400..=3 * 86_400 + 8 * 3_600).contains(&wait), "{wait}");
    }
    assert_eq!(house.sent(), (0, 0));
    assert_eq!(house.daemon.send(&chat("big", false)).status(), 200, "others are served");
}

#[test]
fn expressions_decide_for_whom_a_policy_holds() {
    let house = House::with(
        "[[policy]]\nname = \"long\"\nwhen = 'request.tokens > 200 && model.startsWith(\"b\")'\nallow_upstreams = []\n\
         [[policy]]\nname = \"broken\"\napps = [\"kids\"]\nwhen = '1 / request.output_tokens_max > 0'\nprivacy = \"local-only\"\n",
    );
    let long = |model: &str| {
        let words = "word ".repeat(400);
        json!({"model": model, "messages": [{"role": "user", "content": words}]})
    };
    let ask = |body: &Value| house.daemon.post("/v1/chat/completions", body);
    assert_eq!(ask(&chat_body("big", false)).status(), 200);
    assert_eq!(ask(&long("small")).status(), 200);
    assert_refused(&ask(&long("big")), "long", "long");
    // What cannot be worked out holds, and is counted; what can be is as it says.
    assert_refused(
        &house.kids("/v1/chat/completions", &chat_body("wide", false)),
        "broken",
        "no length, so none to divide by",
    );
    let two = with(chat_body("wide", false), "max_tokens", json!(2));
    assert_eq!(
        house.kids("/v1/chat/completions", &two).status(),
        200,
        "a half is no more than nothing, in whole numbers"
    );
    let metrics = house.daemon.get("/metrics").text();
    assert_eq!(metric(&metrics, &["airlane_policy_slips_total", "broken"]), Some(1.0));
    let log = house.daemon.log();
    assert_eq!(log.matches("its condition cannot be worked out").count(), 1, "{log}");
}

#[test]
fn a_wrong_expression_is_told_with_its_place() {
    let dir = tempfile::tempdir().expect("a folder");
    let file = dir.path().join("airlane.toml");
    std::fs::write(&file, "[[policy]]\nname = \"x\"\nwhen = 'request.tokens > modle'\n").expect("written");
    let (code, out, error) = airlane(&["check", "--config", &file.display().to_string()]);
    assert_ne!(code, Some(0), "{out}");
    let want = ":3: policy[0].when: line 1, column 18 of the expression: there is no modle";
    assert!(error.contains(want), "{error}");
}

#[test]
fn it_is_told_which_layer_decided_what() {
    let house = House::with(&format!(
        "{KIDS}privacy = \"local-only\"\nlane = \"bulk\"\n\
         [[policy]]\nname = \"house\"\nlane = \"normal\"\ndeny = [\"images\"]\n"
    ));
    let explain = |query: &str| {
        let request = Request::post(&format!("/api/v1/explain?{query}"), &chat_body("both", false));
        send(house.daemon.console()[0], &request).json()
    };
    let told = explain("lane=interactive&app=kids");
    assert_eq!(told["lane"], "bulk", "{told:#}");
    assert_eq!(told["chosen"]["upstream"], "gpu");
    assert_eq!(told["dropped"][0]["reason"], "policy \"kids\" lets no request leave the house");
    let by = |layer: &str, policy: &str| json!([{"layer": layer, "policy": policy}]);
    let want = json!([
        {"field": "privacy", "value": "local-only", "by": by("app", "kids")},
        {"field": "lane", "value": "bulk", "by": by("app", "kids")},
        {"field": "deny", "value": "images", "by": by("house", "house")},
    ]);
    assert_eq!(told["policies"], want, "{told:#}");
    let others = explain("lane=interactive&app=curl");
    assert_eq!((&others["lane"], &others["chosen"]["upstream"]), (&json!("normal"), &json!("cloud")), "{others:#}");
    assert_eq!(house.sent(), (0, 0));
}

#[test]
fn a_folder_of_policies_is_read_and_watched() {
    let house = House::with("");
    let ask = || house.kids("/v1/chat/completions", &chat_body("wide", false)).status();
    assert_eq!(ask(), 200);
    let folder = house.daemon.folder().join("policies.d");
    std::fs::create_dir(&folder).expect("a folder");
    std::fs::write(folder.join("kids.toml"), format!("{KIDS}privacy = \"local-only\"\n")).expect("written");
    eventually("the policy is in force", || ask() == 403);
    std::fs::remove_file(folder.join("kids.toml")).expect("removed");
    eventually("the policy is gone", || ask() == 200);
}
