//! Reckons costs anew, where the owner says so: what was reckoned before stays beside it.

use std::sync::Arc;

use domain::ledger::{Entry, EntryId, Filter};
use domain::price::{Cost, Prices, cost};
use tokio::sync::oneshot;

use super::sums::{self, Whose};
use super::{Control, Ledger};

/// Entries that are reckoned anew together.
const STEP: usize = 500;

/// What one entry costs by other prices.
pub(super) struct Fix {
    pub(super) id: EntryId,
    pub(super) whose: Whose,
    pub(super) prices: Arc<Prices>,
    pub(super) cost: Cost,
}

/// What came of a reckoning.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Repriced {
    /// Entries that were looked at.
    pub(crate) looked: u64,
    /// Entries that cost something else now.
    pub(crate) changed: u64,
}

impl Ledger {
    /// Reckons anew what the entries that `filter` names cost, by what `prices` gives for each; where it gives nothing the
    /// entry stays as it is. Blocks, for about a minute for each million of entries.
    ///
    /// # Errors
    /// A sentence that says why it stopped; what was done until then stays done, and doing it again changes nothing of it.
    pub(crate) fn reprice(
        &self,
        filter: &Filter,
        prices: &dyn Fn(&Entry) -> Option<Arc<Prices>>,
    ) -> Result<Repriced, String> {
        let (done, written) = oneshot::channel();
        self.control(Control::Flush(done));
        let _ = written.blocking_recv();
        let (mut repriced, mut after) = (Repriced::default(), None);
        loop {
            let page = self.page(filter, after, STEP)?;
            repriced.looked += page.entries.len() as u64;
            let fixes: Vec<Fix> = page.entries.iter().filter_map(|entry| fix(entry, prices(entry)?)).collect();
            if !fixes.is_empty() {
                let (done, changed) = oneshot::channel();
                self.control(Control::Correct(fixes, done));
                repriced.changed += changed.blocking_recv().unwrap_or_else(|_| Err(self.ill()))?;
            }
            match page.next {
                Some(next) => after = Some(next),
                None => return Ok(repriced),
            }
        }
    }
}

/// What nobody was asked for stays free.
fn fix(entry: &Entry, prices: Arc<Prices>) -> Option<Fix> {
    let reckoned = cost(&prices, &entry.usage, entry.images);
    let cost = Cost { micro_usd: Entry::bounded_amount(reckoned.micro_usd), ..reckoned };
    let is_new = !entry.is_free() && entry.current_cost() != Some(cost);
    is_new.then(|| Fix { id: entry.id, whose: sums::whose(entry.id.day(), entry), prices, cost })
}
