//! Who may come in: looked at before anything of a request is read.

use std::net::SocketAddr;
use std::sync::Arc;

use actix_web::HttpRequest;
use actix_web::http::header::{HOST, ORIGIN};
use domain::access::{is_local_host, is_welcome_origin};
use domain::config::Endpoint;
use domain::refusal::Refusal;

/// The two ends of a client's connection, noted when it was accepted.
#[derive(Debug, Clone)]
pub(crate) struct Peer {
    pub(crate) peer: SocketAddr,
    local: SocketAddr,
    /// The client's address, as the name among whom the house shares fairly.
    pub(super) name: Arc<str>,
}

impl Peer {
    pub(crate) fn new(peer: SocketAddr, local: SocketAddr) -> Self {
        Self { peer, local, name: peer.ip().to_canonical().to_string().into() }
    }
}

/// Longest part of a foreign host name or origin that is repeated to the client.
const HOST_CHARS_MAX: usize = 100;

/// Whether [`check`] lets a request in.
pub(crate) fn is_let_in(request: &HttpRequest, endpoint: &Endpoint) -> bool {
    check(request, endpoint).is_ok()
}

/// Lets the LAN in and strangers not.
///
/// # Errors
/// The address is public, the request was meant for a host name of the Internet, or a web page of someone else sent it.
pub(super) fn check(request: &HttpRequest, endpoint: &Endpoint) -> Result<(), Refusal> {
    let Some(peer) = request.conn_data::<Peer>() else { return Err(Refusal::PublicAddress) };
    if !endpoint.access.permits(peer.peer.ip(), Some(peer.local.ip())) {
        return Err(Refusal::PublicAddress);
    }
    // HTTP/2 names the host in the URI instead.
    let host = match request.headers().get(HOST) {
        Some(value) => value.to_str().unwrap_or("?"),
        None => request.uri().authority().map_or("", |authority| authority.as_str()),
    };
    if !is_local_host(host, &endpoint.host_names) && !endpoint.access.allow_public {
        return Err(Refusal::ForeignHost { host: host.chars().take(HOST_CHARS_MAX).collect() });
    }
    // A browser keeps our answer from a foreign page, but it sends a simple POST for it all the same.
    let origin = request.headers().get(ORIGIN).map(|value| value.to_str().unwrap_or("?"));
    match origin.filter(|origin| !is_welcome_origin(origin, host, &endpoint.cors_origins)) {
        Some(origin) => Err(Refusal::ForeignOrigin { origin: origin.chars().take(HOST_CHARS_MAX).collect() }),
        None => Ok(()),
    }
}
