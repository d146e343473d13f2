//! Every sentence that people read on the pages, so that other languages can follow.

use std::time::Duration;

use domain::health::State;
use domain::surface::Surface;

use crate::facts::HealthRow;

pub(crate) const NOT_FOUND: &str = "There is no such page. The console starts at /\n";
pub(crate) const PAGE_FAILED: &str =
    "This page could not be made. Reload it; if it stays like this, see Airlane's log.\n";
pub(crate) const FOREIGN_HOST: &str = "The console does not answer under this host name, so that foreign web pages \
     cannot read it. Open it by its IP address or as localhost.\n";

pub(crate) const FOREIGN_PAGE: &str = "Only pages of this console may ask this, not those of another site.";
pub(crate) const ONLY_POST: &str = "Send the request's body here with POST.";
pub(crate) const PACKED_BODY: &str = "The body is packed; send it as it is.";
pub(crate) const SLOW_BODY: &str = "The body did not come in time.";
pub(crate) const BROKEN_BODY: &str = "The body broke off.";

pub(crate) const WHICH_DAYS: &str = "say of which day or of which month, as in day=2026-11-28 or month=2026-11";

pub(crate) const TAGLINE: &str = "AI endpoint of this network";
pub(crate) const RELOAD: &str = "Reload";
pub(crate) const LOCAL_ONLY: &str = "This page answers on this machine only, until accounts exist.";
pub(crate) const AS_JSON: &str = "Status as JSON";
pub(crate) const TELEMETRY_AS_JSON: &str = "GPUs and machine as JSON";

pub(crate) const NO_UPSTREAM: &str = "No model server yet";
pub(crate) const NO_UPSTREAM_DETAIL: &str = "Airlane runs, but knows nobody who could answer a prompt.";
pub(crate) const ONLY_LOOPBACK_DETAIL: &str = "Only the loopback is set up. It gives prompts back and has no model.";
pub(crate) const ASKING: &str = "Starting";
pub(crate) const ALL_SILENT: &str = "No upstream works";
pub(crate) const NO_MODEL: &str = "No model to ask for";
pub(crate) const NO_MODEL_DETAIL: &str = "The upstreams answer, but none of them offers a model.";
pub(crate) const READY: &str = "Ready";

pub(crate) const PASTE: &str = "Paste this base URL into your AI apps";
pub(crate) const COPY_HINT: &str = "One click selects it all.";
pub(crate) const ANTHROPIC_CLIENTS: &str = "Anthropic apps";
pub(crate) const OLLAMA_CLIENTS: &str = "Ollama apps";
pub(crate) const OTHER_URLS: &str = "Also at";

pub(crate) const ILLS: &str = "Needs your attention";
pub(crate) const CONFIG_REFUSED: &str = "The changed config is not in force";
pub(crate) const RESTART_NEEDED: &str = "Some changed settings wait for a restart";
pub(crate) const RESTART_REMEDY: &str =
    "These settings are read at start only. Restart Airlane; requests in flight are finished first.";
pub(crate) const MISCONFIGURED_REMEDY: &str =
    "Put the right key into the config, or into the variable or file that it names.";
pub(crate) const IGNORES_CANCEL: &str = "does not stop cancelled work: its slots stay taken until that ends";
pub(crate) const IGNORES_CANCEL_REMEDY: &str = "When a client leaves, this server goes on for nobody. A newer version of it \
     may stop, or a proxy between it and Airlane may keep the connection open.";
pub(crate) const SILENT_NODE_REMEDY: &str =
    "Check that the machine is on and Airlane running there. It comes back by itself, also at another address.";
pub(crate) const OFFERS_NOTHING_REMEDY: &str =
    "Load a model there, or look at this upstream's list of models in the config.";

pub(crate) const FIRST_STEPS: &str = "Give Airlane a model";
pub(crate) const FIRST_STEPS_LOCAL: &str = "A model server on this machine";
pub(crate) const FIRST_STEPS_LOCAL_HOW: &str = "Start Ollama, llama.cpp, vLLM or LM Studio on its usual port. Airlane \
     looks there from time to time and finds it by itself, unless discovery is off in the config.";
pub(crate) const FIRST_STEPS_LAN: &str = "A model server elsewhere";
pub(crate) const FIRST_STEPS_LAN_HOW: &str =
    "Add it to the config file, the one of airlane run --config FILE. Airlane takes it over when the file is saved.";
