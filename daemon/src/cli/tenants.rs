//! `airlane tenant` and `airlane key`: who pays, and with what clients prove who they are.

use std::fmt::Write as _;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use anyhow::bail;
use clap::{Args, Subcommand};
use domain::key::KeyFacts;
use domain::tenant::Tenant;
use webui::{KeyName, KeyWish, Keys, NewKey, Rotation, TenantName, Tenants};

use super::daemon::Daemon;
use super::plain::plain;
use super::{DaemonArgs, Done};

const TENANTS: &str = "/api/v1/tenants";
const KEYS: &str = "/api/v1/keys";
/// Why there is nothing to read from there.
const ELSEWHERE: &str = "tenants and keys are shown on airlane's own machine only; run it there";

#[derive(Debug, Args)]
pub(super) struct TenantArgs {
    #[command(subcommand)]
    action: TenantAction,
}

#[derive(Debug, Subcommand)]
enum TenantAction {
    /// List tenants, with their groups, devices and keys
    List,
    /// Make a tenant, or give one other groups and devices
    Set {
        /// Its name
        name: String,
        /// A user group, for policies; may be given several times
        #[arg(long, value_name = "GROUP")]
        group: Vec<String>,
        /// A device that needs no key: an address, a network, the address of a network card, host:NAME or interface:NAME; may be
        /// given several times
        #[arg(long, value_name = "DEVICE")]
        device: Vec<String>,
    },
    /// Remove a tenant; its keys are revoked
    Remove {
        /// Its name
        name: String,
    },
}

#[derive(Debug, Args)]
pub(super) struct KeyArgs {
    #[command(subcommand)]
    action: KeyAction,
}

#[derive(Debug, Subcommand)]
enum KeyAction {
    /// Make a key and show it, this once; the tenant is made as well if there is none of that name
    Create {
        /// Who pays
        tenant: String,
        /// What to call it, for lists
        #[arg(long, default_value = "")]
        label: String,
        /// How long it is good, as in 90d, 12h or 30m; for ever unless given
        #[arg(long, value_name = "TIME", value_parser = span)]
        expires: Option<Duration>,
    },
    /// List keys; never the keys themselves
    List,
    /// Make a key in the place of another, which is good for a while more
    Rotate {
        /// The name of the old one: the eight letters after sk-airlane-
        key: String,
        /// How long both are good
        #[arg(long, value_name = "TIME", value_parser = span, default_value = "1d")]
        overlap: Duration,
    },
    /// Take a key back, at once
    Revoke {
        /// Its name: the eight letters after sk-airlane-
        key: String,
    },
}

pub(super) async fn tenant(args: &DaemonArgs, tenant: TenantArgs) -> anyhow::Result<Done> {
    let daemon = Daemon::find(args)?;
    match tenant.action {
        TenantAction::List => {
            let tenants: Tenants = daemon.read(TENANTS, ELSEWHERE).await?;
            let keys: Keys = daemon.read(KEYS, ELSEWHERE).await?;
            if tenants.tenants.is_empty() {
                println!("there is no tenant yet; airlane key create NAME makes one with a key");
                return Ok(Done::NothingThere);
            }
            print!("{}", plain(&tenants_text(&tenants.tenants, &keys.keys)));
        }
        TenantAction::Set { name, group, device } => {
            let wish = Tenant { name, groups: group, devices: device };
            let set: Tenant = daemon.wish("/api/v1/tenants/set", &wish, ELSEWHERE).await?;
            println!("{}", plain(&format!("{} has {}", set.name, members(&set))));
        }
        TenantAction::Remove { name } => {
            let gone: TenantName = daemon.wish("/api/v1/tenants/remove", &TenantName { name }, ELSEWHERE).await?;
            println!("{}", plain(&format!("{} is removed, and its keys are revoked", gone.name)));
        }
    }
    Ok(Done::Yes)
}

pub(super) async fn key(args: &DaemonArgs, key: KeyArgs) -> anyhow::Result<Done> {
    let daemon = Daemon::find(args)?;
    match key.action {
        KeyAction::Create { tenant, label, expires } => {
            let wish = KeyWish { tenant, label, lifetime_s: expires.map(|span| span.as_secs()) };
            show(&daemon.wish("/api/v1/keys/create", &wish, ELSEWHERE).await?);
        }
        KeyAction::List => {
            let keys: Keys = daemon.read(KEYS, ELSEWHERE).await?;
            if keys.keys.is_empty() {
                println!("there is no key yet; airlane key create NAME makes one");
                return Ok(Done::NothingThere);
            }
            let now_s = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs();
            print!("{}", plain(&keys_text(&keys.keys, now_s)));
        }
        KeyAction::Rotate { key, overlap } => {
            let wish = Rotation { id: name_of(&key)?, overlap_s: overlap.as_secs() };
            show(&daemon.wish("/api/v1/keys/rotate", &wish, ELSEWHERE).await?);
        }
        KeyAction::Revoke { key } => {
            let gone: KeyFacts = daemon.wish("/api/v1/keys/revoke", &KeyName { id: name_of(&key)? }, ELSEWHERE).await?;
            println!("{}", plain(&format!("the key {} of {} is revoked", gone.id, gone.tenant)));
        }
    }
    Ok(Done::Yes)
}

