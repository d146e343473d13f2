//! Who asks: keys and devices, and the tenants to whom they belong. All of it is in memory; the disk is written when the owner
//! changes something.

mod book;
mod guesses;
mod neighbours;

use std::collections::HashMap;
use std::fs::{self, OpenOptions};
use std::io::{self, Write as _};
use std::net::IpAddr;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use anyhow::{Context, bail};
use arc_swap::ArcSwap;
use domain::key::{Bad, ID_CHARS, KeyFacts, KeyId, Presented, SECRET_CHARS, write};
use domain::tenant::{Caller, Identity, Member, Roster, Tenant};
use ring::hmac;
use tracing::{info, warn};

use crate::edges::Clock;
use book::{Book, Kept};
use guesses::Guesses;
use neighbours::Neighbours;

/// Most tenants, and most keys: a look-up does not become slower with them, but a change does.
const TENANTS_MAX: usize = 20_000;
const KEYS_MAX: usize = 200_000;

/// Longest label of a key.
const LABEL_CHARS_MAX: usize = 100;

/// All tenants and keys of the house.
pub(crate) struct Tenants {
    path: PathBuf,
    /// Opened with the first change, or at the start where it is there.
    book: Mutex<Option<Book>>,
    /// Makes proofs of keys.
    secret: hmac::Key,
    known: ArcSwap<Known>,
    neighbours: Neighbours,
    guesses: Guesses,
    clock: Arc<dyn Clock>,
    nobody: Arc<[String]>,
}

/// What requests look at.
#[derive(Default)]
struct Known {
    tenants: Vec<Tenant>,
    roster: Roster,
    keys: HashMap<KeyId, Arc<KnownKey>>,
}

/// A key with its tenant.
struct KnownKey {
    kept: Kept,
    id: Arc<str>,
    member: Arc<Member>,
}

impl Tenants {
    /// What is known in this data directory. A file that cannot be read is told in the log; then nobody has a key.
    ///
    /// # Errors
    /// The machine gives no random numbers.
    pub(crate) fn open(dir: &Path, clock: Arc<dyn Clock>) -> anyhow::Result<Self> {
        let path = dir.join("tenants.db");
        let rand = random()?;
        let secret = secret(&dir.join("keys.secret"), rand).unwrap_or_else(|error| {
            warn!("{error:#}; keys that are made now are not good after a restart, and those from before are not good");
            rand
        });
        let tenants = Self {
            path,
            book: Mutex::default(),
            secret: hmac::Key::new(hmac::HMAC_SHA256, &secret),
            known: ArcSwap::default(),
            neighbours: Neighbours::default(),
            guesses: Guesses::default(),
            clock,
            nobody: Arc::default(),
        };
        if tenants.path.exists()
            && let Err(error) = tenants.change(|_, _| Ok(()))
        {
            warn!("{error}; no key is good until it can be read");
        }
        Ok(tenants)
    }

    /// Who asks: by the key that is presented, or else by the device's address, which is `device` in letters. `is_here` is a program
    /// of this machine.
    ///
    /// # Errors
    /// The key is none of ours, or not good any more.
    pub(crate) fn identify(
        &self,
        presented: &str,
        address: IpAddr,
        device: Arc<str>,
        is_here: bool,
    ) -> Result<Identity, Bad> {
        let known = self.known.load();
        match Presented::read(presented) {
            Presented::Broken => Err(Bad::Unknown),
            Presented::Key(id) => {
                let key = known.keys.get(&id).ok_or(Bad::Unknown)?;
                // In a time that does not depend on how much of it is right.
                hmac::verify(&self.secret, presented.as_bytes(), &key.kept.proof).map_err(|_| Bad::Unknown)?;
                key.kept.facts.check(self.now_s())?;
                let Member { name, groups } = &*key.member;
                let key = Some(key.id.clone());
                Ok(Identity { tenant: name.clone(), groups: groups.clone(), key, device, is_known: true })
            }
            Presented::Nothing => Ok(self.of_device(&known.roster, address, device, is_here)),
        }
    }

