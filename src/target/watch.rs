//! The NICs and programs that were asked for, looked at again and again.
//!
//! rtnetlink tells of programs attached by netlink at once. It says nothing when a BPF link is made, updated or closed,
//! so that every NIC is asked ten times a second; and nothing tells when a map's entries or a dispatcher's components
//! change, so that everything is read about once a second.

use std::collections::{HashMap, HashSet};
use std::os::fd::{AsFd, BorrowedFd};
use std::path::PathBuf;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use nix::time::{ClockId, clock_gettime};

use super::device::{self, Device, is_called};
use super::dispatcher;
use super::guards::Guards;
use super::links::{self, Changes, Link, Mode, Word};
use super::names::Names;
use super::object::{self, Kind};
use super::program::Program;
use super::remaining::Remaining;
use super::select::{Refused, Selection, select};
use super::tree::{Depth, Known, Survey, Tree};
use crate::failure::Failure;
use crate::kernel;
use crate::plan::{Devices, Narrowing, Scope, Selector};

/// How long a change may go unnoticed where nothing tells of it.
const LOOK_EVERY: Duration = Duration::from_millis(100);
/// The shortest time between two looks: where many devices come and go, word of that never ceases.
const LOOK_AT_MOST_EVERY: Duration = Duration::from_millis(10);
/// How long a change deeper in the trees may go unnoticed.
const READ_EVERY: Duration = Duration::from_secs(1);
/// Looking and reading may take long where there are many devices, programs and maps: each is to take 5 % of a processor at
/// most.
const REST_FACTOR: u32 = 20;

/// What was seen at one look.
#[derive(Debug, Clone, Default)]
pub struct View {
    /// The devices asked for that there are; for `any` those that have a program.
    pub devices: Vec<Device>,
    /// The devices asked for that there are not, and why nothing is traced on them.
    pub missing: Vec<Refused>,
    /// The programs on their paths.
    pub trees: Vec<Tree>,
    /// What is to be traced.
    pub selection: Selection,
    /// Since when the devices' own programs may have been what they are now; None at the first look.
    pub changed_after: Option<Instant>,
    /// The same of programs behind those.
    pub changed_behind_after: Option<Instant>,
}

/// Looks at what was asked for.
#[derive(Debug)]
pub struct Watch<'plan> {
    scope: &'plan Scope,
    guards: Guards,
    depth: Depth,
    netns: u32,
    changes: Changes,
    /// The index that each asked name stood for last: a device that is renamed is still the same.
    indexes: HashMap<&'plan str, u32>,
    names: Names,
    /// What was read before.
    known: Known,
    /// Ids of programs that have been on some device's path.
    on_path: HashSet<u32>,
    seen: Option<Seen>,
    /// Whether there has been word of a change that is still to be looked at.
    is_told: bool,
    /// Nothing but what is left of these is looked for.
    remaining: Option<Remaining>,
}

/// The last look.
#[derive(Debug)]
struct Seen {
    /// What changes with every device or program that comes or goes.
    signature: Vec<Signature>,
    looked: Instant,
    /// How much of a processor the last look took, and the last reading.
    look_took: Duration,
    read: Instant,
    read_took: Duration,
}

impl Seen {
    fn is_read_due(&self, now: Instant) -> bool {
        now - self.read >= READ_EVERY.max(self.read_took * REST_FACTOR)
    }
}

type Signature = (u32, String, Vec<u32>, Vec<(Mode, u32)>);

impl<'plan> Watch<'plan> {
    /// Prepares to look at `scope` in this thread's network namespace.
    ///
    /// # Errors
    /// No socket.
    pub fn new(scope: &'plan Scope, guards: Guards, depth: Depth) -> Result<Self> {
        // Whether there is a first probe on a program already, only links tell.
        let depth = if guards.second_probe.is_some() { Depth::Everything } else { depth };
        Ok(Self {
            scope,
            guards,
            depth,
            netns: device::own_netns()?,
            changes: Changes::listen().context("failed to listen for changes of network devices")?,
            indexes: HashMap::new(),
            names: Names::default(),
            known: Known::default(),
            on_path: HashSet::new(),
            seen: None,
            is_told: false,
            remaining: None,
        })
    }

