//! The ledger.

use super::super::LedgerDraft;
use super::Check;
use super::cache::IN_MEMORY_BYTES;
use crate::cache::Store;
use crate::ledger::Settings;

impl Check {
    pub(super) fn ledger(&mut self, draft: &LedgerDraft) -> Settings {
        let default = Settings::default();
        let store = self.store("ledger", draft.store.as_deref(), draft.copy_every_s);
        let bytes = if store == Store::Disk { default.bytes_max } else { IN_MEMORY_BYTES };
        // Ten years: longer than books are kept anywhere.
        let days = self.number("ledger.keep_days", draft.keep_days, 1..=3_660, default.days.into());
        let days = u32::try_from(days).unwrap_or(default.days);
        Settings {
            store,
            days,
            // A year's statement and a month's budget need them, also of whoever keeps single requests for a week.
            sums_days: days.max(default.sums_days),
            bytes_max: self.mib("ledger.disk_mib", draft.disk_mib, 1..=1_048_576, bytes),
            ..default
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{Config, Draft, check};
    use std::time::Duration;

    fn ledger(draft: LedgerDraft) -> Draft {
        Draft { ledger: draft, ..Draft::default() }
    }

    #[test]
    fn sums_outlive_requests() {
        let memory = || Some("memory".to_owned());
        let default = LedgerDraft::default();
        let disk = (400, 400, 512 << 20, Store::Disk);
        let in_memory = |seconds| Store::Memory { copy_every: Duration::from_secs(seconds) };
        for (draft, want) in [
            (default.clone(), disk),
            (LedgerDraft { keep_days: Some(7), ..default.clone() }, (7, 400, 512 << 20, Store::Disk)),
            (LedgerDraft { keep_days: Some(3_660), ..default.clone() }, (3_660, 3_660, 512 << 20, Store::Disk)),
            (LedgerDraft { store: memory(), ..default.clone() }, (400, 400, 32 << 20, in_memory(3_600))),
            (
                LedgerDraft { store: memory(), copy_every_s: Some(60), disk_mib: Some(8), ..default.clone() },
                (400, 400, 8 << 20, in_memory(60)),
            ),
            // There is nothing to copy.
            (LedgerDraft { copy_every_s: Some(60), ..default }, disk),
        ] {
            let settings = check(&ledger(draft.clone())).unwrap().ledger;
            let got = (settings.days, settings.sums_days, settings.bytes_max, settings.store);
            assert_eq!(got, want, "{draft:?}");
        }
    }

    #[test]
    fn what_is_wrong_is_named_once() {
        let draft = LedgerDraft {
            keep_days: Some(0),
            disk_mib: Some(0),
            store: Some("tape".to_owned()),
            copy_every_s: Some(1),
        };
        let problems = check(&ledger(draft)).unwrap_err();
        let paths: Vec<&str> = problems.iter().map(|problem| problem.path.as_str()).collect();
        assert_eq!(paths, ["ledger.store", "ledger.copy_every_s", "ledger.keep_days", "ledger.disk_mib"]);
    }

    #[test]
    fn a_change_needs_a_restart() {
        let draft =
            LedgerDraft { keep_days: Some(7), disk_mib: Some(9), store: Some("memory".to_owned()), copy_every_s: None };
        let config = check(&ledger(draft)).unwrap();
        let keys = ["ledger.store", "ledger.keep_days", "ledger.disk_mib"];
        assert_eq!(config.restart_needed(&Config::default()), keys);
    }
}
