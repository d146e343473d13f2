use std::sync::Arc;
use std::time::Duration;

use domain::allowance::{Allowance, Cause, Charge, Demand, Exceeded, Kind, Now, Quota, Subject};
use domain::budget::{Budget, Price, Step};
use domain::calendar::{Cycle, Zone};
use domain::limit::{Limit, Limits, Needed, Per, Reached, What};
use domain::moment::Moment;

use super::{Meter, Permit};

/// 2026-11-28 07:00 UTC.
const UNIX_S: i64 = 1_795_849_200;
const NOW: Now = Now { moment: Moment::START, unix_s: UNIX_S };

pub(super) fn subject(kind: Kind, name: &str) -> Subject {
    Subject { kind, policy: "house".into(), name: name.into() }
}

pub(super) fn quota(kind: Kind, limits: Limits, budgets: Vec<Arc<Budget>>) -> Quota {
    Quota { policy: "house".into(), kind, allowance: Allowance { limits, budgets } }
}

pub(super) fn limits(requests: u64, tokens: u64) -> Limits {
    Limits::default().with(Limit { what: What::Requests, amount: requests, per: Per::Minute }).with(Limit {
        what: What::Tokens,
        amount: tokens,
        per: Per::Minute,
    })
}

pub(super) fn month(amount_micro_usd: u64, degrade_percent: Option<u8>) -> Vec<Arc<Budget>> {
    let zone = Zone::utc();
    let warn_percents = vec![80];
    vec![Arc::new(Budget { amount_micro_usd, cycle: Cycle::Month, zone, warn_percents, degrade_percent })]
}

pub(super) fn demand(tokens: u64, anywhere_micro_usd: u64) -> Demand {
    Demand { needed: Needed { tokens, ..Needed::default() }, price: Price { anywhere_micro_usd, local_micro_usd: 0 } }
}

fn after(span: Duration) -> Now {
    Now { moment: NOW.moment + span, unix_s: UNIX_S + i64::try_from(span.as_secs()).unwrap() }
}

/// A house that limits tenants, their keys, devices and upstreams; by kind.
fn house() -> [Quota; 5] {
    Kind::ALL.map(|kind| match kind {
        Kind::Tenant => quota(kind, limits(100, 10_000), month(1_000, None)),
        Kind::Key => quota(kind, limits(10, 5_000), month(600, Some(90))),
        Kind::Device => quota(kind, limits(4, 100_000), Vec::new()),
        Kind::Model => quota(kind, Limits::default(), Vec::new()),
        Kind::Upstream => quota(kind, limits(2, 100_000), month(500, None)),
    })
}

