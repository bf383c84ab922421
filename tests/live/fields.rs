//! What the traced program reads through xdp_md is what fentry and fexit read from xdp_buff.

use serde_json::Value;
use xdptrace::event::Event;

use crate::first_event::first_event;
use crate::lab::{Nic, TARGETS, json};

/// The fields of one event, in the order of `struct view` in tests/progs/targets.bpf.c.
type View = [u64; 6];

fn view(event: &Event<'_>) -> View {
    let (before, after) = (event.before.unwrap(), event.after.unwrap());
    [
        event.device.unwrap().ifindex.into(),
        event.queue.unwrap().into(),
        before.length.unwrap().into(),
        before.metadata.into(),
        after.length.unwrap().into(),
        after.metadata.into(),
    ]
}

/// What the tracer reads of one ping.
fn read_from_xdp_buff(nic: &Nic) -> View {
    first_event(nic, Vec::new(), "icmp", &|| nic.ping(1), view)
}

/// What the program itself read of the last IPv4 packet, by bpftool from its map.
fn read_through_xdp_md(nic: &Nic) -> View {
    let program = json(&["bpftool", "-j", "prog", "show", "id", &nic.program_id().to_string()]);
    let map = program["map_ids"][0].to_string();
    let dump = json(&["bpftool", "-j", "map", "dump", "id", &map]);
    let view: &Value = &dump[0]["formatted"]["value"];
    let names = ["ingress_ifindex", "rx_queue_index", "length", "metadata", "length_after", "metadata_after"];
    names.map(|name| view[name].as_u64().unwrap_or_else(|| panic!("no {name} in {dump}")))
}

fn xdp_buff_says_what_xdp_md_says(nic: &Nic, mode: &str, queue: Option<u64>) {
    nic.attach(mode, TARGETS, "target_view");
    let ours = read_from_xdp_buff(nic);
    assert_eq!(ours, read_through_xdp_md(nic), "{mode}");
    // And both are right: a ping of 98 bytes, 8 bytes of metadata pushed, 4 bytes cut from the tail.
    let links: Value = serde_json::from_str(&nic.ip(&["-j", "link", "show", "dev", &nic.name])).unwrap();
    assert_eq!(ours, [links[0]["ifindex"].as_u64().unwrap(), queue.unwrap_or(ours[1]), 98, 0, 94, 8], "{mode}");
}

#[test]
fn veth_native_xdp_buff_says_what_xdp_md_says() {
    let nic = Nic::veth();
    nic.use_second_queue();
    xdp_buff_says_what_xdp_md_says(&nic, "xdpdrv", Some(1));
}

#[test]
fn veth_generic_xdp_buff_says_what_xdp_md_says() {
    let nic = Nic::veth();
    nic.use_second_queue();
    // Some kernels' veth records the queue for native XDP only.
    xdp_buff_says_what_xdp_md_says(&nic, "xdpgeneric", None);
}

#[test]
fn virtio_native_xdp_buff_says_what_xdp_md_says() {
    xdp_buff_says_what_xdp_md_says(&Nic::virtio(), "xdpdrv", Some(0));
}
