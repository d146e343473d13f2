//! What all policies that hold for a request come to.

use std::sync::Arc;

use super::hours::{all_open, until};
use super::{Asks, Bounds, BudgetRule, CacheRules, Capabilities, Layer, LimitRule, Policy, Privacy, Traits};
use crate::cache::{self, Scope};
use crate::lane::Lane;
use crate::refusal::Refusal;
use crate::route::Wish;
use crate::semantic;
use crate::strategy::Strategy;

/// What holds for one request.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Effective {
    /// Where it may go.
    pub bounds: Arc<Bounds>,
    /// The most urgent lane that it may have.
    pub lane: Option<Lane>,
    /// How its place is chosen, where the house's way does not hold.
    pub strategy: Option<Strategy>,
    /// What it may not ask for.
    pub deny: Capabilities,
    /// What the model is told first.
    pub system: Option<Arc<str>>,
    /// What is kept of its answer.
    pub cache: cache::Rules,
    /// Whether kept answers to questions in other words do for it.
    pub semantic: Option<semantic::Settings>,
    /// The policies that hold, outermost first.
    policies: Vec<Arc<Policy>>,
}

/// Who decided one field, for explanations.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Decided {
    /// The key in the config.
    pub field: &'static str,
    /// What it came to.
    pub value: String,
    /// The policies that made it so, outermost first, with their layers. Empty where it is the house's default.
    pub by: Vec<(Layer, String)>,
}

impl Effective {
    /// What holds where no policy does.
    #[must_use]
    pub fn of_default(cache: cache::Rules) -> Self {
        Self { cache, ..Self::default() }
    }

    /// What holds under these policies, which are in the order of their layers.
    #[must_use]
    pub fn of(policies: Vec<Arc<Policy>>, defaults: &cache::Rules) -> Self {
        let mut all = Self { bounds: Arc::new(Bounds::of(&policies)), ..Self::default() };
        let (mut kept, mut system) = (CacheRules::default(), Vec::new());
        for rules in policies.iter().map(|policy| &policy.rules) {
            // The less urgent of both; lanes are in this order.
            all.lane = all.lane.max(rules.lane);
            all.strategy = rules.strategy.or(all.strategy);
            all.deny = all.deny.or(rules.deny);
            system.extend(rules.system.as_deref());
            kept.narrow(&rules.cache);
            all.semantic = stricter(all.semantic.take(), rules.semantic.as_ref());
        }
        all.cache = kept.or(defaults);
        if let Some(semantic) = &mut all.semantic {
            // Where tenants share answers, one could write words for the judge of the others.
            semantic.goal.judges_open &= all.cache.scope == Scope::Tenant;
        }
        all.system = (!system.is_empty()).then(|| system.join("\n\n").into());
        all.policies = policies;
        all
    }

    /// The policies that hold, outermost first.
    #[must_use]
    pub fn policies(&self) -> &[Arc<Policy>] {
        &self.policies
    }

    /// The limits that hold, all of them.
    pub fn limits(&self) -> impl Iterator<Item = &LimitRule> {
        self.policies.iter().flat_map(|policy| &policy.rules.limits)
    }

    /// The budgets that hold, all of them.
    pub fn budgets(&self) -> impl Iterator<Item = &BudgetRule> {
        self.policies.iter().flat_map(|policy| &policy.rules.budgets)
    }

    /// Puts into a request's wish what decides on its place.
    pub fn bind(&self, wish: &mut Wish) {
        wish.bounds = self.bounds.clone();
        wish.strategy = self.strategy;
    }

    /// What holds for requests that Airlane makes for itself on behalf of this one. The owner named their models himself.
    #[must_use]
    pub fn for_errands(&self) -> Self {
        Self { bounds: Arc::new(self.bounds.of_places()), system: None, ..self.clone() }
    }

    /// The same for a request that may only go where it costs nothing.
    #[must_use]
    pub fn kept_in_house(&self) -> Self {
        Self { bounds: Arc::new(self.bounds.with(Policy::of_spent())), ..self.clone() }
    }

    /// The lane of a request that wants this one.
    #[must_use]
    pub fn lane_of(&self, wanted: Lane) -> Lane {
        self.lane.map_or(wanted, |most| most.max(wanted))
    }

    /// Why a request is not served, wherever it could go.
    #[must_use]
    pub fn refusal(&self, asks: &Asks<'_>) -> Option<Refusal> {
        self.outside_hours(asks.unix_s).or_else(|| self.denied(&asks.traits))
    }

