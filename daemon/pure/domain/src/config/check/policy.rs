//! The policies.

use std::collections::BTreeSet;
use std::sync::Arc;

use super::super::{BudgetDraft, HoursDraft, LimitDraft, PolicyDraft};
use super::{Check, NAME_CHARS_MAX, is_short_name};
use crate::cache::{self, Scope};
use crate::calendar::{Cycle, Zone};
use crate::lane::Lane;
use crate::policy::{
    AtLimit, BudgetRule, Capabilities, Conditions, DAYS, Hours, LimitRule, Policy, Privacy, Rules, Subject, When,
    Window,
};
use crate::strategy::Strategy;

/// Longest addition to prompts, in bytes: each request that it holds for pays for it.
const SYSTEM_BYTES_MAX: usize = 16 * 1024;

/// Most money of a budget, in dollars.
const USD_MAX: f64 = 1e9;

const CYCLES: [(&str, Cycle); 4] =
    [("hour", Cycle::Hour), ("day", Cycle::Day), ("week", Cycle::Week), ("month", Cycle::Month)];

impl Check {
    /// The policies, in the order of their layers.
    pub(super) fn policies(
        &mut self,
        drafts: &[PolicyDraft],
        defaults: &cache::Rules,
        has_table: bool,
    ) -> Vec<Arc<Policy>> {
        let mut names = BTreeSet::new();
        let mut policies = Vec::with_capacity(drafts.len());
        for (position, draft) in drafts.iter().enumerate() {
            let path = format!("policy[{position}]");
            let name = draft.name.clone().unwrap_or_default();
            if name.is_empty() || !is_short_name(&name) {
                let wanted = format!("give it a name of at most {NAME_CHARS_MAX} letters, digits, '-', '_' and '.'");
                self.problem(format!("{path}.name"), wanted);
            } else if !names.insert(name.clone()) {
                self.problem(format!("{path}.name"), format!("another policy is called {name:?}; names must differ"));
            }
            let conditions = self.conditions(&path, draft);
            let mut rules = self.rules(&path, draft, defaults, has_table);
            rules.find_quotas(&name);
            policies.push(Arc::new(Policy { name, conditions, rules }));
        }
        policies.sort_by_key(|policy| policy.layer());
        policies
    }

    fn conditions(&mut self, path: &str, draft: &PolicyDraft) -> Conditions {
        let list = |texts: &Option<Vec<String>>| texts.clone().unwrap_or_default();
        let when = draft.when.as_ref().map(|source| When::compile(source, &draft.zone));
        let when = when
            .and_then(|when| when.map_err(|mistake| self.problem(format!("{path}.when"), mistake.to_string())).ok());
        Conditions {
            tenants: list(&draft.tenants),
            keys: list(&draft.keys),
            groups: list(&draft.groups),
            apps: list(&draft.apps),
            clients: self.list(&format!("{path}.clients"), draft.clients.as_deref()),
            models: list(&draft.models),
            when,
        }
    }

    fn rules(&mut self, path: &str, draft: &PolicyDraft, defaults: &cache::Rules, has_table: bool) -> Rules {
        let at = |key: &str| format!("{path}.{key}");
        let strategy = self.word(&at("strategy"), draft.strategy.as_deref(), &Strategy::NAMES);
        if strategy == Some(Strategy::Weighted) {
            self.problem(at("strategy"), "weights belong to an alias: set strategy and weights there");
        }
        if draft.system.as_ref().is_some_and(|system| system.len() > SYSTEM_BYTES_MAX) {
            self.problem(at("system"), format!("is longer than {SYSTEM_BYTES_MAX} bytes"));
        }
        let cache = self.cache_rules(&at("cache"), &draft.cache);
        let names_apps = draft.apps.as_ref().is_some_and(|apps| !apps.is_empty());
        let is_shared = cache.or(defaults).scope != Scope::Tenant;
        let semantic = draft.semantic.as_ref();
        Rules {
            models: draft.allow_models.clone(),
            upstreams: draft.allow_upstreams.clone(),
            privacy: self.word(&at("privacy"), draft.privacy.as_deref(), &Privacy::NAMES).unwrap_or_default(),
            lane: self.word(&at("lane"), draft.lane.as_deref(), &Lane::NAMES),
            strategy,
            deny: self.capabilities(&at("deny"), draft.deny.as_deref().unwrap_or_default()),
            system: draft.system.clone().filter(|system| !system.trim().is_empty()),
            hours: draft.hours.as_ref().map(|hours| self.hours(&at("hours"), hours, &draft.zone)),
            cache,
            semantic: semantic.and_then(|draft| self.semantic(path, draft, names_apps, has_table, is_shared)),
            limits: each(&draft.limits, |(number, draft)| self.limit(&at(&format!("limit[{number}]")), draft)),
            budgets: each(&draft.budgets, |(number, budget)| {
                self.budget(&at(&format!("budget[{number}]")), budget, &draft.zone)
            }),
            // They bear the policy's name.
            quotas: Vec::new(),
        }
    }

