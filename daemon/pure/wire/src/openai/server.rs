//! Where servers of this dialect differ in what they accept.

use std::net::IpAddr;

/// The families of servers that need different members for the same wish.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Server {
    /// OpenAI itself, or Azure: knows `max_completion_tokens` for every model, and refuses `max_tokens` for reasoning
    /// models and members that it does not know.
    Openai,
    /// Mistral's cloud: refuses every member that it does not know, also `stream_options` and `user`; calls the seed
    /// `random_seed`; tells a stream's usage unasked; wants the assistant's word between tool results and the user's.
    Mistral,
    /// Groq and Cerebras: like other clouds, but they refuse members of messages that they do not know, like earlier
    /// reasoning.
    Strict,
    /// Gemini's compatible path: strict as well, also about `user`, and wants to see its own signature again with earlier tool calls.
    Gemini,
    /// Another cloud: knows `max_tokens` and `reasoning_effort`.
    Cloud,
    /// llama.cpp, vLLM, SGLang, LM Studio and the like: know `max_tokens` and `chat_template_kwargs`.
    #[default]
    Local,
}

impl Server {
    /// Judges by the host of the upstream's address: OpenAI's and Azure's names are known, an IP address, a name without
    /// a dot or one of a home network counts as local, all others as cloud.
    #[must_use]
    pub fn of_host(host: &str) -> Self {
        let host = host.trim_end_matches('.').trim_start_matches('[').trim_end_matches(']').to_ascii_lowercase();
        let ends = |names: &[&str]| names.iter().any(|name| host.ends_with(name));
        if host == "api.openai.com" || ends(&[".api.openai.com", ".openai.azure.com", ".cognitiveservices.azure.com"]) {
            Self::Openai
        } else if host == "mistral.ai" || ends(&[".mistral.ai"]) {
            Self::Mistral
        } else if ends(&["api.groq.com", "api.cerebras.ai"]) {
            Self::Strict
        } else if ends(&["generativelanguage.googleapis.com"]) {
            Self::Gemini
        } else if host.parse::<IpAddr>().is_ok()
            || !host.contains('.')
            || ends(&[".local", ".lan", ".home", ".internal", ".home.arpa", ".localdomain", ".localhost"])
        {
            Self::Local
        } else {
            Self::Cloud
        }
    }

    /// Whether an earlier answer's reasoning may be given back. OpenAI reads none and refuses the member, too.
    pub(super) const fn reads_reasoning(self) -> bool {
        matches!(self, Self::Cloud | Self::Local)
    }

    /// Whether the name of the client's end user may be told, which changes no answer.
    pub(super) const fn takes_user(self) -> bool {
        !matches!(self, Self::Mistral | Self::Gemini)
    }

    /// Whether a stream's usage can be asked for.
    #[must_use]
    pub const fn takes_stream_options(self) -> bool {
        !matches!(self, Self::Mistral)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hosts_tell_the_family() {
        for (host, want) in [
            ("api.openai.com", Server::Openai),
            ("eu.api.openai.com", Server::Openai),
            ("my.openai.azure.com", Server::Openai),
            ("127.0.0.1", Server::Local),
            ("[::1]", Server::Local),
            ("gpu-box", Server::Local),
            ("gpu.lan", Server::Local),
            ("api.mistral.ai", Server::Mistral),
            ("codestral.mistral.ai", Server::Mistral),
            ("api.groq.com", Server::Strict),
            ("generativelanguage.googleapis.com", Server::Gemini),
            ("openrouter.ai", Server::Cloud),
            ("notmistral.ai", Server::Cloud),
            ("notapi.openai.com.evil.example", Server::Cloud),
        ] {
            assert_eq!(Server::of_host(host), want, "{host}");
        }
    }
}
