//! Houses to look at: empty, busy and on fire.

use std::time::Duration;

use domain::cache::{Listed, Place as CachePlace, Questioned, Share, Stats};
use domain::health::State;

use domain::node::{NodeState, Origin, ServedModel, Server};
use domain::telemetry::Telemetry;

use crate::{
    Candidate, Chosen, DecidedBy, Decision, DroppedRow, FoundNodes, FoundRow, HealthRow, ModelRow, NodeRow, Nodes,
    Overview, Parts, PlaceRow, Places, PolicyRow, Question, RefusalRow, RouterRow, SiteRow, UpstreamRow, UpstreamState,
};

/// Right after the installation: nobody to answer.
pub(crate) fn empty() -> Overview {
    Overview {
        version: "0.1.0".to_owned(),
        uptime: Duration::from_secs(42),
        base_urls: vec!["http://192.168.1.1:8484".to_owned()],
        revision: 1,
        ..Overview::default()
    }
}

/// A good day with many models.
pub(crate) fn busy() -> Overview {
    let mut models = vec![
        model("fast", "airlane", Some(40_960), Some(true)),
        model("all-minilm:latest", "ollama", Some(512), Some(false)),
        model("claude-sonnet-4-5-20250929", "anthropic", Some(200_000), Some(true)),
        model("hf.co/unsloth/Qwen3-Coder-30B-A3B-Instruct-GGUF:Q4_K_M", "ollama", Some(262_144), Some(true)),
    ];
    models.extend((1..=15).map(|size| model(&format!("qwen3-{size}b"), "gpu-box", Some(131_072), None)));
    Overview {
        version: "0.1.0".to_owned(),
        uptime: Duration::from_secs(273_600),
        base_urls: vec!["http://192.168.1.1:8484".to_owned(), "http://[fd00::1]:8484/".to_owned()],
        upstreams: vec![
            upstream("gpu-box", "openai", "http://192.168.1.20:8000", UpstreamState::Answers { models: 15 }),
            upstream("ollama", "ollama", "http://127.0.0.1:11434", UpstreamState::Answers { models: 2 }),
            upstream("anthropic", "anthropic", "https://api.anthropic.com", UpstreamState::Answers { models: 1 }),
        ],
        models,
        in_flight: 37,
        waiting: 4,
        revision: 12,
        ..Overview::default()
    }
}

/// A bad day: silence, a refused config and a restart that waits.
pub(crate) fn on_fire() -> Overview {
    let refused = "connection refused (os error 111)".to_owned();
    let key = "answered 401 to /v1/models: the key was not accepted".to_owned();
    let mut limited = upstream("groq", "openai", "https://api.groq.com", UpstreamState::Answers { models: 9 });
    limited.health = ill(State::RateLimited, "answered 429: slow down", 12, Some("llama-3.3-70b"));
    let mut keyless = upstream("openai", "openai", "https://api.openai.com", UpstreamState::Answers { models: 70 });
    keyless.health = ill(State::Misconfigured, "answered 401: no such key", 55, None);
    let mut box_ = upstream("gpu-box", "openai", "http://192.168.1.20:8000", UpstreamState::Silent { reason: refused });
    box_.health = ill(State::Offline, "connection refused", 0, None);
    Overview {
        version: "0.1.0".to_owned(),
        uptime: Duration::from_secs(7_380),
        base_urls: vec!["http://192.168.1.1:8484".to_owned()],
        upstreams: vec![
            box_,
            limited,
            keyless,
            upstream("openrouter", "openai", "https://openrouter.ai", UpstreamState::Silent { reason: key }),
            upstream("ollama", "ollama", "http://127.0.0.1:11434", UpstreamState::Answers { models: 0 }),
            upstream("attic", "ollama", "http://192.168.1.31:11434", UpstreamState::Asking),
            upstream("echo", "loopback", "built in", UpstreamState::Answers { models: 1 }),
        ],
        models: vec![model("echo/loopback", "echo", None, Some(true))],
        in_flight: 0,
        waiting: 1_024,
        revision: 3,
        config_problem: Some(
            "line 14: upstream[1].url: “htp://x” has no scheme that Airlane knows; write http:// or https://\n\
             line 22: alias[0].models: “gpu-bx/qwen3” names no upstream\n"
                .to_owned(),
        ),
        restart_needed: vec!["endpoint.listen".to_owned(), "data.dir".to_owned()],
    }
}

