//! What became of each request, and of all of them.

use domain::lane::Lane;

use super::Nanos;
use super::world::World;

/// What became of a request.
#[derive(Debug, Clone, Copy, Default)]
pub struct Record {
    /// When the node that answered it was called.
    pub called: Nanos,
    /// When its prompt began to be read.
    pub began: Nanos,
    /// When its first token came.
    pub first_token: Option<Nanos>,
    /// When its answer was complete.
    pub ended: Option<Nanos>,
    /// The node that was called last.
    pub node: Option<usize>,
    /// It ended without a whole answer.
    pub failed: bool,
    /// Nothing of an answer was shown before it failed.
    pub refused: bool,
}

/// The figures of a run. Times are in seconds from a request's arrival.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Summary {
    /// Median and 99th percentile of the time to the first token.
    pub ttft: [f64; 2],
    /// The same to the end of the answer.
    pub total: [f64; 2],
    /// The times to the first token by lane, most urgent first.
    pub ttft_by_lane: [[f64; 2]; 3],
    /// 99th percentile of the time until the prompt began to be read, by lane.
    pub wait_p99: [f64; 3],
    /// Longest such time, by lane.
    pub wait_max: [f64; 3],
    /// Share of the requests that each node answered.
    pub share: Vec<f64>,
    /// Requests that were broken off in their answer.
    pub broken: usize,
    /// Requests that were never answered.
    pub refused: usize,
    /// Requests with a whole answer.
    pub answered: usize,
    /// Share of the slots in use, by node.
    pub used: Vec<f64>,
    /// Share of the slots in use of all nodes.
    pub used_all: f64,
    /// Seconds until the last request had ended.
    pub span_s: f64,
}

impl Summary {
    pub(super) fn of(world: &World) -> Self {
        let span = world.now.max(1);
        let all = || world.requests.iter().zip(&world.records);
        let lane = |lane: Lane| all().filter(move |(request, _)| request.lane == lane);
        let first = |(request, record): (&super::Request, &Record)| {
            record.first_token.map(|first| (first - request.at) as f64 / 1e9)
        };
        let end =
            |(request, record): (&super::Request, &Record)| record.ended.map(|end| (end - request.at) as f64 / 1e9);
        let wait = |(request, record): (&super::Request, &Record)| {
            record.first_token.map(|_| (record.began - request.at) as f64 / 1e9)
        };
        let lanes = Lane::NAMES.map(|(_, lane)| lane);
        let by_node = |node: usize| all().filter(|(_, record)| record.node == Some(node)).count() as f64;
        let slots: usize = world.nodes.iter().map(|node| node.spec.slots).sum();
        Self {
            ttft: percentiles(all().filter_map(first)),
            total: percentiles(all().filter_map(end)),
            ttft_by_lane: lanes.map(|this| percentiles(lane(this).filter_map(first))),
            wait_p99: lanes.map(|this| percentiles(lane(this).filter_map(wait))[1]),
            wait_max: lanes.map(|this| lane(this).filter_map(wait).fold(0.0, f64::max)),
            share: (0..world.nodes.len()).map(|node| by_node(node) / world.requests.len() as f64).collect(),
            broken: all().filter(|(_, record)| record.failed && !record.refused).count(),
            refused: all().filter(|(_, record)| record.refused).count(),
            answered: all().filter(|(_, record)| record.ended.is_some()).count(),
            used: world.nodes.iter().map(|node| node.used as f64 / (span as f64 * node.spec.slots as f64)).collect(),
            used_all: world.nodes.iter().map(|node| node.used as f64).sum::<f64>() / (span as f64 * slots as f64),
            span_s: span as f64 / 1e9,
        }
    }
}

/// Median and 99th percentile, by nearest rank; zero of nothing.
fn percentiles(values: impl Iterator<Item = f64>) -> [f64; 2] {
    let mut values: Vec<f64> = values.collect();
    values.sort_by(f64::total_cmp);
    [0.5, 0.99].map(|share| {
        let rank = (values.len() as f64 * share).ceil() as usize;
        values.get(rank.saturating_sub(1)).copied().unwrap_or_default()
    })
}
