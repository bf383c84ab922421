//! Names are those that tcpdump 4.99.3 gives, as `tcpdump -r FILE -w x… -C … -W …` shows.

#![allow(clippy::unwrap_used)]
use super::*;

const NOON: u64 = 1_700_000_000;

fn rotation(bytes: Option<u64>, seconds: Option<u64>, count: Option<u32>) -> Rotation {
    Rotation { bytes, seconds, count }
}

/// The names of the files that begin for their size.
fn names(pattern: &str, rotation: Rotation, files: usize) -> Vec<String> {
    let numbers = std::iter::successors(Some(0), |number| Some(rotation.next_number(*number)));
    let name = |number| name(Path::new(pattern), &rotation, number, NOON).to_str().unwrap().to_owned();
    numbers.take(files).map(name).collect()
}

#[test]
fn names_are_tcpdumps() {
    let size = Some(1_000_000);
    assert_eq!(names("x_%H", rotation(size, None, None), 3), ["x_%H", "x_%H1", "x_%H2"]);
    assert_eq!(names("x", rotation(size, None, Some(3)), 5), ["x0", "x1", "x2", "x0", "x1"]);
    assert_eq!(names("x", rotation(size, None, Some(10)), 2), ["x0", "x1"]);
    assert_eq!(names("x", rotation(size, None, Some(12)), 2), ["x00", "x01"]);
    assert_eq!(names("x", rotation(size, None, Some(1)), 2), ["x", "x"]);
    assert_eq!(names("x_%s", rotation(None, Some(60), Some(2)), 1), ["x_1700000000"]);
    assert_eq!(names("x_%s", rotation(size, Some(60), None), 2), ["x_1700000000", "x_17000000001"]);
    assert_eq!(
        names("x_%s", rotation(size, Some(60), Some(3)), 4),
        ["x_17000000000", "x_17000000001", "x_17000000002", "x_17000000000"]
    );
    assert_eq!(names("x", rotation(None, None, None), 1), ["x"]);
}

#[test]
fn time_is_over_after_so_many_seconds_and_the_run_after_so_many_files() {
    let due = |rotation, times, now| {
        let (file, plan) = (File::open("/dev/null").unwrap(), plan(rotation));
        let outlet = Outlet::new(file.as_fd()).unwrap();
        let mut files = Files::new(&outlet, &plan);
        (files.is_open, files.began, files.times) = (true, NOON, times);
        files.due(now)
    };
    let minute = rotation(None, Some(60), None);
    // A clock that was set back makes no file older.
    assert_eq!([0, NOON, NOON + 59, NOON + 60].map(|now| due(minute, 0, now)), [Due::No, Due::No, Due::No, Due::Next]);
    let two = rotation(None, Some(60), Some(2));
    assert_eq!([0, 1].map(|times| due(two, times, NOON + 61)), [Due::Next, Due::Over]);
    // tcpdump's -W counts those of a size then, and no run ends.
    assert_eq!(due(rotation(Some(1), Some(60), Some(2)), 1, NOON + 61), Due::Next);
    assert_eq!(due(rotation(Some(1), None, Some(1)), 5, NOON + 61), Due::No);
}

fn plan(rotation: Rotation) -> Capture {
    let format = crate::plan::Format::Pcapng;
    Capture { path: "-".into(), format, rotation, packet_buffered: false, reopens: false, prints: false }
}

#[test]
fn a_fifo_is_waited_for_until_somebody_reads_it_or_we_are_to_stop() {
    let path = std::env::temp_dir().join(format!("xdptrace-{}-fifo", std::process::id()));
    nix::unistd::mkfifo(&path, nix::sys::stat::Mode::S_IRWXU).unwrap();
    let plan = Capture { path: path.clone(), ..plan(rotation(None, None, None)) };
    let signals = Signals::default();
    let outlet = std::thread::scope(|scope| {
        let reader = scope.spawn(|| {
            sleep(FIFO_EVERY / 2);
            File::open(&path).unwrap()
        });
        (open(&plan, &signals).unwrap(), reader.join().unwrap())
    });
    assert!(outlet.0.file().is_some() && !outlet.0.is_file());
    drop(outlet);
    let stopped = std::thread::scope(|scope| {
        scope.spawn(|| {
            sleep(FIFO_EVERY / 2);
            signals.ask_to_stop();
        });
        open(&plan, &signals).err().map(|error| format!("{error:#}"))
    });
    std::fs::remove_file(&path).unwrap();
    assert_eq!(stopped.unwrap(), format!("cannot write {}: nobody reads this FIFO", path.display()));
}