/// The key alone on standard output, so that it can be piped; what is to be known on the other.
fn show(new: &NewKey) {
    println!("{}", new.key);
    let label = if new.facts.label.is_empty() { String::new() } else { format!(" ({})", new.facts.label) };
    eprintln!(
        "{}",
        plain(&format!(
            "It is shown this once. Clients send it as their API key; requests with it are those of {}. Its name is {}{label}.",
            new.facts.tenant, new.facts.id
        ))
    );
}

/// The name of a key; whoever gives the whole key put a secret into the history of the shell.
fn name_of(text: &str) -> anyhow::Result<String> {
    let name = text.strip_prefix(domain::key::BEGIN).unwrap_or(text);
    match name.split_once('-') {
        Some((name, _)) => bail!("give the key's name only, {name:?}: the rest is secret"),
        None => Ok(name.to_owned()),
    }
}

fn tenants_text(tenants: &[Tenant], keys: &[KeyFacts]) -> String {
    let mut out = String::new();
    for tenant in tenants {
        let count = keys.iter().filter(|key| key.tenant == tenant.name && key.revoked_s.is_none()).count();
        let keys = if count == 1 { "1 key".to_owned() } else { format!("{count} keys") };
        // Writing into a String does not fail.
        let _ = writeln!(out, "{}  {keys}, {}", tenant.name, members(tenant));
    }
    out
}

fn members(tenant: &Tenant) -> String {
    let list = |names: &[String], none: &str, word: &str| {
        if names.is_empty() { none.to_owned() } else { format!("{word} {}", names.join(", ")) }
    };
    let (groups, devices) =
        (list(&tenant.groups, "no groups", "groups"), list(&tenant.devices, "no devices", "devices"));
    format!("{groups}; {devices}")
}

fn keys_text(keys: &[KeyFacts], now_s: u64) -> String {
    let mut out = String::new();
    let day = |seconds| wire::rfc3339::format(Duration::from_secs(seconds)).chars().take(10).collect::<String>();
    for key in keys {
        let state = match (key.revoked_s, key.expires_s) {
            (Some(revoked), _) => format!("revoked {}", day(revoked)),
            (None, Some(expires)) if expires <= now_s => format!("expired {}", day(expires)),
            (None, Some(expires)) => format!("good until {}", day(expires)),
            (None, None) => "good".to_owned(),
        };
        let label = if key.label.is_empty() { String::new() } else { format!("  {}", key.label) };
        let _ = writeln!(out, "{}  {}  made {}, {state}{label}", key.id, key.tenant, day(key.created_s));
    }
    out
}

/// A span of time as people write it: 90d, 12h, 30m or 45s.
fn span(text: &str) -> Result<Duration, String> {
    let wanted = || format!("{text:?} is no time: write 90d, 12h, 30m or 45s");
    let unit = text.chars().last().ok_or_else(wanted)?;
    let seconds: u64 = match unit {
        'd' => 86_400,
        'h' => 3_600,
        'm' => 60,
        's' => 1,
        _ => return Err(wanted()),
    };
    let count: u64 = text.strip_suffix(unit).unwrap_or_default().parse().map_err(|_| wanted())?;
    count
        .checked_mul(seconds)
        .filter(|seconds| (1..=MOST_S).contains(seconds))
        .map(Duration::from_secs)
        .ok_or_else(wanted)
}

/// A century.
const MOST_S: u64 = 100 * 366 * 86_400;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spans_are_read() {
        for (text, want) in [("90d", Some(7_776_000)), ("12h", Some(43_200)), ("30m", Some(1_800)), ("45s", Some(45))] {
            assert_eq!(span(text).ok().map(|span| span.as_secs()), want);
        }
        for bad in ["", "d", "0d", "-1d", "90", "9 d", "1w", "99999999999999d", "1.5h"] {
            assert!(span(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn keys_are_named_and_listed() {
        assert_eq!(name_of("abcdefgh").unwrap(), "abcdefgh");
        assert_eq!(name_of("sk-airlane-abcdefgh").unwrap(), "abcdefgh");
        let error = name_of("sk-airlane-abcdefgh-0123456789abcdefghjkmnpqrstvwxyz").unwrap_err().to_string();
        assert!(error.contains("abcdefgh") && !error.contains("0123456789"), "{error}");
        let key = |revoked_s, expires_s| KeyFacts {
            id: "abcdefgh".to_owned(),
            tenant: "anna".to_owned(),
            label: "laptop".to_owned(),
            created_s: 0,
            expires_s,
            revoked_s,
        };
        let text = keys_text(&[key(None, None), key(None, Some(86_400)), key(None, Some(9)), key(Some(1), None)], 10);
        let states = ["good", "good until 1970-01-02", "expired 1970-01-01", "revoked 1970-01-01"];
        let want = states.map(|state| format!("abcdefgh  anna  made 1970-01-01, {state}  laptop\n")).concat();
        assert_eq!(text, want);
    }

    #[test]
    fn tenants_are_listed() {
        let tenant = Tenant { name: "anna".to_owned(), groups: vec!["kids".to_owned()], devices: vec![] };
        assert_eq!(tenants_text(&[tenant], &[]), "anna  0 keys, groups kids; no devices\n");
    }
}