/// Every text in it was chosen by someone who wants to get out of its place.
pub(crate) fn hostile() -> Overview {
    let text = "<script>alert(1)</script>\"'&{{ 7*7 }}".to_owned();
    Overview {
        version: text.clone(),
        base_urls: vec![text.clone(), text.clone()],
        upstreams: vec![
            UpstreamRow {
                health: ill(State::Misconfigured, &text, 1, Some(&text)),
                ..upstream(&text, &text, &text, UpstreamState::Answers { models: 1 })
            },
            upstream(&text, &text, &text, UpstreamState::Silent { reason: text.clone() }),
            upstream(&text, &text, &text, UpstreamState::Answers { models: 1 }),
        ],
        models: vec![model(&text, &text, None, None)],
        config_problem: Some(text.clone()),
        restart_needed: vec![text],
        ..Overview::default()
    }
}

/// Two upstreams: one that works, one that is gone.
pub(crate) fn places() -> Places {
    let measured = PlaceRow {
        model: "qwen3-8b".to_owned(),
        health: HealthRow { state: State::Healthy, ..HealthRow::default() },
        slots: Some(4),
        running: 4,
        others_running: 2,
        others_waiting: 1,
        kv_used_percent: Some(97),
        waiting: 2,
        waiting_s: 7.5,
        served: 1_234,
        prefill_tokens_per_s: Some(2_310.4),
        decode_tokens_per_s: Some(61.2),
        resident: Some(true),
        on_cpu_percent: Some(40),
        loading_s: Some(3),
    };
    let unknown = PlaceRow { model: "qwen3-32b".to_owned(), ..PlaceRow::default() };
    let site = |name: &str, health, models| SiteRow {
        name: name.to_owned(),
        kind: "openai".to_owned(),
        local: true,
        health,
        engine: Some("vLLM".to_owned()),
        pressure_percent: 62,
        throttled: true,
        gpus: Some(domain::gpu::Gpus::default()),
        models,
    };
    let well = HealthRow { state: State::Healthy, ..HealthRow::default() };
    let gone = ill(State::Offline, "connection refused", 3, None);
    Places {
        running: 4,
        waiting: 2,
        upstreams: vec![site("gpu-box", well, vec![measured, unknown]), site("attic", gone, Vec::new())],
    }
}

/// A choice among two, or a refusal for bulk.
pub(crate) fn decision(question: &Question) -> Decision {
    let score = Parts { prefill_ms: 120, decode_ms: 4_200, price_micro_usd: 7, running: 1, ..Parts::default() };
    let candidate = Candidate {
        upstream: "gpu-box".to_owned(),
        model: "qwen3-8b".to_owned(),
        surface: "/v1/chat/completions".to_owned(),
        local: true,
        strategy: "auto".to_owned(),
        reason: "auto: first token in about 0.1 s, all of it in 4.3 s".to_owned(),
        room: true,
        score,
        ..Candidate::default()
    };
    let chosen = Chosen { upstream: "gpu-box".to_owned(), model: "qwen3-8b".to_owned(), waits: false };
    let dropped = DroppedRow { upstream: "attic".to_owned(), model: "qwen3-8b".to_owned(), reason: "gone".to_owned() };
    let refusal = RefusalRow { kind: "busy".to_owned(), message: "later".to_owned(), retry_after_s: Some(9) };
    let is_refused = question.lane == domain::lane::Lane::Bulk;
    Decision {
        surface: question.surface.path().to_owned(),
        models: vec!["fast".to_owned()],
        lane: question.lane.name().to_owned(),
        prompt_tokens: 42,
        output_tokens_max: None,
        chosen: (!is_refused).then_some(chosen),
        refusal: is_refused.then_some(refusal),
        candidates: if is_refused { Vec::new() } else { vec![candidate] },
        dropped: vec![dropped],
        policies: vec![PolicyRow {
            field: "privacy".to_owned(),
            value: "local-only".to_owned(),
            by: vec![DecidedBy { layer: "app".to_owned(), policy: question.asker.app.clone() }],
        }],
    }
}

