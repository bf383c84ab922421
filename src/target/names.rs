//! What devices are called.

use std::cell::Cell;
use std::collections::BTreeMap;
use std::rc::Rc;

use super::links;

/// The names of the devices of a network namespace. Cheap to clone.
#[derive(Debug, Clone, Default)]
pub struct Names(Rc<Named>);

#[derive(Debug, Default)]
struct Named {
    netns: u32,
    /// Sorted by their index.
    devices: Vec<(u32, Name)>,
    /// The bond or the like that a device is a member of, by their indexes.
    masters: BTreeMap<u32, u32>,
    /// Which of them was asked for last: mostly the next one is of the same device.
    last: Cell<usize>,
}

#[derive(Debug, Clone)]
struct Name {
    name: Rc<str>,
    /// Looks since it was there.
    missed: u32,
}

/// Devices that have gone whose names are remembered.
const GONE: usize = 1024;

impl Names {
    /// The names now, by index, in the network namespace with this inode number. A device that has gone since `before` is
    /// known by its name once more, for its last records, and then as one of those that have gone.
    pub fn new<'name>(netns: u32, devices: impl IntoIterator<Item = (u32, &'name str)>, before: &Self) -> Self {
        let mut all: BTreeMap<u32, Name> = before.0.devices.iter().cloned().collect();
        all.values_mut().for_each(|name| name.missed = name.missed.saturating_add(1));
        all.extend(devices.into_iter().map(|(ifindex, name)| (ifindex, Name { name: name.into(), missed: 0 })));
        forget(&mut all);
        let (devices, masters) = (all.into_iter().collect(), BTreeMap::new());
        Self(Rc::new(Named { netns, devices, masters, last: Cell::new(0) }))
    }

    /// … with what they are members of.
    pub(super) fn with_masters(self, masters: BTreeMap<u32, u32>) -> Self {
        let Named { netns, devices, .. } = &*self.0;
        Self(Rc::new(Named { netns: *netns, devices: devices.clone(), masters, last: Cell::new(0) }))
    }

    /// The name of the bond or the like that the device is a member of; None as for [`Names::of`], or it is of none.
    pub fn master_of(&self, netns: u32, ifindex: u32) -> Option<&str> {
        self.of(netns, *self.0.masters.get(&ifindex)?)
    }

    /// The name of the device with this index in the network namespace with this inode number. None where that is
    /// another namespace, or the device is gone.
    #[inline]
    pub fn of(&self, netns: u32, ifindex: u32) -> Option<&str> {
        self.find(netns, ifindex).filter(|name| name.missed < 2).map(|name| &*name.name)
    }

    /// The same, also of one that has gone, as far as that is remembered.
    pub fn last_of(&self, netns: u32, ifindex: u32) -> Option<&str> {
        self.find(netns, ifindex).map(|name| &*name.name)
    }

    /// The same, also of one that has come since the last look: the kernel is asked then, about this thread's network namespace.
    pub fn ask(&self, netns: u32, ifindex: u32) -> Option<String> {
        match self.last_of(netns, ifindex) {
            None if netns == self.0.netns => links::read_one(ifindex).ok().flatten().map(|link| link.name),
            known => known.map(str::to_owned),
        }
    }

    #[inline]
    fn find(&self, netns: u32, ifindex: u32) -> Option<&Name> {
        let Named { netns: own, devices, last, .. } = &*self.0;
        let (_, name) = match devices.get(last.get()).filter(|(index, _)| *index == ifindex) {
            Some(device) => device,
            None => {
                last.set(devices.binary_search_by_key(&ifindex, |(index, _)| *index).ok()?);
                devices.get(last.get())?
            }
        };
        (*own == netns).then_some(name)
    }

    /// Whether the device has gone from this network namespace, which is the one with that inode number: it was not there at two looks
    /// (one alone may overlook a device where others come and go meanwhile), or no look has seen one; and there is none now.
    pub fn has_gone(&self, netns: u32, ifindex: u32) -> bool {
        self.has_gone_if(netns, ifindex, |ifindex| matches!(links::read_one(ifindex), Ok(None)))
    }

    /// The same, where `is_none` tells whether there is no such device now.
    pub(super) fn has_gone_if(&self, netns: u32, ifindex: u32, is_none: impl Fn(u32) -> bool) -> bool {
        let is_missed = self.find(netns, ifindex).is_none_or(|name| name.missed >= 2);
        netns == self.0.netns && is_missed && is_none(ifindex)
    }
}

/// Of those that have gone, all but the last ones.
fn forget(all: &mut BTreeMap<u32, Name>) {
    let mut missed: Vec<u32> = all.values().map(|name| name.missed).filter(|missed| *missed > 0).collect();
    if missed.len() > GONE {
        missed.sort_unstable();
        all.retain(|_, name| name.missed <= missed[GONE - 1]);
    }
}
