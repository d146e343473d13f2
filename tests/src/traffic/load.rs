//! What comes in: conversations in bursts, some with long prompts, from clients in lanes.

use domain::lane::Lane;
use domain::route::Mark;

use super::Nanos;
use super::chance::Chance;
use super::node::{Spec, nanos};

/// A request as it comes, with what only the node and the oracle know: how long its answer will be.
#[derive(Debug, Clone)]
pub struct Request {
    /// When it comes.
    pub at: Nanos,
    /// Its conversation.
    pub talk: u32,
    /// The number of the model that it wants.
    pub model: u8,
    /// Length of its prompt in tokens, all earlier turns included.
    pub prompt: u64,
    /// Tokens of it that the turn before has read or generated.
    pub shared: u64,
    /// Length of its answer in tokens.
    pub output: u64,
    /// How long its client lets the answer become.
    pub output_max: Option<u64>,
    /// How urgent it is.
    pub lane: Lane,
    /// Whose it is.
    pub client: u8,
    /// The conversation so far, as the gateway estimates it.
    pub prefix: Vec<Mark>,
}

/// What kind of requests come, and how many.
#[derive(Debug, Clone, Copy)]
pub struct Shape {
    /// How many.
    pub requests: usize,
    /// Share of what the nodes can do together, were the work dealt out perfectly.
    pub load: f64,
    /// How many times more come in a burst than between bursts.
    pub burst: f64,
    /// Mean number of turns of a conversation.
    pub turns: f64,
    /// Share of conversations that begin with a document.
    pub long: f64,
    /// Shares of the lanes, most urgent first.
    pub lanes: [f64; 3],
    /// How many clients send them, as many each.
    pub clients: usize,
    /// How many models are asked for; the first one by most.
    pub models: u8,
}

/// Mean lengths of a burst and of the time between two, in seconds: somebody starts a batch, a family comes home.
const BURST_S: f64 = 10.0;
const CALM_S: f64 = 50.0;
/// First prompts and further ones in tokens: the medians of chats in `LMSYS-Chat-1M` are shorter, but a system prompt
/// stands before them.
const FIRST_PROMPT: (f64, f64) = (500.0, 0.7);
const NEXT_PROMPT: (f64, f64) = (80.0, 0.8);
/// A document of some ten pages.
const LONG_PROMPT: (f64, f64) = (6_000.0, 0.4);
const LONGEST_PROMPT: f64 = 16_000.0;
/// Answers in tokens; `LMSYS-Chat-1M` has a mean of 215.
const ANSWER: (f64, f64) = (170.0, 0.7);
const LONGEST_ANSWER: f64 = 2_000.0;
/// Reading the answer and typing the next question, in seconds: never less, and longer by this mean.
const THINK_S: (f64, f64) = (10.0, 30.0);
/// Share of requests whose client limits the answer.
const LIMITED: f64 = 0.3;
/// Most by which the gateway's estimate of tokens (four bytes each) is wrong, as a share.
const ESTIMATE_OFF: f64 = 0.15;

/// All requests of a run, by time.
pub(super) fn requests(shape: &Shape, nodes: &[Spec], seed: u64) -> Vec<Request> {
    let mut chance = Chance::new(seed);
    let mut talks: Vec<Vec<Request>> = Vec::new();
    let mut count = 0;
    while count < shape.requests {
        let number = u32::try_from(talks.len()).unwrap_or(u32::MAX);
        let talk = talk(shape, number, &mut chance);
        count += talk.len();
        talks.push(talk);
    }
    let all = || talks.iter().flatten();
    let mean = |sum: u64| sum as f64 / count as f64;
    let read = mean(all().map(|request| request.prompt - request.shared).sum());
    let output = mean(all().map(|request| request.output).sum());
    let per_s = nodes.iter().map(|node| capacity(node, read, output)).sum::<f64>() * shape.load;
    let mut clock = Arrivals::new(per_s * talks.len() as f64 / count as f64, shape.burst);
    for talk in &mut talks {
        let mut at = clock.next(&mut chance);
        for request in talk {
            request.at += nanos(at);
            at += THINK_S.0 + chance.exponential(THINK_S.1);
        }
    }
    let mut requests: Vec<Request> = talks.into_iter().flatten().collect();
    requests.sort_by_key(|request| (request.at, request.talk));
    requests.truncate(shape.requests);
    requests
}

