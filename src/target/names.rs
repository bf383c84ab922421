//! What devices are called.

use std::cell::Cell;
use std::collections::BTreeMap;
use std::rc::Rc;

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
    name: String,
    is_gone: bool,
}

impl Names {
    /// The names now, by index, in the network namespace with this inode number. A device that has gone since `before` is
    /// known by its name once more, for its last records.
    pub fn new<'name>(netns: u32, devices: impl IntoIterator<Item = (u32, &'name str)>, before: &Self) -> Self {
        let gone = before.0.devices.iter().filter(|(_, name)| !name.is_gone);
        let gone = gone.map(|(ifindex, name)| (*ifindex, Name { is_gone: true, ..name.clone() }));
        let here = devices.into_iter();
        let here = here.map(|(ifindex, name)| (ifindex, Name { name: name.to_owned(), is_gone: false }));
        let all: BTreeMap<u32, Name> = gone.chain(here).collect();
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
        let Named { netns: own, devices, last, .. } = &*self.0;
        let (_, name) = match devices.get(last.get()).filter(|(index, _)| *index == ifindex) {
            Some(device) => device,
            None => {
                last.set(devices.binary_search_by_key(&ifindex, |(index, _)| *index).ok()?);
                devices.get(last.get())?
            }
        };
        (*own == netns).then_some(name.name.as_str())
    }
}
