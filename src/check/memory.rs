//! How much memory a run locks.

use super::{Answer, Finding};
use crate::kernel;
use crate::probe::Memory;
use crate::reader;

/// What a run with the default options locks, at most: what it has when it listens is all that it ever has, but for further
/// programs. `held`: what the kernel held for the probes of a program of our own.
pub(super) fn judge(held: Option<Memory>) -> Finding {
    const WHAT: &str = "memory";
    let cpus = kernel::online_cpus();
    let ring = match reader::ring_bytes(None, false, kernel::available_kib(), cpus) {
        Ok(bytes) => bytes as u64,
        // Without -B it has no reason to.
        Err(error) => return Finding::by_the_way(WHAT, Answer::Unknown, error.to_string()),
    };
    // perf_mmap (kernel/events/core.c): a page in front of each tells how far it has been read.
    let rings = cpus * (ring + reader::page_size() as u64);
    let each = format!("{} for each of {cpus} CPUs online", amount(ring));
    let Some(Memory { shared, each: program }) = held else {
        let words = format!("rings of {each}; BPF maps, which can't be loaded here, for the reasons above");
        return Finding::by_the_way(WHAT, Answer::Unknown, words).with([("ring_bytes", rings)]);
    };
    let all = rings + shared + program;
    let words = format!(
        "a run with the default options locks {} at most: rings of {each} (-B), {} of BPF maps, and {} for each program that it traces",
        amount(all),
        amount(shared),
        amount(program),
    );
    let numbers = [("bytes", all), ("ring_bytes", rings), ("map_bytes", shared), ("program_bytes", program)];
    Finding::by_the_way(WHAT, Answer::Yes, words).with(numbers)
}

/// `65.1 MiB`, never less than it is.
fn amount(bytes: u64) -> String {
    const KIB: u64 = 1 << 10;
    const MIB: u64 = 1 << 20;
    match bytes {
        ..MIB => format!("{} KiB", bytes.div_ceil(KIB)),
        _ if bytes % MIB == 0 => format!("{} MiB", bytes / MIB),
        _ => {
            let tenths = (10 * bytes).div_ceil(MIB);
            format!("{}.{} MiB", tenths / 10, tenths % 10)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_amount_is_never_less_than_it_is() {
        let table = [
            (0, "0 KiB"),
            (1, "1 KiB"),
            (4096, "4 KiB"),
            (1 << 25, "32 MiB"),
            ((1 << 25) + 1, "32.1 MiB"),
            ((1 << 20) - 1, "1024 KiB"),
        ];
        for (bytes, words) in table {
            assert_eq!(amount(bytes), words);
        }
    }
}
