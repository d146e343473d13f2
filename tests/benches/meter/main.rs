//! What it costs to let a request in under limits and budgets.
//!
//! `cargo bench -p airlane-tests --bench meter [-- --quick]`: 10,000 tenants with 100,000 keys on 5,000 devices, each with limits and
//! the first two with budgets; prints how long admission and settling take, beside looking up the same names in one plain map, and
//! how many bytes a subject takes.

#[path = "../../../daemon/src/meter/mod.rs"]
#[allow(dead_code, unused_imports, unreachable_pub, reason = "the room of the daemon, of which the bench needs a part")]
mod meter;

use std::collections::HashMap;
use std::fs;
use std::hint::black_box;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, Instant};

use domain::allowance::{Allowance, Charge, Demand, Kind, Now, Quota};
use domain::budget::{Budget, Price};
use domain::calendar::{Cycle, Zone};
use domain::limit::{Limit, Limits, Needed, Per, What};
use domain::moment::Moment;

use meter::Meter;

/// 2026-11-28 07:00 UTC.
const UNIX_S: i64 = 1_795_849_200;

/// Names of one request's subjects.
#[derive(Clone)]
struct Names {
    tenant: String,
    key: String,
    device: String,
}

struct House {
    names: Vec<Names>,
    /// By kind.
    quotas: Vec<Quota>,
}

/// Nanoseconds of one kind of step.
#[derive(Default)]
struct Times(Vec<u64>);

impl Times {
    fn add(&mut self, began: Instant) {
        self.0.push(u64::try_from(began.elapsed().as_nanos()).unwrap_or(u64::MAX));
    }

    fn merge(all: impl Iterator<Item = Self>) -> Self {
        let mut merged: Vec<u64> = all.flat_map(|times| times.0).collect();
        merged.sort_unstable();
        Self(merged)
    }

    /// Per mille; the times are in order.
    fn at(&self, mille: usize) -> u64 {
        self.0[(self.0.len() - 1) * mille / 1_000]
    }
}

/// So wide that nothing is refused.
fn limits() -> Limits {
    let limit = |what, amount, per| Limit { what, amount, per };
    Limits { concurrent: Some(1_000), input_tokens: Some(100_000), ..Limits::default() }
        .with(limit(What::Requests, 60_000, Per::Minute))
        .with(limit(What::Tokens, 100_000_000, Per::Minute))
        .with(limit(What::Tokens, 10_000_000_000, Per::Day))
}

/// Tenants and keys have the same allowance; devices are strangers.
fn house(tenants: usize, keys: usize) -> House {
    let budget = |cycle| {
        let zone = Zone::posix("CET-1CEST,M3.5.0,M10.5.0/3").unwrap();
        let amount_micro_usd = 1_000_000_000;
        Arc::new(Budget { amount_micro_usd, cycle, zone, warn_percents: vec![80], degrade_percent: Some(95) })
    };
    let budgets = vec![budget(Cycle::Day), budget(Cycle::Month)];
    let payer = Allowance { limits: limits(), budgets };
    let names: Vec<Names> = (0..keys)
        .map(|key| Names {
            tenant: format!("tenant-{}", key % tenants),
            key: format!("sk-airlane-{key:08}"),
            device: format!("192.168.{}.{}", key % 20, key / 20 % 250),
        })
        .collect();
    let all = Limit { what: What::Requests, amount: 1_000_000_000, per: Per::Minute };
    let quotas = [Kind::Tenant, Kind::Key, Kind::Device, Kind::Model].map(|kind| {
        let allowance = match kind {
            Kind::Model => Allowance { limits: Limits::default().with(all), budgets: Vec::new() },
            Kind::Device => Allowance { limits: limits(), budgets: Vec::new() },
            Kind::Tenant | Kind::Key | Kind::Upstream => payer.clone(),
        };
        Quota { policy: "house".into(), kind, allowance }
    });
    House { names, quotas: quotas.into() }
}

