//! A router that has moved calls its nodes, so that they report to its new address: nobody has to pair anew.
//!
//! A node whose address changed shows it in its reports. When both have moved, the router finds the node by the id that
//! it announces.

use std::collections::HashMap;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use domain::access::is_private;
use domain::node::{SILENT_AFTER_S, Session};
use domain::upstream::Upstream;
use futures_util::future::join_all;
use hyper::header::{AUTHORIZATION, HeaderMap, HeaderValue};
use serde::{Deserialize, Serialize};
use tokio::time::{Instant, MissedTickBehavior, interval, timeout};
use tracing::{debug, info};

use super::book::{Paired, Router};
use super::proof::random_word;
use super::receive::{Claim, NotTaken};
use super::send::{Challenge, Failed};
use super::{CALL_MAX, Nodes, State, find, http, unwritable};

/// What a proof is for.
const PURPOSE: &str = "airlane router";
/// A node follows its router at most once in this time: each time is a write of a file.
const FOLLOW_GAP: Duration = Duration::from_secs(10);
/// How often is looked for silent nodes.
const TICK: Duration = Duration::from_secs(1);
/// Pause before a silent node is called again; doubled up to [`CALL_PAUSE_MAX`].
const CALL_PAUSE_MIN: Duration = Duration::from_secs(5);
/// Longest such pause: a box that was off for the night finds its router within this time.
const CALL_PAUSE_MAX: Duration = Duration::from_secs(60);

/// Where the router is now.
#[derive(Debug, Serialize, Deserialize)]
struct Moved {
    address: SocketAddr,
}

/// The order of what the router of a node says there.
pub(super) struct Following {
    /// Of the pair.
    id: String,
    session: Session,
    /// When it was followed last.
    at: Option<Instant>,
}

/// Calls to a silent node.
#[derive(Default)]
struct Calls {
    made: u32,
    next: Option<Instant>,
}

impl Nodes {
    /// Whether this node reports to a router under that id.
    pub(super) fn is_router(&self, id: &str) -> bool {
        self.node.enabled && self.lock().router.as_ref().is_some_and(|router| router.id == id)
    }

    /// The word with which our router begins to speak to us.
    pub(super) fn router_challenge(&self, id: &str) -> Result<String, NotTaken> {
        if !self.is_router(id) {
            return Err(NotTaken::NoRouter);
        }
        Ok(following(&mut self.lock(), id)?.session.challenge().to_owned())
    }

    /// The router says from `peer` that it is there now.
    pub(super) fn follow(&self, claim: &Claim, body: &[u8], peer: IpAddr) -> Result<(), NotTaken> {
        let mut state = self.lock();
        let router = state.router.clone().filter(|router| router.id == claim.id && self.node.enabled);
        let router = router.filter(|router| claim.is_proven(&router.key, PURPOSE, body)).ok_or(NotTaken::NoRouter)?;
        let known = following(&mut state, &claim.id)?;
        if known.at.is_some_and(|at| at.elapsed() < FOLLOW_GAP) {
            return Err(NotTaken::TooFast);
        }
        let fresh = random_word().map_err(|_| NotTaken::NoRouter)?;
        if !known.session.accept(&claim.word, claim.number, || fresh) {
            return Err(NotTaken::NoRouter);
        }
        let moved: Moved = serde_json::from_slice(body).map_err(|error| NotTaken::Malformed(error.to_string()))?;
        let address = SocketAddr::new(moved.address.ip().to_canonical(), moved.address.port());
        if address.ip() != peer || address.port() == 0 {
            return Err(NotTaken::Malformed("a router is followed only to where it calls from".to_owned()));
        }
        if address == router.address {
            return Ok(());
        }
        known.at = Some(Instant::now());
        info!(router = router.name, %address, "the router has a new address");
        let router = Router { address, ..router };
        if let Err(error) = self.node_book.write(&Some(&router)) {
            debug!("{}: {error}; after a restart the router calls again", unwritable(&self.node_book));
        }
        state.router = Some(router);
        Ok(())
    }

    /// Calls nodes that are silent, for ever: they may report to where we were.
    pub(crate) async fn call_silent(self: Arc<Self>) {
        let mut tick = interval(TICK);
        tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut calls: HashMap<String, Calls> = HashMap::new();
        loop {
            tick.tick().await;
            let silent = self.silent();
            calls.retain(|id, _| silent.iter().any(|paired| paired.id == *id));
            let now = Instant::now();
            let mut due = silent;
            due.retain(|paired| calls.entry(paired.id.clone()).or_default().next.is_none_or(|next| next <= now));
            if due.is_empty() {
                continue;
            }
            for paired in &due {
                calls.entry(paired.id.clone()).or_default().note(now);
            }
            let unreached = self.call_all(due.into_iter().map(|paired| (paired.address, paired)).collect()).await;
            if !unreached.is_empty() {
                self.call_found(unreached).await;
            }
        }
    }

