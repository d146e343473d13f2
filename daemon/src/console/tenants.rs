//! Tenants and keys for the console. What writes to the disk does so on a thread where waiting harms nobody.

use std::sync::Arc;

use crate::tenants::Tenants;

/// Does what the owner wishes, to its end, also if whoever asked for it does not wait.
pub(super) async fn carry_out<T: Send + 'static>(
    tenants: &Arc<Tenants>,
    wish: impl FnOnce(&Tenants) -> Result<T, String> + Send + 'static,
) -> Result<T, String> {
    let tenants = tenants.clone();
    let done = tokio::task::spawn_blocking(move || wish(&tenants)).await;
    done.unwrap_or_else(|_| Err("it was broken off; Airlane's log says why".to_owned()))
}
