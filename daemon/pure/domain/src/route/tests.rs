//! Routes through a small house: a GPU box, a Mac with Ollama, Anthropic and a cloud with prices.

use std::sync::Arc;
use std::time::Duration;

use super::*;
use crate::catalogue::{Capabilities, Listings, ModelInfo};
use crate::config::Alias;
use crate::health::Symptom;
use crate::places::Running;
use crate::price::Prices;
use crate::reading::{InMemory, Others};
use crate::upstream::UpstreamKind;
use crate::upstream::tests::upstream;

pub(crate) struct Fixture {
    pub(crate) config: Config,
    pub(crate) listings: Listings,
    pub(crate) places: Places,
    pub(crate) sessions: Sessions,
    pub(crate) wish: Wish,
    pub(crate) tried: Vec<Target>,
}

pub(crate) const NOW: Moment = Moment::after_start(Duration::from_secs(100));

pub(crate) fn at(place: &str) -> Target {
    let (upstream, model) = place.split_once('/').unwrap();
    Target::new(upstream, model)
}

fn model(id: &str) -> ModelInfo {
    ModelInfo { id: id.to_owned(), ..ModelInfo::default() }
}

impl Fixture {
    pub(crate) fn new(models: &[&str]) -> Self {
        let mut config = Config {
            upstreams: vec![
                upstream("gpu", UpstreamKind::Openai),
                upstream("mac", UpstreamKind::Ollama),
                upstream("claude", UpstreamKind::Anthropic),
                upstream("cloud", UpstreamKind::Openai),
                upstream("loopback", UpstreamKind::Loopback),
            ],
            ..Config::default()
        };
        config.upstreams[2].local = false;
        config.upstreams[3].local = false;
        let prices = Prices::from_line("input 0.1 output 0.4 | list | ").map(Arc::new);
        let priced = ModelInfo { prices, ..model("qwen") };
        let listings = Listings::from([
            ("gpu".to_owned(), vec![model("qwen"), model("nomic-embed")]),
            ("mac".to_owned(), vec![model("qwen"), model("llama")]),
            ("claude".to_owned(), vec![model("opus")]),
            ("cloud".to_owned(), vec![priced, model("gpt")]),
            ("loopback".to_owned(), vec![model("echo")]),
        ]);
        Self {
            config,
            listings,
            places: Places::default(),
            sessions: Sessions::default(),
            wish: Wish {
                models: models.iter().map(|name| (*name).to_owned()).collect(),
                prompt_tokens: 400,
                ..Wish::default()
            },
            tried: Vec::new(),
        }
    }

    pub(crate) fn alias(mut self, name: &str, models: &[&str], strategy: Strategy, weights: &[u32]) -> Self {
        let models = models.iter().map(|model| (*model).to_owned()).collect();
        self.config.aliases.push(Alias { name: name.to_owned(), models, strategy, weights: weights.to_vec() });
        self
    }

    /// Requests that are running there, each with this much work left.
    pub(crate) fn busy(mut self, place: &str, requests: u64, work_s: u64) -> Self {
        let place = self.places.place_mut(&at(place), true);
        let end = NOW + Duration::from_secs(work_s);
        place.running = (0..requests).map(|id| Running { id, first_token: NOW, end, ..Running::default() }).collect();
        self
    }

    pub(crate) fn info(&mut self, place: &str) -> &mut ModelInfo {
        let place = at(place);
        self.listings.get_mut(&place.upstream).unwrap().iter_mut().find(|info| info.id == place.model).unwrap()
    }

    fn ill(mut self, place: &str, symptom: Symptom) -> Self {
        let target = at(place);
        self.places.site_mut(&target.upstream).health.failed(NOW, symptom, "why");
        self.places.place_mut(&target, true);
        self
    }

    fn route_on(&self, near: Surface) -> Result<Route, Refusal> {
        choose(&Asked {
            near,
            wish: &self.wish,
            lane: Lane::Normal,
            tried: &self.tried,
            config: &self.config,
            catalogue: &Catalogue::build(&self.config, &self.listings),
            places: &self.places,
            sessions: &self.sessions,
            now: NOW,
        })
    }

