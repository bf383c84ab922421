//! Where the kernel runs a program, and as a part of which one.

use super::maps::Way;
use super::obstacle::Obstacle;
use super::tree::{Node, Role, Tree};

/// Where the kernel runs a program, which decides what is known of its packets.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash)]
pub enum Place {
    /// Where packets arrive, as far as is known.
    #[default]
    Device,
    /// Where they were redirected to a device, which is the one that they leave by.
    Devmap,
    /// Where they were redirected to another CPU.
    Cpumap,
}

impl Place {
    /// Where the kernel runs the program at `node` of `tree`, also as what such a program calls.
    pub(super) fn of(tree: &Tree, node: &Node) -> Self {
        let ways = way_to(tree, node);
        let places = ways.iter().rev().find_map(|node| match &node.role {
            Role::Map(entry) if entry.way == Way::Devmap => Some(Self::Devmap),
            Role::Map(entry) if entry.way == Way::Cpumap => Some(Self::Cpumap),
            _ => None,
        });
        places.unwrap_or_default()
    }
}

/// Id of the program that the kernel runs, and each of whose runs is one of the program at `node` of `tree`: that one itself, or a
/// dispatcher whose place its only component has taken. None: another program calls it, of some packets only.
pub(super) fn root(tree: &Tree, node: &Node) -> Option<u32> {
    match (&node.role, &way_to(tree, node)[..]) {
        (Role::Component { .. }, [.., dispatcher, _]) => {
            let is_replaced = matches!(dispatcher.obstacle, Some(Obstacle::Held { .. }));
            (is_replaced && dispatcher.children.len() == 1).then_some(dispatcher.program.id)
        }
        (Role::Component { .. }, _) => None,
        (Role::Map(entry), _) if entry.way == Way::TailCall => None,
        _ => Some(node.program.id),
    }
}

/// The nodes from the device's own program to `wanted`, both included.
pub(super) fn way_to<'tree>(tree: &'tree Tree, wanted: &Node) -> Vec<&'tree Node> {
    fn search<'tree>(nodes: &'tree [Node], wanted: &Node, way: &mut Vec<&'tree Node>) -> bool {
        nodes.iter().any(|node| {
            way.push(node);
            let is_here = std::ptr::eq(node, wanted) || search(&node.children, wanted, way);
            if !is_here {
                way.pop();
            }
            is_here
        })
    }
    let mut way = Vec::new();
    search(&tree.programs, wanted, &mut way);
    way
}
