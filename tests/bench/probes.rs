//! Probes without a tracer around them: `bench attach PROGRAM...`, `bench article` and `bench bare`, each in a process of its own, so
//! that the benchmark starts, awaits and ends them like any tracer.

use std::io::{Write, stdout};
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use libbpf_rs::query::ProgInfoIter;
use libbpf_rs::{Link, MapCore, Object, ObjectBuilder, PerfBufferBuilder, Program, XdpFlags};

use xdptrace::plan::Tracing;
use xdptrace::probe::{Aim, Loaded, Maps, Wanted};
use xdptrace::reader::{Reader, ring_bytes};
use xdptrace::target::{Function, Place, own_netns};

use crate::nic;

/// Objects with probes.
const OBJECTS: [&str; 3] = [
    concat!(env!("OUT_DIR"), "/bench_floor.bpf.o"),
    concat!(env!("OUT_DIR"), "/bench_session.bpf.o"),
    concat!(env!("OUT_DIR"), "/bench_minimal.bpf.o"),
];
/// Bytes of a ring that holds all of a round.
const RING: usize = 4 << 20;
const ARTICLE: &str = concat!(env!("OUT_DIR"), "/bench_article.bpf.o");

/// Attaches the programs named, which may be in any one of the objects, and waits for SIGINT.
pub fn attach(names: &[&str]) -> Result<()> {
    let stop = stop_flag()?;
    let object = OBJECTS.iter().find_map(|path| {
        let object = ObjectBuilder::default().open_file(path).ok()?;
        names.iter().all(|name| object.progs().any(|program| program.name() == *name)).then_some(*path)
    });
    let (object, _links) = load(object.context("no object has these programs")?, names)?;
    // Records go the way of the tracer's own, and no further.
    let events = object.maps().find(|map| map.name() == "events");
    let reader = events.map(|events| Reader::new(&events, RING, |_| true)).transpose()?;
    eprintln!("Listening events...");
    while !stop.load(Ordering::Relaxed) {
        thread::sleep(Duration::from_millis(50));
        reader.as_ref().map(Reader::drain).transpose()?;
    }
    Ok(())
}

/// The article's demo: an event a probe, a line an event.
pub fn article() -> Result<()> {
    let stop = stop_flag()?;
    let (object, _links) = load(ARTICLE, &["fentry_xdp", "fexit_xdp"])?;
    let events = object.maps().find(|map| map.name() == "events").context("no map 'events'")?;
    let (mut traced, mut lost) = (0, 0);
    let on_sample = |_, sample: &[u8]| {
        traced += 1;
        let _ = writeln!(stdout(), "Tracing packet: {:?} -> {:?} {:?}", &sample[..4], &sample[4..8], &sample[8..10]);
    };
    let buffer = PerfBufferBuilder::new(&events).sample_cb(on_sample).lost_cb(|_, count| lost += count).build()?;
    eprintln!("Listening events...");
    while !stop.load(Ordering::Relaxed) {
        // Interrupted by the signal, which the flag then tells.
        let _ = buffer.poll(Duration::from_millis(100));
    }
    buffer.consume()?;
    drop(buffer);
    eprintln!("{traced} traced + {lost} lost");
    Ok(())
}

/// What the tracer loads and attaches with its default options, and its rings, and nothing else of it: what its start is
/// measured by.
pub fn bare() -> Result<()> {
    let stop = stop_flag()?;
    let (target, name) = target()?;
    let plan = Tracing::default();
    let maps = Maps::create(&plan)?;
    let reader = Reader::new(maps.events(), ring_bytes(None, false, None, 1)?, |_| true)?;
    let aim = Aim {
        number: 0,
        function: Function { name, context: Some(0), typed: true, parameters: 1, returns: true, ..Function::default() },
        place: Place::Device,
        probes: plan.selection.shown,
        devices: Wanted::One { netns: own_netns()?, ifindex: nic::ifindex()? },
        selection: &plan.selection,
        counting: None,
        root: Some(0),
        filter: None,
        can_read: true,
        shown: "the NIC's program".into(),
    };
    let probe = Loaded::new(&aim, target.as_fd(), &maps)?.attach()?;
    probe.begin()?;
    eprintln!("Listening events...");
    while !stop.load(Ordering::Relaxed) {
        thread::sleep(Duration::from_millis(50));
        reader.drain()?;
    }
    Ok(())
}

fn stop_flag() -> Result<Arc<AtomicBool>> {
    let stop = Arc::new(AtomicBool::new(false));
    let flag = Arc::clone(&stop);
    ctrlc::set_handler(move || flag.store(true, Ordering::Relaxed))?;
    Ok(stop)
}

/// Loads and attaches programs of an object to the NIC's program, in this order.
fn load(path: &str, names: &[&str]) -> Result<(Object, Vec<Link>)> {
    let (target, function) = target()?;
    let mut open = ObjectBuilder::default().open_file(path)?;
    for mut program in open.progs_mut() {
        let wanted = names.iter().any(|name| program.name() == *name);
        program.set_autoload(wanted);
        if wanted {
            program.set_attach_target(target.as_raw_fd(), Some(function.clone()))?;
        }
    }
    let object = open.load().context("failed to load the probes")?;
    let mut links = Vec::new();
    for name in names {
        let program = object.progs_mut().find(|program| program.name() == *name).context("no such probe")?;
        links.push(program.attach_trace().with_context(|| format!("failed to attach {name}"))?);
    }
    Ok((object, links))
}

/// The NIC's program and the name of its function.
fn target() -> Result<(OwnedFd, String)> {
    // Any descriptor will do for a query.
    let stdin = std::io::stdin();
    let xdp = libbpf_rs::Xdp::new(stdin.as_fd());
    let id = xdp.query_id(nic::ifindex()? as i32, XdpFlags::DRV_MODE)?;
    ensure!(id != 0, "no XDP program on the NIC");
    let info = ProgInfoIter::default().find(|program| program.id == id).context("the program is gone")?;
    // Names of no more than 15 characters, which the kernel keeps whole.
    Ok((Program::fd_from_id(id)?, info.name.to_string_lossy().into_owned()))
}