    fn route(&self) -> Route {
        self.route_on(Surface::OpenaiChat).unwrap()
    }

    fn order(&self) -> Vec<String> {
        let legs = self.route().legs;
        legs.iter().map(|leg| format!("{}/{}", leg.target.upstream, leg.target.model)).collect()
    }

    fn refusal(&self) -> String {
        self.route_on(Surface::OpenaiChat).unwrap_err().to_string()
    }

    fn why(&self, place: &str) -> String {
        let dropped = self.route().dropped;
        dropped.iter().find(|dropped| dropped.target == at(place)).map(|dropped| dropped.why.to_string()).unwrap()
    }
}

#[test]
fn names_lead_to_places() {
    for (models, want) in [
        (&["opus"][..], &["claude/opus"][..]),
        // All who have it, the free ones first.
        (&["qwen"], &["gpu/qwen", "mac/qwen", "cloud/qwen"]),
        // A list is an order of names.
        (&["opus", "missing", "mac/qwen", "qwen"], &["claude/opus", "mac/qwen", "gpu/qwen", "cloud/qwen"]),
        // A list in one name is a choice.
        (&["opus, mac/qwen"], &["mac/qwen", "claude/opus"]),
        (&["local"], &["gpu/qwen", "mac/llama", "mac/qwen"]),
        (&["cloud"], &["cloud/qwen", "cloud/gpt", "claude/opus"]),
        (&["qwen:floor"], &["gpu/qwen", "mac/qwen", "cloud/qwen"]),
        (&["qwen:nitro"], &["cloud/qwen", "gpu/qwen", "mac/qwen"]),
        (&["loopback/echo"], &["loopback/echo"]),
    ] {
        assert_eq!(Fixture::new(models).order(), want, "{models:?}");
    }
    assert!(!Fixture::new(&["auto"]).order().iter().any(|place| place.contains("loopback") || place.contains("embed")));
}

#[test]
fn a_name_may_lead_to_one_model_only() {
    for (models, want) in [
        (&["opus"][..], Some("opus")),
        (&["qwen"], Some("qwen")),
        (&["mac/qwen", "cloud/qwen", "missing"], Some("qwen")),
        (&["opus", "qwen"], None),
        (&["opus, qwen"], None),
        (&["auto"], None),
        (&["missing"], None),
    ] {
        let fixture = Fixture::new(models);
        let catalogue = Catalogue::build(&fixture.config, &fixture.listings);
        let sole = sole_model(Surface::OpenaiChat, &fixture.wish, &fixture.config, &catalogue);
        assert_eq!(sole.as_ref().map(|target| target.model.as_str()), want, "{models:?}");
    }
}

#[test]
fn names_that_lead_nowhere_are_refused_with_help() {
    assert_eq!(Fixture::new(&["opus-9"]).refusal(), "model `opus-9` is not offered here. Did you mean `opus`?");
    assert_eq!(Fixture::new(&[]).route_on(Surface::OpenaiChat).unwrap_err(), Refusal::NoModelNamed);
    let embeddings = Fixture::new(&["opus"]).route_on(Surface::OpenaiEmbeddings).unwrap_err().to_string();
    assert_eq!(embeddings, "model `opus` cannot serve this request: claude: Anthropic has no embeddings");
}

