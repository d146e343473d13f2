//! TOML text to `Draft`.

use std::path::Path;

use domain::calendar::Zone;
use domain::config::{
    AliasDraft, BudgetDraft, CacheDraft, CacheRulesDraft, ConsoleDraft, DataDraft, DiscoveryDraft, Draft,
    EndpointDraft, GpuDraft, HoursDraft, KnownNodeDraft, LedgerDraft, LimitDraft, LogDraft, NodeDraft, NodesDraft,
    PolicyDraft, RouteDraft, SemanticDraft, TableDraft, UpstreamDraft,
};
use domain::secret::Secret;
use toml::de::DeTable;

use super::reader::{Notes, Table};
use super::{Located, read, zone};

/// A file as read.
pub(crate) struct Read {
    /// What could be read.
    pub(crate) draft: Draft,
    /// Syntax errors, unknown keys, values of a wrong type, variables and files that are not there.
    pub(crate) problems: Vec<Located>,
    /// Path of each key and the line on which it stands.
    pub(crate) lines: Vec<(String, usize)>,
}

/// Reads a config file's text. `dir` is where relative file names start.
pub(crate) fn read_draft(text: &str, dir: &Path) -> Read {
    let mut notes = Notes::new(text);
    let (table, errors) = DeTable::parse_recoverable(text);
    for error in &errors {
        let line = notes.line(error.span().map_or(0, |span| span.start));
        notes.problem("", line, error.message());
    }
    let draft = if errors.is_empty() { draft(table.into_inner(), dir, &mut notes) } else { Draft::default() };
    Read { draft, problems: notes.problems, lines: notes.lines }
}

fn draft<'t>(table: DeTable<'t>, dir: &Path, notes: &mut Notes<'t>) -> Draft {
    let mut root = Table::new(String::new(), 1, table, notes);
    let draft = Draft {
        endpoint: section(&mut root, "endpoint", endpoint),
        console: section(&mut root, "console", |table| ConsoleDraft { listen: table.take_texts("listen") }),
        data: section(&mut root, "data", |table| DataDraft { dir: table.take_text("dir") }),
        log: section(&mut root, "log", |table| LogDraft {
            format: table.take_text("format"),
            level: table.take_text("level"),
        }),
        discovery: section(&mut root, "discovery", |table| DiscoveryDraft {
            enabled: table.take("enabled"),
            refresh_s: table.take("refresh_s"),
        }),
        gpu: section(&mut root, "gpu", |table| GpuDraft {
            enabled: table.take("enabled"),
            library: table.take_text("library"),
        }),
        node: section(&mut root, "node", |table| NodeDraft {
            enabled: table.take("enabled"),
            name: table.take_text("name"),
            announce: table.take("announce"),
        }),
        nodes: section(&mut root, "nodes", |table| NodesDraft {
            enabled: table.take("enabled"),
            known: table.each_table("node", |table| KnownNodeDraft {
                name: table.take_text("name"),
                models: table.take_texts("models"),
                wake: table.take_text("wake"),
                wake_address: table.take_text("wake_address"),
                wake_s: table.take("wake_s"),
            }),
        }),
        route: section(&mut root, "route", |table| RouteDraft {
            strategy: table.take_text("strategy"),
            client_lanes: table.take("client_lanes"),
            mock_fallbacks: table.take("mock_fallbacks"),
            hedge: table.take("hedge"),
        }),
        cache: section(&mut root, "cache", |table| CacheDraft {
            enabled: table.take("enabled"),
            memory_mib: table.take("memory_mib"),
            disk_mib: table.take("disk_mib"),
            tenant_share: table.take("tenant_share"),
            store: table.take_text("store"),
            copy_every_s: table.take("copy_every_s"),
            table: given(table, "table", |table| TableDraft {
                vectors: table.take_text("vectors"),
                tokenizer: table.take_text("tokenizer"),
            }),
            rules: cache_rules(table),
        }),
        ledger: section(&mut root, "ledger", |table| LedgerDraft {
            keep_days: table.take("keep_days"),
            disk_mib: table.take("disk_mib"),
            store: table.take_text("store"),
            copy_every_s: table.take("copy_every_s"),
        }),
        policies: root.each_table("policy", policy),
        upstreams: root.each_table("upstream", |table| upstream(table, dir)),
        aliases: root.each_table("alias", |table| AliasDraft {
            name: table.take_text("name"),
            models: table.take_texts("models"),
            strategy: table.take_text("strategy"),
            weights: table.take("weights"),
        }),
    };
    root.finish();
    draft
}

fn section<T: Default>(root: &mut Table<'_, '_>, key: &'static str, read: impl FnOnce(&mut Table<'_, '_>) -> T) -> T {
    given(root, key, read).unwrap_or_default()
}

/// A section that means something by being there.
fn given<T>(root: &mut Table<'_, '_>, key: &'static str, read: impl FnOnce(&mut Table<'_, '_>) -> T) -> Option<T> {
    let mut table = root.take_table(key)?;
    let value = read(&mut table);
    table.finish();
    Some(value)
}

