//! Who goes first among those that wait.

use std::cmp::Reverse;

use crate::lane::Lane;
use crate::moment::Moment;

/// What of one that waits decides when its turn is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Turn {
    /// Its number, in the order of coming.
    pub id: u64,
    /// How urgent it is.
    pub lane: Lane,
    /// When it came.
    pub since: Moment,
    /// Where it begins among its client's requests ([`Shares`](super::Shares)).
    pub start: u64,
}

/// The numbers of all that wait, those who go first first.
///
/// A lane's turns become more urgent with the waits in it ([`Lane::urgency`]). Who takes them is decided within the lane, by
/// the clients' shares: the client that had least so far takes the turn of the one that waited longest.
#[must_use]
pub fn in_turn(waiting: impl Iterator<Item = Turn>, now: Moment) -> Vec<u64> {
    let mut lanes = Lane::NAMES.map(|_| Vec::new());
    for turn in waiting {
        if let Some(lane) = lanes.get_mut(turn.lane as usize) {
            lane.push(turn);
        }
    }
    let mut order = Vec::new();
    for mut lane in lanes {
        let mut since: Vec<Moment> = lane.iter().map(|turn| turn.since).collect();
        since.sort_unstable();
        lane.sort_unstable_by_key(|turn| (turn.start, turn.id));
        let urgency = |(turn, since): (Turn, Moment)| (Reverse(turn.lane.urgency(now.since(since))), turn);
        order.extend(lane.into_iter().zip(since).map(urgency));
    }
    order.sort_by_key(|(urgency, turn)| (*urgency, turn.lane, turn.start, turn.id));
    order.into_iter().map(|(_, turn)| turn.id).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    fn order(waiting: &[(Lane, u64, u64)], now_s: u64) -> Vec<u64> {
        let at = |seconds| Moment::after_start(Duration::from_secs(seconds));
        let turns = (0..).zip(waiting).map(|(id, (lane, since_s, start))| Turn {
            id,
            lane: *lane,
            since: at(*since_s),
            start: *start,
        });
        in_turn(turns, at(now_s))
    }

    #[test]
    fn urgent_lanes_go_first_and_nobody_starves() {
        use Lane::{Bulk, Interactive, Normal};
        let all = [(Bulk, 0, 0), (Normal, 0, 0), (Interactive, 0, 0)];
        assert_eq!(order(&all, 0), [2, 1, 0]);
        assert_eq!(order(&all, 9_999), [2, 1, 0]);
        // After half a minute bulk goes before whoever came a second ago.
        assert_eq!(order(&[(Interactive, 29, 0), (Bulk, 0, 0)], 30), [1, 0]);
        assert_eq!(order(&[(Bulk, 0, 0), (Interactive, 10, 0), (Normal, 10, 0)], 12), [1, 0, 2]);
    }

    #[test]
    fn the_turns_of_a_lane_go_to_clients_by_their_shares() {
        use Lane::{Bulk, Normal};
        // A flood of one client, then one request of another, which takes the turn of the oldest.
        let flood = [(Normal, 0, 100), (Normal, 0, 200), (Normal, 0, 300), (Normal, 9, 0), (Bulk, 0, 0)];
        assert_eq!(order(&flood, 10), [3, 0, 1, 4, 2]);
    }
}
