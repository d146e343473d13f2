//! Machines to look at: one on which somebody plays, one with broken cards, one without any.

use domain::gpu::{Card, CardState, Clocks, Ecc, ForeignLoad, GpuState, Gpus, Pcie, Process, Sample, Throttle, Vram};
use domain::machine::{Cpu, Disk, Machine, Memory, Network};
use domain::telemetry::Telemetry;

const GIB: u64 = 1 << 30;

/// A card with a game on it, and one that tells little.
pub(crate) fn gaming() -> Telemetry {
    let game = process(4_242, "Cyberpunk2077.exe", Some(7 * GIB), Some(91));
    let sample = Sample {
        utilization_percent: Some(97),
        memory_utilization_percent: Some(55),
        vram: Some(Vram { total_bytes: 24 * GIB, used_bytes: 13 * GIB, free_bytes: 11 * GIB }),
        temperature_c: Some(83),
        slowdown_c: Some(90),
        fan_percent: Some(71),
        power_mw: Some(412_600),
        power_limit_mw: Some(450_000),
        energy_mj: Some(123_456_789),
        clocks: Clocks { graphics_mhz: Some(2_520), sm_mhz: Some(2_505), memory_mhz: Some(10_501), video_mhz: None },
        throttle: Some(vec![Throttle::PowerCap, Throttle::SoftwareThermal, Throttle::HardwareThermal]),
        pcie: Pcie { received_kb_per_s: Some(1_200), sent_kb_per_s: Some(300) },
        ecc: Ecc { enabled: Some(true), corrected: Some(12), uncorrected: Some(1) },
        mig_enabled: Some(false),
        processes: Some(vec![game.clone(), process(77, "ollama", Some(5 * GIB), None), process(900, "", None, None)]),
    };
    let foreign = ForeignLoad { pressure_percent: 93, backed_off: true, by: vec![game] };
    let cards = vec![
        card(0, "NVIDIA GeForce RTX 4090", sample, foreign),
        card(1, "NVIDIA T400", Sample { temperature_c: Some(41), ..Sample::default() }, ForeignLoad::default()),
    ];
    let gpus = Gpus { cards, ..gpus(GpuState::Reading) };
    Telemetry { gpus, machine: Some(machine()) }
}

/// A driver that hangs after one card was lost.
pub(crate) fn broken() -> Telemetry {
    let state = |index, name: Option<&str>, state| Card {
        index,
        name: name.map(str::to_owned),
        state,
        sample: None,
        foreign: None,
        uuid: None,
    };
    let cards = vec![
        state(0, Some("NVIDIA GeForce RTX 3090"), CardState::Lost),
        state(1, None, CardState::NeedsReset),
        state(2, None, CardState::Failed { reason: "an internal driver error occured".to_owned() }),
        state(3, None, CardState::NoPermission),
    ];
    Telemetry { gpus: Gpus { cards, age_ms: Some(12_345), ..gpus(GpuState::Late { age_s: 12 }) }, machine: None }
}

/// A router.
pub(crate) fn router() -> Telemetry {
    let reason = "libnvidia-ml.so.1: cannot open shared object file: No such file or directory".to_owned();
    let gpus = Gpus { state: GpuState::NoLibrary { reason }, age_ms: Some(900), ..Gpus::default() };
    Telemetry { gpus, machine: Some(machine()) }
}

/// Every text in it was chosen by someone who wants to get out of its place.
pub(crate) fn hostile() -> Telemetry {
    let text = "<script>alert(1)</script>\"'&{{ 7*7 }}".to_owned();
    let sample = Sample { processes: Some(vec![process(1, &text, None, None)]), ..Sample::default() };
    let foreign = ForeignLoad { backed_off: true, by: vec![process(1, &text, None, None)], ..ForeignLoad::default() };
    let failed = Card { state: CardState::Failed { reason: text.clone() }, ..Card::default() };
    let cards = vec![card(0, &text, sample, foreign), failed];
    let machine = Machine {
        host_name: Some(text.clone()),
        disks: vec![Disk { mount: text.clone(), ..Disk::default() }],
        ..machine()
    };
    let driver = Some(text.clone());
    let gpus = Gpus { cards, driver, ..gpus(GpuState::Failed { reason: text }) };
    Telemetry { gpus, machine: Some(machine) }
}

fn gpus(state: GpuState) -> Gpus {
    Gpus {
        state,
        driver: Some("550.54.15".to_owned()),
        cuda: Some("12.4".to_owned()),
        age_ms: Some(640),
        took_ms: Some(48),
        cards: Vec::new(),
    }
}

fn card(index: u32, name: &str, sample: Sample, foreign: ForeignLoad) -> Card {
    Card {
        index,
        uuid: Some(format!("GPU-0000000{index}-aaaa-bbbb-cccc-000000000000")),
        name: Some(name.to_owned()),
        state: CardState::Reading,
        sample: Some(sample),
        foreign: Some(foreign),
    }
}

fn process(pid: u32, name: &str, vram_bytes: Option<u64>, utilization_percent: Option<u32>) -> Process {
    let name = Some(name.to_owned()).filter(|name| !name.is_empty());
    Process { pid, name, vram_bytes, utilization_percent }
}

fn machine() -> Machine {
    let network = Network {
        name: "eth0".to_owned(),
        received_bytes: 123_456_789,
        sent_bytes: 987_654_321,
        addresses: vec!["192.168.1.20".parse().unwrap()],
    };
    Machine {
        host_name: Some("gpu-box".to_owned()),
        system: Some("Debian 12".to_owned()),
        uptime_s: 273_600,
        cpu: Cpu { cores: 16, utilization_percent: Some(12), load: Some([1.25, 0.5, 0.125]) },
        memory: Memory {
            total_bytes: 64 * GIB,
            used_bytes: 20 * GIB,
            available_bytes: 44 * GIB,
            swap_total_bytes: 0,
            swap_used_bytes: 0,
        },
        disks: vec![
            Disk { mount: "/".to_owned(), total_bytes: 500 * GIB, available_bytes: 120 * GIB },
            Disk { mount: "/models".to_owned(), total_bytes: 2_000 * GIB, available_bytes: 40 * GIB },
        ],
        networks: vec![network],
    }
}