    fn capabilities(&mut self, path: &str, names: &[String]) -> Capabilities {
        let mut all = Capabilities::default();
        for (number, name) in names.iter().enumerate() {
            let one = self.word(&format!("{path}[{number}]"), Some(name), &Capabilities::NAMES);
            all = all.or(one.unwrap_or_default());
        }
        all
    }

    fn hours(&mut self, path: &str, draft: &HoursDraft, zone: &Zone) -> Hours {
        let mut days = [draft.days.is_none(); 7];
        for (number, name) in draft.days.iter().flatten().enumerate() {
            match DAYS.iter().position(|day| day == name) {
                Some(day) => days[day] = true,
                None => {
                    let known = DAYS.join(", ");
                    self.problem(format!("{path}.days[{number}]"), format!("{name:?} is not one of {known}"));
                }
            }
        }
        if !days.contains(&true) && draft.days.as_ref().is_some_and(Vec::is_empty) {
            self.problem(format!("{path}.days"), "is empty: name at least one day, or leave it out for all");
        }
        let from = self.time_of_day(&format!("{path}.from"), draft.from.as_deref());
        let to = self.time_of_day(&format!("{path}.to"), draft.to.as_deref());
        Hours { days, from, to, zone: zone.clone() }
    }

    /// Minutes since midnight; midnight where nothing is said.
    fn time_of_day(&mut self, path: &str, text: Option<&str>) -> u16 {
        let Some(text) = text else { return 0 };
        let number =
            |text: &str, most: u16| text.parse().ok().filter(|number: &u16| text.len() == 2 && *number <= most);
        let parts = text.split_once(':').and_then(|(hour, minute)| Some((number(hour, 24)?, number(minute, 59)?)));
        match parts {
            Some((hour, minute)) if (hour, minute) <= (24, 0) => (hour * 60 + minute) % (24 * 60),
            _ => {
                self.problem(path, format!("{text:?} is no time of the day, like \"08:30\""));
                0
            }
        }
    }

    fn limit(&mut self, path: &str, draft: &LimitDraft) -> LimitRule {
        let at = |key: &str| format!("{path}.{key}");
        let mut amount =
            |key: &str, value: Option<u64>| value.map(|value| self.number(&at(key), Some(value), 0..=1 << 50, 0));
        let (requests, tokens) = (amount("requests", draft.requests), amount("tokens", draft.tokens));
        let concurrent = amount("concurrent", draft.concurrent);
        let input_tokens_max = amount("input_tokens_max", draft.input_tokens_max);
        if requests.is_none() && tokens.is_none() {
            if concurrent.is_none() && input_tokens_max.is_none() {
                self.problem(path, "limits nothing: give it requests, tokens, concurrent or input_tokens_max");
            }
        } else if draft.window.is_none() {
            self.problem(at("window"), "is missing: say minute, hour or day");
        }
        LimitRule {
            per: self.subject(&at("per"), draft.per.as_deref()),
            window: self.word(&at("window"), draft.window.as_deref(), &Window::NAMES).unwrap_or_default(),
            requests,
            tokens,
            concurrent,
            input_tokens_max,
        }
    }

    fn budget(&mut self, path: &str, draft: &BudgetDraft, zone: &Zone) -> BudgetRule {
        let at = |key: &str| format!("{path}.{key}");
        let usd = draft.usd.filter(|usd| (0.0..=USD_MAX).contains(usd));
        if usd.is_none() {
            self.problem(at("usd"), "must be an amount of US dollars, like 5.0");
        }
        if draft.period.is_none() {
            self.problem(at("period"), "is missing: say hour, day, week or month");
        }
        let warn = draft.warn.iter().flatten().enumerate();
        let warn =
            warn.map(|(number, share)| self.number(&format!("{path}.warn[{number}]"), Some(*share), 1..=100, 100));
        let warn = warn.filter_map(|share| u8::try_from(share).ok()).collect();
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "it lies between 0 and 10^15")]
        let micro_usd = (usd.unwrap_or(0.0) * 1e6).round() as u64;
        BudgetRule {
            per: self.subject(&at("per"), draft.per.as_deref()),
            micro_usd,
            period: self.word(&at("period"), draft.period.as_deref(), &CYCLES).unwrap_or_default(),
            zone: draft.zone.clone().unwrap_or_else(|| zone.clone()),
            warn,
            at_limit: self.word(&at("at_limit"), draft.at_limit.as_deref(), &AtLimit::NAMES).unwrap_or_default(),
        }
    }

    fn subject(&mut self, path: &str, name: Option<&str>) -> Subject {
        if name.is_none() {
            self.problem(path, "is missing: say of what each has its own: tenant, key, device, model or upstream");
        }
        self.word(path, name, &Subject::NAMES).unwrap_or_default()
    }
}

