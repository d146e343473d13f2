//! The graphics cards in `airlane status`: a line for each, or the sentence why there is none.

use std::fmt::Write;

use domain::gpu::{Card, ForeignLoad, Gpus, Process, Sample};

/// Writes the lines.
pub(in crate::cli) fn write(out: &mut String, gpus: &Gpus) -> std::fmt::Result {
    let mut head = "gpus";
    if let Some(sentence) = gpus.state.sentence() {
        writeln!(out, "{head:9} {sentence}")?;
        head = "";
    }
    for card in &gpus.cards {
        writeln!(out, "{head:9} {}", line(card))?;
        head = "";
    }
    Ok(())
}

fn line(card: &Card) -> String {
    let mut parts = vec![format!("{} {}:", card.index, card.title())];
    match (card.state.sentence(), &card.sample) {
        (Some(sentence), _) => parts.push(sentence.into_owned()),
        (None, Some(sample)) => parts.push(values(sample, card.foreign.as_ref()).join(", ")),
        (None, None) => {}
    }
    parts.join(" ")
}

fn values(sample: &Sample, foreign: Option<&ForeignLoad>) -> Vec<String> {
    const GIB: f64 = 1_073_741_824.0;
    let gib = |bytes: u64| bytes as f64 / GIB;
    let vram = sample.vram.map(|vram| format!("{:.1} of {:.1} GiB used", gib(vram.used_bytes), gib(vram.total_bytes)));
    let by = foreign.filter(|load| load.backed_off).map(|load| {
        let names: Vec<String> = load.by.iter().map(Process::title).collect();
        if names.is_empty() { "left to others".to_owned() } else { format!("left to {}", names.join(", ")) }
    });
    let parts = [
        sample.utilization_percent.map(|percent| format!("{percent} % busy")),
        vram,
        sample.temperature_c.map(|celsius| format!("{celsius} °C")),
        sample.power_mw.map(|mw| format!("{} W", mw / 1_000)),
        by,
    ];
    let parts: Vec<String> = parts.into_iter().flatten().collect();
    if parts.is_empty() { vec!["is read".to_owned()] } else { parts }
}

#[cfg(test)]
mod tests {
    use super::*;
    use domain::gpu::{CardState, GpuState, Vram};

    fn text(gpus: &Gpus) -> String {
        let mut out = String::new();
        write(&mut out, gpus).unwrap();
        out
    }

    #[test]
    fn each_card_has_a_line() {
        let game = Process { pid: 1, name: Some("game.exe".to_owned()), ..Process::default() };
        let sample = Sample {
            utilization_percent: Some(97),
            vram: Some(Vram { total_bytes: 24 << 30, used_bytes: 13 << 30, free_bytes: 11 << 30 }),
            temperature_c: Some(83),
            power_mw: Some(412_600),
            ..Sample::default()
        };
        let card = |index, name: Option<&str>, state, sample| Card {
            index,
            name: name.map(str::to_owned),
            state,
            sample,
            ..Card::default()
        };
        let played = ForeignLoad { pressure_percent: 90, backed_off: true, by: vec![game] };
        let cards = vec![
            Card { foreign: Some(played), ..card(0, Some("RTX 4090"), CardState::Reading, Some(sample)) },
            card(1, None, CardState::Reading, Some(Sample { temperature_c: Some(40), ..Sample::default() })),
            card(2, None, CardState::Reading, Some(Sample::default())),
            card(3, Some("RTX 3090"), CardState::Lost, None),
        ];
        let gpus = Gpus { state: GpuState::Reading, cards, ..Gpus::default() };
        insta::assert_snapshot!(text(&gpus), @r"
        gpus      0 RTX 4090: 97 % busy, 13.0 of 24.0 GiB used, 83 °C, 412 W, left to game.exe
                  1 GPU 1: 40 °C
                  2 GPU 2: is read
                  3 RTX 3090: This card fell off the bus: the driver no longer reaches it. Check its seat, power cables and heat, and restart the machine; the other cards go on.
        ");
        let late = Gpus { state: GpuState::Late { age_s: 9 }, cards: gpus.cards[1..2].to_vec(), ..Gpus::default() };
        insta::assert_snapshot!(text(&late), @r"
        gpus      The NVIDIA driver does not answer: the last reading is 9 s old. Requests are served all the same. If it stays like this, look for NVRM messages in the kernel's log (`dmesg`).
                  1 GPU 1: 40 °C
        ");
        let none = Gpus { state: GpuState::NoDriver, ..Gpus::default() };
        insta::assert_snapshot!(text(&none), @"gpus      NVIDIA's library is here, but its driver is not loaded. Run `modprobe nvidia`, or restart this machine if the driver was just installed.");
    }
}
