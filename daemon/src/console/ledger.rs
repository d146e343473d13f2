//! The ledger for the console. What reads the file does so on a thread where waiting harms nobody.

use std::sync::Arc;

use domain::catalogue::Target;
use domain::ledger::{Entry, Page};
use domain::price::Prices;
use webui::LedgerPage;

use super::FLUSH_MAX;
use crate::ledger::{Ledger, object};
use crate::live::Snapshot;

/// Reads, with what was asked a moment ago.
pub(super) async fn read<T: Send + 'static>(
    ledger: &Arc<Ledger>,
    look: impl FnOnce(&Ledger) -> Result<T, String> + Send + 'static,
) -> Result<T, String> {
    bring_up_to_date(ledger).await;
    let ledger = ledger.clone();
    let seen = tokio::task::spawn_blocking(move || look(&ledger)).await;
    seen.unwrap_or_else(|_| Err("the ledger could not be read; Airlane's log says why".to_owned()))
}

/// Has what waits in memory written; a disk that is very slow is not waited for.
pub(super) async fn bring_up_to_date(ledger: &Ledger) {
    let _ = tokio::time::timeout(FLUSH_MAX, ledger.flush()).await;
}

/// What an entry's model costs there now.
pub(super) fn prices(snapshot: &Snapshot, entry: &Entry) -> Option<Arc<Prices>> {
    snapshot.prices(&Target::new(&entry.upstream, &entry.answered))
}

/// A page as the console tells it.
pub(super) fn page(page: &Page) -> LedgerPage {
    LedgerPage { entries: page.entries.iter().map(object).collect(), next: page.next.map(|id| id.to_string()) }
}