/// Requests a second that a node can do with all slots busy, of this mean length.
fn capacity(node: &Spec, read: f64, output: f64) -> f64 {
    let slots = node.slots as f64;
    let slowed = 1.0 + node.contention * (slots - 1.0);
    let reads = node.prefill_per_s / (read * slowed);
    let ends = slots / (slowed * (read / node.prefill_per_s + output / node.decode_per_s));
    reads.min(ends)
}

/// Times at which conversations begin: independent of each other, in alternating calm and burst.
struct Arrivals {
    now: f64,
    calm_per_s: f64,
    burst: f64,
    is_burst: bool,
    until: f64,
}

impl Arrivals {
    fn new(per_s: f64, burst: f64) -> Self {
        let calm_per_s = per_s * (CALM_S + BURST_S) / (CALM_S + BURST_S * burst);
        Self { now: 0.0, calm_per_s, burst, is_burst: false, until: CALM_S }
    }

    fn next(&mut self, chance: &mut Chance) -> f64 {
        loop {
            let per_s = self.calm_per_s * if self.is_burst { self.burst } else { 1.0 };
            let next = self.now + chance.exponential(1.0 / per_s);
            if next < self.until {
                self.now = next;
                return next;
            }
            // Exponential times have no memory, so the wait may begin anew at the border.
            self.now = self.until;
            self.is_burst = !self.is_burst;
            self.until += chance.exponential(if self.is_burst { BURST_S } else { CALM_S });
        }
    }
}

fn talk(shape: &Shape, number: u32, chance: &mut Chance) -> Vec<Request> {
    let lane = lane(shape.lanes, chance.unit());
    let model =
        if shape.models > 1 && chance.unit() < 0.3 { 1 + chance.below(usize::from(shape.models) - 1) } else { 0 };
    let client = chance.below(shape.clients);
    let off = 1.0 + ESTIMATE_OFF * (2.0 * chance.unit() - 1.0);
    let (median, sigma) = if chance.unit() < shape.long { LONG_PROMPT } else { FIRST_PROMPT };
    let mut new = chance.log_normal(median, sigma);
    let (mut prompt, mut shared, mut prefix) = (0.0, 0.0, Vec::new());
    let mut turns = Vec::new();
    loop {
        prompt += new.clamp(8.0, LONGEST_PROMPT);
        let output = chance.log_normal(ANSWER.0, ANSWER.1).clamp(4.0, LONGEST_ANSWER).floor();
        mark(&mut prefix, number, prompt * off);
        turns.push(Request {
            // Times of turns are added up by the caller.
            at: 0,
            talk: number,
            model: model as u8,
            prompt: prompt as u64,
            shared: shared as u64,
            output: output as u64,
            output_max: (chance.unit() < LIMITED).then_some(output as u64 * 2),
            lane,
            client: client as u8,
            prefix: prefix.clone(),
        });
        if chance.unit() * shape.turns < 1.0 || prompt > LONGEST_PROMPT {
            return turns;
        }
        prompt = (prompt + output).floor();
        shared = prompt;
        mark(&mut prefix, number, prompt * off);
        new = chance.log_normal(NEXT_PROMPT.0, NEXT_PROMPT.1);
    }
}

fn mark(prefix: &mut Vec<Mark>, talk: u32, tokens: f64) {
    let hash = Chance::new(u64::from(talk) << 20 | prefix.len() as u64).next();
    prefix.push(Mark { hash, tokens: tokens as u64 });
}

fn lane(shares: [f64; 3], at: f64) -> Lane {
    let sum: f64 = shares.iter().sum();
    let at = at * sum;
    if at < shares[0] {
        Lane::Interactive
    } else if at < shares[0] + shares[1] {
        Lane::Normal
    } else {
        Lane::Bulk
    }
}