    fn denied(&self, traits: &Traits) -> Option<Refusal> {
        let wanted = traits.capabilities().and(self.deny);
        let what = wanted.names().next()?;
        let denies = |policy: &&Arc<Policy>| !policy.rules.deny.and(wanted).is_empty();
        let policy = self.policies.iter().find(denies)?;
        let what = policy.rules.deny.and(wanted).names().next().unwrap_or(what);
        Some(Refusal::Denied { policy: policy.name.clone(), what })
    }

    fn outside_hours(&self, unix_s: i64) -> Option<Refusal> {
        let hours = self.policies.iter().filter_map(|policy| policy.rules.hours.as_ref());
        let is_closed = |policy: &&Arc<Policy>| policy.rules.hours.as_ref().is_some_and(|hours| !hours.is_open(unix_s));
        let policy = self.policies.iter().find(is_closed)?;
        let told = |then| policy.rules.hours.as_ref().map(|hours| hours.told(then)).unwrap_or_default();
        let again = all_open(hours, unix_s);
        Some(Refusal::OutsideHours {
            policy: policy.name.clone(),
            again: again.map(told),
            retry_after: again.map(|then| until(unix_s, then)),
        })
    }

    /// Who decided what: one row for each field of which a policy says something.
    #[must_use]
    pub fn decided(&self) -> Vec<Decided> {
        let mut rows = Vec::new();
        let mut row = |field: &'static str, value: &dyn Fn() -> String, says: &dyn Fn(&Policy) -> bool| {
            let by: Vec<(Layer, String)> = (self.policies.iter().filter(|policy| says(policy)))
                .map(|policy| (policy.layer(), policy.name.clone()))
                .collect();
            if !by.is_empty() {
                rows.push(Decided { field, value: value(), by });
            }
        };
        let lists = |list: fn(&Policy) -> Option<&Vec<String>>| {
            let lists: Vec<String> = self.policies.iter().filter_map(|p| list(p)).map(|list| list.join(", ")).collect();
            lists.join(" and ")
        };
        row("allow_models", &|| lists(|p| p.rules.models.as_ref()), &|p| p.rules.models.is_some());
        row("allow_upstreams", &|| lists(|p| p.rules.upstreams.as_ref()), &|p| p.rules.upstreams.is_some());
        row("privacy", &|| "local-only".to_owned(), &|p| p.rules.privacy == Privacy::LocalOnly);
        row("lane", &|| self.lane.map_or("", Lane::name).to_owned(), &|p| {
            p.rules.lane.is_some() && p.rules.lane == self.lane
        });
        let strategist = self.policies.iter().rfind(|policy| policy.rules.strategy.is_some());
        let is_strategist = |p: &Policy| strategist.is_some_and(|known| known.name == p.name);
        row("strategy", &|| self.strategy.map_or("", Strategy::name).to_owned(), &is_strategist);
        row("deny", &|| self.deny.names().collect::<Vec<_>>().join(", "), &|p| !p.rules.deny.is_empty());
        row("system", &|| self.system.as_deref().unwrap_or_default().to_owned(), &|p| p.rules.system.is_some());
        row("hours", &|| "all of these must be open".to_owned(), &|p| p.rules.hours.is_some());
        row("cache", &|| told_cache(&self.cache), &|p| !p.rules.cache.is_empty());
        row("semantic", &|| "questions in other words".to_owned(), &|p| p.rules.semantic.is_some());
        row("limit", &|| format!("{} hold", self.limits().count()), &|p| !p.rules.limits.is_empty());
        row("budget", &|| format!("{} hold", self.budgets().count()), &|p| !p.rules.budgets.is_empty());
        rows
    }
}

fn told_cache(rules: &cache::Rules) -> String {
    let chat = cache::Chat::NAMES.into_iter().find(|(_, chat)| *chat == rules.chat).map_or("", |(name, _)| name);
    let vectors = if rules.embeddings { "" } else { ", no vectors" };
    let scope = match &rules.scope {
        Scope::Tenant => "tenant".to_owned(),
        Scope::Group(group) => format!("group:{group}"),
        Scope::House => "house".to_owned(),
    };
    format!("chat {chat}{vectors}, scope {scope}, for {} s", rules.ttl.as_secs())
}

