//! A place that answers: what the config says of it, and the paths it is called on.

mod card;

use std::time::Duration;

use crate::secret::Secret;
use crate::sleep::Wake;
use crate::surface::{Dialect, Surface, Task};

pub use card::CardName;

/// What an upstream speaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum UpstreamKind {
    /// OpenAI's API: llama.cpp, vLLM, SGLang, LM Studio and most clouds.
    Openai,
    /// Anthropic's API.
    Anthropic,
    /// Ollama's native API.
    Ollama,
    /// Built in, without a model: gives the prompt back.
    Loopback,
}

impl UpstreamKind {
    /// All kinds under their names in the config.
    pub const NAMES: [(&'static str, Self); 4] = [
        ("openai", Self::Openai),
        ("anthropic", Self::Anthropic),
        ("ollama", Self::Ollama),
        ("loopback", Self::Loopback),
    ];

    /// The name in the config.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Openai => "openai",
            Self::Anthropic => "anthropic",
            Self::Ollama => "ollama",
            Self::Loopback => "loopback",
        }
    }

    /// The dialect it is called in.
    #[must_use]
    pub const fn dialect(self) -> Dialect {
        match self {
            Self::Openai | Self::Loopback => Dialect::Openai,
            Self::Anthropic => Dialect::Anthropic,
            Self::Ollama => Dialect::Ollama,
        }
    }
}

/// One `[[upstream]]`, checked.
#[derive(Debug, Clone, PartialEq)]
pub struct Upstream {
    /// Unique name: letters, digits, `-`, `_`, `.`.
    pub name: String,
    /// What it speaks.
    pub kind: UpstreamKind,
    /// `http://` or `https://`, host and port.
    pub origin: String,
    /// Path before the dialect's own, without a slash at the end; often empty.
    pub base_path: String,
    /// Query of the configured URL (Azure's `api-version`), without the question mark.
    pub query: Option<String>,
    /// Key that we show it.
    pub key: Option<Secret>,
    /// Further headers that we send it. Their values may be secrets.
    pub headers: Vec<(String, Secret)>,
    /// Which of its models may be used: `*` stands for any letters.
    pub models: Vec<String>,
    /// Whether it answers `/v1/responses` itself; otherwise Airlane does, through its chat.
    pub responses: bool,
    /// File with certificates to trust besides the system's.
    pub ca_file: Option<String>,
    /// Longest wait for a connection.
    pub connect_timeout: Duration,
    /// Longest wait for the first byte of an answer to an empty prompt; see [`Upstream::first_byte_limit`].
    pub first_byte_timeout: Duration,
    /// Longest silence within an answer.
    pub idle_timeout: Duration,
    /// Speed of a loopback.
    pub tokens_per_s: u32,
    /// It stands in the house: what it does costs nothing, and nothing leaves the house.
    pub local: bool,
    /// Requests that each of its models answers at once; `None` for what it tells, or no limit.
    pub slots: Option<u32>,
    /// It holds one model in memory at a time, like llama-swap.
    pub one_model: bool,
    /// It is another Airlane, which we have paired with as a node.
    pub is_node: bool,
    /// How its machine is woken when it sleeps.
    pub wake: Option<Wake>,
    /// The cards of its machine that it uses; empty where the owner does not say.
    pub gpu: Vec<CardName>,
    /// Where its machine tells of its cards, in the form of dcgm-exporter or nvidia_gpu_exporter.
    pub gpu_metrics: Option<Address>,
}

/// An address that is asked as it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Address {
    /// `http://` or `https://`, host and port.
    pub origin: String,
    /// With its slash.
    pub path: String,
    /// Without the question mark.
    pub query: Option<String>,
}

/// The header that says how many Airlanes a request has passed.
pub const HOP: &str = "x-airlane-hop";

/// Slowest prefill that is not yet taken for a dead upstream: a 135M model on one old core does more.
const PREFILL_BYTES_PER_S: u64 = 100;

/// How many times longer a whole answer may take than the first token of a stream.
const WHOLE_ANSWER_FACTOR: u32 = 10;

impl Upstream {
    /// A node of this name, whose endpoint stands at `origin`.
    #[must_use]
    pub fn node(name: &str, origin: String) -> Self {
        Self {
            name: name.to_owned(),
            kind: UpstreamKind::Openai,
            origin,
            base_path: String::new(),
            query: None,
            key: None,
            headers: Vec::new(),
            models: vec!["*".to_owned()],
            responses: false,
            ca_file: None,
            connect_timeout: Duration::from_secs(3),
            first_byte_timeout: Duration::from_secs(120),
            idle_timeout: Duration::from_secs(120),
            tokens_per_s: 0,
            local: true,
            slots: None,
            one_model: false,
            is_node: true,
            wake: None,
            gpu: Vec::new(),
            gpu_metrics: None,
        }
    }