    /// Looks for nothing from now on but what is left of the targets in `view`, and opens no program any more.
    pub fn keep_to(&mut self, view: &View) {
        self.remaining = Some(Remaining::of(view));
    }

    /// Pins, and folders of pins, by which programs are found.
    pub fn pins(&self) -> Vec<PathBuf> {
        let named = self.scope.narrowing.iter().filter_map(|one| match &one.program {
            Selector::Pin(path) => Some(path.clone()),
            _ => None,
        });
        named.chain(dispatcher::folders_of_pins()).collect()
    }

    /// Looks if it is time to; what there is to see if that may have changed.
    ///
    /// # Errors
    /// The kernel refuses to tell, which may pass; or the network namespace that was named is gone, as a missing target.
    pub fn look(&mut self) -> Result<Option<View>> {
        let now = Instant::now();
        let word = self.changes.take();
        self.forget_deleted(&word);
        let told = word.any;
        if let Some(seen) = &self.seen {
            let pause = if told || self.is_told { LOOK_AT_MOST_EVERY } else { LOOK_EVERY };
            if now - seen.looked < pause.max(seen.look_took * REST_FACTOR) {
                self.is_told |= told;
                return Ok(None);
            }
        }
        let netns = self.scope.netns.as_deref();
        if let Some(gone) = netns.filter(|name| !device::is_netns(name, self.netns)) {
            // This process is in it, and holds its devices: it must not outlive its name.
            return Err(Failure::no_target(format!("network namespace {} is gone", gone.escape_default())));
        }
        let began = cpu_time();
        if !self.must_look_around(told, now)? {
            if let Some(seen) = &mut self.seen {
                (seen.looked, seen.look_took) = (now, cpu_time().saturating_sub(began));
            }
            return Ok(None);
        }
        self.is_told = false;
        let links = links::read().context("failed to read the network devices")?;
        let look_took = cpu_time().saturating_sub(began);
        let devices = self.devices(&links);
        let signature = devices.iter().map(|(device, link)| signature(device, link)).collect();
        let names = links.iter().map(|link| (link.ifindex, link.name.as_str()));
        let masters = links.iter().filter_map(|link| Some((link.ifindex, link.master?)));
        self.names = Names::new(self.netns, names, &self.names).with_masters(masters.collect());
        let changed_after = match &mut self.seen {
            None => None,
            Some(seen) if seen.signature != signature || seen.is_read_due(now) => Some((seen.looked, seen.read)),
            Some(seen) => {
                (seen.looked, seen.look_took) = (now, look_took);
                return Ok(None);
            }
        };
        let mut view = self.read(&devices, &links)?;
        (view.changed_after, view.changed_behind_after) = changed_after.unzip();
        self.seen =
            Some(Seen { signature, looked: now, look_took, read: now, read_took: cpu_time().saturating_sub(began) });
        Ok(Some(view))
    }