/// The models of the innermost, with the stricter goal of both.
fn stricter(outer: Option<semantic::Settings>, inner: Option<&semantic::Settings>) -> Option<semantic::Settings> {
    let Some(mut inner) = inner.cloned() else { return outer };
    if let Some(outer) = outer {
        let goal = &mut inner.goal;
        goal.error_max = goal.error_max.min(outer.goal.error_max);
        goal.at_least = goal.at_least.max(outer.goal.at_least);
        goal.audited = goal.audited.max(outer.goal.audited);
        goal.judges_open &= outer.goal.judges_open;
    }
    Some(inner)
}

impl Traits {
    /// What it asks for besides text.
    #[must_use]
    pub fn capabilities(&self) -> Capabilities {
        let asked = [
            (self.tools, Capabilities::TOOLS),
            (self.images, Capabilities::IMAGES),
            (self.json_schema, Capabilities::JSON_SCHEMA),
            (self.reasoning, Capabilities::REASONING),
            (self.stream, Capabilities::STREAMING),
        ];
        asked.into_iter().filter(|(is_asked, _)| *is_asked).fold(Capabilities::default(), |all, (_, one)| all.or(one))
    }
}

#[cfg(test)]
mod tests {
    use super::super::{Conditions, Hours, Rules};
    use super::*;

    fn policy(name: &str, apps: &[&str], rules: Rules) -> Arc<Policy> {
        let conditions = Conditions { apps: apps.iter().map(|&app| app.to_owned()).collect(), ..Conditions::default() };
        Arc::new(Policy { name: name.to_owned(), conditions, rules })
    }

    #[test]
    fn layers_come_together_and_tell_who_decided() {
        let house = Rules {
            lane: Some(Lane::Normal),
            strategy: Some(Strategy::Cheapest),
            system: Some("Be kind.".to_owned()),
            deny: Capabilities::TOOLS,
            ..Rules::default()
        };
        let app = Rules {
            lane: Some(Lane::Bulk),
            strategy: Some(Strategy::Fastest),
            system: Some("Be short.".to_owned()),
            deny: Capabilities::IMAGES,
            privacy: Privacy::LocalOnly,
            ..Rules::default()
        };
        let all = Effective::of(vec![policy("h", &[], house), policy("a", &["x"], app)], &cache::Rules::default());
        assert_eq!(all.lane_of(Lane::Interactive), Lane::Bulk);
        assert_eq!(all.strategy, Some(Strategy::Fastest));
        assert_eq!(all.system.as_deref(), Some("Be kind.\n\nBe short."));
        let told = all.decided().into_iter().map(|row| {
            let by: Vec<String> = row.by.iter().map(|(layer, name)| format!("{} {name}", layer.name())).collect();
            format!("{} = {} by {}", row.field, row.value.replace('\n', " "), by.join(", "))
        });
        let want = [
            "privacy = local-only by app a",
            "lane = bulk by app a",
            "strategy = fastest by app a",
            "deny = tools, images by house h, app a",
            "system = Be kind.  Be short. by house h, app a",
        ];
        assert_eq!(told.collect::<Vec<_>>(), want);
        let asks = Asks { traits: Traits { images: true, ..Traits::default() }, ..Asks::default() };
        assert_eq!(all.refusal(&asks), Some(Refusal::Denied { policy: "a".to_owned(), what: "images" }));
        assert_eq!(all.refusal(&Asks::default()), None);
    }

    #[test]
    fn hours_are_told_with_their_end() {
        let hours = |from: u16, to: u16| Rules {
            hours: Some(Hours { days: [true; 7], from: from * 60, to: to * 60, ..Hours::default() }),
            ..Rules::default()
        };
        let of = |rules: [Rules; 2]| {
            let [a, b] = rules;
            let stack = vec![policy("a", &[], hours(0, 0)), policy("b", &[], a), policy("c", &[], b)];
            Effective::of(stack, &cache::Rules::default()).refusal(&Asks::default())
        };
        // It is Thursday, 00:00.
        let refusal = of([hours(8, 20), hours(0, 12)]).unwrap();
        let want = "policy \"b\" serves no requests like this one at this time; it does again on Thursday 08:00";
        assert_eq!(
            (refusal.to_string().as_str(), refusal.retry_after()),
            (want, Some(std::time::Duration::from_secs(28_800)))
        );
        let never = of([hours(8, 9), hours(9, 10)]).unwrap();
        assert_eq!(never.retry_after(), None);
        assert!(never.to_string().ends_with("have no time in common"), "{never}");
        assert_eq!(of([hours(0, 8), hours(22, 1)]), None);
    }
}
