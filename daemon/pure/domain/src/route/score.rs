//! When an answer would be complete at a place, and what it would cost.

use std::time::Duration;

use super::Asked;
use super::spot::Spot;
use super::wish::Wish;
use crate::catalogue::{ModelInfo, Price, Target};
use crate::pace::Pace;
use crate::places::{MODEL_DWELL, Place, Site, hold};
use crate::reading::Others;
use crate::strategy::Strategy;

/// A prediction for one place.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Score {
    /// Until its machine is awake.
    pub wake: Duration,
    /// Until it begins to work on the request.
    pub wait: Duration,
    /// To load the model.
    pub load: Duration,
    /// It takes no call before the model is loaded.
    pub is_warming: bool,
    /// To read the prompt, less what is in its cache.
    pub prefill: Duration,
    /// To generate the answer.
    pub decode: Duration,
    /// Prompt tokens that are in its cache.
    pub warm_tokens: u64,
    /// In micro-dollars; where nobody tells the price, as for a strong model of a cloud.
    pub price_micros: u64,
    /// Requests that it works on for us.
    pub running: u32,
    /// Requests of others that it works on, or that wait inside it.
    pub others: u32,
    /// How long everything takes there, in percent of what it takes on a place that is free and cool.
    pub slow_percent: u32,
}

/// Each further request beside it slows an answer down by this share: batches share one memory bus.
const CONTENTION: f64 = 0.1;
/// What an answer costs where the price is unknown: that of a strong model, in micro-dollars per million tokens.
const UNKNOWN_PRICE: Price = Price { prompt_micros: 3_000_000, output_micros: 15_000_000 };
/// What a second is worth to [`Strategy::Auto`], in micro-dollars: a tenth of a cent.
const MICROS_PER_SECOND: u64 = 1_000;
/// What leaves the house must be worth it: [`Strategy::Auto`] takes a cloud only if it is this much sooner.
const RELUCTANCE: Duration = Duration::from_secs(10);
/// A machine is woken only if all others are this much later: it makes noise, and takes power.
const RELUCTANCE_TO_WAKE: Duration = Duration::from_secs(10);
/// [`Strategy::Auto`] counts the time of generating by this part. Somebody reads along meanwhile; and if each took the
/// place that is soonest through for itself alone, all would crowd before the fastest one and be served later, the last
/// token included: the bench `traffic` shows it.
const DECODE_COUNTS: u32 = 2;
/// How much slower a GPU is that protects itself from heat.
const THROTTLED: f64 = 1.5;
/// How much slower a site is of whose GPUs one has failed: nobody knows what its server does without it.
const AILING: f64 = 4.0;
/// Foreign load counts up to this share; beyond it a GPU still gives something.
const PRESSURE_MAX: f64 = 0.9;
/// A server that loads its model is not asked again before this time.
const NEXT_LOOK: Duration = Duration::from_secs(1);
/// Answers without a wish for their length are taken to be as long as those before, but not longer than this.
const OUTPUT_TOKENS_MAX: f64 = 8_192.0;

impl Score {
    /// Whether it takes a call now: its machine is awake, and its server does not wait for its model.
    #[must_use]
    pub const fn is_ready(&self) -> bool {
        self.wake.is_zero() && !self.is_warming
    }

    /// Until it takes a call.
    #[must_use]
    pub fn ready_in(&self) -> Duration {
        self.wake + if self.is_warming { self.load } else { Duration::ZERO }
    }

    /// Time to the first token.
    #[must_use]
    pub fn first_token(&self) -> Duration {
        self.wake + self.wait + self.load + self.prefill
    }

    /// Time to the end of the answer.
    #[must_use]
    pub fn total(&self) -> Duration {
        self.first_token() + self.decode
    }

    /// To load the model, read the prompt and generate the answer.
    #[must_use]
    pub fn work(&self) -> Duration {
        self.load + self.prefill + self.decode
    }

    /// The same with the speed that is known of the place now. Whoever waits there was scored when it came, perhaps
    /// before anything was known.
    pub(crate) fn at_pace(self, wish: &Wish, pace: &Pace) -> Self {
        if pace.answers < KNOWN_ANSWERS {
            return self;
        }
        let slow = f64::from(self.slow_percent) / 100.0;
        let unread = wish.prompt_tokens.saturating_sub(self.warm_tokens);
        let decode = pace.decode(output_tokens(wish, pace)).mul_f64(slow);
        Self { prefill: pace.prefill(unread).mul_f64(slow), decode, ..self }
    }

