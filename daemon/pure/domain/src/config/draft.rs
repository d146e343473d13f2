//! The configuration as it was written, before anybody looked at what it means.

use crate::calendar::Zone;
use crate::secret::Secret;
use crate::upstream::CardName;

/// The whole file. `None` and empty lists leave a value to its default.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Draft {
    /// `[endpoint]`
    pub endpoint: EndpointDraft,
    /// `[console]`
    pub console: ConsoleDraft,
    /// `[data]`
    pub data: DataDraft,
    /// `[log]`
    pub log: LogDraft,
    /// `[discovery]`
    pub discovery: DiscoveryDraft,
    /// `[route]`
    pub route: RouteDraft,
    /// `[gpu]`
    pub gpu: GpuDraft,
    /// `[node]`
    pub node: NodeDraft,
    /// `[nodes]`
    pub nodes: NodesDraft,
    /// `[cache]`
    pub cache: CacheDraft,
    /// `[ledger]`
    pub ledger: LedgerDraft,
    /// `[[policy]]`
    pub policies: Vec<PolicyDraft>,
    /// `[[upstream]]`
    pub upstreams: Vec<UpstreamDraft>,
    /// `[[alias]]`
    pub aliases: Vec<AliasDraft>,
}

/// `[endpoint]`, see [`super::Endpoint`].
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[expect(missing_docs, reason = "each field is the key of the same name in the example config")]
pub struct EndpointDraft {
    pub listen: Option<Vec<String>>,
    pub ollama_listen: Option<Vec<String>>,
    pub tls_cert: Option<String>,
    pub tls_key: Option<String>,
    pub allow_public: Option<bool>,
    pub allow_networks: Option<Vec<String>>,
    pub trusted_proxies: Option<Vec<String>>,
    pub unknown_devices: Option<String>,
    pub host_names: Option<Vec<String>>,
    pub cors_origins: Option<Vec<String>>,
    pub body_max_mib: Option<u64>,
    pub max_concurrent: Option<u64>,
    pub max_waiting: Option<u64>,
    pub max_connections: Option<u64>,
    pub queue_wait_s: Option<u64>,
    pub load_wait_s: Option<u64>,
    pub heartbeat_s: Option<u64>,
    pub client_timeout_s: Option<u64>,
    pub drain_s: Option<u64>,
    pub workers: Option<u64>,
}

/// `[console]`
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[expect(missing_docs, reason = "each field is the key of the same name in the example config")]
pub struct ConsoleDraft {
    pub listen: Option<Vec<String>>,
}

/// `[data]`
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[expect(missing_docs, reason = "each field is the key of the same name in the example config")]
pub struct DataDraft {
    pub dir: Option<String>,
}

/// `[log]`
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[expect(missing_docs, reason = "each field is the key of the same name in the example config")]
pub struct LogDraft {
    pub format: Option<String>,
    pub level: Option<String>,
}

/// `[discovery]`
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[expect(missing_docs, reason = "each field is the key of the same name in the example config")]
pub struct DiscoveryDraft {
    pub enabled: Option<bool>,
    pub refresh_s: Option<u64>,
}

/// `[gpu]`
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[expect(missing_docs, reason = "each field is the key of the same name in the example config")]
pub struct GpuDraft {
    pub enabled: Option<bool>,
    pub library: Option<String>,
}

/// `[node]`
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[expect(missing_docs, reason = "each field is the key of the same name in the example config")]
pub struct NodeDraft {
    pub enabled: Option<bool>,
    pub name: Option<String>,
    pub announce: Option<bool>,
}

/// `[nodes]`
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[expect(missing_docs, reason = "each field is the key of the same name in the example config")]
pub struct NodesDraft {
    pub enabled: Option<bool>,
    /// `[[nodes.node]]`
    pub known: Vec<KnownNodeDraft>,
}

/// `[[nodes.node]]`, see [`super::KnownNode`].
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[expect(missing_docs, reason = "each field is the key of the same name in the example config")]
pub struct KnownNodeDraft {
    pub name: Option<String>,
    pub models: Option<Vec<String>>,
    pub wake: Option<String>,
    pub wake_address: Option<String>,
    pub wake_s: Option<u64>,
}

/// `[cache]`, see [`crate::cache::Settings`]; and what holds where no policy says otherwise.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[expect(missing_docs, reason = "each field is the key of the same name in the example config")]
pub struct CacheDraft {
    pub enabled: Option<bool>,
    pub memory_mib: Option<u64>,
    pub disk_mib: Option<u64>,
    pub tenant_share: Option<u64>,
    pub store: Option<String>,
    pub copy_every_s: Option<u64>,
    pub table: Option<TableDraft>,
    pub rules: CacheRulesDraft,
}

/// What `[cache]` and a policy's `cache` both may hold, see [`crate::cache::Rules`].
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[expect(missing_docs, reason = "each field is the key of the same name in the example config")]
pub struct CacheRulesDraft {
    pub chat: Option<String>,
    pub embeddings: Option<bool>,
    pub scope: Option<String>,
    pub ttl_s: Option<u64>,
    pub replay_tokens_per_s: Option<u64>,
}

