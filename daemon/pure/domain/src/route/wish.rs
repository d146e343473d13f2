//! What of a request matters for its route.

use std::sync::Arc;

use crate::config::Config;
use crate::policy::Bounds;
use crate::strategy::Strategy;

/// What a client asks for, as far as it decides where the request goes.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Wish {
    /// The model names to try, first choice first: the request's `model`, then its `models`.
    pub models: Vec<String>,
    /// The prompt's length in tokens, estimated.
    pub prompt_tokens: u64,
    /// Longest answer that the client wants, in tokens.
    pub output_tokens_max: Option<u64>,
    /// What a model must be able to do.
    pub needs: Needs,
    /// The request continues a tool call: it must not change its model in between.
    pub tool_loop: bool,
    /// The answer is to come token by token, so that its first one will be seen.
    pub stream: bool,
    /// OpenRouter's `provider`.
    pub provider: Provider,
    /// Where policies let it go.
    pub bounds: Arc<Bounds>,
    /// How policies want its place to be chosen, where the client does not say.
    pub strategy: Option<Strategy>,
    /// The conversation so far, message by message, shortest first; empty where nobody looked.
    pub prefix: Vec<Mark>,
}

/// The beginning of a conversation up to the end of one message.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Mark {
    /// Hash of everything up to there.
    pub hash: u64,
    /// Its length in tokens, estimated.
    pub tokens: u64,
}

/// What a model must be able to do.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Needs {
    /// Call tools.
    pub tools: bool,
    /// See pictures.
    pub vision: bool,
    /// Keep to a JSON schema.
    pub json_schema: bool,
}

/// A client's wishes about places: OpenRouter's `provider` object, with upstream names for providers.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Provider {
    /// Upstreams to try first, in this order.
    pub order: Vec<String>,
    /// The only upstreams that may answer; empty for all.
    pub only: Vec<String>,
    /// Upstreams that must not answer.
    pub ignore: Vec<String>,
    /// With `order`: no other upstreams.
    pub no_fallbacks: bool,
    /// Instead of the strategy of the model's name.
    pub sort: Option<Strategy>,
    /// Highest price of prompts, in micro-dollars per million tokens.
    pub prompt_price_max: Option<u64>,
    /// Highest price of answers, in micro-dollars per million tokens.
    pub output_price_max: Option<u64>,
}

impl Provider {
    /// Forgets names that are no upstreams of ours: they are meant for whoever comes behind, like OpenRouter.
    pub fn keep_known(&mut self, config: &Config) {
        let is_known = |name: &String| config.upstreams.iter().any(|known| known.name.eq_ignore_ascii_case(name));
        for names in [&mut self.order, &mut self.only, &mut self.ignore] {
            names.retain(is_known);
        }
    }

    /// The position of an upstream in `order`; those that are not in it come last.
    pub(super) fn position(&self, upstream: &str) -> usize {
        self.order.iter().position(|name| name.eq_ignore_ascii_case(upstream)).unwrap_or(usize::MAX)
    }

    /// Why an upstream may not answer.
    pub(super) fn forbids(&self, upstream: &str) -> Option<&'static str> {
        let has = |names: &[String]| names.iter().any(|name| name.eq_ignore_ascii_case(upstream));
        if has(&self.ignore) {
            Some("the request's provider.ignore names it")
        } else if !self.only.is_empty() && !has(&self.only) {
            Some("the request's provider.only does not name it")
        } else if self.no_fallbacks && !self.order.is_empty() && !has(&self.order) {
            Some("the request's provider.order does not name it, and it allows no others")
        } else {
            None
        }
    }
}