    /// Nodes that should report and do not.
    fn silent(&self) -> Vec<Paired> {
        if !self.nodes.enabled || self.started.elapsed().as_secs() <= SILENT_AFTER_S {
            return Vec::new();
        }
        let state = self.lock();
        state.paired.iter().filter(|paired| self.is_silent(paired, &state)).cloned().collect()
    }

    /// Tells nodes where we are; gives back those that could not be reached.
    async fn call_all(&self, nodes: Vec<(SocketAddr, Paired)>) -> Vec<Paired> {
        let told = nodes.into_iter().map(|(address, paired)| async move {
            match timeout(CALL_MAX, self.tell_where(&paired, address)).await {
                Ok(Ok(())) => None,
                // Somebody else may be there now.
                Ok(Err(Failed::Unknown)) => Some(paired),
                Ok(Err(Failed::Other(reason))) => {
                    debug!(node = paired.name, %address, "the silent node cannot be called: {reason}");
                    Some(paired)
                }
                Err(_) => Some(paired),
            }
        });
        join_all(told).await.into_iter().flatten().collect()
    }

    /// Looks where silent nodes announce themselves, and calls them there.
    async fn call_found(&self, unreached: Vec<Paired>) {
        let Ok(found) = find::look().await else { return };
        let at = |paired: &Paired| {
            let found = found.iter().find(|found| found.id.as_deref() == Some(paired.id.as_str()))?;
            // Anybody can announce anything: nobody outside is called for it.
            let elsewhere = |address: &&SocketAddr| is_private(address.ip()) && **address != paired.address;
            found.addresses.iter().find(elsewhere).copied()
        };
        let found = unreached.into_iter().filter_map(|paired| Some((at(&paired)?, paired)));
        self.call_all(found.collect()).await;
    }

    async fn tell_where(&self, paired: &Paired, at: SocketAddr) -> Result<(), Failed> {
        let other = |error: &dyn std::fmt::Display| Failed::Other(error.to_string());
        let far = Upstream::node(&paired.name, format!("http://{at}"));
        let address = self.address_for(at).map_err(|error| other(&error))?;
        let path = format!("{}?router={}", http::ROUTER, paired.id);
        let answer = self.send(&far, &path, None, HeaderMap::new()).await?;
        let challenge: Challenge = serde_json::from_slice(&answer).map_err(|error| other(&error))?;
        let body = serde_json::to_vec(&Moved { address }).map_err(|error| other(&error))?;
        let claim = Claim::write(&paired.key, PURPOSE, &paired.id, &challenge.word, 1, &body);
        let claim = HeaderValue::from_str(&claim).map_err(|error| other(&error))?;
        let headers = HeaderMap::from_iter([(AUTHORIZATION, claim)]);
        self.send(&far, http::ROUTER, Some(Bytes::from(body)), headers).await?;
        debug!(node = paired.name, %at, "the silent node was told where we are");
        Ok(())
    }
}

/// The record of what our router says.
fn following<'a>(state: &'a mut State, id: &str) -> Result<&'a mut Following, NotTaken> {
    let known = state.following.take().filter(|known| known.id == id);
    let known = match known {
        Some(known) => known,
        None => {
            let word = random_word().map_err(|_| NotTaken::NoRouter)?;
            Following { id: id.to_owned(), session: Session::new(word), at: None }
        }
    };
    Ok(state.following.insert(known))
}

impl Calls {
    fn note(&mut self, now: Instant) {
        let pause = CALL_PAUSE_MIN.saturating_mul(1 << self.made.min(8)).min(CALL_PAUSE_MAX);
        self.made = self.made.saturating_add(1);
        self.next = Some(now + pause);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn calls_to_a_silent_node_get_rarer_and_go_on() {
        let (now, mut calls) = (Instant::now(), Calls::default());
        for pause_s in [5, 10, 20, 40, 60, 60] {
            calls.note(now);
            assert_eq!(calls.next, Some(now + Duration::from_secs(pause_s)));
        }
        calls.made = u32::MAX;
        calls.note(now);
        assert_eq!(calls.next, Some(now + CALL_PAUSE_MAX));
    }
}
