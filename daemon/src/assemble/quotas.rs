//! What limits and budgets need beside the requests: what was spent before, and room in memory.

use std::sync::Arc;
use std::time::Duration;

use domain::allowance::{Charge, Kind, Now};
use domain::budget::Budget;
use domain::calendar::Period;
use domain::config::Config;
use tokio::time::{Instant, sleep, timeout_at};
use tracing::warn;

use super::Parts;

/// How many devices, and how many models, have counts of their own: more than a house has, and about 5 MB each if somebody
/// makes them up.
pub(super) const STRANGERS_MAX: usize = 8_192;

/// Longest wait at start for the ledger, before clients are served all the same.
const LEDGER_OPEN_MAX: Duration = Duration::from_secs(10);
/// How often it is asked meanwhile.
const ASK_EVERY: Duration = Duration::from_millis(20);

/// How often counts that have run dry are forgotten.
const SWEEP_EVERY: Duration = Duration::from_secs(60);

/// Forgets what has run dry, for ever.
pub(super) async fn sweep(parts: Arc<Parts>) {
    loop {
        sleep(SWEEP_EVERY).await;
        parts.meter.sweep(now(&parts));
    }
}

/// Tells the meter what tenants have spent in the periods that go on. The ledger has no sums by policy: all that a tenant
/// has spent counts, which may be too much under a policy that holds for some of its requests only.
pub(super) async fn restore(parts: &Arc<Parts>, config: &Config) {
    let until = Instant::now() + LEDGER_OPEN_MAX;
    let quotas = config.policies.iter().flat_map(|policy| &policy.rules.quotas);
    for quota in quotas.filter(|quota| quota.kind == Kind::Tenant) {
        for budget in &quota.allowance.budgets {
            match spent(parts, budget, until).await {
                Ok((period, spent)) => {
                    for (tenant, micro_usd) in &spent {
                        let charge = Charge { quota, name: tenant };
                        parts.meter.restore(&charge, period.key, *micro_usd, now(parts));
                    }
                }
                Err(why) => {
                    warn!(policy = %quota.policy, why, "a budget begins anew, since nobody knows what was spent of it");
                }
            }
        }
    }
}

/// What each tenant has spent in the budget's period.
///
/// # Errors
/// Why the ledger cannot tell it.
async fn spent(parts: &Arc<Parts>, budget: &Budget, until: Instant) -> Result<(Period, Vec<(String, u64)>), String> {
    let period = Period::at(now(parts).unix_s, budget.cycle, &budget.zone);
    let since_ms = u64::try_from(period.start_unix_s).unwrap_or(0).saturating_mul(1_000);
    let mut why = "the ledger does not open".to_owned();
    let asking = async {
        loop {
            let ledger = parts.ledger.clone();
            match tokio::task::spawn_blocking(move || ledger.spent_since(since_ms)).await {
                Ok(Ok(spent)) => return spent,
                Ok(Err(error)) => why = error,
                Err(error) => why = error.to_string(),
            }
            sleep(ASK_EVERY).await;
        }
    };
    let asked = timeout_at(until, asking).await;
    let spent = asked.map_err(|_| why)?;
    Ok((period, spent.into_iter().map(|(tenant, amount)| (tenant, u64::try_from(amount.0).unwrap_or(0))).collect()))
}

fn now(parts: &Parts) -> Now {
    let unix_s = i64::try_from(parts.clock.unix_ms() / 1_000).unwrap_or(i64::MAX);
    Now { moment: parts.dispatcher.now(), unix_s }
}
