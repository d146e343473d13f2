//! Names that stand for all models of some kind.

/// The name for all models of the house and the clouds.
pub const AUTO: &str = "auto";
/// The name for all models of the house.
pub const LOCAL: &str = "local";
/// The name for all models of the clouds.
pub const CLOUD: &str = "cloud";

/// Whether a name stands for all models of some kind.
#[must_use]
pub fn is_virtual(name: &str) -> bool {
    [AUTO, LOCAL, CLOUD].contains(&name)
}