fn ill(state: State, cause: &str, trial_in_s: u64, model: Option<&str>) -> HealthRow {
    HealthRow {
        state,
        cause: Some(cause.to_owned()),
        trial_in_s: Some(trial_in_s),
        wakes_in_s: None,
        model: model.map(str::to_owned),
        ignores_cancel: model.is_some(),
    }
}

fn upstream(name: &str, kind: &str, origin: &str, state: UpstreamState) -> UpstreamRow {
    let health = HealthRow { state: State::Healthy, ..HealthRow::default() };
    UpstreamRow { name: name.to_owned(), kind: kind.to_owned(), where_: origin.to_owned(), state, health }
}

fn model(id: &str, upstream: &str, context_tokens: Option<u64>, chat: Option<bool>) -> ModelRow {
    ModelRow { id: id.to_owned(), upstream: upstream.to_owned(), context_tokens, chat }
}

/// Two nodes beside this machine in a house that has upstreams, none in an empty one.
pub(super) fn nodes(house: &Overview, telemetry: &Telemetry) -> Nodes {
    let row = |name: &str, origin, state: NodeState| NodeRow {
        name: name.to_owned(),
        origin,
        address: Some("192.168.1.20:8484".to_owned()).filter(|_| origin == Origin::Agent),
        sentence: state.sentence(origin),
        state,
        telemetry: Telemetry::default(),
        servers: Vec::new(),
        notes: Vec::new(),
    };
    let mut nodes = vec![NodeRow { telemetry: telemetry.clone(), ..row("router", Origin::Here, NodeState::Reporting) }];
    if house.upstreams.iter().any(|upstream| upstream.name == "gpu-box") {
        let model =
            ServedModel { id: "qwen3".to_owned(), resident: Some(true), slots: Some(4), running: 2, waiting: 0 };
        let server = Server {
            name: "ollama".to_owned(),
            kind: "ollama".to_owned(),
            health: "healthy".to_owned(),
            cause: None,
            models: vec![model],
        };
        nodes.push(NodeRow {
            telemetry: super::machines::gaming(),
            servers: vec![server],
            notes: vec!["Its clock is 5 minutes behind ours: switch on time synchronisation.".to_owned()],
            ..row("gpu-box", Origin::Agent, NodeState::Reporting)
        });
        nodes.push(row("attic", Origin::Agent, NodeState::Silent { age_s: 70 }));
    }
    let reports_to = Some(RouterRow {
        name: "router".to_owned(),
        address: "192.168.1.1:8484".to_owned(),
        problem: Some("no".to_owned()),
    });
    let node = reports_to.as_ref().map(|_| "router".to_owned());
    Nodes { reports_to: reports_to.filter(|_| nodes.len() > 1), node, nodes }
}

/// Who announces itself.
pub(super) fn found() -> FoundNodes {
    let addresses = vec!["192.168.1.20:8484".to_owned()];
    let (name, version) = ("gpu-box".to_owned(), "0.1.0".to_owned());
    FoundNodes { found: vec![FoundRow { name, version, paired_as: Some("gpu-box".to_owned()), addresses }] }
}

/// A cache in which something is kept.
pub(super) fn cache() -> Stats {
    let place = |entries, bytes| CachePlace { entries, bytes, bytes_max: 1 << 20 };
    Stats {
        trouble: "kept answers are in memory only".to_owned(),
        memory: place(1, 300),
        database: place(2, 600),
        tenants: vec![Share { tenant: "10.0.0.7".to_owned(), bytes: 600 }],
        written: 4,
        unwritten: 3,
        evicted: 2,
        questions: Questioned { looked: 9, given: 3, ..Questioned::default() },
    }
}

/// What is kept there.
pub(super) fn kept() -> Vec<Listed> {
    let listed = |tenant: &str| Listed {
        name: "a7".repeat(32),
        scope: format!("tenant:{tenant}"),
        model: "fast".to_owned(),
        tenant: tenant.to_owned(),
        head: "<b>Dear</b> Sir".to_owned(),
        age_s: 9,
        bytes: 250,
    };
    vec![listed("10.0.0.7"), listed("10.0.0.8")]
}

/// A key.
pub(super) fn key() -> domain::key::KeyFacts {
    domain::key::KeyFacts {
        id: "abcdefgh".to_owned(),
        tenant: "anna".to_owned(),
        label: "laptop".to_owned(),
        created_s: 1,
        expires_s: Some(2),
        revoked_s: Some(3),
    }
}
