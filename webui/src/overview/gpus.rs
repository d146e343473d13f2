//! The graphics cards and the machine as rows to show.

use std::borrow::Cow;

use domain::gpu::{Card, CardState, ForeignLoad, GpuState, Process, Sample, Throttle};
use domain::machine::Machine;
use domain::telemetry::Telemetry;

use crate::texts;

/// Everything that is shown of the cards.
pub(super) struct Gpus {
    /// Whether there is more to say than what stands among the things that need attention.
    pub(super) is_shown: bool,
    /// Why there is no card to show, where that needs no attention.
    pub(super) sentence: Option<String>,
    /// Driver and CUDA version.
    pub(super) versions: String,
    pub(super) cards: Vec<CardView>,
}

/// One card.
pub(super) struct CardView {
    pub(super) title: String,
    pub(super) index: u32,
    /// Class of the style sheet: `good`, `warn` or `bad`.
    pub(super) tone: &'static str,
    pub(super) state: String,
    pub(super) bars: Vec<Bar>,
    pub(super) facts: Vec<Fact>,
    /// What makes it slow or suspect.
    pub(super) notes: Vec<String>,
    pub(super) processes: Vec<ProcessRow>,
}

/// A share of a whole.
pub(super) struct Bar {
    pub(super) name: &'static str,
    pub(super) percent: u32,
    pub(super) text: String,
}

/// A name and a value.
pub(super) struct Fact {
    pub(super) name: &'static str,
    pub(super) value: String,
}

/// A process on a card.
pub(super) struct ProcessRow {
    pub(super) name: String,
    pub(super) pid: u32,
    pub(super) share: Option<u32>,
    pub(super) vram: Option<String>,
}

impl Gpus {
    pub(super) fn of(telemetry: &Telemetry) -> Self {
        let gpus = &telemetry.gpus;
        let versions = [("driver", &gpus.driver), ("CUDA", &gpus.cuda)];
        let versions = versions.map(|(name, version)| version.as_ref().map(|version| format!("{name} {version}")));
        Self {
            is_shown: !gpus.cards.is_empty() || !wants_action(&gpus.state),
            sentence: gpus.state.sentence().filter(|_| !wants_action(&gpus.state)).map(Cow::into_owned),
            versions: versions.into_iter().flatten().collect::<Vec<_>>().join(" · "),
            cards: gpus.cards.iter().map(CardView::of).collect(),
        }
    }
}

/// Whether somebody should do something; a machine without a card is fine as it is.
pub(super) fn wants_action(state: &GpuState) -> bool {
    match state {
        GpuState::Starting | GpuState::Off | GpuState::NotBuilt | GpuState::NoLibrary { .. } | GpuState::Reading => {
            false
        }
        GpuState::NoDriver
        | GpuState::VersionMismatch
        | GpuState::NoPermission
        | GpuState::NoCard
        | GpuState::Failed { .. }
        | GpuState::Untold { .. }
        | GpuState::Late { .. } => true,
    }
}

impl CardView {
    fn of(card: &Card) -> Self {
        let (tone, state) = state(card);
        let sample = card.sample.as_ref();
        Self {
            title: card.title(),
            index: card.index,
            tone,
            state,
            bars: sample.map(|sample| bars(sample, card.foreign.as_ref())).unwrap_or_default(),
            facts: sample.map(facts).unwrap_or_default(),
            notes: sample.map(notes).unwrap_or_default(),
            processes: sample.and_then(|sample| sample.processes.as_deref()).map(rows).unwrap_or_default(),
        }
    }
}

fn state(card: &Card) -> (&'static str, String) {
    match &card.state {
        CardState::Reading => {}
        CardState::Lost => return ("bad", texts::CARD_LOST.to_owned()),
        CardState::NeedsReset => return ("bad", texts::CARD_NEEDS_RESET.to_owned()),
        CardState::NoPermission => return ("warn", texts::CARD_NO_PERMISSION.to_owned()),
        CardState::Failed { .. } => return ("bad", texts::CARD_FAILS.to_owned()),
    }
    match &card.foreign {
        Some(foreign) if foreign.backed_off => {
            let names: Vec<String> = foreign.by.iter().map(Process::title).collect();
            ("warn", texts::in_use_by(&names))
        }
        Some(_) | None => ("good", texts::CARD_FREE.to_owned()),
    }
}

