//! How a report becomes what is sent: packed, cut where it is too large, with a number for its list of models.

use std::fmt;
use std::hash::{DefaultHasher, Hasher as _};
use std::io::Write as _;

use domain::node::Report;
use flate2::Compression;
use flate2::write::DeflateEncoder;
use wire::node::{REPORT_BYTES_MAX, write_report};

use super::http;
use crate::live::Snapshot;

/// A number for what the listing tells others: all of it counts, since the router keeps all of it.
pub(super) fn list_number(snapshot: &Snapshot) -> u64 {
    struct Sink(DefaultHasher);
    impl fmt::Write for Sink {
        fn write_str(&mut self, text: &str) -> fmt::Result {
            self.0.write(text.as_bytes());
            Ok(())
        }
    }
    let mut sink = Sink(DefaultHasher::new());
    for listed in snapshot.catalogue.shared(&snapshot.config) {
        // Writing into a hash does not fail.
        let _ = fmt::Write::write_fmt(&mut sink, format_args!("{listed:?}\n"));
    }
    sink.0.finish()
}

/// Halvings that make any report small enough: none of its lists is longer than two to that power.
const HALVINGS_MAX: usize = 16;

/// Packs a report; one that is larger than the router takes loses its longest lists, and says so.
pub(super) fn pack(report: &mut Report) -> std::io::Result<Vec<u8>> {
    for _ in 0..HALVINGS_MAX {
        let plain = write_report(report);
        let packed = deflate(&plain)?;
        if plain.len() <= REPORT_BYTES_MAX && packed.len() <= http::PACKED_BYTES_MAX {
            return Ok(packed);
        }
        report.halve();
    }
    deflate(&write_report(report))
}

fn deflate(plain: &[u8]) -> std::io::Result<Vec<u8>> {
    let mut packer = DeflateEncoder::new(Vec::new(), Compression::fast());
    packer.write_all(plain)?;
    packer.finish()
}

#[cfg(test)]
mod tests {
    use super::*;
    use domain::gpu::{Card, CardState, Clocks, ForeignLoad, GpuState, Gpus, Process, Sample, Vram};
    use domain::machine::{Disk, Machine, Network};
    use domain::node::{LeftOut, ServedModel, Server};
    use domain::telemetry::Telemetry;

    /// A card at work, with a game on it.
    fn card(index: u32) -> Card {
        let process = |pid, name: &str| Process {
            pid,
            name: Some(name.to_owned()),
            vram_bytes: Some(7_516_192_768 + u64::from(pid)),
            utilization_percent: Some(40),
        };
        Card {
            index,
            uuid: Some(format!("GPU-6f1c2b9e-1a2b-3c4d-5e6f-70819a2b3c{index:02}")),
            name: Some("NVIDIA GeForce RTX 4090".to_owned()),
            state: CardState::Reading,
            sample: Some(Sample {
                utilization_percent: Some(97),
                memory_utilization_percent: Some(61),
                vram: Some(Vram { total_bytes: 25_757_220_864, used_bytes: 21_474_836_480, free_bytes: 4_282_384_384 }),
                temperature_c: Some(71),
                slowdown_c: Some(90),
                fan_percent: Some(64),
                power_mw: Some(412_345),
                power_limit_mw: Some(450_000),
                energy_mj: Some(987_654_321_012),
                clocks: Clocks {
                    graphics_mhz: Some(2_520),
                    sm_mhz: Some(2_520),
                    memory_mhz: Some(10_501),
                    video_mhz: None,
                },
                throttle: Some(Vec::new()),
                processes: Some((1..=6).map(|pid| process(pid, "llama-server")).collect()),
                ..Sample::default()
            }),
            foreign: Some(ForeignLoad { pressure_percent: 88, backed_off: true, by: vec![process(9, "game.exe")] }),
        }
    }

    /// A box that is as large as boxes at home are: two cards at work, three servers, twenty models.
    fn large_box() -> Report {
        let network = |name: &str| Network {
            name: name.to_owned(),
            received_bytes: 123_456_789_012,
            sent_bytes: 98_765_432_109,
            addresses: vec!["192.168.1.20".parse().unwrap(), "fd00::20".parse().unwrap(), "fe80::20".parse().unwrap()],
        };
        let disk = |mount: &str| Disk { mount: mount.to_owned(), total_bytes: 1 << 40, available_bytes: 1 << 39 };
        let machine = Machine {
            host_name: Some("gpu-box".to_owned()),
            system: Some("Debian GNU/Linux 13".to_owned()),
            disks: ["/", "/home", "/models"].map(disk).to_vec(),
            networks: ["eth0", "wlan0", "docker0"].map(network).to_vec(),
            ..Machine::default()
        };
        let model = |at: usize, name: &str| ServedModel {
            id: format!("{name}/qwen3-coder-30b-a3b-instruct-q4_k_m-{at}"),
            resident: Some(at == 0),
            slots: Some(4),
            running: 2,
            waiting: 1,
        };
        let server = |name: &str, models: usize| Server {
            name: name.to_owned(),
            kind: "openai".to_owned(),
            health: "healthy".to_owned(),
            cause: None,
            models: (0..models).map(|at| model(at, name)).collect(),
        };
        Report {
            address: "192.168.1.20:8484".parse().unwrap(),
            version: "0.1.0".to_owned(),
            telemetry: Telemetry {
                gpus: Gpus { state: GpuState::Reading, cards: vec![card(0), card(1)], ..Gpus::default() },
                machine: Some(machine),
            },
            servers: vec![server("ollama", 12), server("llama-server", 4), server("vllm", 4)],
            list: Some(u64::MAX),
            clock_s: Some(1_790_000_000),
            left_out: LeftOut::default(),
        }
    }

    #[test]
    fn a_large_box_sends_less_than_two_kib_a_second() {
        let mut report = large_box();
        let (plain, packed) = (write_report(&report), pack(&mut report).unwrap());
        println!("a report has {} bytes, {} packed", plain.len(), packed.len());
        assert!(packed.len() < 2_048, "{} of {}", packed.len(), plain.len());
        assert_eq!(wire::node::read_report(&plain).unwrap(), report);
    }

    #[test]
    fn a_report_that_is_too_large_is_cut_and_says_so() {
        let mut report = large_box();
        let long = |at: usize| format!("{}{at}", "a name that is long for a model ".repeat(15));
        let model = report.servers[0].models[0].clone();
        report.servers[0].models = (0..100).map(|at| ServedModel { id: long(at), ..model.clone() }).collect();
        report.servers = vec![report.servers[0].clone(); 20];
        report.bound();
        assert_eq!(report.left_out, LeftOut::default());
        assert!(write_report(&report).len() > REPORT_BYTES_MAX);
        let packed = pack(&mut report).unwrap();
        assert!(packed.len() <= http::PACKED_BYTES_MAX);
        let read = wire::node::read_report(&write_report(&report)).unwrap();
        assert_eq!(read.servers.len(), 20, "no server is missing");
        let left: usize = read.servers.iter().map(|server| server.models.len()).sum();
        assert_eq!(usize::try_from(read.left_out.models).unwrap() + left, 2_000);
        assert_eq!(read.notes(1_790_000_000).len(), 1);
    }
}
