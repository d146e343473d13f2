//! OpenRouter's `provider`: a client's own wishes about the places that may answer.

use domain::route::{Provider, Strategy};
use serde::Deserialize;

use crate::json::Object;
use crate::malformed::Malformed;

#[derive(Deserialize)]
struct Told {
    #[serde(default)]
    order: Option<Vec<String>>,
    #[serde(default)]
    only: Option<Vec<String>>,
    #[serde(default)]
    ignore: Option<Vec<String>>,
    allow_fallbacks: Option<bool>,
    sort: Option<Sort>,
    max_price: Option<Prices>,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum Sort {
    Word(String),
    By { by: String },
}

/// In US dollars per million tokens.
#[derive(Deserialize)]
struct Prices {
    prompt: Option<f64>,
    completion: Option<f64>,
}

/// Most names in one of the lists.
const NAMES_MAX: usize = 64;

/// Reads the member `provider`. Members of it that only OpenRouter knows go on to OpenRouter.
pub(super) fn read(object: &Object) -> Result<Provider, Malformed> {
    let Some(told) = object.get::<Told>("provider")? else { return Ok(Provider::default()) };
    let names = |names: Option<Vec<String>>| names.unwrap_or_default().into_iter().take(NAMES_MAX).collect();
    let sort = match told.sort {
        None => None,
        Some(Sort::Word(word) | Sort::By { by: word }) => Some(Strategy::of_sort(&word).ok_or_else(|| {
            Malformed::new("provider.sort", format!("{word:?} is not one of price, throughput, latency"))
        })?),
    };
    let prices = told.max_price;
    Ok(Provider {
        order: names(told.order),
        only: names(told.only),
        ignore: names(told.ignore),
        no_fallbacks: told.allow_fallbacks == Some(false),
        sort,
        prompt_price_max: prices.as_ref().and_then(|prices| micros(prices.prompt?)),
        output_price_max: prices.as_ref().and_then(|prices| micros(prices.completion?)),
    })
}

/// Dollars as micro-dollars; what is no price bounds nothing.
#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a cast of a float saturates")]
fn micros(dollars: f64) -> Option<u64> {
    (dollars >= 0.0).then_some((dollars * 1e6).round() as u64)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(provider: &str) -> Result<Provider, Malformed> {
        read(&Object::of(format!(r#"{{"provider":{provider}}}"#).as_bytes())?)
    }

    #[test]
    fn wishes_are_read() {
        let provider = at(r#"{"order":["a","b"],"only":["a"],"ignore":["c"],"allow_fallbacks":false,"zdr":true,
            "sort":{"by":"price","partition":"none"},"max_price":{"prompt":0.5,"completion":2}}"#)
        .unwrap();
        assert_eq!((provider.order.len(), provider.only.len(), provider.ignore.len()), (2, 1, 1));
        assert!(provider.no_fallbacks);
        assert_eq!(provider.sort, Some(Strategy::Cheapest));
        assert_eq!((provider.prompt_price_max, provider.output_price_max), (Some(500_000), Some(2_000_000)));
        assert_eq!(at("null").unwrap(), Provider::default());
        assert_eq!(at(r#"{"max_price":{"prompt":-1}}"#).unwrap().prompt_price_max, None);
    }

    #[test]
    fn wrong_ones_are_refused() {
        assert_eq!(at(r#"{"sort":"best"}"#).unwrap_err().at, "provider.sort");
        assert_eq!(at(r#"{"order":"a"}"#).unwrap_err().at, "provider");
    }
}