    fn of_device(&self, roster: &Roster, address: IpAddr, device: Arc<str>, is_here: bool) -> Identity {
        let caller = if roster.asks_neighbours() {
            self.neighbours.caller(address)
        } else {
            Caller { address, mac: None, host_name: None, interface: None }
        };
        match roster.of(&caller) {
            Some(member) => {
                let (tenant, groups) = (member.name.clone(), member.groups.clone());
                Identity { tenant, groups, key: None, device, is_known: true }
            }
            None => {
                let groups = self.nobody.clone();
                // Whoever works on this machine is its owner.
                Identity { tenant: device.clone(), groups, key: None, device, is_known: is_here }
            }
        }
    }

    /// How long the answer to a wrong key waits.
    pub(crate) fn guessed(&self, address: IpAddr) -> Duration {
        self.guesses.wrong(address, Instant::now())
    }

    /// All tenants, by name.
    pub(crate) fn tenants(&self) -> Vec<Tenant> {
        self.known.load().tenants.clone()
    }

    /// All keys, the newest first.
    pub(crate) fn keys(&self) -> Vec<KeyFacts> {
        let known = self.known.load();
        let mut keys: Vec<KeyFacts> = known.keys.values().map(|key| key.kept.facts.clone()).collect();
        keys.sort_by(|one, other| other.created_s.cmp(&one.created_s).then_with(|| one.id.cmp(&other.id)));
        keys
    }

    /// Puts a tenant in, or in the place of the one of the same name. Blocks.
    ///
    /// # Errors
    /// A sentence that says what to do.
    pub(crate) fn set(&self, tenant: &Tenant) -> Result<(), String> {
        tenant.check()?;
        self.change(|book, known| {
            if known.tenants.len() >= TENANTS_MAX {
                return Err(format!("there are {TENANTS_MAX} tenants, which is the most"));
            }
            book.put(std::slice::from_ref(tenant), &[])
        })
    }

    /// Removes a tenant and revokes its keys. Blocks.
    ///
    /// # Errors
    /// There is none of that name, or the disk fails.
    pub(crate) fn remove(&self, name: &str) -> Result<(), String> {
        self.change(|book, known| {
            if !known.tenants.iter().any(|tenant| tenant.name == name) {
                return Err(format!("there is no tenant {name:?}; airlane tenant list shows those that are there"));
            }
            let keys = known.keys.values().filter(|key| key.kept.facts.tenant == name);
            let revoked: Vec<Kept> = keys.map(|key| self.revoked(&key.kept)).collect();
            book.put(&[], &revoked)?;
            book.remove(name)
        })
    }

    /// Makes a key for a tenant, who is made as well where there is none; good for so many seconds, or for ever. The key itself is told
    /// once, here. Blocks.
    ///
    /// # Errors
    /// A sentence that says what to do.
    pub(crate) fn create(
        &self,
        tenant: &str,
        label: &str,
        lifetime_s: Option<u64>,
    ) -> Result<(KeyFacts, String), String> {
        self.change(|book, known| {
            let made = self.make(tenant, label, lifetime_s, known)?;
            let tenants = if known.roster.member(tenant).is_none() { vec![named(tenant)?] } else { Vec::new() };
            book.put(&tenants, std::slice::from_ref(&made.0))?;
            info!(tenant, key = %made.0.id, "a key was made");
            Ok((made.0.facts, made.1))
        })
    }

