//! Gives back the cells of devices that have gone.

use anyhow::Result;

use super::Traced;
use crate::bpf::Cell;
use crate::{numbers, probe};

/// Gives back each target's cells of devices that have gone, and takes them out of `cells`, which were read just now; what they held.
///
/// # Errors
/// The kernel doesn't let the counters be mapped.
pub fn free(
    traced: &mut [Traced],
    cells: &mut [&mut Vec<Cell>],
    is_gone: impl Fn(u32, u32) -> bool,
) -> Result<Vec<Vec<Cell>>> {
    let of_gone = |(_, cell): &(usize, &Cell)| cell.is_used != 0 && is_gone(cell.netns, cell.ifindex);
    let places = |cells: &[Cell]| cells.iter().enumerate().filter(of_gone).map(|(place, _)| place).collect();
    let targets: Vec<_> = traced.iter().zip(cells.iter()).map(|(one, cells)| (&one.probe, places(cells))).collect();
    let freed = probe::free(&targets)?;
    let places: Vec<Vec<usize>> = targets.into_iter().map(|(_, places)| places).collect();
    for (((one, cells), places), freed) in traced.iter_mut().zip(cells).zip(places).zip(&freed) {
        places.into_iter().for_each(|place| cells[place] = Cell::default());
        one.freed += numbers::tallied(freed);
    }
    Ok(freed)
}
