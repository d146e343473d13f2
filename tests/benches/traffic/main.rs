//! dev
use airlane_tests::traffic::*;
fn main() {
    let args: Vec<String> = std::env::args().collect();
    let n: usize = args.get(1).and_then(|a| a.parse().ok()).unwrap_or(5000);
    let seed: u64 = args.get(2).and_then(|a| a.parse().ok()).unwrap_or(1);
    let only = args.get(3).cloned().unwrap_or_default();
    for s in scenarios(n, seed) {
        if !s.name.contains(&only) { continue }
        println!("{}", s.name);
        for k in Kind::ALL {
            let t = std::time::Instant::now();
            let r = run(&s, k);
            println!("  {:<12} ttft {:6.2} {:7.2}  int {:6.2} norm {:6.2} bulk {:6.2} waitmax {:.0?}  used {:.2} {:.2?} share {:.2?} broken {} refused {} ans {} span {:.0} [{:.1?}]", k.name(), r.ttft[0], r.ttft[1], r.ttft_by_lane[0][1], r.ttft_by_lane[1][1], r.ttft_by_lane[2][1], r.wait_max, r.used_all, &r.used[..3], &r.share[..3], r.broken, r.refused, r.answered, r.span_s, t.elapsed());
        }
    }
}