#[test]
fn strategies_put_places_in_order() {
    const PLACES: [&str; 3] = ["gpu/qwen", "mac/qwen", "cloud/qwen"];
    for (strategy, weights, want) in [
        // The GPU box has 15 seconds of work before it, the cloud is quick but costs, the Mac is free and idle.
        (Strategy::Auto, &[][..], ["mac/qwen", "cloud/qwen", "gpu/qwen"]),
        (Strategy::Fastest, &[], ["cloud/qwen", "mac/qwen", "gpu/qwen"]),
        (Strategy::Cheapest, &[], ["mac/qwen", "gpu/qwen", "cloud/qwen"]),
        (Strategy::LocalFirst, &[], ["mac/qwen", "gpu/qwen", "cloud/qwen"]),
        (Strategy::CloudFirst, &[], ["cloud/qwen", "mac/qwen", "gpu/qwen"]),
        (Strategy::LeastOutstanding, &[], ["mac/qwen", "cloud/qwen", "gpu/qwen"]),
        (Strategy::Ordered, &[], PLACES),
        // Served so far: 4, 3, 0.
        (Strategy::RoundRobin, &[], ["cloud/qwen", "mac/qwen", "gpu/qwen"]),
        (Strategy::Weighted, &[5, 1, 1], ["gpu/qwen", "cloud/qwen", "mac/qwen"]),
    ] {
        let mut house = Fixture::new(&["a"]).alias("a", &PLACES, strategy, weights).busy("gpu/qwen", 1, 15);
        house.places.place_mut(&at("gpu/qwen"), true).slots = Some(1);
        house.places.place_mut(&at("gpu/qwen"), true).served = 4;
        house.places.place_mut(&at("mac/qwen"), true).served = 3;
        assert_eq!(house.order(), want, "{}", strategy.name());
    }
}

#[test]
fn a_model_in_memory_is_better_than_one_on_disk() {
    let mut house = Fixture::new(&["qwen"]);
    house.info("gpu/qwen").loaded = Some(false);
    assert_eq!(house.order(), ["mac/qwen", "cloud/qwen", "gpu/qwen"]);
    // But not if everybody else is worse.
    let house = house.busy("mac/qwen", 2, 60);
    house.places.place(&at("mac/qwen")).unwrap();
    let mut house = house;
    house.places.place_mut(&at("mac/qwen"), true).slots = Some(1);
    assert_eq!(house.order(), ["cloud/qwen", "gpu/qwen", "mac/qwen"]);
}

#[test]
fn foreign_load_and_heat_push_away() {
    let mut house = Fixture::new(&["qwen"]);
    house.places.site_mut("gpu").pressure = 60;
    assert_eq!(house.order()[0], "mac/qwen");
    house.places.site_mut("mac").throttled = true;
    house.places.site_mut("gpu").pressure = 10;
    assert_eq!(house.order()[0], "gpu/qwen");
}

#[test]
fn a_warm_conversation_stays_and_a_long_wait_moves_it() {
    let prefix = vec![Mark { hash: 1, tokens: 30_000 }];
    let mut house = Fixture::new(&["gpu/qwen,mac/qwen"]);
    house.wish = Wish { prompt_tokens: 30_100, prefix: prefix.clone(), ..house.wish };
    house.sessions.note(&prefix, &at("mac/qwen"), NOW);
    assert_eq!(house.order(), ["mac/qwen", "gpu/qwen"]);
    assert_eq!(house.route().legs[0].score.warm_tokens, 30_000);
    // Reading the prompt again takes 20 s; waiting takes 50.
    let mut house = house.busy("mac/qwen", 1, 50);
    house.places.place_mut(&at("mac/qwen"), true).slots = Some(1);
    assert_eq!(house.order(), ["gpu/qwen", "mac/qwen"]);
}

#[test]
fn a_tool_call_is_not_torn_apart() {
    let prefix = vec![Mark { hash: 1, tokens: 10 }];
    let mut house = Fixture::new(&["auto"]).busy("claude/opus", 50, 500);
    house.wish = Wish { prefix: prefix.clone(), tool_loop: true, ..house.wish };
    house.sessions.note(&prefix, &at("claude/opus"), NOW);
    assert_eq!(house.order()[0], "claude/opus");
    assert!(house.route().legs[0].is_bound);
    // Its place is gone: the same model elsewhere, if there is one.
    house.sessions.note(&prefix, &at("cloud/qwen"), NOW);
    house.wish.provider.ignore = vec!["Cloud".to_owned()];
    assert!(house.order()[0].ends_with("/qwen"));
}

#[test]
fn who_cannot_is_passed_over_and_that_is_explained() {
    let mut house = Fixture::new(&["qwen"]);
    house.info("gpu/qwen").capabilities = Capabilities { tools: Some(false), ..Capabilities::default() };
    house.info("mac/qwen").capabilities = Capabilities { vision: Some(false), ..Capabilities::default() };
    house.wish.needs = Needs { tools: true, vision: true, json_schema: false };
    assert_eq!(house.order(), ["cloud/qwen"]);
    assert_eq!(house.why("gpu/qwen"), "it cannot call tools");
    assert_eq!(house.why("mac/qwen"), "it cannot see pictures");
}

