//! Cards by scenario: the library of `tests/nvml` with its scenario file, and real processes to put on the cards.

use std::fs;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};

use serde_json::Value;
use tempfile::TempDir;

use crate::programs;
use crate::setup::Setup;

/// A scenario in force; its file goes with this value.
#[derive(Debug)]
pub struct Cards {
    folder: TempDir,
}

impl Cards {
    /// Puts a scenario in force.
    #[must_use]
    pub fn new(scenario: &Value) -> Self {
        let cards = Self { folder: TempDir::new().expect("no temporary folder") };
        cards.set(scenario);
        cards
    }

    /// Puts another in force, in one step.
    pub fn set(&self, scenario: &Value) {
        let new = self.folder.path().join("new");
        fs::write(&new, scenario.to_string()).expect("the scenario cannot be written");
        fs::rename(new, self.path()).expect("the scenario cannot be replaced");
    }

    /// A daemon that reads these cards.
    #[must_use]
    pub fn setup(&self) -> Setup {
        with_library(&programs::nvml()).environment("AIRLANE_NVML_SCENARIO", &self.path().display().to_string())
    }

    fn path(&self) -> PathBuf {
        self.folder.path().join("scenario.json")
    }
}

/// A daemon that loads this library.
#[must_use]
pub fn with_library(path: &std::path::Path) -> Setup {
    Setup::new().table(&format!("[gpu]\nlibrary = \"{}\"\n", path.display()))
}

/// A process under a name of the test's choice that does nothing; it is ended with this value.
#[derive(Debug)]
pub struct Program {
    child: Child,
    _folder: TempDir,
}

impl Program {
    /// Starts it with an argument on which it sleeps.
    ///
    /// # Panics
    /// When it cannot be started.
    #[must_use]
    pub fn start(name: &str, seconds: &str) -> Self {
        let folder = TempDir::new().expect("no temporary folder");
        let path = folder.path().join(name);
        fs::copy("/bin/sleep", &path).expect("/bin/sleep cannot be copied");
        let mut command = Command::new(&path);
        command.args(["1000", seconds]).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        Self { child: command.spawn().expect("the program cannot be started"), _folder: folder }
    }

    /// Its process id.
    #[must_use]
    pub fn pid(&self) -> u32 {
        self.child.id()
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
