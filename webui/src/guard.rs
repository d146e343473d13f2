//! What protects every page: headers that bind the browser, and a look at the name it was called by.

use std::net::IpAddr;

use actix_web::body::{EitherBody, MessageBody};
use actix_web::dev::{ServiceRequest, ServiceResponse};
use actix_web::http::header::{HOST, HeaderMap};
use actix_web::middleware::{DefaultHeaders, Next};
use actix_web::{Error, HttpRequest, HttpResponse};

use crate::texts;

/// Style and icon from here, nothing else from anywhere: no script, no frame, no form, no other host.
const CONTENT_SECURITY_POLICY: &str = "default-src 'none'; style-src 'self'; img-src 'self'; base-uri 'none'; \
     form-action 'none'; frame-ancestors 'none'";

/// Headers of every answer. An asset says for itself how long it may be kept; the rest is never kept.
pub(crate) fn headers() -> DefaultHeaders {
    DefaultHeaders::new()
        .add(("Content-Security-Policy", CONTENT_SECURITY_POLICY))
        .add(("X-Frame-Options", "DENY"))
        .add(("X-Content-Type-Options", "nosniff"))
        .add(("Referrer-Policy", "no-referrer"))
        .add(("Cross-Origin-Opener-Policy", "same-origin"))
        .add(("Cross-Origin-Resource-Policy", "same-origin"))
        .add(("Cache-Control", "no-store"))
}

/// Refuses requests under foreign host names. A web page of someone else can point its own name at our address
/// (DNS rebinding) and then read our answers; it cannot do so under an IP address or `localhost`.
pub(crate) async fn own_host_only<B: MessageBody>(
    request: ServiceRequest,
    next: Next<B>,
) -> Result<ServiceResponse<EitherBody<B>>, Error> {
    let authority = request.uri().authority().map(|authority| authority.as_str().to_owned());
    if authority.or_else(|| host_header(request.headers())).is_some_and(|host| is_own(&host)) {
        return Ok(next.call(request).await?.map_into_left_body());
    }
    let refusal = HttpResponse::MisdirectedRequest().body(texts::FOREIGN_HOST);
    Ok(request.into_response(refusal).map_into_right_body())
}

/// Whether a request was not sent by a page of another site. Browsers say who sends; programs say nothing.
pub(crate) fn is_own_page(request: &HttpRequest) -> bool {
    let header = |name: &str| request.headers().get(name).map(|value| value.to_str().unwrap_or("?"));
    let is_same_site = header("sec-fetch-site").is_none_or(|site| matches!(site, "same-origin" | "none"));
    let authority = request.uri().authority().map(|authority| authority.as_str().to_owned());
    let host = authority.or_else(|| host_header(request.headers())).unwrap_or_default();
    let is_ours = |origin: &str| origin.split_once("://").is_some_and(|(_, from)| from.eq_ignore_ascii_case(&host));
    is_same_site && header("origin").is_none_or(is_ours)
}

fn host_header(headers: &HeaderMap) -> Option<String> {
    headers.get(HOST)?.to_str().ok().map(str::to_owned)
}

/// Whether `host`, with or without a port, is an IP address or this machine's name for itself.
fn is_own(host: &str) -> bool {
    let name = match host.strip_prefix('[') {
        Some(rest) => rest.split(']').next().unwrap_or(rest),
        None => host.rsplit_once(':').map_or(host, |(name, _)| name),
    };
    name.eq_ignore_ascii_case("localhost") || name.parse::<IpAddr>().is_ok()
}

#[cfg(test)]
mod tests {
    use super::is_own;

    #[test]
    fn only_addresses_and_localhost_are_own() {
        for own in ["localhost", "LocalHost:8485", "127.0.0.1", "127.0.0.1:8485", "[::1]:8485", "[::1]", "192.168.1.1"]
        {
            assert!(is_own(own), "{own}");
        }
        for foreign in
            ["", "evil.example", "evil.example:8485", "localhost.evil.example", "127.0.0.1.evil.example", "["]
        {
            assert!(!is_own(foreign), "{foreign}");
        }
    }
}