fn policy(table: &mut Table<'_, '_>) -> PolicyDraft {
    PolicyDraft {
        name: table.take_text("name"),
        tenants: table.take_texts("tenants"),
        keys: table.take_texts("keys"),
        groups: table.take_texts("groups"),
        when: table.take_text("when"),
        apps: table.take_texts("apps"),
        clients: table.take_texts("clients"),
        models: table.take_texts("models"),
        allow_models: table.take_texts("allow_models"),
        allow_upstreams: table.take_texts("allow_upstreams"),
        privacy: table.take_text("privacy"),
        lane: table.take_text("lane"),
        strategy: table.take_text("strategy"),
        deny: table.take_texts("deny"),
        system: table.take_text("system"),
        zone: zone(table).unwrap_or_else(zone::of_machine),
        hours: given(table, "hours", |table| HoursDraft {
            days: table.take_texts("days"),
            from: table.take_text("from"),
            to: table.take_text("to"),
        }),
        cache: section(table, "cache", cache_rules),
        semantic: given(table, "semantic", semantic),
        limits: table.each_table("limit", |table| LimitDraft {
            per: table.take_text("per"),
            window: table.take_text("window"),
            requests: table.take("requests"),
            tokens: table.take("tokens"),
            concurrent: table.take("concurrent"),
            input_tokens_max: table.take("input_tokens_max"),
        }),
        budgets: table.each_table("budget", |table| BudgetDraft {
            per: table.take_text("per"),
            usd: table.take("usd"),
            period: table.take_text("period"),
            zone: zone(table),
            warn: table.take("warn"),
            at_limit: table.take_text("at_limit"),
        }),
    }
}

/// The zone that `time_zone` names.
fn zone(table: &mut Table<'_, '_>) -> Option<Zone> {
    let name = table.take_text("time_zone")?;
    zone::named(&name).map_err(|problem| table.problem("time_zone", problem)).ok()
}

fn cache_rules(table: &mut Table<'_, '_>) -> CacheRulesDraft {
    CacheRulesDraft {
        chat: table.take_text("chat"),
        embeddings: table.take("embeddings"),
        scope: table.take_text("scope"),
        ttl_s: table.take("ttl_s"),
        replay_tokens_per_s: table.take("replay_tokens_per_s"),
    }
}

fn semantic(table: &mut Table<'_, '_>) -> SemanticDraft {
    SemanticDraft {
        embeddings: table.take_text("embeddings"),
        judge: table.take_text("judge"),
        error_max: table.take("error_max"),
        at_least: table.take("at_least"),
        audited: table.take("audited"),
    }
}

fn endpoint(table: &mut Table<'_, '_>) -> EndpointDraft {
    EndpointDraft {
        listen: table.take_texts("listen"),
        ollama_listen: table.take_texts("ollama_listen"),
        tls_cert: table.take_text("tls_cert"),
        tls_key: table.take_text("tls_key"),
        allow_public: table.take("allow_public"),
        allow_networks: table.take_texts("allow_networks"),
        trusted_proxies: table.take_texts("trusted_proxies"),
        unknown_devices: table.take("unknown_devices"),
        host_names: table.take_texts("host_names"),
        cors_origins: table.take_texts("cors_origins"),
        body_max_mib: table.take("body_max_mib"),
        max_concurrent: table.take("max_concurrent"),
        max_waiting: table.take("max_waiting"),
        max_connections: table.take("max_connections"),
        queue_wait_s: table.take("queue_wait_s"),
        load_wait_s: table.take("load_wait_s"),
        heartbeat_s: table.take("heartbeat_s"),
        client_timeout_s: table.take("client_timeout_s"),
        drain_s: table.take("drain_s"),
        workers: table.take("workers"),
    }
}

fn upstream(table: &mut Table<'_, '_>, dir: &Path) -> UpstreamDraft {
    let headers = table.take_table("headers").map(Table::take_all_texts).unwrap_or_default();
    UpstreamDraft {
        name: table.take_text("name"),
        kind: table.take_text("kind"),
        url: table.take_text("url"),
        key: key(table, dir),
        headers: headers.into_iter().map(|(name, value)| (name, Secret::new(&value))).collect(),
        models: table.take_texts("models"),
        responses: table.take("responses"),
        ca_file: table.take_text("ca_file").map(|file| dir.join(file).display().to_string()),
        connect_timeout_s: table.take("connect_timeout_s"),
        first_byte_timeout_s: table.take("first_byte_timeout_s"),
        idle_timeout_s: table.take("idle_timeout_s"),
        tokens_per_s: table.take("tokens_per_s"),
        local: table.take("local"),
        slots: table.take("slots"),
        one_model: table.take("one_model"),
        wake: table.take_text("wake"),
        wake_address: table.take_text("wake_address"),
        wake_s: table.take("wake_s"),
        gpu: table.take("gpu"),
        gpu_metrics: table.take_text("gpu_metrics"),
    }
}

/// Largest file that is still taken for a key.
const KEY_BYTES_MAX: usize = 16 * 1024;

fn key(table: &mut Table<'_, '_>, dir: &Path) -> Option<Secret> {
    let text = table.take_text("key");
    let variable = table.take_text("key_env");
    let file = table.take_text("key_file");
    let given = [("key", text.is_some()), ("key_env", variable.is_some()), ("key_file", file.is_some())];
    let given: Vec<&str> = given.iter().filter(|(_, is_given)| *is_given).map(|(key, _)| *key).collect();
    if let [_, second, ..] = given[..] {
        table.problem(second, format!("only one of {} can be given", given.join(", ")));
        return None;
    }
    let key = match (text, variable, file) {
        (Some(text), _, _) => text,
        (_, Some(variable), _) => match std::env::var(&variable) {
            Ok(value) => value,
            Err(_) => {
                table.problem("key_env", format!("the environment has no variable {variable}"));
                return None;
            }
        },
        (_, _, Some(file)) => match read::text(&dir.join(&file), KEY_BYTES_MAX) {
            Ok(text) => text,
            Err(error) => {
                table.problem("key_file", format!("{file} cannot be read: {error}"));
                return None;
            }
        },
        (None, None, None) => return None,
    };
    let secret = Secret::new(&key);
    if secret.reveal().is_empty() || !secret.reveal().bytes().all(|byte| byte.is_ascii_graphic()) {
        table.problem(given.first().copied().unwrap_or("key"), "is empty or holds letters that no key has");
        return None;
    }
    Some(secret)
}