/// `[cache.table]`, see [`crate::cache::TableFiles`].
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[expect(missing_docs, reason = "each field is the key of the same name in the example config")]
pub struct TableDraft {
    pub vectors: Option<String>,
    pub tokenizer: Option<String>,
}

/// `[ledger]`, see [`crate::ledger::Settings`].
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[expect(missing_docs, reason = "each field is the key of the same name in the example config")]
pub struct LedgerDraft {
    pub keep_days: Option<u64>,
    pub disk_mib: Option<u64>,
    pub store: Option<String>,
    pub copy_every_s: Option<u64>,
}

/// `[policy.semantic]`, see [`crate::semantic::Settings`].
#[derive(Debug, Clone, Default, PartialEq)]
#[expect(missing_docs, reason = "each field is the key of the same name in the example config")]
pub struct SemanticDraft {
    pub embeddings: Option<String>,
    pub judge: Option<String>,
    pub error_max: Option<f64>,
    pub at_least: Option<f64>,
    pub audited: Option<f64>,
}

/// `[[policy]]`, see [`crate::policy::Policy`].
#[derive(Debug, Clone, Default, PartialEq)]
#[expect(missing_docs, reason = "each field is the key of the same name in the example config")]
pub struct PolicyDraft {
    pub name: Option<String>,
    pub apps: Option<Vec<String>>,
    pub clients: Option<Vec<String>>,
    pub models: Option<Vec<String>>,
    pub tenants: Option<Vec<String>>,
    pub keys: Option<Vec<String>>,
    pub groups: Option<Vec<String>>,
    pub when: Option<String>,
    pub allow_models: Option<Vec<String>>,
    pub allow_upstreams: Option<Vec<String>>,
    pub privacy: Option<String>,
    pub lane: Option<String>,
    pub strategy: Option<String>,
    pub deny: Option<Vec<String>>,
    pub system: Option<String>,
    /// `time_zone` or that of the machine, read already.
    pub zone: Zone,
    pub hours: Option<HoursDraft>,
    pub cache: CacheRulesDraft,
    pub semantic: Option<SemanticDraft>,
    /// `[[policy.limit]]`
    pub limits: Vec<LimitDraft>,
    /// `[[policy.budget]]`
    pub budgets: Vec<BudgetDraft>,
}

/// `[policy.hours]`, see [`crate::policy::Hours`].
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[expect(missing_docs, reason = "each field is the key of the same name in the example config")]
pub struct HoursDraft {
    pub days: Option<Vec<String>>,
    pub from: Option<String>,
    pub to: Option<String>,
}

/// `[[policy.limit]]`, see [`crate::policy::LimitRule`].
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[expect(missing_docs, reason = "each field is the key of the same name in the example config")]
pub struct LimitDraft {
    pub per: Option<String>,
    pub window: Option<String>,
    pub requests: Option<u64>,
    pub tokens: Option<u64>,
    pub concurrent: Option<u64>,
    pub input_tokens_max: Option<u64>,
}

/// `[[policy.budget]]`, see [`crate::policy::BudgetRule`].
#[derive(Debug, Clone, Default, PartialEq)]
#[expect(missing_docs, reason = "each field is the key of the same name in the example config")]
pub struct BudgetDraft {
    pub per: Option<String>,
    pub usd: Option<f64>,
    pub period: Option<String>,
    /// Its own `time_zone`, read already.
    pub zone: Option<Zone>,
    pub warn: Option<Vec<u64>>,
    pub at_limit: Option<String>,
}

/// `[[upstream]]`, see [`crate::upstream::Upstream`].
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[expect(missing_docs, reason = "each field is the key of the same name in the example config")]
pub struct UpstreamDraft {
    pub name: Option<String>,
    pub kind: Option<String>,
    pub url: Option<String>,
    /// From `key`, `key_env` or `key_file`.
    pub key: Option<Secret>,
    pub headers: Vec<(String, Secret)>,
    pub models: Option<Vec<String>>,
    pub responses: Option<bool>,
    pub ca_file: Option<String>,
    pub connect_timeout_s: Option<u64>,
    pub first_byte_timeout_s: Option<u64>,
    pub idle_timeout_s: Option<u64>,
    pub tokens_per_s: Option<u64>,
    pub local: Option<bool>,
    pub slots: Option<u64>,
    pub one_model: Option<bool>,
    pub wake: Option<String>,
    pub wake_address: Option<String>,
    pub wake_s: Option<u64>,
    pub gpu: Option<Vec<CardName>>,
    pub gpu_metrics: Option<String>,
}

/// `[[alias]]`
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[expect(missing_docs, reason = "each field is the key of the same name in the example config")]
pub struct AliasDraft {
    pub name: Option<String>,
    pub models: Option<Vec<String>>,
    pub strategy: Option<String>,
    pub weights: Option<Vec<u64>>,
}

/// `[route]`
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[expect(missing_docs, reason = "each field is the key of the same name in the example config")]
pub struct RouteDraft {
    pub strategy: Option<String>,
    pub client_lanes: Option<bool>,
    pub mock_fallbacks: Option<bool>,
    pub hedge: Option<bool>,
}
