//! How large the rings are.

use anyhow::Result;

use crate::failure::Failure;

/// KiB in all where nothing was asked for.
const DEFAULT: u64 = 65_536;
/// KiB a CPU, at least.
const LEAST: u64 = 64;
/// The rings may take one part in this of the memory that is available.
const SHARE: u64 = 20;

/// Bytes of one CPU's ring, a power of two, for `asked` KiB in all, on a machine with `cpus` CPUs online and `available`
/// KiB of memory free, where that is known.
///
/// # Errors
/// That is more than 5 % of the available memory, and not `forced`; or more than a ring can be.
pub fn ring_bytes(asked: Option<u64>, forced: bool, available: Option<u64>, cpus: u64) -> Result<usize> {
    let share = available.map_or(u64::MAX, |available| available / SHARE);
    if let Some(asked) = asked.filter(|asked| *asked > share && !forced) {
        return Err(Failure::usage(format!(
            "-B {asked} KiB is more than 5 % of the available memory ({} KiB): ask for {share} at most, or use --force",
            available.unwrap_or_default()
        )));
    }
    let each = (asked.unwrap_or(DEFAULT.min(share)) / cpus.max(1)).max(LEAST);
    // libbpf counts pages by size_t, and the kernel by int.
    let bytes = previous_power_of_two(each).checked_mul(1024).filter(|bytes| *bytes <= 1 << 40);
    bytes.and_then(|bytes| usize::try_from(bytes).ok()).ok_or_else(|| {
        Failure::usage(format!("-B {} KiB is more than rings can be: ask for less", asked.unwrap_or_default()))
    })
}

fn previous_power_of_two(number: u64) -> u64 {
    1 << number.max(1).ilog2()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn rings_are_powers_of_two_within_bounds() {
        const GIB: Option<u64> = Some(1 << 20);
        let table = [
            // asked, forced, available, CPUs → KiB of each
            (None, false, Some(1 << 25), 2, 32_768),
            (None, false, Some(1 << 25), 3, 16_384),
            (None, false, Some(1 << 25), 4096, 64),
            (None, false, GIB, 1, 32_768),
            (None, false, None, 1, 65_536),
            (Some(1), false, GIB, 1, 64),
            (Some(1000), false, GIB, 2, 256),
            (Some(1 << 20), true, GIB, 1, 1 << 20),
        ];
        for (asked, forced, available, cpus, kib) in table {
            let bytes = ring_bytes(asked, forced, available, cpus).unwrap();
            assert_eq!(bytes as u64, kib * 1024, "{asked:?} {available:?} {cpus}");
        }
    }

    #[test]
    fn too_much_is_refused_with_what_is_not() {
        let error = ring_bytes(Some(60_000), false, Some(1 << 20), 2).unwrap_err().to_string();
        assert!(error.contains("ask for 52428 at most"), "{error}");
        assert!(ring_bytes(Some(u64::MAX), true, None, 1).is_err());
    }
}
