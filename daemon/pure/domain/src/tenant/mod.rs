//! Tenants: who pays, and which devices are theirs.

mod device;
mod roster;

use std::net::IpAddr;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::config::is_short_name;

pub use device::{Caller, Device, Mac, NotADevice};
pub use roster::{Member, Roster};

/// A tenant as its owner wrote it.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Tenant {
    /// Its name.
    pub name: String,
    /// The user groups it belongs to, for policies.
    #[serde(default)]
    pub groups: Vec<String>,
    /// Its devices, each as [`Device`] is written: they need no key.
    #[serde(default)]
    pub devices: Vec<String>,
}

/// Most groups and devices of one tenant.
pub const MEMBERS_MAX: usize = 256;

impl Tenant {
    /// Whether it can be one.
    ///
    /// # Errors
    /// A sentence that says what to change.
    pub fn check(&self) -> Result<Vec<Device>, String> {
        // An unknown device is a tenant under its address.
        if !is_name(&self.name) || self.name.parse::<IpAddr>().is_ok() {
            return Err(format!(
                "{:?} cannot be a tenant's name: take letters, digits, '-', '_' and '.', and no address",
                self.name
            ));
        }
        if let Some(group) = self.groups.iter().find(|group| !is_name(group)) {
            return Err(format!("{group:?} cannot be a group's name: take letters, digits, '-', '_' and '.'"));
        }
        if self.groups.len() > MEMBERS_MAX || self.devices.len() > MEMBERS_MAX {
            return Err(format!(
                "a tenant has {MEMBERS_MAX} groups and {MEMBERS_MAX} devices at most; a network is one device"
            ));
        }
        self.devices.iter().map(|device| device.parse().map_err(|error: NotADevice| error.to_string())).collect()
    }
}

fn is_name(name: &str) -> bool {
    !name.is_empty() && is_short_name(name)
}

/// Who asks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Identity {
    /// Who pays; an unknown device under its address.
    pub tenant: Arc<str>,
    /// The user groups of the tenant.
    pub groups: Arc<[String]>,
    /// The name of the key that was presented.
    pub key: Option<Arc<str>>,
    /// The device's address.
    pub device: Arc<str>,
    /// Whether the owner knows it: by a key, as a device, or because it asks from this machine itself.
    pub is_known: bool,
}

/// What devices may do that nobody knows.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Unknown {
    /// Ask models of the house: they cost nothing but current.
    #[default]
    Local,
    /// Everything.
    All,
    /// Nothing.
    Nothing,
}

impl Unknown {
    /// All of them, with their names in the config.
    pub const NAMES: [(&'static str, Self); 3] = [("local", Self::Local), ("all", Self::All), ("none", Self::Nothing)];
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tenants_are_checked() {
        let tenant = |name: &str, groups: &[&str], devices: &[&str]| Tenant {
            name: name.to_owned(),
            groups: groups.iter().map(|&group| group.to_owned()).collect(),
            devices: devices.iter().map(|&device| device.to_owned()).collect(),
        };
        assert_eq!(tenant("anna", &["kids"], &["192.168.1.7", "host:x"]).check().unwrap().len(), 2);
        for (bad, says) in [
            (tenant("", &[], &[]), "name"),
            (tenant("192.168.1.7", &[], &[]), "no address"),
            (tenant("a b", &[], &[]), "name"),
            (tenant("a", &["x y"], &[]), "group"),
            (tenant("a", &[], &["laptop"]), "no device"),
        ] {
            assert!(bad.check().unwrap_err().contains(says), "{bad:?}");
        }
        let many = Tenant { groups: vec!["g".to_owned(); MEMBERS_MAX + 1], ..tenant("a", &[], &[]) };
        assert!(many.check().is_err());
    }
}