    /// Whether to ask for all devices: a machine may have thousands. Where devices were named, only what nothing tells of
    /// can have happened without word of a change, and that is another program on one of them.
    fn must_look_around(&self, told: bool, now: Instant) -> Result<bool> {
        let (Some(seen), Devices::Named(_)) = (&self.seen, &self.scope.devices) else {
            return Ok(true);
        };
        if told || self.is_told || seen.is_read_due(now) {
            return Ok(true);
        }
        for (ifindex, _, _, programs) in &seen.signature {
            let link = links::read_one(*ifindex).context("failed to read a network device")?;
            if link.is_none_or(|link| link.programs != *programs) {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// Says which programs are the tracer's own.
    pub fn set_own(&mut self, programs: HashSet<u32>) {
        self.guards.own = programs;
    }

    /// The names of all devices of this network namespace, as of the last look.
    pub fn names(&self) -> Names {
        self.names.clone()
    }

    /// The network namespace that is looked at, by its inode number.
    pub fn netns(&self) -> u32 {
        self.netns
    }

    /// The devices that were asked for, each once.
    fn devices<'links>(&mut self, links: &'links [Link]) -> Vec<(Device, &'links Link)> {
        let chosen: Vec<&Link> = match &self.scope.devices {
            Devices::Unnamed | Devices::Any => links.iter().filter(|link| !link.programs.is_empty()).collect(),
            Devices::Named(names) => {
                let mut once = HashSet::new();
                let found = names.iter().filter_map(|name| self.find(name, links));
                found.filter(|link| once.insert(link.ifindex)).collect()
            }
        };
        chosen.into_iter().map(|link| (Device::new(link, links, self.netns), link)).collect()
    }

    /// A device that is renamed is still the same; one that has the index of another that was deleted isn't.
    fn find<'links>(&mut self, name: &'plan str, links: &'links [Link]) -> Option<&'links Link> {
        let known = self.indexes.remove(name);
        let same = known.and_then(|ifindex| links.iter().find(|link| link.ifindex == ifindex));
        let link = same.or_else(|| links.iter().find(|link| is_called(link, name)))?;
        self.indexes.insert(name, link.ifindex);
        Some(link)
    }

    fn forget_deleted(&mut self, word: &Word) {
        self.indexes.retain(|_, ifindex| !word.lost && !word.deleted.contains(ifindex));
    }

    fn read(&mut self, devices: &[(Device, &Link)], links: &[Link]) -> Result<View> {
        let missing = self.missing(devices, links);
        if let Some(remaining) = &self.remaining {
            let targets = remaining.targets(devices.iter().map(|(device, link)| (device, *link)));
            let selection = Selection { targets, ..Selection::default() };
            let devices = devices.iter().map(|(device, _)| device.clone()).collect();
            return Ok(View { devices, missing, selection, ..View::default() });
        }
        let mut survey = Survey::new(std::mem::take(&mut self.known), self.depth);
        let mut trees = survey.trees(devices.iter().map(|(device, link)| (device, *link)))?;
        let mut selection = select(&trees, &self.scope.narrowing, &self.guards);
        if self.scope.devices == Devices::Unnamed {
            // What is gone needn't be remembered.
            self.on_path.retain(|id| object::open(Kind::Program, *id).is_ok());
            self.on_path.extend(trees.iter().flat_map(Tree::nodes).map(|node| node.program.id));
            let tree = self.read_elsewhere(&mut survey, &mut selection)?;
            trees.extend(tree);
        }
        self.known = survey.into_known();
        // That a device has no program at all is said already.
        if missing.is_empty() || trees.iter().any(|tree| !tree.programs.is_empty()) {
            selection.refuse_missing(&trees);
        }
        Ok(View {
            devices: devices.iter().map(|(device, _)| device.clone()).collect(),
            missing,
            trees,
            selection,
            changed_after: None,
            changed_behind_after: None,
        })
    }

    /// A program that was named without a device is traced wherever it runs: in another network namespace, say. Not one
    /// that was on a device's path here and no longer is: the tracer alone may hold it. Nor a dispatcher that libxdp may
    /// still be putting together: it could not give it components any more.
    fn read_elsewhere(&self, survey: &mut Survey, selection: &mut Selection) -> Result<Option<Tree>> {
        let missing = |one: &&Narrowing| one.program != Selector::All && selection.missing.contains(one);
        let missing: Vec<_> = self.scope.narrowing.iter().filter(missing).cloned().collect();
        if missing.is_empty() {
            return Ok(None);
        }
        let mut tree = survey.loaded()?;
        tree.programs.retain(|node| !self.on_path.contains(&node.program.id) && !is_being_made(&node.program));
        selection.missing.retain(|one| !missing.contains(one));
        selection.extend(select(std::slice::from_ref(&tree), &missing, &self.guards));
        Ok(Some(tree))
    }

    fn missing(&self, devices: &[(Device, &Link)], links: &[Link]) -> Vec<Refused> {
        let Devices::Named(names) = &self.scope.devices else {
            return Vec::new();
        };
        let absent = names.iter().filter(|name| {
            let known = self.indexes.get(name.as_str());
            !devices.iter().any(|(device, _)| known == Some(&device.ifindex))
        });
        let absent = absent.map(|name| Refused {
            what: String::new(),
            why: device::missing(name, self.seen.is_none()),
            remedy: None,
        });
        let without = devices.iter().filter(|(_, link)| link.programs.is_empty()).map(|(device, link)| {
            let why = format!("no XDP program on {device}");
            match master_with_program(link, links) {
                None => Refused {
                    what: String::new(),
                    why,
                    remedy: Some("--wait waits for one, --passthrough attaches one"),
                },
                Some(master) => {
                    let master = master.name.escape_default();
                    let why = format!("{why}, but on {master}, which it is a member of: name that by -i {master}");
                    Refused { what: String::new(), why, remedy: None }
                }
            }
        });
        absent.chain(without).collect()
    }
}

impl AsFd for Watch<'_> {
    /// Readable when there is word of a change.
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.changes.as_fd()
    }
}

