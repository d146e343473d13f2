//! Who may come in: looked at before anything of a request is read.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use actix_web::HttpRequest;
use actix_web::http::header::{FORWARDED, HOST, HeaderName, ORIGIN};
use domain::access::{Access, is_local_host, is_welcome_origin};
use domain::config::Endpoint;
use domain::refusal::Refusal;

/// The two ends of a client's connection, noted when it was accepted.
#[derive(Debug, Clone)]
pub(crate) struct Peer {
    pub(crate) peer: SocketAddr,
    local: SocketAddr,
    /// The client's address, as the name among whom the house shares fairly.
    name: Arc<str>,
}

/// From whom a request comes.
#[derive(Debug, Clone)]
pub(super) struct From {
    pub(super) address: IpAddr,
    /// The address in letters.
    pub(super) device: Arc<str>,
    /// A program of this machine asks, and for nobody else.
    pub(super) is_here: bool,
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
pub(super) fn check(request: &HttpRequest, endpoint: &Endpoint) -> Result<From, Refusal> {
    let Some(peer) = request.conn_data::<Peer>() else { return Err(Refusal::PublicAddress) };
    let from = from(request, peer, &endpoint.access);
    // A proxy of ours must be let in as well.
    if [peer.peer.ip(), from.address].iter().any(|address| !endpoint.access.permits(*address, Some(peer.local.ip()))) {
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
        None => Ok(from),
    }
}

fn from(request: &HttpRequest, peer: &Peer, access: &Access) -> From {
    static FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");
    let direct = peer.peer.ip().to_canonical();
    let headers = || request.headers().get_all(&FORWARDED_FOR).filter_map(|value| value.to_str().ok());
    let address = if access.trusted_proxies.is_empty() { direct } else { access.client_behind(direct, headers()) };
    let device = if address == direct { peer.name.clone() } else { address.to_string().into() };
    // A proxy on this machine that nobody named asks for others, whatever it says of them.
    let is_proxy = || request.headers().contains_key(&FORWARDED_FOR) || request.headers().contains_key(FORWARDED);
    From { address, device, is_here: direct.is_loopback() && address == direct && !is_proxy() }
}
