//! Where the kernel runs a program, and as a part of which one.

use super::maps::Way;
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

/// Id of the program that the kernel runs, and whose verdict it follows: that at `node` of `tree`, or one that calls it.
pub(super) fn root(tree: &Tree, node: &Node) -> u32 {
    let is_called = |node: &Node| match &node.role {
        Role::Component { .. } => true,
        Role::Map(entry) => entry.way == Way::TailCall,
        Role::Device(_) | Role::Loaded => false,
    };
    let ways = way_to(tree, node);
    ways.iter().rev().find(|node| !is_called(node)).map_or(node.program.id, |root| root.program.id)
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
