//! That no policy widens what others leave, whatever they say.

use std::sync::Arc;
use std::time::Duration;

use proptest::prelude::*;

use super::*;
use crate::cache::{self, Chat, Scope};
use crate::calendar::Zone;
use crate::config::{Config, Draft, UpstreamDraft, check};
use crate::lane::Lane;

type Stack = Vec<Arc<Policy>>;

fn config() -> Config {
    let upstreams = [("gpu", true), ("attic", true), ("cloud", false)].map(|(name, local)| UpstreamDraft {
        name: Some(name.to_owned()),
        kind: Some("loopback".to_owned()),
        local: Some(local),
        ..UpstreamDraft::default()
    });
    check(&Draft { upstreams: upstreams.into(), ..Draft::default() }).unwrap()
}

fn patterns(words: &'static [&'static str]) -> impl Strategy<Value = Option<Vec<String>>> {
    prop::option::of(
        prop::sample::subsequence(words, 0..=words.len())
            .prop_map(|words| words.into_iter().map(String::from).collect()),
    )
}

fn cache_rules() -> impl Strategy<Value = CacheRules> {
    let scopes = prop::sample::select(vec![
        Scope::House,
        Scope::Tenant,
        Scope::Group("a".to_owned()),
        Scope::Group("b".to_owned()),
    ]);
    let chats = prop::sample::select(vec![Chat::Off, Chat::Deterministic, Chat::All]);
    let ttl = prop::option::of((1_u64..100).prop_map(Duration::from_secs));
    let said = (prop::option::of(chats), prop::option::of(any::<bool>()), prop::option::of(scopes), ttl);
    said.prop_map(|(chat, embeddings, scope, ttl)| CacheRules {
        chat,
        embeddings,
        scope,
        ttl,
        replay_tokens_per_s: None,
    })
}

fn rules() -> impl Strategy<Value = Rules> {
    let places =
        (patterns(&["qwen*", "gpt*", "fast", "cloud/*", "*"]), patterns(&["gpu", "a*", "cloud"]), any::<bool>());
    let lanes = prop::option::of(prop::sample::select(vec![Lane::Interactive, Lane::Normal, Lane::Bulk]));
    let hours = prop::option::of((1_u8..128, 0_u16..24, 0_u16..24));
    let deny = prop::sample::subsequence(&Capabilities::NAMES[..], 0..3);
    (places, lanes, hours, deny, cache_rules(), 0_usize..3).prop_map(|(places, lane, hours, deny, cache, limits)| {
        Rules {
            models: places.0,
            upstreams: places.1,
            privacy: if places.2 { Privacy::LocalOnly } else { Privacy::Any },
            lane,
            deny: deny.into_iter().fold(Capabilities::default(), |all, (_, one)| all.or(one)),
            hours: hours.map(|(mask, from, to)| Hours {
                days: std::array::from_fn(|day| mask & (1 << day) != 0),
                from: from * 60,
                to: to * 60,
                zone: Zone::default(),
            }),
            cache,
            limits: vec![LimitRule::default(); limits],
            ..Rules::default()
        }
    })
}

/// The same policies in two orders.
fn two_orders() -> impl Strategy<Value = (Stack, Stack)> {
    stack().prop_flat_map(|stack| (Just(stack.clone()), Just(stack).prop_shuffle()))
}

fn stack() -> impl Strategy<Value = Stack> {
    let policy =
        |(number, rules): (usize, Rules)| Arc::new(Policy { name: format!("p{number}"), rules, ..Policy::default() });
    prop::collection::vec(rules(), 1..6).prop_map(move |rules| rules.into_iter().enumerate().map(policy).collect())
}

/// Everything that is allowed, as one set of facts: the fewer, the narrower.
fn permits(effective: &Effective, config: &Config) -> Vec<String> {
    let mut facts = Vec::new();
    for upstream in &config.upstreams {
        for (model, alias) in [("qwen3", None), ("gpt-5", None), ("llama", Some("fast"))] {
            if effective.bounds.bars(upstream, model, alias.into_iter()).is_none() {
                facts.push(format!("{}/{model}", upstream.name));
            }
        }
    }
    for (name, lane) in Lane::NAMES {
        if effective.lane_of(lane) == lane {
            facts.push(format!("lane {name}"));
        }
    }
    let denied: Vec<&str> = effective.deny.names().collect();
    facts.extend(
        Capabilities::NAMES.iter().filter(|(name, _)| !denied.contains(name)).map(|(name, _)| format!("asks {name}")),
    );
    for hour in 0..7 * 24 {
        let mut hours = effective.policies().iter().filter_map(|policy| policy.rules.hours.as_ref());
        if hours.all(|hours| hours.is_open(hour * 3_600)) {
            facts.push(format!("hour {hour}"));
        }
    }
    facts
}

fn cache_permits(rules: &cache::Rules) -> Vec<String> {
    let chats = (0..=rules.chat as u8).map(|chat| format!("chat {chat}"));
    let ttl = (0..rules.ttl.as_secs().min(100)).map(|second| format!("second {second}"));
    let who: &[&str] = match &rules.scope {
        Scope::Tenant => &["me"],
        Scope::Group(group) if group == "a" => &["me", "a"],
        Scope::Group(_) => &["me", "b"],
        Scope::House => &["me", "a", "b", "all"],
    };
    let vectors = rules.embeddings.then(|| "vectors".to_owned());
    chats.chain(ttl).chain(who.iter().map(|&who| who.to_owned())).chain(vectors).collect()
}

proptest! {
    // Each looks at every hour of a week under several policies.
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn no_policy_widens_what_the_others_leave(stack in stack(), position in any::<prop::sample::Index>()) {
        let (config, defaults) = (config(), cache::Rules::default());
        let mut fewer = stack.clone();
        let added = fewer.remove(position.index(stack.len()));
        let all = Effective::of(stack, &defaults);
        let before = Effective::of(fewer.clone(), &defaults);
        let left = permits(&before, &config);
        for fact in permits(&all, &config) {
            prop_assert!(left.contains(&fact), "{added:?} brought {fact}");
        }
        prop_assert!(all.limits().count() >= before.limits().count());
        // What `[cache]` says is a default and no rule: only what a policy said is narrowed.
        let said = fewer.iter().fold(CacheRules::default(), |mut said, policy| { said.narrow(&policy.rules.cache); said });
        let widest = cache::Rules {
            chat: Chat::All, embeddings: true, scope: Scope::House, ttl: Duration::from_secs(1_000), replay_tokens_per_s: 0
        };
        let mut now = said.clone();
        now.narrow(&added.rules.cache);
        let left = cache_permits(&said.or(&widest));
        for fact in cache_permits(&now.or(&widest)) {
            prop_assert!(left.contains(&fact), "{added:?} brought {fact} of kept answers");
        }
    }

    #[test]
    fn the_order_changes_no_permission(stack in two_orders()) {
        let (config, defaults) = (config(), cache::Rules::default());
        let (a, b) = (Effective::of(stack.0, &defaults), Effective::of(stack.1, &defaults));
        prop_assert_eq!(permits(&a, &config), permits(&b, &config));
        prop_assert_eq!(a.cache, b.cache);
    }
}