#[test]
fn a_prompt_goes_where_it_fits() {
    let mut house = Fixture::new(&["qwen"]);
    house.info("gpu/qwen").context_tokens = Some(4_096);
    house.info("mac/qwen").context_tokens = Some(8_192);
    house.wish.prompt_tokens = 10_000;
    assert_eq!(house.order(), ["mac/qwen", "cloud/qwen"]);
    house.wish.models = vec!["gpu/qwen,mac/qwen".to_owned()];
    house.wish.prompt_tokens = 20_000;
    assert_eq!(
        house.route_on(Surface::OpenaiChat).unwrap_err(),
        Refusal::TooLong { model: "gpu/qwen,mac/qwen".to_owned(), prompt_tokens: 20_000, context_tokens: 8_192 }
    );
}

#[test]
fn the_clients_own_wishes_hold() {
    let names = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>();
    for (provider, want) in [
        (Provider { order: names(&["cloud"]), ..Provider::default() }, &["cloud/qwen", "gpu/qwen", "mac/qwen"][..]),
        (Provider { order: names(&["MAC"]), no_fallbacks: true, ..Provider::default() }, &["mac/qwen"]),
        (Provider { only: names(&["mac", "cloud"]), ..Provider::default() }, &["mac/qwen", "cloud/qwen"]),
        (Provider { ignore: names(&["gpu"]), ..Provider::default() }, &["mac/qwen", "cloud/qwen"]),
        (Provider { sort: Some(Strategy::Fastest), ..Provider::default() }, &["cloud/qwen", "gpu/qwen", "mac/qwen"]),
        (Provider { output_price_max: Some(399_999), ..Provider::default() }, &["gpu/qwen", "mac/qwen"]),
        (Provider { prompt_price_max: Some(100_000), ..Provider::default() }, &["gpu/qwen", "mac/qwen", "cloud/qwen"]),
    ] {
        let mut house = Fixture::new(&["qwen"]);
        house.wish.provider = provider.clone();
        assert_eq!(house.order(), want, "{provider:?}");
    }
}

#[test]
fn the_ill_are_passed_over_while_anybody_is_well() {
    for symptom in [Symptom::Unreachable, Symptom::Unauthorized, Symptom::Overloaded] {
        let house = Fixture::new(&["qwen"]).ill("gpu/qwen", symptom);
        assert_eq!(house.order(), ["mac/qwen", "cloud/qwen"], "{symptom:?}");
        // Alone, it is tried: a breaker is no reason to fail.
        let house = Fixture::new(&["gpu/qwen"]).ill("gpu/qwen", symptom);
        assert!(house.route().legs[0].is_last_resort, "{symptom:?}");
    }
    assert_eq!(Fixture::new(&["qwen"]).ill("gpu/qwen", Symptom::Unreachable).why("gpu/qwen"), "it is offline: why");
}

#[test]
fn one_that_loads_its_model_is_the_last_choice_and_is_waited_for() {
    let house = Fixture::new(&["qwen"]).ill("gpu/qwen", Symptom::Loading);
    assert_eq!(house.order(), ["mac/qwen", "cloud/qwen", "gpu/qwen"]);
    let alone = Fixture::new(&["gpu/qwen"]).ill("gpu/qwen", Symptom::Loading).route();
    let Leg { score, is_last_resort, .. } = &alone.legs[0];
    assert_eq!((score.is_ready(), score.ready_in(), *is_last_resort), (false, Duration::from_secs(10), false));
    // Who does not wait for it tries it.
    let mut hasty = Fixture::new(&["gpu/qwen"]).ill("gpu/qwen", Symptom::Loading);
    hasty.config.endpoint.load_wait = Duration::ZERO;
    let Leg { score, is_last_resort, .. } = &hasty.route().legs[0];
    assert!(score.is_ready() && *is_last_resort);
}