pub(crate) const FIRST_STEPS_LAN_CONFIG: &str =
    "[[upstream]]\nname = \"gpu-box\"\nkind = \"openai\"\nurl = \"http://192.168.1.20:8000\"";
pub(crate) const FIRST_STEPS_CLOUD: &str = "A cloud";
pub(crate) const FIRST_STEPS_CLOUD_HOW: &str = "Put its key into Airlane's environment, for example OPENAI_API_KEY, \
     ANTHROPIC_API_KEY or OPENROUTER_API_KEY, and restart Airlane.";

pub(crate) const UPSTREAMS: &str = "Upstreams";
pub(crate) const STATE_ASKING: &str = "Being asked";
pub(crate) const STATE_NO_MODELS: &str = "No models";
pub(crate) const STATE_SILENT: &str = "Not working";

pub(crate) const NOW: &str = "Now";
pub(crate) const IN_FLIGHT: &str = "Being answered";
pub(crate) const WAITING: &str = "Waiting for a slot";
pub(crate) const OF_OTHERS: &str = "For others";
pub(crate) const UPTIME: &str = "Running for";
pub(crate) const REVISION: &str = "Config revision";

pub(crate) const GPUS: &str = "Graphics cards";
pub(crate) const GPU: &str = "GPU";
pub(crate) const GPUS_NOT_READ: &str = "The graphics cards cannot be read";
pub(crate) const CARD_FREE: &str = "Free for AI";
pub(crate) const CARD_LOST: &str = "Lost";
pub(crate) const CARD_NEEDS_RESET: &str = "Needs a reset";
pub(crate) const CARD_NO_PERMISSION: &str = "May not be read";
pub(crate) const CARD_FAILS: &str = "Fails";
pub(crate) const PRESSURE: &str = "Used by others";
pub(crate) const HOT: &str =
    "Its graphics cards slow down because of heat: look at their fans, at dust, and at the air around the machine.";
pub(crate) const COMPUTING: &str = "Computing";
pub(crate) const VRAM: &str = "VRAM";
pub(crate) const TEMPERATURE: &str = "Temperature";
pub(crate) const POWER: &str = "Power";
pub(crate) const FAN: &str = "Fan";
pub(crate) const CLOCK: &str = "Clock";
pub(crate) const PROCESS: &str = "Process";
pub(crate) const MIG_ON: &str = "Split into several (MIG): the values are those of the whole card.";

pub(crate) const NODES: &str = "Nodes";
pub(crate) const NODE_REPORTS: &str = "Reports every second";
pub(crate) const NODE_READ: &str = "Read from its exporter";
pub(crate) const NODE_AWAITED: &str = "Awaited";
pub(crate) const NODE_SILENT: &str = "Silent";
pub(crate) const MACHINE: &str = "This machine";
pub(crate) const PROCESSOR: &str = "Processor";
pub(crate) const MEMORY: &str = "Memory";
pub(crate) const LOAD: &str = "Load in 1, 5, 15 min";
pub(crate) const MACHINE_UPTIME: &str = "Switched on for";
pub(crate) const FULLEST_DISK: &str = "Least room on";

pub(crate) const TRY_IT: &str = "Try it";
pub(crate) const TRY_IT_HOW: &str = "Paste this into a terminal.";

pub(crate) const MODELS: &str = "Models";
pub(crate) const MODEL: &str = "Model";
pub(crate) const UPSTREAM: &str = "Upstream";
pub(crate) const CONTEXT: &str = "Context, tokens";
pub(crate) const NOT_TOLD: &str = "not told";

pub(crate) fn ready_but(silent: &[&str]) -> String {
    match silent {
        [one] => format!("Ready, but {one} does not work"),
        many => format!("Ready, but {} upstreams do not work", many.len()),
    }
}

pub(crate) fn ready_detail(answering: usize, all: usize, models: usize) -> String {
    let who = match (answering, all) {
        (1, 1) => "The upstream answers".to_owned(),
        (answering, all) if answering == all => format!("All {all} upstreams answer"),
        (1, all) => format!("1 of {all} upstreams answers"),
        (answering, all) => format!("{answering} of {all} upstreams answer"),
    };
    format!("{who}, with {}.", counted(models, "model", "models"))
}

pub(crate) fn asking_detail(all: usize) -> String {
    format!("Asking {} for models. Reload in a moment.", counted(all, "upstream", "upstreams"))
}

