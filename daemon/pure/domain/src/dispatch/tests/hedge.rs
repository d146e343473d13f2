//! Second copies of requests that are late.

use super::*;
use crate::route::Strategy;

/// Two places of which it is known that they answer within about 200 ms.
fn measured_house() -> Tower {
    let mut tower = Tower::new(&[("a", 2), ("b", 2)]);
    let quick = Measured {
        prompt_tokens: 100,
        output_tokens: 10,
        first_token: Some(Duration::from_millis(200)),
        total: Duration::from_secs(1),
        ..Measured::default()
    };
    for name in ["a", "b"] {
        let place = tower.dispatch.places.known_mut(&target(name, "m")).unwrap();
        (0..20).for_each(|_| {
            place.late.note(&quick);
            place.pace.note(&quick, Around::NOTHING);
        });
    }
    tower
}

fn copy(tower: &mut Tower, entry: &Entry, first: &Grant) -> Option<Grant> {
    let entry = Entry { tried: vec![first.leg.target.clone()], ..entry.clone() };
    let house = House { config: &tower.config, catalogue: &tower.catalogue };
    tower.dispatch.hedge(&entry, first, house, tower.now)
}

fn gone(tower: &mut Tower, entry: Entry) -> Grant {
    match tower.enter(entry) {
        Ok(Entered::Go(grant)) => grant,
        other => panic!("it does not go: {other:?}"),
    }
}

#[test]
fn a_late_request_gets_a_copy_on_an_idle_place() {
    let mut tower = measured_house();
    let entry = tower.entry("m", Lane::Normal, "c");
    let first = gone(&mut tower, entry.clone());
    let after = first.hedge_after.unwrap();
    assert!(after >= Duration::from_millis(100) && after < Duration::from_secs(1), "{after:?}");
    let late = tower.dispatch.places.place(&first.leg.target).unwrap().late.after(100, true);
    let second = copy(&mut tower, &entry, &first).unwrap();
    assert_ne!(second.leg.target, first.leg.target);
    assert!(second.leg.is_hedge && second.leg.reason().to_string().starts_with("hedge"));
    assert_eq!(tower.dispatch.running(), 2);
    assert!(tower.dispatch.places.place(&first.leg.target).unwrap().late.after(100, true) > late, "it was late");
    assert_eq!(copy(&mut tower, &Entry { tried: vec![second.leg.target.clone()], ..entry }, &first), None);
    tower.dispatch.ended(&first, Outcome::Left, tower.now);
    assert_eq!(tower.dispatch.places.place(&first.leg.target).unwrap().health.state(), State::Unknown, "no failure");
}

#[test]
fn nobody_is_disturbed_by_a_copy() {
    type Change = fn(&mut Tower, &mut Entry);
    let changes: [(&str, Change); 9] = [
        ("switched off", |tower, _| tower.config.route.hedge = false),
        ("bulk has time", |_, entry| entry.lane = Lane::Bulk),
        ("a cloud", |tower, _| tower.config.upstreams[1].local = false),
        ("a card pressed by others", |tower, _| tower.dispatch.places.site_mut("b").pressure = 60),
        ("a card too hot", |tower, _| tower.dispatch.places.site_mut("b").throttled = true),
        ("a model to be loaded", |tower, _| tower.dispatch.told(&target("b", "m"), Some(2), Some(false), true)),
        ("a neighbour at work", |tower, _| {
            let house = House { config: &tower.config, catalogue: &tower.catalogue };
            let entry = Entry { tried: vec![target("a", "n")], ..tower.entry("n", Lane::Normal, "c") };
            let leg = tower.dispatch.choose(&entry, house, tower.now).unwrap().legs[0].clone();
            tower.dispatch.occupy(&entry, leg, house, tower.now);
        }),
        ("a full house", |tower, _| tower.config.endpoint.max_concurrent = 1),
        ("an ill place", |tower, _| {
            tower.dispatch.probed("b", Err((Symptom::Unreachable, "gone".to_owned())), tower.now);
        }),
    ];
    for (case, change) in changes {
        let mut tower = measured_house();
        let mut entry = tower.entry("m", Lane::Normal, "c");
        // It goes to `a` in any case.
        let place = tower.dispatch.places.known_mut(&target("b", "m")).unwrap();
        place.pace.prefill_per_s /= 2.0;
        let first = gone(&mut tower, entry.clone());
        assert_eq!(first.leg.target, target("a", "m"), "{case}");
        assert!(first.hedge_after.is_some(), "{case}");
        change(&mut tower, &mut entry);
        let house = House { config: &tower.config, catalogue: &tower.catalogue };
        let is_asked = {
            let route = tower.dispatch.choose(&entry, house, tower.now).unwrap();
            tower.dispatch.hedge_after(&entry, &first.leg, &route, house).is_some()
        };
        assert!(!is_asked || copy(&mut tower, &entry, &first).is_none(), "{case}");
    }
}