    /// Makes a key in the place of another, which is good for so many seconds more. Blocks.
    ///
    /// # Errors
    /// A sentence that says what to do.
    pub(crate) fn rotate(&self, id: &str, overlap_s: u64) -> Result<(KeyFacts, String), String> {
        self.change(|book, known| {
            let old = &find(known, id)?.kept;
            old.facts
                .check(self.now_s())
                .map_err(|_| format!("the key {id} is not good any more; make another one"))?;
            let lifetime_s = old.facts.expires_s.map(|expires| expires.saturating_sub(old.facts.created_s));
            let (new, text) = self.make(&old.facts.tenant, &old.facts.label, lifetime_s, known)?;
            let until = self.now_s().saturating_add(overlap_s);
            let expires_s = Some(old.facts.expires_s.map_or(until, |expires| expires.min(until)));
            let old = Kept { facts: KeyFacts { expires_s, ..old.facts.clone() }, ..old.clone() };
            book.put(&[], &[old, new.clone()])?;
            info!(tenant = new.facts.tenant, key = %new.id, instead_of = id, "a key was made");
            Ok((new.facts, text))
        })
    }

    /// Takes a key back, at once. Blocks.
    ///
    /// # Errors
    /// There is none of that name, or the disk fails.
    pub(crate) fn revoke(&self, id: &str) -> Result<KeyFacts, String> {
        self.change(|book, known| {
            let revoked = self.revoked(&find(known, id)?.kept);
            book.put(&[], std::slice::from_ref(&revoked))?;
            info!(tenant = revoked.facts.tenant, key = id, "a key was revoked");
            Ok(revoked.facts)
        })
    }

    fn revoked(&self, kept: &Kept) -> Kept {
        let revoked_s = kept.facts.revoked_s.or_else(|| Some(self.now_s()));
        Kept { facts: KeyFacts { revoked_s, ..kept.facts.clone() }, ..kept.clone() }
    }

    fn make(
        &self,
        tenant: &str,
        label: &str,
        lifetime_s: Option<u64>,
        known: &Known,
    ) -> Result<(Kept, String), String> {
        if label.chars().count() > LABEL_CHARS_MAX {
            return Err(format!("a key's label has {LABEL_CHARS_MAX} letters at most"));
        }
        if known.keys.len() >= KEYS_MAX {
            return Err(format!("there are {KEYS_MAX} keys, which is the most"));
        }
        if lifetime_s == Some(0) {
            return Err("the key would not be good for a moment; say how many seconds it is to be good".to_owned());
        }
        let mut numbers = [0; ID_CHARS + SECRET_CHARS];
        getrandom::fill(&mut numbers).map_err(|error| format!("the machine gives no random numbers: {error}"))?;
        let (id, text) = write(&numbers);
        if known.keys.contains_key(&id) {
            return Err("by chance, another key has this name; try again".to_owned());
        }
        let facts = KeyFacts {
            id: id.to_string(),
            tenant: tenant.to_owned(),
            label: label.to_owned(),
            created_s: self.now_s(),
            expires_s: lifetime_s.map(|lifetime| self.now_s().saturating_add(lifetime)),
            revoked_s: None,
        };
        let mut proof = [0; 32];
        // HMAC-SHA256 has so many bytes.
        proof.copy_from_slice(hmac::sign(&self.secret, text.as_bytes()).as_ref());
        Ok((Kept { id, proof, facts }, text))
    }

    /// Changes the book, and reads it anew for requests: what they see is what is on the disk.
    fn change<T>(&self, change: impl FnOnce(&mut Book, &Known) -> Result<T, String>) -> Result<T, String> {
        let mut place = self.book();
        let book = match &mut *place {
            Some(book) => book,
            None => {
                let (book, all) = Book::open(&self.path)?;
                self.publish(all);
                place.insert(book)
            }
        };
        let done = change(book, &self.known.load())?;
        let all = book.all().map_err(|error| format!("it was written and cannot be read: {error}; restart airlane"))?;
        self.publish(all);
        Ok(done)
    }

    fn publish(&self, mut all: book::All) {
        all.tenants.sort_by(|one, other| one.name.cmp(&other.name));
        let roster = Roster::new(&all.tenants);
        let keys = all.keys.into_iter().filter_map(|kept| {
            // The keys of a tenant that is gone were revoked.
            let member = roster.member(&kept.facts.tenant).cloned();
            let nobody = || Arc::new(Member { name: kept.facts.tenant.as_str().into(), groups: Arc::default() });
            let member = member.or_else(|| kept.facts.revoked_s.map(|_| nobody()))?;
            Some((kept.id, Arc::new(KnownKey { id: kept.id.as_str().into(), kept, member })))
        });
        self.known.store(Arc::new(Known { keys: keys.collect(), roster, tenants: all.tenants }));
    }