fn each<D, T>(drafts: &[D], check: impl FnMut((usize, &D)) -> T) -> Vec<T> {
    drafts.iter().enumerate().map(check).collect()
}

#[cfg(test)]
mod tests {
    use super::super::super::{Draft, check};
    use super::*;

    fn text(text: &str) -> Option<String> {
        Some(text.to_owned())
    }

    fn texts(texts: &[&str]) -> Option<Vec<String>> {
        Some(texts.iter().map(|&text| text.to_owned()).collect())
    }

    fn draft(policies: Vec<PolicyDraft>) -> Draft {
        Draft { policies, ..Draft::default() }
    }

    #[test]
    fn everything_that_a_policy_may_say() {
        let limit = LimitDraft { per: text("key"), window: text("hour"), requests: Some(60), ..LimitDraft::default() };
        let budget = BudgetDraft {
            per: text("tenant"),
            usd: Some(5.25),
            period: text("month"),
            warn: Some(vec![80]),
            at_limit: text("local"),
            ..BudgetDraft::default()
        };
        let kids = PolicyDraft {
            name: text("kids"),
            groups: texts(&["kids"]),
            allow_models: texts(&["qwen*"]),
            privacy: text("local-only"),
            lane: text("bulk"),
            strategy: text("fastest"),
            deny: texts(&["images", "tools"]),
            system: text("Be kind."),
            hours: Some(HoursDraft { days: texts(&["mon", "sun"]), from: text("08:30"), to: text("24:00") }),
            limits: vec![limit],
            budgets: vec![budget],
            ..PolicyDraft::default()
        };
        let house = PolicyDraft { name: text("house"), ..PolicyDraft::default() };
        let config = check(&draft(vec![kids, house])).unwrap();
        let [house, kids] = &config.policies[..] else { panic!("{:?}", config.policies) };
        assert_eq!((house.name.as_str(), kids.name.as_str()), ("house", "kids"), "in the order of layers");
        let rules = &kids.rules;
        assert_eq!(
            (rules.privacy, rules.lane, rules.strategy),
            (Privacy::LocalOnly, Some(Lane::Bulk), Some(Strategy::Fastest))
        );
        assert_eq!(rules.deny, Capabilities::IMAGES.or(Capabilities::TOOLS));
        let hours = rules.hours.as_ref().unwrap();
        assert_eq!((hours.days, hours.from, hours.to), ([true, false, false, false, false, false, true], 510, 0));
        assert_eq!((rules.limits[0].per, rules.limits[0].window), (Subject::Key, Window::Hour));
        let budget = &rules.budgets[0];
        assert_eq!((budget.micro_usd, budget.period, budget.at_limit), (5_250_000, Cycle::Month, AtLimit::Local));
    }

    #[test]
    fn what_is_wrong_is_named() {
        let wrong = PolicyDraft {
            name: text("x"),
            privacy: text("secret"),
            lane: text("fast"),
            strategy: text("weighted"),
            deny: texts(&["tools", "magic"]),
            system: Some("x".repeat(SYSTEM_BYTES_MAX + 1)),
            hours: Some(HoursDraft { days: texts(&["monday"]), from: text("8"), to: text("24:01") }),
            limits: vec![
                LimitDraft::default(),
                LimitDraft { requests: Some(1), per: text("me"), ..LimitDraft::default() },
            ],
            budgets: vec![BudgetDraft { usd: Some(-1.0), warn: Some(vec![0]), ..BudgetDraft::default() }],
            ..PolicyDraft::default()
        };
        let problems = check(&draft(vec![wrong])).unwrap_err();
        let mut paths: Vec<&str> =
            problems.iter().map(|problem| problem.path.strip_prefix("policy[0].").unwrap_or(&problem.path)).collect();
        paths.sort_unstable();
        let want = [
            "budget[0].per",
            "budget[0].period",
            "budget[0].usd",
            "budget[0].warn[0]",
            "deny[1]",
            "hours.days[0]",
            "hours.from",
            "hours.to",
            "lane",
            "limit[0]",
            "limit[0].per",
            "limit[1].per",
            "limit[1].window",
            "privacy",
            "strategy",
            "system",
        ];
        assert_eq!(paths, want, "{problems:#?}");
    }
}
