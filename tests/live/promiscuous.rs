//! -P: a NIC that takes frames for others as well, and the administrator's flag.

use serde_json::Value;

use crate::lab::{Nic, TARGETS, assert_nothing_is_left, wait_for};
use crate::loader::send_frame;
use crate::tracer::Tracer;
use crate::xdpdump::{nic_with, start};

/// Whether the NIC has the administrator's flag, and how many hold it promiscuous.
pub fn promiscuity(nic: &Nic) -> (bool, u64) {
    let links: Value = serde_json::from_str(&nic.ip(&["-j", "-d", "link", "show", "dev", &nic.name])).unwrap();
    let flags = links[0]["flags"].as_array().unwrap();
    (flags.iter().any(|flag| flag == "PROMISC"), links[0]["promiscuity"].as_u64().unwrap())
}

#[test]
fn the_administrators_flag_is_left_as_it_was() {
    for (flag, signal, words) in [
        ("off", "INT", "-i veth0 -p target_pass --promiscuous-mode"),
        ("on", "KILL", "-i veth0 -P"),
        ("on", "INT", "-i veth0 -P --load-xdp-program"),
        ("off", "KILL", "-i veth0 -P --load-xdp-program"),
    ] {
        let nic = if words.contains("load") { Nic::veth() } else { nic_with("target_pass") };
        nic.ip(&["link", "set", "veth0", "promisc", flag]);
        let before = promiscuity(&nic);
        assert_eq!(before, (flag == "on", u64::from(flag == "on")));
        let tracer = start(&nic, words);
        assert_eq!(promiscuity(&nic), (before.0, before.1 + 1), "{words}");
        tracer.end(signal);
        wait_for("end of the membership", || (promiscuity(&nic) == before).then_some(()));
    }
    assert_nothing_is_left();
}

/// … with NICs that come later, too.
#[test]
fn what_comes_later_is_promiscuous_as_well() {
    let nic = Nic::veth();
    let mut tracer = Tracer::spawn(&nic, &["-i", "veth0", "-P", "--wait"]);
    tracer.wait_until("waiting", |tracer| tracer.stderr.iter().any(|line| line.starts_with("waiting for ")));
    assert_eq!(promiscuity(&nic), (false, 0));
    nic.attach("xdpdrv", TARGETS, "target_pass");
    tracer.wait_until_it_listens();
    assert_eq!(promiscuity(&nic), (false, 1));
    nic.ip(&["link", "set", "dev", "veth0", "xdpdrv", "off"]);
    wait_for("end of the membership", || (promiscuity(&nic) == (false, 0)).then_some(()));
    assert!(tracer.end("INT").status.success());
}

/// Someone else on the emulator's network, whom the NIC's own filter of addresses keeps out.
const OTHER: [u8; 6] = [0x02, 0, 0, 0, 0, 0x77];
const OTHER_ADDRESS: [u8; 4] = [10, 0, 2, 77];

/// Has the emulator send the NIC a frame for somebody else: it learns that there is one, and answers an echo request.
fn have_a_frame_sent_to_another(nic: &Nic) {
    let ethernet = |to: [u8; 6], kind: [u8; 2]| [&to[..], &OTHER, &kind].concat();
    let arp = [&[0, 1, 8, 0, 6, 4, 0, 1][..], &OTHER, &OTHER_ADDRESS, &[0; 6], &OTHER_ADDRESS, &[0; 18]].concat();
    send_frame(nic, &[ethernet([0xff; 6], [8, 6]), arp].concat());
    let mut ip = [&[0x45, 0, 0, 60, 0, 1, 0, 0, 64, 1, 0, 0][..], &OTHER_ADDRESS, &[10, 0, 2, 2]].concat();
    let mut icmp = [&[8, 0, 0, 0, 0, 7, 0, 1][..], &[0x55; 32]].concat();
    for (header, at) in [(&mut ip, 10), (&mut icmp, 2)] {
        let sum = checksum(header).to_be_bytes();
        header[at..at + 2].copy_from_slice(&sum);
    }
    send_frame(nic, &[ethernet([0x52, 0x55, 10, 0, 2, 2], [8, 0]), ip, icmp].concat());
}

/// RFC 1071's.
fn checksum(bytes: &[u8]) -> u16 {
    let mut sum: u32 = bytes.chunks(2).map(|pair| u32::from(u16::from_be_bytes([pair[0], pair[1]]))).sum();
    while sum > 0xffff {
        sum = (sum & 0xffff) + (sum >> 16);
    }
    !(sum as u16)
}

#[test]
fn virtio_frames_for_others_are_seen_with_p_alone() {
    let nic = Nic::virtio();
    for (program, words) in [(true, "-i eth0 icmp"), (false, "-i eth0 --load-xdp-program icmp")] {
        if program {
            nic.attach("xdpdrv", TARGETS, "target_pass");
        }
        let seen = "IP 10.0.2.2 > 10.0.2.77: ICMP";
        let mut tracer = start(&nic, &format!("-P {words}"));
        wait_for("frame for another", || {
            have_a_frame_sent_to_another(&nic);
            // Its reply comes behind it.
            nic.ping(1);
            tracer.wait_until("the reply", |tracer| !tracer.lines_with("> 10.0.2.15: ICMP").is_empty());
            (!tracer.lines_with(seen).is_empty()).then_some(())
        });
        tracer.end("INT");
        let mut tracer = start(&nic, words);
        have_a_frame_sent_to_another(&nic);
        nic.ping(1);
        tracer.wait_for_lines(1, "> 10.0.2.15: ICMP");
        let ended = tracer.end("INT");
        assert!(!ended.stdout.iter().any(|line| line.contains(seen)), "{ended:?}");
        if program {
            nic.ip(&["link", "set", "dev", "eth0", "xdpdrv", "off"]);
        }
    }
}
