//! Names for the processes on the cards, from the system's list of processes.

use domain::gpu::{Card, Process, label};
use sysinfo::{Pid, ProcessRefreshKind, ProcessesToUpdate, System, UpdateKind};

/// Knows the processes that were on a card at the last reading.
pub(super) struct Names {
    /// `None` where the system cannot be read.
    system: Option<System>,
}

impl Names {
    pub(super) fn new() -> Self {
        Self { system: System::new().ok() }
    }

    /// Gives the processes of these cards their names.
    pub(super) fn give(&mut self, cards: &mut [Card]) {
        let Some(system) = &mut self.system else { return };
        let pids: Vec<Pid> = processes(cards).map(|process| Pid::from_u32(process.pid)).collect();
        // Command lines are read once for each process, and are forgotten with it.
        let what = ProcessRefreshKind::nothing().without_tasks().with_cmd(UpdateKind::OnlyIfNotSet);
        system.refresh_processes_specifics(ProcessesToUpdate::Some(&pids), true, what);
        for process in processes(cards) {
            process.name = system.process(Pid::from_u32(process.pid)).map(|known| {
                let command: Vec<String> = known.cmd().iter().map(|word| word.to_string_lossy().into_owned()).collect();
                label(&known.name().to_string_lossy(), &command)
            });
        }
    }
}

fn processes(cards: &mut [Card]) -> impl Iterator<Item = &mut Process> {
    cards.iter_mut().filter_map(|card| card.sample.as_mut()?.processes.as_mut()).flatten()
}