pub(crate) fn no_model_left_detail(all: usize, silent: usize) -> String {
    match (all, silent) {
        (1, _) => "Requests fail until it is back.".to_owned(),
        (all, silent) if all == silent => format!("Requests fail until one of the {all} is back."),
        (all, silent) => format!("{silent} of {all} fail, and the others offer no model yet."),
    }
}

pub(crate) fn silent(name: &str) -> String {
    format!("{name} does not work")
}

pub(crate) fn silent_remedy(origin: &str) -> String {
    format!("Check that {origin} is up, and its address and key in the config. Airlane keeps asking by itself.")
}

pub(crate) fn offers_nothing(name: &str) -> String {
    format!("{name} answers, but offers no model")
}

pub(crate) fn config_refused_remedy(revision: u64) -> String {
    format!("Revision {revision} stays in force. Correct the file and save it; “airlane check” tells every problem.")
}

/// What is wrong with a place, why, and when it is tried again.
pub(crate) fn health(row: &HealthRow) -> String {
    let clause = row.state.clause();
    let model = row.model.as_ref().map(|model| format!("its model {model} ")).unwrap_or_default();
    let cause = row.cause.as_ref().map(|cause| format!(" ({cause})")).unwrap_or_default();
    let trial = match row.trial_in_s {
        None => String::new(),
        Some(0) => "; tried again with the next request".to_owned(),
        Some(s) => format!("; tried again in {s} s"),
    };
    let wakes = row.wakes_in_s.map(|s| format!("; awake about {s} s later")).unwrap_or_default();
    format!("{model}{clause}{cause}{trial}{wakes}")
}

pub(crate) fn health_word(state: State) -> String {
    state.name().replace('_', " ")
}

pub(crate) fn ignores_cancel(name: &str) -> String {
    format!("{name} does not stop cancelled work")
}

pub(crate) fn misconfigured(name: &str) -> String {
    format!("{name} does not accept its key")
}

pub(crate) fn unknown_surface(path: &str) -> String {
    let known: Vec<&str> = Surface::ALL.iter().map(|surface| surface.path()).collect();
    format!("the endpoint has no path {path:?}; it has {}", known.join(", "))
}

pub(crate) fn no_moment(text: &str) -> String {
    format!(
        "{text:?} is no time: write a day like 2026-11-28, a time like 2026-11-28T07:00:00Z, or Unix time in milliseconds"
    )
}

pub(crate) fn unknown_lane(name: &str) -> String {
    format!("there is no lane {name:?}; there are interactive, normal and bulk")
}

pub(crate) fn too_large(bytes_max: usize) -> String {
    format!("the body is larger than {} MiB; the owner can raise [endpoint] body_max_mib", bytes_max >> 20)
}

pub(crate) fn state_answers(models: impl std::fmt::Display) -> String {
    counted(models, "model", "models")
}

/// Requests at an upstream; `None` where there are none.
pub(crate) fn requests(running: u64, waiting: u64, others_running: u64, others_waiting: u64) -> Option<String> {
    let both = |ours: u64, others: u64| {
        let part = |count: u64, whose: &str| (count > 0).then(|| format!("{} of {whose}", grouped(count)));
        let parts: Vec<String> = part(ours, "ours").into_iter().chain(part(others, "others")).collect();
        (!parts.is_empty()).then(|| parts.join(" and "))
    };
    let (answered, waits) = (both(running, others_running), both(waiting, others_waiting));
    let verb = if waiting.saturating_add(others_waiting) == 1 { "waits" } else { "wait" };
    match (answered, waits) {
        (None, None) => None,
        (Some(answered), None) => Some(format!("Answers {answered}")),
        (answered, Some(waits)) => {
            Some(format!("Answers {}; {waits} {verb}", answered.as_deref().unwrap_or("nothing")))
        }
    }
}

pub(crate) fn loading(model: &str, seconds: u64) -> String {
    format!("Loads {model}, for {seconds} s so far")
}

pub(crate) fn pressed(percent: u8) -> String {
    format!("Others use its graphics cards, to {percent} %: requests go elsewhere as far as they can.")
}

pub(crate) fn pressure(percent: u32) -> String {
    format!("{percent} % {}", PRESSURE.to_lowercase())
}

pub(crate) fn more_models(more: usize) -> String {
    format!("Show {} more", counted(more, "model", "models"))
}

pub(crate) fn in_use_by(names: &[String]) -> String {
    match names {
        [] => "In use by others".to_owned(),
        [one] => format!("In use by {one}"),
        [one, rest @ ..] => format!("In use by {one} and {}", counted(rest.len(), "other", "others")),
    }
}