fn bars(sample: &Sample, foreign: Option<&ForeignLoad>) -> Vec<Bar> {
    let utilization =
        sample.utilization_percent.map(|percent| Bar { name: texts::COMPUTING, percent, text: format!("{percent} %") });
    let vram = sample.vram.map(|vram| Bar {
        name: texts::VRAM,
        percent: vram.percent(vram.used_bytes),
        text: texts::part_of(vram.used_bytes, vram.total_bytes),
    });
    // What is nothing needs no bar.
    let pressure = foreign.map(|foreign| foreign.pressure_percent).filter(|percent| *percent > 0);
    let pressure = pressure.map(|percent| Bar { name: texts::PRESSURE, percent, text: format!("{percent} %") });
    utilization.into_iter().chain(pressure).chain(vram).collect()
}

fn facts(sample: &Sample) -> Vec<Fact> {
    let temperature = sample.temperature_c.map(|now| texts::temperature(now, sample.slowdown_c));
    let power = sample.power_mw.map(|now| texts::power(now, sample.power_limit_mw));
    let rows = [
        (texts::TEMPERATURE, temperature),
        (texts::POWER, power),
        (texts::FAN, sample.fan_percent.map(|percent| format!("{percent} %"))),
        (texts::CLOCK, sample.clocks.sm_mhz.or(sample.clocks.graphics_mhz).map(|mhz| format!("{mhz} MHz"))),
    ];
    rows.into_iter().filter_map(|(name, value)| Some(Fact { name, value: value? })).collect()
}

/// What slows a card down, each thing once.
pub(super) fn troubles(sample: &Sample) -> Vec<&'static str> {
    let mut troubles = Vec::new();
    for trouble in sample.throttle.iter().flatten().copied().filter_map(Throttle::trouble) {
        if !troubles.contains(&trouble) {
            troubles.push(trouble);
        }
    }
    troubles
}

fn notes(sample: &Sample) -> Vec<String> {
    let mut notes: Vec<String> = troubles(sample).into_iter().map(texts::sentence).collect();
    notes.extend(sample.ecc.uncorrected.filter(|count| *count > 0).map(texts::memory_errors));
    notes.extend(sample.mig_enabled.filter(|enabled| *enabled).map(|_| texts::MIG_ON.to_owned()));
    notes
}

fn rows(processes: &[Process]) -> Vec<ProcessRow> {
    let row = |process: &Process| ProcessRow {
        name: process.title(),
        pid: process.pid,
        share: process.utilization_percent,
        vram: process.vram_bytes.map(texts::bytes),
    };
    processes.iter().map(row).collect()
}

/// What is shown of the machine itself.
pub(super) fn machine(machine: &Machine) -> Vec<Fact> {
    let (cpu, memory) = (&machine.cpu, machine.memory);
    let mut facts = Vec::new();
    let mut push = |name, value| facts.push(Fact { name, value });
    push(texts::PROCESSOR, texts::processor(cpu.utilization_percent, cpu.cores));
    push(texts::MEMORY, texts::part_of(memory.used_bytes, memory.total_bytes));
    if let Some([one, five, fifteen]) = cpu.load {
        push(texts::LOAD, format!("{one:.2} · {five:.2} · {fifteen:.2}"));
    }
    push(texts::MACHINE_UPTIME, texts::uptime(std::time::Duration::from_secs(machine.uptime_s)));
    if let Some(disk) = machine.disks.iter().min_by_key(|disk| disk.available_bytes) {
        push(texts::FULLEST_DISK, texts::disk(&disk.mount, disk.available_bytes));
    }
    facts
}