    /// Whether it is a model server of ours: it is looked at, and other Airlanes may have its models through us.
    #[must_use]
    pub fn is_shared(&self) -> bool {
        self.local && !self.is_node && self.kind != UpstreamKind::Loopback
    }

    /// Longest wait for the first byte after a request of this size: a long prompt takes long to read, and an answer
    /// in one piece begins only when its last token is there.
    #[must_use]
    pub fn first_byte_limit(&self, request_bytes: usize, stream: bool) -> Duration {
        let prefill_s = u64::try_from(request_bytes).unwrap_or(u64::MAX) / PREFILL_BYTES_PER_S;
        let base = if stream { self.first_byte_timeout } else { self.first_byte_timeout * WHOLE_ANSWER_FACTOR };
        base.saturating_add(Duration::from_secs(prefill_s))
    }

    /// The surface on which this upstream is called when a client calls `near`, or why it can't serve it.
    ///
    /// # Errors
    /// The kind of upstream has nothing like it; the text is a clause for people.
    pub fn far_surface(&self, near: Surface) -> Result<Surface, &'static str> {
        match (self.kind, near.task()) {
            (UpstreamKind::Openai, Task::Chat) if near == Surface::OpenaiResponses && self.responses => Ok(near),
            (UpstreamKind::Openai | UpstreamKind::Loopback, Task::Chat) => Ok(Surface::OpenaiChat),
            (UpstreamKind::Openai | UpstreamKind::Loopback, Task::Completion) => Ok(Surface::OpenaiCompletions),
            (UpstreamKind::Openai | UpstreamKind::Loopback, Task::Embedding) => Ok(Surface::OpenaiEmbeddings),
            // llama.cpp and vLLM count in Anthropic's form.
            (UpstreamKind::Openai | UpstreamKind::Anthropic, Task::TokenCount) => Ok(Surface::AnthropicCountTokens),
            (UpstreamKind::Ollama | UpstreamKind::Loopback, Task::TokenCount) => Ok(Surface::AnthropicCountTokens),
            (UpstreamKind::Anthropic, Task::Chat) => Ok(Surface::AnthropicMessages),
            (UpstreamKind::Anthropic, Task::Completion) => Err("Anthropic has no raw completions"),
            (UpstreamKind::Anthropic, Task::Embedding) => Err("Anthropic has no embeddings"),
            (UpstreamKind::Ollama, Task::Chat) if near == Surface::OllamaGenerate => Ok(near),
            (UpstreamKind::Ollama, Task::Chat) => Ok(Surface::OllamaChat),
            (UpstreamKind::Ollama, Task::Completion) => Ok(Surface::OllamaGenerateRaw),
            (UpstreamKind::Ollama, Task::Embedding) => Ok(Surface::OllamaEmbed),
        }
    }

    /// Path and query for one of the dialect's own paths, like `/v1/models`.
    ///
    /// A configured URL that already has a path (`…/api/v1`, `…/openai`) stands for the dialect's `/v1`.
    #[must_use]
    pub fn path_and_query(&self, path: &str) -> String {
        let path = match self.kind {
            UpstreamKind::Openai if !self.base_path.is_empty() => path.strip_prefix("/v1").unwrap_or(path),
            UpstreamKind::Anthropic if self.base_path.ends_with("/v1") => path.strip_prefix("/v1").unwrap_or(path),
            UpstreamKind::Openai | UpstreamKind::Anthropic | UpstreamKind::Ollama | UpstreamKind::Loopback => path,
        };
        match &self.query {
            None => format!("{}{path}", self.base_path),
            Some(query) => format!("{}{path}?{query}", self.base_path),
        }
    }

    /// The same server for paths that stand beside `/v1`, not below it.
    #[must_use]
    pub fn root(&self) -> Self {
        let base_path = self.base_path.strip_suffix("/v1").unwrap_or(&self.base_path).to_owned();
        Self { base_path, ..self.clone() }
    }

    /// The program beside it that tells of its GPUs, to be asked for an empty path. It is shown no key.
    #[must_use]
    pub fn exporter(&self) -> Option<Self> {
        let address = self.gpu_metrics.as_ref()?;
        Some(Self {
            name: format!("{} (gpu_metrics)", self.name),
            kind: UpstreamKind::Openai,
            origin: address.origin.clone(),
            base_path: address.path.clone(),
            query: address.query.clone(),
            key: None,
            headers: Vec::new(),
            ..self.clone()
        })
    }

    /// The host of its address, without the port.
    #[must_use]
    pub fn host(&self) -> &str {
        let authority = self.origin.split_once("://").map_or("", |(_, authority)| authority);
        match authority.strip_prefix('[') {
            Some(v6) => v6.split(']').next().unwrap_or(v6),
            None => authority.split(':').next().unwrap_or(authority),
        }
    }

    /// Whether the config lets this model of the upstream be used.
    #[must_use]
    pub fn offers(&self, model: &str) -> bool {
        self.models.iter().any(|pattern| matches(pattern, model))
    }

    /// The configured model names that are no patterns: they count even where the upstream lists nothing.
    pub fn named_models(&self) -> impl Iterator<Item = &str> {
        self.models.iter().map(String::as_str).filter(|name| !name.contains('*'))
    }
}