type Who<'a> = &'a [(Kind, &'a str)];

const WHO: Who<'_> = &[(Kind::Tenant, "ann"), (Kind::Key, "k1"), (Kind::Device, "desk")];

fn charges<'a>(house: &'a [Quota; 5], who: Who<'a>) -> Vec<Charge<'a>> {
    who.iter().map(|&(kind, name)| Charge { quota: &house[kind as usize], name }).collect()
}

fn admit(meter: &Meter, who: Who<'_>, demand: &Demand) -> Result<Permit, Box<Exceeded>> {
    meter.admit(&charges(&house(), who), demand, NOW)
}

/// To an upstream, for all that is held.
fn join(meter: &Meter, permit: &mut Permit, upstream: &str) -> Result<(), Box<Exceeded>> {
    let held = permit.held_micro_usd();
    meter.join(permit, &charges(&house(), &[(Kind::Upstream, upstream)]), held, NOW)
}

/// Requests and tokens that remain, and what is spent and held.
fn left(meter: &Meter, kind: Kind, name: &str) -> (u64, u64, u64, u64) {
    let used = meter.standings(kind, NOW).into_iter().find(|used| &*used.subject.name == name).unwrap();
    let remaining = |what| used.windows.iter().find(|window| window.limit.what == what).unwrap().remaining;
    let (spent, held) =
        used.accounts.first().map_or((0, 0), |account| (account.spent_micro_usd, account.reserved_micro_usd));
    (remaining(What::Requests), remaining(What::Tokens), spent, held)
}

#[test]
fn one_request_is_counted_under_all_its_subjects() {
    let meter = Meter::new(64);
    let permit = admit(&meter, WHO, &demand(1_000, 100)).unwrap();
    assert_eq!(left(&meter, Kind::Tenant, "ann"), (99, 9_000, 0, 100));
    assert_eq!(left(&meter, Kind::Key, "k1"), (9, 4_000, 0, 100));
    assert_eq!(left(&meter, Kind::Device, "desk"), (3, 99_000, 0, 0));
    let standing = permit.standing();
    assert_eq!(standing.requests.unwrap().remaining, 3, "the device's");
    assert_eq!(standing.tokens.unwrap().remaining, 4_000, "the key's");
    assert!(permit.settle(1_500, 70, UNIX_S).is_empty());
    assert_eq!(left(&meter, Kind::Tenant, "ann"), (99, 8_500, 70, 0));
    assert_eq!(left(&meter, Kind::Key, "k1"), (9, 3_500, 70, 0));
}

#[test]
fn what_was_refused_costs_nothing_anywhere() {
    let meter = Meter::new(64);
    for _ in 0..4 {
        admit(&meter, WHO, &demand(0, 0)).unwrap().settle(0, 0, UNIX_S);
    }
    let before = (left(&meter, Kind::Tenant, "ann"), left(&meter, Kind::Key, "k1"));
    for _ in 0..50 {
        let exceeded = admit(&meter, WHO, &demand(100, 10)).err().unwrap();
        assert_eq!(exceeded.subject, subject(Kind::Device, "desk"));
        let Cause::Limit(Reached::Rate { retry_after, .. }) = exceeded.cause else { panic!("{exceeded}") };
        assert_eq!(retry_after, Duration::from_secs(15));
        assert_eq!(exceeded.standing.requests.unwrap().remaining, 0);
    }
    assert_eq!((left(&meter, Kind::Tenant, "ann"), left(&meter, Kind::Key, "k1")), before);
    assert!(meter.admit(&charges(&house(), WHO), &demand(100, 10), after(Duration::from_secs(15))).is_ok());
}

#[test]
fn a_permit_that_is_dropped_gives_back_all_but_the_request() {
    let meter = Meter::new(64);
    drop(admit(&meter, WHO, &demand(1_000, 100)).unwrap());
    assert_eq!(left(&meter, Kind::Tenant, "ann"), (99, 10_000, 0, 0));
    assert_eq!(meter.standings(Kind::Tenant, NOW)[0].running, 0);
}

#[test]
fn a_tenants_budget_is_shared_by_all_below() {
    let meter = Meter::new(64);
    let of = |key| [(Kind::Tenant, "ann"), (Kind::Key, key)];
    let first = admit(&meter, &of("k1"), &demand(10, 540)).unwrap();
    let exceeded = admit(&meter, &of("k2"), &demand(10, 461)).err().unwrap();
    assert_eq!(exceeded.subject, subject(Kind::Tenant, "ann"));
    assert!(matches!(exceeded.cause, Cause::Budget(account) if account.reserved_micro_usd == 540));
    let told: Vec<_> = exceeded.notices.iter().map(|notice| (notice.subject.kind, notice.step)).collect();
    assert_eq!(told, [(Kind::Tenant, Step::Stopped)]);
    assert_eq!(admit(&meter, &of("k2"), &demand(10, 461)).err().unwrap().notices, [], "told once");
    assert!(admit(&meter, &of("k2"), &demand(10, 460)).is_ok());
    first.settle(10, 0, UNIX_S);
    assert!(admit(&meter, &of("k2"), &demand(10, 461)).is_ok());
}

/// One budget wants it in the house: then no other stops it, since it costs nothing there.
#[test]
fn near_the_end_of_one_budget_requests_stay_in_the_house() {
    let meter = Meter::new(64);
    let spent = admit(&meter, WHO, &demand(10, 500)).unwrap().settle(10, 500, UNIX_S);
    assert_eq!(
        spent.iter().map(|notice| (notice.subject.kind, notice.step)).collect::<Vec<_>>(),
        [(Kind::Key, Step::Spent(80))]
    );
    for told in [1, 0] {
        let permit = admit(&meter, WHO, &demand(10, 600)).unwrap();
        assert!(permit.is_degraded());
        assert_eq!((permit.held_micro_usd(), permit.passed_percent()), (0, Some(80)));
        let degraded: Vec<_> = permit.warnings().iter().filter(|notice| notice.step == Step::Degraded).collect();
        assert_eq!(degraded.len(), told);
    }
    let permit = admit(&meter, WHO, &demand(10, 40)).unwrap();
    assert!(!permit.is_degraded());
}

#[test]
fn what_goes_somewhere_cheaper_holds_less() {
    let meter = Meter::new(64);
    let mut permit = admit(&meter, WHO, &demand(10, 500)).unwrap();
    permit.lower(600);
    assert_eq!(left(&meter, Kind::Tenant, "ann").3, 500, "it can only become less");
    permit.lower(20);
    assert_eq!(left(&meter, Kind::Tenant, "ann").3, 20);
    permit.settle(10, 5, UNIX_S);
    assert_eq!(left(&meter, Kind::Tenant, "ann"), (99, 9_990, 5, 0));
}

#[test]
fn upstreams_join_when_they_are_tried() {
    let (meter, who) = (Meter::new(64), &[(Kind::Tenant, "ann"), (Kind::Device, "desk")]);
    let mut permit = admit(&meter, who, &demand(1_000, 300)).unwrap();
    for _ in 0..3 {
        join(&meter, &mut permit, "cloud").unwrap();
        assert_eq!(left(&meter, Kind::Upstream, "cloud"), (1, 99_000, 0, 300), "once is enough");
    }
    assert_eq!(permit.standing().requests.unwrap().remaining, 1);
    let mut second = admit(&meter, who, &demand(1_000, 300)).unwrap();
    let exceeded = join(&meter, &mut second, "cloud").err().unwrap();
    assert!(matches!(exceeded.cause, Cause::Budget(_)));
    assert_eq!(left(&meter, Kind::Upstream, "cloud"), (1, 99_000, 0, 300));
    join(&meter, &mut permit, "box").unwrap();
    assert_eq!(left(&meter, Kind::Upstream, "cloud"), (1, 100_000, 0, 0), "another is tried");
    join(&meter, &mut second, "cloud").unwrap();
    second.settle(2_000, 250, UNIX_S);
    assert_eq!(left(&meter, Kind::Upstream, "cloud"), (0, 98_000, 250, 0));
    assert_eq!(left(&meter, Kind::Tenant, "ann"), (98, 7_000, 250, 300));
}

#[test]
fn an_upstream_whose_budget_nears_its_end_takes_only_what_stays_in_the_house() {
    let meter = Meter::new(64);
    let cloud = quota(Kind::Upstream, Limits::default(), month(500, Some(50)));
    let charge = [Charge { quota: &cloud, name: "cloud" }];
    let mut permit = admit(&meter, WHO, &demand(10, 251)).unwrap();
    let exceeded = meter.join(&mut permit, &charge, 251, NOW).err().unwrap();
    assert!(matches!(exceeded.cause, Cause::Budget(_)));
    assert!(meter.join(&mut permit, &charge, 250, NOW).is_ok());
    drop(permit);
    assert_eq!(left(&meter, Kind::Tenant, "ann").3, 0, "what each held is given back");
    let account = meter.standings(Kind::Upstream, NOW)[0].accounts[0];
    assert_eq!((account.spent_micro_usd, account.reserved_micro_usd), (0, 0));
}

/// A place has a model and an upstream; the same model elsewhere keeps its count.
#[test]
fn the_same_model_elsewhere_is_one_request() {
    let meter = Meter::new(64);
    let once = Limits { concurrent: Some(1), ..Limits::default() };
    let quotas = [Kind::Model, Kind::Upstream].map(|kind| quota(kind, once.clone(), Vec::new()));
    let place = |upstream| [("m", 0), (upstream, 1)].map(|(name, at)| Charge { quota: &quotas[at], name });
    let mut first = admit(&meter, WHO, &demand(10, 0)).unwrap();
    for upstream in ["box", "nas", "box"] {
        meter.join(&mut first, &place(upstream), 0, NOW).unwrap();
    }
    let mut second = admit(&meter, WHO, &demand(10, 0)).unwrap();
    assert_eq!(meter.join(&mut second, &place("nas"), 0, NOW).err().unwrap().subject, subject(Kind::Model, "m"));
    drop(first);
    assert!(meter.join(&mut second, &place("nas"), 0, NOW).is_ok());
}

/// Each policy counts what it holds for, whatever others count of the same subject.
#[test]
fn policies_have_counts_of_their_own() {
    let meter = Meter::new(64);
    let of = |policy: &str, requests| Quota {
        policy: policy.into(),
        ..quota(Kind::Device, limits(requests, 1_000), Vec::new())
    };
    let (kids, vision) = (of("kids", 3), of("vision", 1));
    let [kids, vision] = [&kids, &vision].map(|quota| Charge { quota, name: "desk" });
    let admit = |charges: &[Charge<'_>]| meter.admit(charges, &demand(10, 0), NOW);
    assert!(admit(&[kids, vision]).is_ok());
    assert_eq!(&*admit(&[kids, vision]).err().unwrap().subject.policy, "vision");
    assert!(admit(&[kids]).is_ok());
    assert!(admit(&[kids, kids]).is_ok(), "what is named twice counts once");
    assert_eq!(&*admit(&[kids]).err().unwrap().subject.policy, "kids");
}

#[test]
fn counts_outlive_a_change_of_rules() {
    let meter = Meter::new(64);
    let permit = admit(&meter, WHO, &demand(1_000, 100)).unwrap();
    let tenants = quota(Kind::Tenant, limits(50, 20_000), month(700, None));
    permit.settle(2_000, 300, UNIX_S);
    let charge = [Charge { quota: &tenants, name: "ann" }];
    let standing = meter.admit(&charge, &demand(0, 400), NOW).unwrap().standing();
    assert_eq!((standing.requests.unwrap().remaining, standing.tokens.unwrap().remaining), (48, 18_000));
    assert!(meter.admit(&charge, &demand(0, 401), NOW).is_err(), "300 of 700 are spent");
}

#[test]
fn a_restart_takes_no_budget_back() {
    let (meter, house) = (Meter::new(64), house());
    let restore = |kind, name, key: &str, spent| {
        meter.restore(&Charge { quota: &house[kind as usize], name }, key.parse().unwrap(), spent, NOW);
    };
    for key in ["2026-11", "2026-10", "2026-11-28"] {
        restore(Kind::Tenant, "ann", key, 950);
    }
    restore(Kind::Model, "m", "2026-11", 1);
    let account = meter.standings(Kind::Tenant, NOW)[0].accounts[0];
    assert_eq!((account.spent_micro_usd, account.period.key.to_string().as_str()), (950, "2026-11"));
    let tenant = &[(Kind::Tenant, "ann")];
    assert!(admit(&meter, tenant, &demand(0, 51)).is_err());
    assert!(admit(&meter, tenant, &demand(0, 50)).is_ok());
    assert_eq!(meter.standings(Kind::Model, NOW), []);
}

#[test]
fn counts_that_have_run_dry_are_forgotten() {
    let meter = Meter::new(10_000);
    let names: Vec<String> = (0..2_000).map(|number| format!("device {number}")).collect();
    for name in &names {
        drop(admit(&meter, &[(Kind::Device, name)], &demand(10, 0)).unwrap());
    }
    let running = admit(&meter, &[(Kind::Device, &names[0])], &demand(10, 0)).unwrap();
    meter.sweep(NOW);
    assert_eq!(meter.standings(Kind::Device, NOW).len(), 2_000);
    let later = after(Duration::from_secs(60));
    meter.sweep(later);
    let left: Vec<_> = meter.standings(Kind::Device, later).into_iter().map(|used| used.subject.name).collect();
    assert_eq!(left, [names[0].as_str().into()], "one is in use");
    drop(running);
    meter.sweep(after(Duration::from_secs(120)));
    assert_eq!(meter.standings(Kind::Device, later), []);
}

/// Whoever has many addresses cannot fill the memory, and gets no more through than the crowd's one count lets in.
#[test]
fn a_flood_of_strangers_shares_one_count() {
    let meter = Meter::new(640);
    let mut late = 0;
    for number in 0..20_000 {
        let device = format!("2001:db8::{number:x}");
        let who = [(Kind::Device, device.as_str())];
        late += usize::from(number >= 10_000 && admit(&meter, &who, &demand(1, 0)).is_ok());
        if number < 10_000 {
            drop(admit(&meter, &who, &demand(1, 0)));
        }
    }
    // And the crowd.
    assert!(meter.standings(Kind::Device, NOW).len() <= 640 + 1);
    assert_eq!(late, 0, "the crowd's four requests are gone");
    assert!(admit(&meter, &[(Kind::Key, "k9")], &demand(1, 0)).is_ok(), "keys are no strangers");
}

#[test]
fn who_is_limited_in_nothing_is_counted_nowhere() {
    let meter = Meter::new(64);
    let permit = admit(&meter, &[], &demand(1_000, 100)).unwrap();
    assert_eq!(permit.standing().requests, None);
    assert!(permit.settle(1, 1, UNIX_S).is_empty());
    assert!(Kind::ALL.into_iter().all(|kind| meter.standings(kind, NOW).is_empty()));
}