#[test]
fn where_somebody_waits_for_a_place_no_copy_goes_there() {
    let mut tower = measured_house();
    let entry = tower.entry("m", Lane::Normal, "c");
    let first = gone(&mut tower, entry.clone());
    tower.config.endpoint.max_concurrent = 1;
    tower.wait("m", Lane::Normal, "d");
    tower.config.endpoint.max_concurrent = 10;
    assert_eq!(copy(&mut tower, &entry, &first), None);
}

#[test]
fn other_models_answer_only_where_any_may() {
    let mut tower = measured_house();
    let late = Measured { first_token: Some(Duration::from_millis(200)), ..Measured::default() };
    let place = tower.dispatch.places.known_mut(&target("a", "n")).unwrap();
    (0..20).for_each(|_| place.late.note(&late));
    tower.config.aliases.push(crate::config::Alias {
        name: "mine".to_owned(),
        models: vec!["a/n".to_owned(), "b/m".to_owned()],
        ..crate::config::Alias::default()
    });
    let model = |id: &str| ModelInfo { id: id.to_owned(), ..ModelInfo::default() };
    let listings = ["a", "b"].map(|name| (name.to_owned(), vec![model("m"), model("n")]));
    tower.catalogue = Catalogue::build(&tower.config, &Listings::from(listings));
    let entry = tower.entry("mine", Lane::Normal, "c");
    let first = gone(&mut tower, entry.clone());
    assert_eq!(first.leg.target, target("a", "n"));
    assert_eq!(copy(&mut tower, &entry, &first), None, "the owner wants this model first");
    tower.config.aliases[0].strategy = Strategy::Auto;
    tower.dispatch.told(&target("b", "m"), Some(2), Some(true), true);
    assert!(copy(&mut tower, &entry, &first).is_some());
}

#[test]
fn copies_are_bounded_by_the_budget() {
    let mut tower = measured_house();
    let entry = tower.entry("m", Lane::Normal, "c");
    let copies = (0..40).filter(|_| {
        let first = gone(&mut tower, entry.clone());
        let second = copy(&mut tower, &entry, &first);
        tower.dispatch.ended(&first, Outcome::Rejected, tower.now);
        second.iter().for_each(|second| tower.dispatch.ended(second, Outcome::Left, tower.now));
        second.is_some()
    });
    let copies = copies.count();
    assert!((17..=18).contains(&copies), "the reserve of ten, and a fifth of forty: {copies}");
}

#[test]
fn a_place_with_no_neighbour_and_one_that_is_not_known_have_no_alarm() {
    let mut tower = Tower::new(&[("a", 1), ("b", 1)]);
    assert_eq!(tower.go("m").hedge_after, None, "nothing is known yet");
    let mut tower = measured_house();
    tower.config.upstreams.pop();
    tower.catalogue = Catalogue::build(
        &tower.config,
        &Listings::from([("a".to_owned(), vec![ModelInfo { id: "m".to_owned(), ..ModelInfo::default() }])]),
    );
    assert_eq!(tower.go("m").hedge_after, None, "there is no other place");
}