    fn book(&self) -> MutexGuard<'_, Option<Book>> {
        self.book.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn now_s(&self) -> u64 {
        self.clock.unix_ms() / 1_000
    }
}

fn named(name: &str) -> Result<Tenant, String> {
    let tenant = Tenant { name: name.to_owned(), ..Tenant::default() };
    tenant.check().map(|_| tenant)
}

fn find<'k>(known: &'k Known, id: &str) -> Result<&'k Arc<KnownKey>, String> {
    let key = KeyId::read(id).and_then(|id| known.keys.get(&id));
    key.ok_or_else(|| {
        format!(
            "there is no key {:?}; airlane key list shows those that are there",
            id.chars().take(20).collect::<String>()
        )
    })
}

/// The secret with which proofs are made, for its owner's eyes only; with the first start it is `fresh`.
fn secret(path: &Path, fresh: [u8; 32]) -> anyhow::Result<[u8; 32]> {
    let trouble = || format!("{} cannot be used", path.display());
    match fs::read(path) {
        Ok(bytes) => match bytes.try_into() {
            Ok(secret) => Ok(secret),
            Err(_) => bail!("{}: it is no secret of 32 bytes; remove it, and make all keys anew", trouble()),
        },
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            keep(path, &fresh).with_context(trouble)?;
            Ok(fresh)
        }
        Err(error) => Err(error).with_context(trouble),
    }
}

fn keep(path: &Path, secret: &[u8]) -> io::Result<()> {
    let part = path.with_extension("part");
    // A part that a crash left may have other rights.
    let _ = fs::remove_file(&part);
    let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&part)?;
    file.write_all(secret)?;
    file.sync_all()?;
    fs::rename(&part, path)
}