pub(crate) fn card_not_read(title: &str) -> String {
    format!("{title} cannot be used")
}

pub(crate) fn temperature(now_c: u32, slowdown_c: Option<u32>) -> String {
    match slowdown_c {
        Some(slowdown_c) => format!("{now_c} °C, limit {slowdown_c} °C"),
        None => format!("{now_c} °C"),
    }
}

pub(crate) fn power(now_mw: u32, limit_mw: Option<u32>) -> String {
    match limit_mw {
        Some(limit_mw) => format!("{} of {} W", now_mw / 1_000, limit_mw / 1_000),
        None => format!("{} W", now_mw / 1_000),
    }
}

pub(crate) fn memory_errors(count: u64) -> String {
    let errors = counted(count, "memory error", "memory errors");
    format!("It had {errors} that could not be put right: answers may have been wrong. Restart the machine.")
}

/// A clause as a sentence of its own.
pub(crate) fn sentence(clause: &str) -> String {
    let mut letters = clause.chars();
    letters.next().map(|first| first.to_uppercase().chain(letters).chain(['.']).collect()).unwrap_or_default()
}

pub(crate) fn processor(percent: Option<u32>, cores: u32) -> String {
    let cores = counted(cores, "core", "cores");
    percent.map_or_else(|| cores.clone(), |percent| format!("{percent} % of {cores}"))
}

pub(crate) fn disk(mount: &str, available_bytes: u64) -> String {
    format!("{mount}: {} left", bytes(available_bytes))
}

pub(crate) fn part_of(part_bytes: u64, whole_bytes: u64) -> String {
    format!("{} of {}", bytes(part_bytes), bytes(whole_bytes))
}

/// A model server of a node in a line.
pub(crate) fn node_server(name: &str, models: usize, health: &str) -> String {
    format!("{name}: {}, {health}", counted(models, "model", "models"))
}

/// MiB below one GiB, GiB with a decimal above.
pub(crate) fn bytes(bytes: u64) -> String {
    const GIB: u64 = 1 << 30;
    if bytes < GIB {
        return format!("{} MiB", bytes >> 20);
    }
    let tenths = (u128::from(bytes) * 10 + u128::from(GIB / 2)) / u128::from(GIB);
    format!("{}.{} GiB", grouped(tenths / 10), tenths % 10)
}

/// The two largest units, like `3 days 4 h`.
pub(crate) fn uptime(uptime: Duration) -> String {
    let s = uptime.as_secs();
    let (days, hours, minutes) = (s / 86_400, s / 3_600 % 24, s / 60 % 60);
    match (days, hours, minutes) {
        (0, 0, 0) => format!("{s} s"),
        (0, 0, minutes) => format!("{minutes} min"),
        (0, hours, minutes) => format!("{hours} h {minutes} min"),
        (days, hours, _) => format!("{} {hours} h", counted(days, "day", "days")),
    }
}

/// Digits in groups of three.
pub(crate) fn grouped(number: impl std::fmt::Display) -> String {
    let digits = number.to_string();
    let mut text = String::with_capacity(digits.len() + digits.len() / 3);
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

fn counted(number: impl std::fmt::Display, one: &str, many: &str) -> String {
    let number = grouped(number);
    let noun = if number == "1" { one } else { many };
    format!("{number} {noun}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_grouped() {
        for (number, text) in
            [(0_u64, "0"), (999, "999"), (1_000, "1,000"), (131_072, "131,072"), (1_048_576, "1,048,576")]
        {
            assert_eq!(grouped(number), text);
        }
    }

    #[test]
    fn sizes_are_in_the_units_that_cards_are_sold_in() {
        for (size, text) in [
            (0, "0 MiB"),
            (1_073_741_823, "1023 MiB"),
            (1 << 30, "1.0 GiB"),
            (25_757_220_864, "24.0 GiB"),
            (6_657_199_308, "6.2 GiB"),
            (u64::MAX, "17,179,869,184.0 GiB"),
        ] {
            assert_eq!(bytes(size), text);
        }
    }

    #[test]
    fn uptime_has_two_units() {
        for (s, text) in [
            (0, "0 s"),
            (59, "59 s"),
            (60, "1 min"),
            (3_600, "1 h 0 min"),
            (86_399, "23 h 59 min"),
            (86_400, "1 day 0 h"),
            (273_600, "3 days 4 h"),
        ] {
            assert_eq!(uptime(Duration::from_secs(s)), text);
        }
    }
}