fn master_with_program<'links>(link: &Link, links: &'links [Link]) -> Option<&'links Link> {
    links.iter().find(|master| Some(master.ifindex) == link.master && !master.programs.is_empty())
}

/// What this thread has had of a processor: waiting for the kernel's lock of network devices is no burden to others.
fn cpu_time() -> Duration {
    clock_gettime(ClockId::CLOCK_THREAD_CPUTIME_ID).map_or(Duration::ZERO, Duration::from)
}

/// Whether `program` is a dispatcher that was loaded just now.
fn is_being_made(program: &Program) -> bool {
    const MAKING: Duration = Duration::from_secs(2);
    dispatcher::is_one(program) && kernel::since_boot().saturating_sub(Duration::from_nanos(program.loaded_ns)) < MAKING
}

fn signature(device: &Device, link: &Link) -> Signature {
    (device.ifindex, device.name.clone(), device.members.clone(), link.programs.clone())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_device_that_has_gone_is_known_by_its_name_once_more() {
        let first = Names::new(7, [(3, "eth1"), (2, "eth0"), (90, "veth0")], &Names::default());
        for _ in 0..2 {
            let of = [2, 3, 90, 90, 4, 2].map(|ifindex| first.of(7, ifindex));
            assert_eq!(of, [Some("eth0"), Some("eth1"), Some("veth0"), Some("veth0"), None, Some("eth0")]);
        }
        assert_eq!(first.of(8, 2), None);
        let second = Names::new(7, [(2, "lan0")], &first);
        assert_eq!([2, 3, 4].map(|ifindex| second.of(7, ifindex)), [Some("lan0"), Some("eth1"), None]);
        let third = Names::new(7, [], &second);
        assert_eq!([2, 3].map(|ifindex| third.of(7, ifindex)), [Some("lan0"), None]);
        let gone = |names: &Names| [3, 90, 2].map(|ifindex| names.has_gone_if(7, ifindex, |_| true));
        assert_eq!([gone(&first), gone(&second)], [[false; 3]; 2]);
        assert_eq!((gone(&third), third.has_gone_if(8, 3, |_| true)), ([true, true, false], false));
        // It is back.
        assert!(!third.has_gone_if(7, 3, |ifindex| ifindex != 3));
        assert_eq!(
            [(7, 3), (7, 2), (8, 3)].map(|(netns, ifindex)| third.last_of(netns, ifindex)),
            [Some("eth1"), Some("lan0"), None]
        );
        // Another one has got the index of one that has gone.
        let fourth = Names::new(7, [(3, "eth2")], &third);
        assert_eq!((fourth.of(7, 3), gone(&fourth)), (Some("eth2"), [false, true, true]));
    }

    #[test]
    fn no_more_names_are_remembered_than_many() {
        let mut names = Names::default();
        for ifindex in 1..=1100 {
            names = Names::new(7, [(ifindex, "veth0")], &names);
        }
        assert_eq!([75, 76, 1100].map(|ifindex| names.last_of(7, ifindex)), [None, Some("veth0"), Some("veth0")]);
    }
}
