//! Who asks: the key that a request presents, or else the device from which it comes.

use std::rc::Rc;

use actix_web::HttpRequest;
use actix_web::http::header::{AUTHORIZATION, HeaderName};
use domain::config::Endpoint;
use domain::key::BEGIN;
use domain::refusal::Refusal;
use domain::tenant::{Identity, Unknown};

use super::{Gateway, guard};

/// Lets a request in.
///
/// # Errors
/// It comes from where nobody may ask, its key is not good, or nobody knows it and such are not served.
pub(super) async fn admit(
    request: &HttpRequest,
    gateway: &Gateway,
    endpoint: &Endpoint,
) -> Result<Rc<Identity>, Refusal> {
    let from = guard::check(request, endpoint)?;
    let address = from.address;
    let identity = gateway.tenants.identify(presented(request), address, from.device, from.is_here);
    match identity {
        Ok(identity) if !identity.is_known && endpoint.unknown_devices == Unknown::Nothing => {
            Err(Refusal::UnknownDevice { device: identity.device.to_string() })
        }
        Ok(identity) => Ok(Rc::new(identity)),
        Err(reason) => {
            // Who guesses waits; nobody else does.
            actix_web::rt::time::sleep(gateway.tenants.guessed(address)).await;
            Err(Refusal::BadKey { reason })
        }
    }
}

/// The key, from the headers in which OpenAI's, Ollama's and Anthropic's clients send one: the first that is one of ours.
fn presented(request: &HttpRequest) -> &str {
    static API_KEY: HeaderName = HeaderName::from_static("x-api-key");
    let texts = |name: &HeaderName| request.headers().get_all(name).filter_map(|value| value.to_str().ok());
    let bearers = texts(&AUTHORIZATION).filter_map(bearer);
    texts(&API_KEY).map(str::trim).chain(bearers).find(|text| text.starts_with(BEGIN)).unwrap_or_default()
}

/// The token of `Bearer`, in whatever case that is written.
fn bearer(text: &str) -> Option<&str> {
    let (scheme, token) = text.split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then(|| token.trim())
}
