//! Freed memory goes back to the system.

use std::time::Duration;

/// How long the memory of a large answer may stay with us after it was freed.
const GIVE_BACK_EVERY: Duration = Duration::from_secs(5);

/// Gives this worker's freed memory back from time to time, as long as the worker lives.
///
/// mimalloc returns large blocks only while it is asked for others: without this, one answer of 100 MiB would stay in
/// the memory of a router until the next one.
pub(super) fn keep_giving_back() {
    actix_web::rt::spawn(async {
        loop {
            tokio::time::sleep(GIVE_BACK_EVERY).await;
            give_back();
        }
    });
}

#[expect(unsafe_code, reason = "the allocator's library has no Rust name for it without further features")]
unsafe extern "C" {
    fn mi_collect(force: bool);
}

#[expect(unsafe_code, reason = "the allocator has no safe door for this")]
fn give_back() {
    // SAFETY: takes no pointer, may be called on any thread at any time, and is linked in with the allocator.
    unsafe { mi_collect(false) }
}