fn main() {
    let is_quick = std::env::args().any(|word| word == "--quick");
    let (tenants, keys, rounds) = if is_quick { (1_000, 10_000, 2) } else { (10_000, 100_000, 10) };
    let (began, house) = (Instant::now(), house(tenants, keys));
    let (meter, before) = (Meter::new(8_192), resident_bytes());
    measure(&meter, &house, began, (1, 1));
    let subjects: usize = Kind::ALL.into_iter().map(|kind| meter.standings(kind, now(0)).len()).sum();
    println!("{subjects} subjects, {} bytes each", (resident_bytes() - before) / subjects);
    let looked = look_ups(&house);
    println!("four look-ups in one plain map: p50 {} ns, p99 {} ns", looked.at(500), looked.at(990));
    for threads in [1, 2, 8] {
        let (admitted, settled) = measure(&meter, &house, began, (threads, rounds));
        println!(
            "{threads} threads: admit p50 {} ns, p99 {} ns, p99.9 {} ns, {:.1} × the look-ups at p99; settle p50 {} ns, p99 {} ns",
            admitted.at(500),
            admitted.at(990),
            admitted.at(999),
            admitted.at(990) as f64 / looked.at(990) as f64,
            settled.at(500),
            settled.at(990),
        );
    }
}

/// Each thread lets requests of all keys in, in an order that no cache foresees, and holds 64 at a time.
fn measure(meter: &Meter, house: &House, began: Instant, (threads, rounds): (usize, usize)) -> (Times, Times) {
    let next = &AtomicUsize::new(0);
    let work = || {
        let (mut admitted, mut settled, mut held) = (Times::default(), Times::default(), Vec::new());
        loop {
            let number = next.fetch_add(1, Ordering::Relaxed);
            if number >= house.names.len() * rounds {
                return (admitted, settled);
            }
            // A request that was just read has its names at hand.
            let names = house.names[number.wrapping_mul(7_919) % house.names.len()].clone();
            let now = now(u64::try_from(began.elapsed().as_millis()).unwrap_or(u64::MAX));
            let charges = charges(&house.quotas, &names);
            let step = Instant::now();
            let permit = meter.admit(black_box(&charges), &demand(), now).expect("the limits are wide");
            admitted.add(step);
            held.push(permit);
            if held.len() > 64 {
                let permit = held.swap_remove(number % 64);
                let step = Instant::now();
                black_box(permit.settle(700, 80, now.unix_s));
                settled.add(step);
            }
        }
    };
    let done: Vec<_> = thread::scope(|scope| {
        let workers: Vec<_> = (0..threads).map(|_| scope.spawn(work)).collect();
        workers.into_iter().map(|worker| worker.join().expect("it ends")).collect()
    });
    let (admitted, settled): (Vec<_>, Vec<_>) = done.into_iter().unzip();
    (Times::merge(admitted.into_iter()), Times::merge(settled.into_iter()))
}

/// The least that any meter has to do: find four counts, and lock each.
fn look_ups(house: &House) -> Times {
    let all = house.names.iter().flat_map(|names| [&names.tenant, &names.key, &names.device]);
    let map: HashMap<&str, Mutex<u64>> = all.map(|name| (&**name, Mutex::default())).collect();
    let mut times = Times::default();
    for number in 0..house.names.len() {
        let Names { tenant, key, device } = &house.names[number * 7_919 % house.names.len()].clone();
        let step = Instant::now();
        for name in [tenant, key, device, tenant] {
            if let Some(count) = map.get(name.as_str()) {
                *count.lock().expect("nobody panics") += 1;
            }
        }
        times.add(step);
    }
    Times::merge([times].into_iter())
}

fn charges<'a>(quotas: &'a [Quota], names: &'a Names) -> Vec<Charge<'a>> {
    let names = [names.tenant.as_str(), &names.key, &names.device, "auto"];
    quotas.iter().zip(names).map(|(quota, name)| Charge { quota, name }).collect()
}

fn demand() -> Demand {
    Demand {
        needed: Needed { tokens: 1_000, input_tokens: 600, input_bytes: 2_400 },
        price: Price { anywhere_micro_usd: 100, local_micro_usd: 0 },
    }
}

fn now(elapsed_ms: u64) -> Now {
    let elapsed = Duration::from_millis(elapsed_ms);
    Now { moment: Moment::after_start(elapsed), unix_s: UNIX_S + i64::try_from(elapsed.as_secs()).unwrap_or_default() }
}

fn resident_bytes() -> usize {
    let status = fs::read_to_string("/proc/self/statm").expect("Linux tells it");
    let pages: usize = status.split(' ').nth(1).and_then(|pages| pages.parse().ok()).expect("a number of pages");
    pages * 4_096
}
