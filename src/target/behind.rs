//! What hands packets on to a program.

use super::maps::Way;
use super::obstacle::Obstacle;
use super::place;
use super::tree::{Node, Role, Tree};
use crate::numbers::Behind;

/// What hands packets on to the program at `node` of `tree`, or to a function within it; None: it is the device's own, or
/// stands in its place, or that isn't known.
pub fn behind(tree: &Tree, node: &Node, is_entry: bool) -> Option<Behind> {
    if !is_entry {
        return Some(Behind { program_id: node.program.id, role: "function".into() });
    }
    let role = role(&node.role)?;
    let [.., other, _] = place::way_to(tree, node)[..] else { return None };
    let is_held = matches!(other.obstacle, Some(Obstacle::Held { by, .. }) if by == node.program.id);
    (!is_held).then(|| Behind { program_id: other.program.id, role })
}

fn role(role: &Role) -> Option<String> {
    match role {
        Role::Component { position: Some(position), .. } => Some(format!("component {position}")),
        Role::Component { position: None, .. } => Some("component ?".into()),
        Role::Map(entry) => Some(way(entry.way).into()),
        Role::Device(_) | Role::Loaded => None,
    }
}

fn way(way: Way) -> &'static str {
    match way {
        Way::TailCall => "tail call",
        Way::Devmap => "devmap",
        Way::Cpumap => "cpumap",
    }
}
