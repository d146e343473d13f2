//! NVIDIA's management library as tests want it: the daemon's real `nvml-wrapper` loads this file by its path, and gets
//! from each call what the scenario file says at that moment. The file's path stands in the environment, in
//! `AIRLANE_NVML_SCENARIO`; a test changes the file while the daemon runs, to start a game or to lose a card.
//!
//! Exported are the symbols that the daemon's reader calls, under NVML's names and with its types, and no others.
#![expect(unsafe_code, reason = "a C ABI is exported symbols and raw pointers")]

mod device;
mod out;
mod process;
mod scenario;
mod system;
