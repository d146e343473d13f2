//! Where the programs under test lie.

use std::path::{Path, PathBuf};

/// The root of the repository.
#[must_use]
pub fn repository() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().map(Path::to_path_buf).unwrap_or_default()
}

/// The build folder's profile folder: the test executable lies in its `deps`.
fn profile_folder() -> PathBuf {
    let test = std::env::current_exe().expect("the test does not know where it lies");
    test.ancestors()
        .find(|folder| folder.file_name().is_some_and(|name| name == "deps"))
        .and_then(Path::parent)
        .map(Path::to_path_buf)
        .unwrap_or_else(|| panic!("{} does not lie in a build folder", test.display()))
}

/// The daemon's executable, built in the same profile as this test.
///
/// # Panics
/// When it has not been built.
#[must_use]
pub fn airlane() -> PathBuf {
    let path = std::env::var_os("AIRLANE_BIN").map_or_else(|| profile_folder().join("airlane"), PathBuf::from);
    assert!(path.exists(), "{} is missing: build it first with `cargo build --workspace`", path.display());
    path
}

/// The library of `tests/nvml`, built in the same profile as this test.
///
/// # Panics
/// When it has not been built.
#[must_use]
pub fn nvml() -> PathBuf {
    let path = profile_folder().join("libairlane_nvml.so");
    assert!(path.exists(), "{} is missing: build it first with `cargo build --workspace`", path.display());
    path
}

/// The library of `tests/disk`, built in the same profile as this test.
///
/// # Panics
/// When it has not been built.
#[must_use]
pub fn disk() -> PathBuf {
    let path = profile_folder().join("libairlane_disk.so");
    assert!(path.exists(), "{} is missing: build it first with `cargo build --workspace`", path.display());
    path
}

/// A folder that a script fills before the tests run.
///
/// # Panics
/// When it is missing; the message names the command that makes it.
#[must_use]
pub fn prepared(relative: &str, command: &str) -> PathBuf {
    let path = repository().join(relative);
    assert!(path.exists(), "{} is missing: make it with `{command}`", path.display());
    path
}
