//! Children that end with their owner, and what the kernel counts for them.

use std::fs;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

/// Ticks a second in `/proc/PID/stat`: fixed for every program on Linux.
const TICK: Duration = Duration::from_millis(10);

/// A program that runs until this value is dropped.
pub(crate) struct Process {
    child: Child,
    /// Told to end with SIGTERM first, since it has children of its own.
    gently: bool,
}

/// Is the program on the search path or in `/usr/sbin`?
pub(crate) fn installed(program: &str) -> bool {
    let path = std::env::var("PATH").unwrap_or_default() + ":/usr/sbin";
    path.split(':').any(|folder| Path::new(folder).join(program).exists())
}

/// A command with as many open files as the machine allows: 1,000 streams need more than the usual 1,024.
pub(crate) fn command(program: &str, arguments: &[&str]) -> Command {
    let mut command = Command::new("sh");
    command.args(["-c", "ulimit -n \"$(ulimit -H -n)\"; exec \"$@\"", "sh", program]).args(arguments);
    let path = std::env::var("PATH").unwrap_or_default() + ":/usr/sbin";
    command.env("PATH", path).stdin(Stdio::null());
    command
}

impl Process {
    /// Starts the command; it ends when the value is dropped.
    pub(crate) fn start(mut command: Command, gently: bool) -> Result<Self, String> {
        let child = command.spawn().map_err(|error| format!("{command:?}: {error}"))?;
        Ok(Self { child, gently })
    }

    /// Its output, if it was piped.
    pub(crate) fn output(&mut self) -> Option<std::process::ChildStdout> {
        self.child.stdout.take()
    }

    /// Its exit, if it ended.
    pub(crate) fn ended(&mut self) -> Option<std::process::ExitStatus> {
        self.child.try_wait().ok().flatten()
    }

    /// The process and its children.
    fn family(&self) -> Vec<u32> {
        let own = self.child.id();
        let children = fs::read_to_string(format!("/proc/{own}/task/{own}/children")).unwrap_or_default();
        children.split_whitespace().filter_map(|id| id.parse().ok()).chain([own]).collect()
    }

    /// CPU time spent so far, children that run now included.
    pub(crate) fn cpu(&self) -> Duration {
        self.family().into_iter().map(cpu).sum()
    }

    /// Memory in use, in KiB, children included.
    pub(crate) fn rss_kib(&self) -> u64 {
        self.family().into_iter().map(rss_kib).sum()
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        if self.ended().is_some() {
            return;
        }
        if self.gently {
            let _ = Command::new("kill").args(["-TERM", &self.child.id().to_string()]).status();
        } else {
            let _ = self.child.kill();
        }
        let _ = self.child.wait();
    }
}

fn cpu(id: u32) -> Duration {
    let text = fs::read_to_string(format!("/proc/{id}/stat")).unwrap_or_default();
    // The name in brackets may hold blanks: count from its end, where the third field begins.
    let rest = text.rsplit(") ").next().unwrap_or_default();
    let ticks: u32 = rest.split(' ').skip(11).take(2).filter_map(|field| field.parse::<u32>().ok()).sum();
    TICK * ticks
}

fn rss_kib(id: u32) -> u64 {
    let text = fs::read_to_string(format!("/proc/{id}/status")).unwrap_or_default();
    let line = text.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap_or_default();
    line.trim().trim_end_matches(" kB").trim().parse().unwrap_or(0)
}