#[test]
fn a_server_of_ours_that_was_gone_is_not_tried_by_a_request_while_anybody_is_well() {
    // Both are due for a trial; ours is looked at all the time, a cloud is not.
    let before = Moment::after_start(Duration::from_secs(50));
    let ill = |place: &str| {
        let mut house = Fixture::new(&["qwen"]);
        let target = at(place);
        house.places.site_mut(&target.upstream).health.failed(before, Symptom::Unreachable, "why");
        house
    };
    assert_eq!(ill("gpu/qwen").order(), ["mac/qwen", "cloud/qwen"]);
    assert_eq!(ill("cloud/qwen").order(), ["gpu/qwen", "mac/qwen", "cloud/qwen"]);
    let mut alone = ill("gpu/qwen");
    alone.wish.models = vec!["gpu/qwen".to_owned()];
    assert!(alone.route().legs[0].is_last_resort, "hope is better than an error");
}

#[test]
fn who_wants_a_pause_gets_it() {
    let pause = Symptom::RateLimited { retry_after: Some(Duration::from_secs(7)) };
    let refusal = Fixture::new(&["opus"]).ill("claude/opus", pause).route_on(Surface::OpenaiChat).unwrap_err();
    assert_eq!(refusal.retry_after(), Some(Duration::from_secs(7)));
    assert_eq!(Fixture::new(&["qwen"]).ill("gpu/qwen", pause).order(), ["mac/qwen", "cloud/qwen"]);
}

#[test]
fn nobody_is_tried_twice() {
    let mut house = Fixture::new(&["qwen"]);
    house.tried = vec![at("gpu/qwen"), at("cloud/qwen")];
    assert_eq!(house.order(), ["mac/qwen"]);
    assert_eq!(house.why("gpu/qwen"), "it failed this request already");
}

#[test]
fn a_place_that_nobody_has_tried_is_tried() {
    let mut house = Fixture::new(&["qwen"]);
    let quick = crate::pace::Measured {
        prompt_tokens: 1_000,
        output_tokens: 1_000,
        first_token: Some(Duration::from_millis(1)),
        total: Duration::from_secs(1),
        was_cold: false,
    };
    let mac = house.places.place_mut(&at("mac/qwen"), true);
    (0..9).for_each(|_| mac.pace.note(&quick, crate::pace::Around::NOTHING));
    assert_eq!(house.order()[0], "gpu/qwen");
    let gpu = house.places.place_mut(&at("gpu/qwen"), true);
    (0..2).for_each(|_| {
        gpu.pace.note(&crate::pace::Measured { total: Duration::from_secs(100), ..quick }, crate::pace::Around::NOTHING)
    });
    assert_eq!(house.order()[0], "mac/qwen");
}

#[test]
fn a_place_whose_first_token_was_late_is_hoped_to_be_little_better() {
    let mut house = Fixture::new(&["gpu/qwen,mac/qwen"]);
    house.wish.prompt_tokens = 6_000;
    let quick = crate::pace::Measured {
        prompt_tokens: 1_000,
        output_tokens: 100,
        first_token: Some(Duration::from_millis(500)),
        total: Duration::from_secs(3),
        was_cold: false,
    };
    let mac = house.places.place_mut(&at("mac/qwen"), true);
    (0..9).for_each(|_| mac.pace.note(&quick, crate::pace::Around::NOTHING));
    assert_eq!(house.order()[0], "gpu/qwen");
    let gpu = house.places.place_mut(&at("gpu/qwen"), true);
    gpu.pace.look(500, Duration::from_secs(1), crate::pace::Around::NOTHING);
    let route = house.route();
    assert_eq!(route.legs[1].target, at("gpu/qwen"));
    // Half as fast again as it was seen: 750 tokens a second.
    assert_eq!(route.legs[1].score.prefill, Duration::from_secs(8));
}