fn random() -> anyhow::Result<[u8; 32]> {
    let mut bytes = [0; 32];
    getrandom::fill(&mut bytes).context("the machine gives no random numbers")?;
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU64, Ordering};

    use super::*;

    /// A clock that the test sets.
    struct SetClock(AtomicU64);

    impl Clock for SetClock {
        fn unix_ms(&self) -> u64 {
            self.0.load(Ordering::SeqCst)
        }

        fn unique(&self) -> String {
            String::new()
        }
    }

    struct House {
        dir: tempfile::TempDir,
        clock: Arc<SetClock>,
        tenants: Tenants,
    }

    impl House {
        fn new() -> Self {
            let (dir, clock) = (tempfile::tempdir().unwrap(), Arc::new(SetClock(AtomicU64::new(1_000_000))));
            let tenants = Tenants::open(dir.path(), clock.clone()).unwrap();
            Self { dir, clock, tenants }
        }

        fn again(self) -> Self {
            let Self { dir, clock, tenants } = self;
            drop(tenants);
            Self { tenants: Tenants::open(dir.path(), clock.clone()).unwrap(), dir, clock }
        }

        fn who(&self, key: &str) -> Result<String, Bad> {
            let found = self.tenants.identify(key, "192.168.1.7".parse().unwrap(), "192.168.1.7".into(), false);
            found.map(|identity| identity.tenant.to_string())
        }
    }

    #[test]
    fn a_key_is_good_until_it_is_revoked() {
        let house = House::new();
        let (facts, key) = house.tenants.create("anna", "laptop", None).unwrap();
        assert_eq!(house.who(&key), Ok("anna".to_owned()));
        assert_eq!(house.who("sk-none"), Ok("192.168.1.7".to_owned()));
        let mut other = key.clone();
        other.replace_range(key.len() - 1.., if key.ends_with('0') { "1" } else { "0" });
        assert_eq!(house.who(&other), Err(Bad::Unknown));
        assert_eq!(house.who("sk-airlane-x"), Err(Bad::Unknown));
        let house = house.again();
        assert_eq!(house.who(&key), Ok("anna".to_owned()), "after a restart");
        house.tenants.revoke(&facts.id).unwrap();
        assert_eq!(house.who(&key), Err(Bad::Revoked));
        let house = house.again();
        assert_eq!(house.who(&key), Err(Bad::Revoked));
        let secret = std::fs::read(house.dir.path().join("tenants.db")).unwrap();
        assert!(
            !secret.windows(32).any(|bytes| bytes == &key.as_bytes()[key.len() - 32..]),
            "the key is not on the disk"
        );
    }

    #[test]
    fn keys_overlap_and_expire() {
        let house = House::new();
        let (facts, old) = house.tenants.create("anna", "laptop", Some(900)).unwrap();
        let (new_facts, new) = house.tenants.rotate(&facts.id, 60).unwrap();
        assert_eq!((new_facts.label.as_str(), new_facts.expires_s), ("laptop", Some(1_900)));
        assert!(house.who(&old).is_ok() && house.who(&new).is_ok());
        house.clock.0.store(1_060_000, Ordering::SeqCst);
        assert_eq!(house.who(&old), Err(Bad::Expired));
        assert!(house.who(&new).is_ok());
        assert!(house.tenants.rotate(&facts.id, 60).unwrap_err().contains("not good"));
        assert!(house.tenants.create("anna", "", Some(0)).is_err());
        house.clock.0.store(1_900_000, Ordering::SeqCst);
        assert_eq!(house.who(&new), Err(Bad::Expired));
    }

    #[test]
    fn devices_need_no_key() {
        let house = House::new();
        let kids = Tenant {
            groups: vec!["kids".to_owned()],
            devices: vec!["192.168.7.0/24".to_owned()],
            name: "kids".to_owned(),
        };
        house.tenants.set(&kids).unwrap();
        let identify = |address: &str| {
            let is_here = address == "127.0.0.1";
            house.tenants.identify("", address.parse().unwrap(), address.into(), is_here).unwrap()
        };
        let kid = identify("192.168.7.9");
        assert_eq!(
            (&*kid.tenant, &*kid.groups, kid.is_known, &*kid.device),
            ("kids", &["kids".to_owned()][..], true, "192.168.7.9")
        );
        assert!(!identify("192.168.1.9").is_known && identify("127.0.0.1").is_known);
        assert!(house.tenants.set(&Tenant { name: "a b".to_owned(), ..kids.clone() }).is_err());
        house.tenants.remove("kids").unwrap();
        assert!(!identify("192.168.7.9").is_known);
        assert!(house.tenants.remove("kids").unwrap_err().contains("no tenant"));
    }

    #[test]
    fn the_keys_of_a_tenant_that_is_removed_are_revoked_for_good() {
        let house = House::new();
        let (_, key) = house.tenants.create("anna", "", None).unwrap();
        house.tenants.remove("anna").unwrap();
        assert_eq!(house.who(&key), Err(Bad::Revoked));
        // Another of this name does not inherit them.
        house.tenants.create("anna", "", None).unwrap();
        assert_eq!(house.who(&key), Err(Bad::Revoked));
        assert_eq!(house.tenants.keys().len(), 2);
    }

    #[test]
    fn without_its_secret_no_key_is_good() {
        let house = House::new();
        let (_, key) = house.tenants.create("anna", "", None).unwrap();
        std::fs::write(house.dir.path().join("keys.secret"), [1; 32]).unwrap();
        assert_eq!(house.again().who(&key), Err(Bad::Unknown));
    }

    #[test]
    fn whoever_is_no_neighbour_is_known_by_its_address() {
        let caller = Neighbours::default().caller("198.51.100.77".parse().unwrap());
        assert_eq!((caller.mac, caller.interface), (None, None));
    }
}