/// Whether `text` fits `pattern`, in which `*` stands for any letters. Linear in the text for each star.
#[must_use]
pub fn matches(pattern: &str, text: &str) -> bool {
    let Some((head, rest)) = pattern.split_once('*') else { return pattern == text };
    let Some(mut left) = text.strip_prefix(head) else { return false };
    let mut pieces: Vec<&str> = rest.split('*').collect();
    let last = pieces.pop().unwrap_or("");
    for piece in pieces {
        match left.find(piece) {
            Some(at) => left = &left[at + piece.len()..],
            None => return false,
        }
    }
    left.ends_with(last)
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    pub(crate) fn upstream(name: &str, kind: UpstreamKind) -> Upstream {
        Upstream {
            name: name.to_owned(),
            kind,
            origin: "http://127.0.0.1:1".to_owned(),
            base_path: String::new(),
            query: None,
            key: None,
            headers: Vec::new(),
            models: vec!["*".to_owned()],
            responses: false,
            ca_file: None,
            connect_timeout: Duration::from_secs(5),
            first_byte_timeout: Duration::from_secs(120),
            idle_timeout: Duration::from_secs(120),
            tokens_per_s: 50,
            local: true,
            slots: None,
            one_model: false,
            is_node: false,
            wake: None,
            gpu: Vec::new(),
            gpu_metrics: None,
        }
    }

    #[test]
    fn paths_of_known_servers() {
        for (kind, base, query, path, want) in [
            (UpstreamKind::Openai, "", None, "/v1/chat/completions", "/v1/chat/completions"),
            (UpstreamKind::Openai, "/v1", None, "/v1/models", "/v1/models"),
            (UpstreamKind::Openai, "/api/v1", None, "/v1/chat/completions", "/api/v1/chat/completions"),
            (UpstreamKind::Openai, "/v1beta/openai", None, "/v1/embeddings", "/v1beta/openai/embeddings"),
            (
                UpstreamKind::Openai,
                "/openai/deployments/x",
                Some("api-version=1"),
                "/v1/chat/completions",
                "/openai/deployments/x/chat/completions?api-version=1",
            ),
            (UpstreamKind::Anthropic, "", None, "/v1/messages", "/v1/messages"),
            (UpstreamKind::Anthropic, "/v1", None, "/v1/messages", "/v1/messages"),
            (UpstreamKind::Anthropic, "/proxy", None, "/v1/messages", "/proxy/v1/messages"),
            (UpstreamKind::Ollama, "", None, "/api/chat", "/api/chat"),
        ] {
            let mut upstream = upstream("u", kind);
            upstream.base_path = base.to_owned();
            upstream.query = query.map(str::to_owned);
            assert_eq!(upstream.path_and_query(path), want);
        }
    }

    #[test]
    fn patterns_of_models() {
        for (pattern, text, want) in [
            ("*", "", true),
            ("*", "a/b", true),
            ("qwen*", "qwen3-8b", true),
            ("qwen*", "llama", false),
            ("*-8b", "qwen3-8b", true),
            ("*:free", "x:paid", false),
            ("a*b*c", "a1b2c", true),
            ("a*b*c", "a1c", false),
            ("a*a", "a", false),
            ("exact", "exact", true),
            ("exact", "exactly", false),
        ] {
            assert_eq!(matches(pattern, text), want, "{pattern} on {text}");
        }
    }

    #[test]
    fn a_long_prompt_may_take_longer() {
        let upstream = upstream("u", UpstreamKind::Openai);
        assert_eq!(upstream.first_byte_limit(50, true), Duration::from_secs(120));
        assert_eq!(upstream.first_byte_limit(100_000, true), Duration::from_secs(1_120));
        assert_eq!(upstream.first_byte_limit(50, false), Duration::from_secs(1_200));
    }
}