    /// Time with money, and with the privacy of the house and a machine's sleep, counted as time; half of the time of
    /// generating.
    fn worth(&self, is_local: bool) -> Duration {
        let price = Duration::from_millis(self.price_micros.saturating_mul(1_000) / MICROS_PER_SECOND);
        self.first_token()
            .saturating_add(self.decode / DECODE_COUNTS)
            .saturating_add(price)
            .saturating_add(if is_local { Duration::ZERO } else { RELUCTANCE })
            .saturating_add(if self.wake.is_zero() { Duration::ZERO } else { RELUCTANCE_TO_WAKE })
    }
}

/// The best that was measured at any of these places. A place that nobody has tried is believed to be as good, or it
/// would never be tried; its first answers tell.
#[derive(Debug, Default)]
pub(super) struct Hope {
    prefill_per_s: f64,
    decode_per_s: f64,
    /// How long answers are there: that is the model's and its clients' doing, not the place's.
    output_tokens: Option<f64>,
}

/// Answers after which a place is taken as it was measured.
const KNOWN_ANSWERS: u64 = 2;

/// So many times better than its first token a place is hoped to be: that one may have been unlucky.
const LOOK_BELIEVED: f64 = 1.5;

/// See [`Hope`].
pub(super) fn hope(spots: &[Spot<'_>]) -> Hope {
    let places = spots.iter().filter_map(|spot| spot.place);
    places.filter(|place| place.pace.answers >= KNOWN_ANSWERS).fold(Hope::default(), |best, place| Hope {
        prefill_per_s: best.prefill_per_s.max(place.pace.prefill_per_s),
        decode_per_s: best.decode_per_s.max(place.pace.decode_per_s),
        output_tokens: best.output_tokens.or(Some(place.pace.output_tokens)),
    })
}

/// The pace to reckon with.
fn pace(place: Option<&Place>, is_local: bool, hope: &Hope) -> Pace {
    let guess = if is_local { Pace::local() } else { Pace::cloud() };
    let pace = place.map_or(guess, |place| place.pace.clone());
    if pace.answers >= KNOWN_ANSWERS {
        return pace;
    }
    let seen = if pace.prefill_known { pace.prefill_per_s * LOOK_BELIEVED } else { f64::INFINITY };
    Pace {
        prefill_per_s: pace.prefill_per_s.max(hope.prefill_per_s.min(seen)),
        decode_per_s: pace.decode_per_s.max(hope.decode_per_s),
        output_tokens: hope.output_tokens.unwrap_or(pace.output_tokens),
        ..pace
    }
}

/// Predicts how a place would answer.
pub(super) fn score(asked: &Asked<'_>, spot: &Spot<'_>, hope: &Hope) -> Score {
    #[cfg(test)]
    super::work::done(1);
    let Spot { target, upstream, info, place, site, .. } = *spot;
    let is_local = upstream.local;
    let pace = &pace(place, is_local, hope);
    let warm_tokens = spot.warm_tokens.min(asked.wish.prompt_tokens);
    let output = output_tokens(asked.wish, pace);
    let running = place.map_or(0, |place| place.running.len());
    let others = place.map_or(Others::default(), |place| place.told.others);
    let beside = running as f64 + f64::from(others.running);
    let slow = slowness(site) * (1.0 + beside * CONTENTION);
    let told = place.and_then(|place| place.resident).or(info.and_then(|info| info.loaded));
    let other = if upstream.one_model { other_model(asked, target, site) } else { None };
    // Where somebody is served, the model is there, or is being loaded: then the time to that is in the wait.
    let is_cold = other.is_some() || (told == Some(false) && running == 0 && others.running == 0);
    let held = hold(site, place, upstream.is_shared(), asked.now);
    let awaited = held.filter(|held| held.is_awaited(asked.config.endpoint.load_wait, asked.now));
    let warms_since = awaited.and_then(|held| held.warms_since);
    let loading_since = place.and_then(|place| place.told.loading_since);
    let left = |since| pace.load.saturating_sub(asked.now.since(since));
    let load = match (warms_since, loading_since) {
        // One that is late is expected every moment, and yet no sooner than the next look.
        (Some(since), _) => left(since).max(NEXT_LOOK),
        (None, Some(since)) => left(since),
        (None, None) if is_cold => pace.load,
        (None, None) => Duration::ZERO,
    };
    Score {
        wake: site.and_then(|site| site.wake_in(asked.now)).unwrap_or_default(),
        wait: other.unwrap_or_default().max(place.map_or(Duration::ZERO, |place| wait(asked, place))),
        load,
        is_warming: warms_since.is_some(),
        prefill: pace.prefill(asked.wish.prompt_tokens - warm_tokens).mul_f64(slow),
        decode: pace.decode(output).mul_f64(slow),
        warm_tokens,
        price_micros: price(info, is_local).of(asked.wish.prompt_tokens, output as u64),
        running: u32::try_from(running).unwrap_or(u32::MAX),
        others: others.requests(),
        slow_percent: (slow * 100.0) as u32,
    }
}

fn wait(asked: &Asked<'_>, place: &Place) -> Duration {
    place.unread(asked.now).max(place.slot_free(asked.lane, asked.now))
}

/// How long a server that holds one model in memory still needs the one that it holds, if that is another one.
fn other_model(asked: &Asked<'_>, target: &Target, site: Option<&Site>) -> Option<Duration> {
    let held = site?.held.as_ref().filter(|held| held.model != target.model)?;
    let place = asked.places.place(&Target::new(&target.upstream, &held.model))?;
    let dwell = (held.since + MODEL_DWELL).since(asked.now);
    Some(place.drained(asked.lane, asked.now).max(dwell))
}

/// The answer's length in tokens, as far as one can tell.
pub(super) fn output_tokens(wish: &Wish, pace: &Pace) -> f64 {
    let usual = pace.output_tokens.min(OUTPUT_TOKENS_MAX);
    wish.output_tokens_max.map_or(usual, |most| usual.min(most as f64))
}

/// How many times slower than usual the site is.
fn slowness(site: Option<&Site>) -> f64 {
    let Some(site) = site else { return 1.0 };
    let taken = (f64::from(site.pressure) / 100.0).min(PRESSURE_MAX);
    let hot = if site.throttled { THROTTLED } else { 1.0 };
    let ailing = if site.ailing.is_empty() { 1.0 } else { AILING };
    1.0 / (1.0 - taken) * hot * ailing
}

/// The price that is reckoned with. The house's own places cost nothing unless somebody says so.
pub(super) fn price(info: Option<&ModelInfo>, is_local: bool) -> Price {
    let unknown = if is_local { Price::default() } else { UNKNOWN_PRICE };
    info.and_then(|info| info.prices.as_ref()?.plain()).unwrap_or(unknown)
}

/// What a strategy looks at, smallest first.
pub(super) fn key(asked: &Asked<'_>, at: &Position<'_>, strategy: Strategy) -> [u64; 2] {
    let Position { spot, score, weight } = *at;
    let number = spot.number as u64;
    let is_local = spot.upstream.local;
    let micros = |span: Duration| u64::try_from(span.as_micros()).unwrap_or(u64::MAX);
    let served = || spot.place.map_or(0, |place| place.served);
    let total = micros(score.total());
    match strategy {
        Strategy::Auto => [micros(score.worth(is_local)), number],
        Strategy::Fastest => [total, number],
        Strategy::Cheapest => [score.price_micros, total],
        Strategy::LocalFirst => [u64::from(!is_local), micros(score.worth(is_local))],
        Strategy::CloudFirst => [u64::from(is_local), micros(score.worth(is_local))],
        Strategy::RoundRobin => [served(), number],
        Strategy::LeastOutstanding => {
            let owed = spot.place.map_or(Duration::ZERO, |place| place.owed(asked.now) + place.ahead(asked.lane));
            [micros(owed), number]
        }
        // The one whose next turn comes first, if turns are dealt out by weight.
        Strategy::Weighted => [(served() + 1).saturating_mul(1_000_000) / u64::from(weight.max(1)), number],
        Strategy::Ordered => [number, 0],
    }
}

/// A place within its tier.
#[derive(Debug, Clone, Copy)]
pub(super) struct Position<'a> {
    pub(super) spot: &'a Spot<'a>,
    pub(super) score: &'a Score,
    pub(super) weight: u32,
}
