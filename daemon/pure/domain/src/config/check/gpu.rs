//! What an upstream's config says of its graphics cards.

use super::{Check, UpstreamDraft, parse_url};
use crate::upstream::{Address, CardName, UpstreamKind};

/// Most cards of one upstream.
const CARDS_MAX: usize = 64;

impl Check {
    /// The cards that it uses.
    pub(super) fn cards(&mut self, path: &str, draft: &UpstreamDraft) -> Vec<CardName> {
        let names = draft.gpu.clone().unwrap_or_default();
        if draft.gpu.is_some() && names.is_empty() {
            self.problem(path, "is empty: name the cards that it uses, or leave this key out");
        }
        if names.len() > CARDS_MAX {
            self.problem(path, format!("names more than {CARDS_MAX} cards"));
        }
        for (position, name) in names.iter().enumerate() {
            let CardName::Uuid(uuid) = name else { continue };
            if !["GPU-", "MIG-"].iter().any(|beginning| uuid.starts_with(beginning)) {
                let message = format!("{uuid:?} is neither a card's number nor a UUID as `nvidia-smi -L` lists them");
                self.problem(format!("{path}[{position}]"), message);
            }
        }
        names
    }

    /// Where its machine tells of its cards.
    pub(super) fn gpu_metrics(&mut self, path: &str, draft: &UpstreamDraft) -> Option<Address> {
        let url = draft.gpu_metrics.as_deref()?;
        match parse_url(url, UpstreamKind::Openai) {
            Ok(url) => {
                let path = if url.base_path.is_empty() { "/metrics".to_owned() } else { url.base_path };
                Some(Address { origin: url.origin, path, query: url.query })
            }
            Err(message) => {
                self.problem(path, message);
                None
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::check;
    use super::*;
    use crate::config::{Config, Draft, Problem};

    fn checked(draft: UpstreamDraft) -> Result<Config, Vec<Problem>> {
        let upstream = UpstreamDraft {
            name: Some("box".to_owned()),
            kind: Some("openai".to_owned()),
            url: Some("http://192.168.1.20:8000".to_owned()),
            ..draft
        };
        check(&Draft { upstreams: vec![upstream], ..Draft::default() })
    }

    #[test]
    fn cards_and_their_exporter_are_known() {
        for (url, path, query) in [
            ("http://192.168.1.20:9400", "/metrics", None),
            ("http://192.168.1.20:9400/metrics", "/metrics", None),
            ("http://192.168.1.20:9400/gpu/metrics?a=b", "/gpu/metrics", Some("a=b")),
        ] {
            let gpu = Some(vec![CardName::Index(1), CardName::Uuid("GPU-a".to_owned())]);
            let draft = UpstreamDraft { gpu_metrics: Some(url.to_owned()), gpu, ..UpstreamDraft::default() };
            let upstream = checked(draft).expect("a config").upstreams.remove(0);
            assert_eq!(upstream.gpu.len(), 2);
            let exporter = upstream.exporter().expect("an exporter");
            assert_eq!((exporter.origin.as_str(), exporter.host()), ("http://192.168.1.20:9400", "192.168.1.20"));
            let want = query.map_or_else(|| path.to_owned(), |query| format!("{path}?{query}"));
            assert_eq!(exporter.path_and_query(""), want);
        }
        assert!(checked(UpstreamDraft::default()).expect("a config").upstreams[0].exporter().is_none());
    }

    #[test]
    fn what_names_no_card_is_told() {
        let paths = |draft| -> Vec<String> {
            let problems = checked(draft).expect_err("problems");
            problems.into_iter().map(|problem| problem.path).collect()
        };
        let wrong = vec![CardName::Index(0), CardName::Uuid("RTX 3090".to_owned())];
        let draft = UpstreamDraft {
            gpu: Some(wrong),
            gpu_metrics: Some("192.168.1.20:9400".to_owned()),
            ..UpstreamDraft::default()
        };
        assert_eq!(paths(draft), ["upstream[0].gpu[1]", "upstream[0].gpu_metrics"]);
        assert_eq!(paths(UpstreamDraft { gpu: Some(Vec::new()), ..UpstreamDraft::default() }), ["upstream[0].gpu"]);
        let many = Some(vec![CardName::Index(0); CARDS_MAX + 1]);
        assert_eq!(paths(UpstreamDraft { gpu: many, ..UpstreamDraft::default() }), ["upstream[0].gpu"]);
    }
}
