//! Who asks, how urgently, and what of the request goes on: read once, so that the request need not be kept.

use std::sync::Arc;

use actix_web::HttpRequest;
use actix_web::http::header::HeaderName;
use domain::config::Config;
use domain::lane::Lane;

use super::forward::Forwarded;
use super::guard::Peer;

/// The client's side of a request.
pub(super) struct Client {
    pub(super) forwarded: Forwarded,
    pub(super) lane: Lane,
    /// Among whom the house shares fairly: the client's address.
    pub(super) name: Arc<str>,
}

impl Client {
    pub(super) fn of(request: &HttpRequest, config: &Config) -> Self {
        let lane = if config.route.client_lanes { lane(request) } else { None };
        Self {
            forwarded: Forwarded::of(request),
            lane: lane.unwrap_or_default(),
            name: request.conn_data::<Peer>().map_or_else(|| "".into(), |peer| peer.name.clone()),
        }
    }
}

/// The lane that the client asks for, in our own words or in those of RFC 9218.
fn lane(request: &HttpRequest) -> Option<Lane> {
    static LANE: HeaderName = HeaderName::from_static("x-airlane-lane");
    static PRIORITY: HeaderName = HeaderName::from_static("priority");
    let header = |name: &HeaderName| request.headers().get(name)?.to_str().ok();
    if let Some(lane) = header(&LANE).and_then(|name| Lane::of_name(name.trim())) {
        return Some(lane);
    }
    header(&PRIORITY).and_then(urgency).map(Lane::of_urgency)
}

/// The member `u` of a `Priority` header (a dictionary of RFC 9651), from 0 to 7.
fn urgency(header: &str) -> Option<u8> {
    let value = header.split(',').filter_map(|member| member.trim().strip_prefix("u=")).next_back()?;
    let digits = value.split(';').next().unwrap_or(value).trim();
    digits.parse().ok().filter(|urgency| *urgency <= 7)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn urgencies_are_read() {
        for (header, want) in [
            ("u=1", Some(1)),
            ("i, u=5", Some(5)),
            ("u=2;x=y, i", Some(2)),
            ("u=1, u=6", Some(6)),
            ("u=8", None),
            ("u=-1", None),
            ("i", None),
            ("", None),
        ] {
            assert_eq!(urgency(header), want, "{header}");
        }
    }
}
