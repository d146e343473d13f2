//! Graphics cards as exporters for Prometheus tell them: NVIDIA's dcgm-exporter, and nvidia_gpu_exporter.

mod dcgm;
mod nvidia_smi;

use domain::gpu::{Card, GpuState, Gpus, Sample, Vram};

use super::exposition::{Line, lines};

/// What an exporter told.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Exported {
    /// The cards.
    pub gpus: Gpus,
    /// The machine on which they are, where it is told.
    pub host_name: Option<String>,
}

/// Most cards that are taken from one exporter.
const CARDS_MAX: usize = 64;
const MIB: u64 = 1024 * 1024;

/// The cards of an exporter's metrics; `None` where there are none.
#[must_use]
pub fn gpus(text: &[u8]) -> Option<Exported> {
    let mut told = Building::default();
    for line in lines(text) {
        if let Some(name) = line.name.strip_prefix("DCGM_FI_") {
            dcgm::take(&mut told, name, &line);
        } else if let Some(name) = line.name.strip_prefix("nvidia_smi_") {
            nvidia_smi::take(&mut told, name, &line);
        }
    }
    told.finish()
}

/// The cards as far as they have been read.
#[derive(Debug, Default)]
struct Building {
    exported: Exported,
    parts: Vec<Parts>,
}

/// What of a card is put together of several lines.
#[derive(Debug, Default)]
struct Parts {
    /// The exporter's name for the card, by which its lines are found.
    key: String,
    has_index: bool,
    used_bytes: Option<u64>,
    free_bytes: Option<u64>,
    reserved_bytes: Option<u64>,
    total_bytes: Option<u64>,
    /// The parts of a divided card whose memory has been counted.
    instances: Vec<String>,
}

impl Building {
    /// The card of this name, made if there is none; `None` where there are too many.
    fn card(&mut self, key: &str) -> Option<(&mut Card, &mut Parts)> {
        let known = self.parts.iter().position(|parts| parts.key == key);
        let position = known.unwrap_or(self.parts.len());
        if known.is_none() {
            if position >= CARDS_MAX {
                return None;
            }
            let index = u32::try_from(position).unwrap_or(u32::MAX);
            self.parts.push(Parts { key: key.to_owned(), ..Parts::default() });
            let sample = Some(Sample::default());
            self.exported.gpus.cards.push(Card { index, sample, ..Card::default() });
        }
        Some((self.exported.gpus.cards.get_mut(position)?, self.parts.get_mut(position)?))
    }

    fn finish(mut self) -> Option<Exported> {
        for (card, parts) in self.exported.gpus.cards.iter_mut().zip(&self.parts) {
            if let Some(sample) = &mut card.sample {
                sample.vram = vram(parts);
            }
        }
        self.exported.gpus.state = GpuState::Reading;
        self.exported.gpus.cards.sort_by_key(|card| card.index);
        (!self.exported.gpus.cards.is_empty()).then_some(self.exported)
    }
}

/// Two of the three numbers tell the third.
fn vram(parts: &Parts) -> Option<Vram> {
    let reserved = parts.reserved_bytes.unwrap_or(0);
    let (total_bytes, used_bytes, free_bytes) = match (parts.total_bytes, parts.used_bytes, parts.free_bytes) {
        (Some(total), Some(used), Some(free)) => (total, used, free),
        (Some(total), Some(used), None) => (total, used, total.saturating_sub(used)),
        (Some(total), None, Some(free)) => (total, total.saturating_sub(free), free),
        (None, Some(used), Some(free)) => (used.saturating_add(free).saturating_add(reserved), used, free),
        (_, None, None) | (None, ..) => return None,
    };
    Some(Vram { total_bytes, used_bytes, free_bytes })
}

/// A value in watts as milliwatts.
fn milliwatts(line: &Line<'_>) -> Option<u32> {
    let watts = line.number().filter(|watts| (0.0..1_000_000.0).contains(watts))?;
    Some((watts * 1_000.0).round() as u32)
}

/// A name of theirs without what a terminal would obey, and not too long.
fn name(text: &str) -> Option<String> {
    const CHARS_MAX: usize = 100;
    let name: String = text.chars().filter(|letter| !letter.is_control()).take(CHARS_MAX).collect();
    (!name.is_empty()).then_some(name)
}

#[cfg(test)]
mod tests;