#[test]
fn heat_loss_and_others_make_a_place_later() {
    let total = |house: &Fixture| {
        let route = house.route();
        route.legs.iter().find(|leg| leg.target == at("gpu/qwen")).map(|leg| leg.score).unwrap()
    };
    let free = Fixture::new(&["qwen"]);
    let mut hot = Fixture::new(&["qwen"]);
    hot.places.site_mut("gpu").throttled = true;
    let mut ailing = Fixture::new(&["qwen"]);
    ailing.places.site_mut("gpu").ailing = "has lost a card".to_owned();
    let mut shared = Fixture::new(&["qwen"]);
    shared.places.place_mut(&at("gpu/qwen"), true).told.others = Others { running: 3, waiting: 1 };
    let cool = total(&free).total();
    for (house, case) in [(&hot, "heat"), (&ailing, "a lost card"), (&shared, "others")] {
        assert!(total(house).total() > cool, "{case}");
        assert_eq!(house.order()[0], "mac/qwen", "{case}");
    }
    assert_eq!((total(&shared).running, total(&shared).others), (0, 4));
    assert!(total(&shared).wait > Duration::ZERO, "they queue there already");
    hot.places.site_mut("gpu").throttled = false;
    assert_eq!((total(&hot), hot.order()[0].as_str()), (total(&free), "gpu/qwen"));
    let standing = ailing.places.standing("gpu", NOW);
    assert_eq!((standing.state, standing.cause), (crate::health::State::Degraded, "has lost a card"));
}

#[test]
fn a_model_that_is_being_loaded_is_there_sooner() {
    let mut house = Fixture::new(&["gpu/qwen"]);
    let load = |house: &Fixture| house.route().legs[0].score.load;
    let place = house.places.place_mut(&at("gpu/qwen"), true);
    place.resident = Some(false);
    assert_eq!(load(&house), Duration::from_secs(10));
    let began = Moment::after_start(Duration::from_secs(96));
    house.places.place_mut(&at("gpu/qwen"), true).note_memory(InMemory::Loading, None, began);
    assert_eq!(load(&house), Duration::from_secs(6));
}

#[test]
fn the_same_question_has_the_same_answer() {
    let house = Fixture::new(&["auto"]).busy("gpu/qwen", 3, 9);
    let first = house.route();
    assert!((0..20).all(|_| house.route() == first));
}

/// What a decision among so many busy places does, where the work that each of them has left is told by its number.
fn work(places: usize, tool_loop: bool, work_s: impl Fn(usize) -> usize) -> usize {
    let mut house = Fixture::new(&["qwen"]);
    (house.config.upstreams, house.listings) = (Vec::new(), Listings::new());
    house.wish.tool_loop = tool_loop;
    for number in 0..places {
        let name = format!("node-{number}");
        house.config.upstreams.push(upstream(&name, UpstreamKind::Openai));
        house.listings.insert(name.clone(), vec![model("qwen")]);
        house = house.busy(&format!("{name}/qwen"), 2, work_s(number) as u64);
        house.places.place_mut(&Target::new(&name, "qwen"), true).slots = Some(2);
    }
    let catalogue = Catalogue::build(&house.config, &house.listings);
    let asked = Asked {
        near: Surface::OpenaiChat,
        wish: &house.wish,
        lane: Lane::Normal,
        tried: &house.tried,
        config: &house.config,
        catalogue: &catalogue,
        places: &house.places,
        sessions: &house.sessions,
        now: NOW,
    };
    let best = (0..places).min_by_key(|number| work_s(*number)).unwrap_or_default();
    work::of(|| assert_eq!(choose(&asked).unwrap().legs[0].target.upstream, format!("node-{best}")))
}

#[test]
fn the_work_of_a_decision_grows_no_worse_than_the_number_of_places() {
    for tool_loop in [false, true] {
        let [ten, hundred, thousand] = [10, 100, 1_000].map(|places| work(places, tool_loop, |number| number * 7 % 11));
        assert!(ten >= 20, "it is counted: {ten}");
        assert!(hundred <= 10 * ten && thousand <= 100 * ten, "{ten}, {hundred}, {thousand}");
        // Where each one is better than all before it, they are sorted out a third more often.
        let [ten, hundred, thousand] = [10, 100, 1_000].map(|places| work(places, tool_loop, |number| places - number));
        assert!(hundred <= 11 * ten && thousand <= 112 * ten, "{ten}, {hundred}, {thousand}");
    }
}
