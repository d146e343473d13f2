//! What an upstream does at this moment, and what slows it down.

use crate::facts::{Overview, PlaceRow, Places, SiteRow, UpstreamRow};
use crate::texts;

/// From how many percent on the use of its cards by others is worth a line: a desktop always uses a little.
const PRESSED_MIN_PERCENT: u8 = 10;

/// An upstream with its work.
pub(super) struct UpstreamView<'a> {
    pub(super) row: &'a UpstreamRow,
    /// What is done there, a line for each thing.
    pub(super) work: Vec<String>,
    /// What makes it slow.
    pub(super) slow: Vec<String>,
}

/// All upstreams.
pub(super) fn all<'a>(house: &'a Overview, places: &Places) -> Vec<UpstreamView<'a>> {
    let view = |row: &'a UpstreamRow| {
        let site = places.upstreams.iter().find(|site| site.name == row.name);
        UpstreamView { row, work: site.map(work).unwrap_or_default(), slow: site.map(slow).unwrap_or_default() }
    };
    house.upstreams.iter().map(view).collect()
}

/// Requests of others that the upstreams tell of, in all.
pub(super) fn others(places: &Places) -> u64 {
    places.upstreams.iter().map(|site| sum(site, |place| place.others_running)).fold(0, u64::saturating_add)
}

fn sum(site: &SiteRow, of: impl Fn(&PlaceRow) -> u64) -> u64 {
    site.models.iter().map(of).fold(0, u64::saturating_add)
}

fn work(site: &SiteRow) -> Vec<String> {
    let requests = texts::requests(
        sum(site, |place| place.running),
        sum(site, |place| place.waiting),
        sum(site, |place| place.others_running),
        sum(site, |place| place.others_waiting),
    );
    let loading = site.models.iter().filter_map(|place| Some(texts::loading(&place.model, place.loading_s?)));
    requests.into_iter().chain(loading).collect()
}

fn slow(site: &SiteRow) -> Vec<String> {
    let pressed = (site.pressure_percent >= PRESSED_MIN_PERCENT).then(|| texts::pressed(site.pressure_percent));
    let heat = site.throttled.then(|| texts::HOT.to_owned());
    pressed.into_iter().chain(heat).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn work_and_what_slows_it_are_told_as_far_as_there_is_any() {
        let place = |running, waiting, others_running, others_waiting| PlaceRow {
            model: "m".to_owned(),
            running,
            waiting,
            others_running,
            others_waiting,
            ..PlaceRow::default()
        };
        for (places, want) in [
            (vec![], None),
            (vec![place(0, 0, 0, 0)], None),
            (vec![place(1, 0, 0, 0)], Some("Answers 1 of ours")),
            (vec![place(2, 1, 0, 0), place(1, 0, 4, 0)], Some("Answers 3 of ours and 4 of others; 1 of ours waits")),
            (vec![place(0, 3, 0, 2)], Some("Answers nothing; 3 of ours and 2 of others wait")),
            (vec![place(0, 0, u64::MAX, 0), place(0, 0, 9, 0)], Some("Answers 18,446,744,073,709,551,615 of others")),
        ] {
            let site = SiteRow { models: places, ..SiteRow::default() };
            assert_eq!(work(&site).first().map(String::as_str), want);
            assert!(slow(&site).is_empty());
        }
        let loading = PlaceRow { loading_s: Some(12), ..place(0, 0, 0, 0) };
        let site = SiteRow { models: vec![loading], pressure_percent: 88, throttled: true, ..SiteRow::default() };
        assert!(slow(&SiteRow { pressure_percent: 9, ..SiteRow::default() }).is_empty());
        assert_eq!(work(&site), ["Loads m, for 12 s so far"]);
        assert!(slow(&site)[0].contains("88 %") && slow(&site)[1].contains("heat"), "{:?}", slow(&site));
    }
}
