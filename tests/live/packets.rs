//! What is told of packets: where they came from, how long they were, and their bytes before and after the program.

mod known;

use std::ops::Range;

use crate::capture::{self, Packet};
use crate::lab::{Nic, kernel, output};
use crate::loader::{CHAINS, COMPONENTS, FIRST_PORT, Mode, PACKETS, Programs, ifindex, send, send_frame, shown};
use crate::tracer::{Counts, Ended, Tracer, XDPTRACE};
use known::known_of;

/// A file that nobody else writes.
fn file(name: &str) -> String {
    format!("/run/xdptrace-{}-{name}.pcapng", std::process::id())
}

/// A datagram to FIRST_PORT from the peer of Nic::veth, in a frame of `length` bytes, no two neighbours of its load alike.
pub fn frame(length: usize) -> Vec<u8> {
    let sixteen = |number: usize| (number as u16).to_be_bytes();
    let mut frame = [&[2, 0, 0, 0, 0, 1], &[2, 0, 0, 0, 0, 2], &[8, 0][..]].concat();
    frame.extend([&[0x45, 0], &sixteen(length - 14)[..], &[0, 0, 0, 0, 64, 17, 0, 0]].concat());
    frame.extend([192, 0, 2, 2, 192, 0, 2, 1]);
    frame.extend([sixteen(40_000), sixteen(FIRST_PORT.into()), sixteen(length - 34), [0, 0]].concat());
    frame.extend((frame.len()..length).map(|at| (at % 251) as u8));
    frame
}

/// Ends tracers of which each has seen what was sent.
fn end(tracers: Vec<Tracer>) -> Vec<Ended> {
    let end = |tracer: Tracer| {
        let ended = tracer.end("INT");
        assert!(ended.status.success(), "{ended:?}");
        assert_eq!(ended.counts().lost, 0, "{ended:?}");
        ended
    };
    tracers.into_iter().map(end).collect()
}

/// Starts a tracer for each of these words, all at once.
fn start(nic: &Nic, words: &[Vec<&str>]) -> Vec<Tracer> {
    let mut tracers: Vec<Tracer> = words.iter().map(|words| Tracer::spawn(nic, words)).collect();
    tracers.iter_mut().for_each(Tracer::wait_until_it_listens);
    tracers
}

/// The packets in a file that are the datagram's: before the program and after it. What else comes, as neighbour discovery
/// does, may stand between them.
fn before_and_after(path: &str) -> [Packet; 2] {
    let packets = capture::take(path);
    let is_ours = |packet: &Packet| packet.bytes[packet.bytes.len().min(12)..].starts_with(&[8, 0]);
    let id = packets.iter().find(|packet| is_ours(packet)).unwrap_or_else(|| panic!("no datagram in {packets:?}")).id;
    let ours: Vec<&Packet> = packets.iter().filter(|packet| packet.id == id).collect();
    let [before, after] = ours[..] else { panic!("not two: {packets:?}") };
    assert!(before.interface.ends_with("@fentry") && after.interface.ends_with("@fexit"), "{packets:?}");
    [before.clone(), after.clone()]
}

/// One frame of 1000 bytes to a program that makes `expected` of it: by its line, and by four tracers' files. Those
/// with a filter take the way that can do everything; the others, what isn't like most runs aside, take the straight one.
fn is_changed(program: &str, words: &str, expected: &[u8]) {
    let nic = Nic::veth();
    let programs = Programs::load(PACKETS, &[program]);
    programs.attach(&nic, Mode::Native, program);
    let files = ["300", "300-udp", "whole", "whole-udp"].map(|name| file(&format!("{program}-{name}")));
    let tracers = start(
        &nic,
        &[
            vec!["-i", "veth0", "-w", &files[0], "-s", "300"],
            vec!["-i", "veth0", "-w", &files[1], "-s", "300", "udp"],
            vec!["-i", "veth0", "-w", &files[2]],
            vec!["-i", "veth0", "-w", &files[3], "udp"],
            vec!["-i", "veth0", "-o", "text"],
            vec!["-i", "veth0", "-o", "text", "--changed", "udp"],
        ],
    );
    let original = frame(1000);
    send_frame(&nic.other_end("veth1"), &original);
    programs.ports().wait_for(&[FIRST_PORT]);
    let ended = end(tracers);
    for ended in &ended[4..] {
        let lines: Vec<&String> = ended.stdout.iter().filter(|line| line.contains(".20000: UDP, length 958")).collect();
        let [line] = lines[..] else { panic!("{ended:?}") };
        let called = programs.known(program).called(program);
        assert!(line.contains(&format!(" veth0 {called} XDP_DROP ")), "{line}");
        assert!(line.ends_with(&format!(" IP 192.0.2.2.40000 > 192.0.2.1.20000: UDP, length 958 [{words}]")), "{line}");
    }
    judge(&files[0], &[1000, expected.len()]);
    // A file says the same of it as the line did.
    let read = output(&[XDPTRACE, "read", &files[0], "udp"]);
    assert!(read.ends_with(&format!(" IP 192.0.2.2.40000 > 192.0.2.1.20000: UDP, length 958 [{words}]\n")), "{read}");
    for (path, kept) in files.iter().zip([300, 300, expected.len(), expected.len()]) {
        let [before, after] = before_and_after(path);
        assert_eq!((before.length, after.length), (1000, expected.len() as u32), "{path}");
        // Of what differs, as much is kept of how it arrived as is compared.
        assert_eq!((before.bytes.len(), after.bytes.len()), (128, kept), "{path}");
        assert_eq!(before.bytes, original[..128], "{path}");
        assert_eq!(after.bytes, expected[..kept], "{path}");
        assert_eq!(
            (before.interface, after.interface),
            (format!("veth0:{program}()@fentry"), format!("veth0:{program}()@fexit"),)
        );
    }
}

/// What tcpdump reads: the original's fields, and packets of these lengths, by a filter, for it dissects what is no frame any
/// more as it likes.
fn judge(path: &str, lengths: &[usize; 2]) {
    let lines = output(&["tcpdump", "-nn", "-e", "-v", "-r", path]);
    assert!(lines.contains("02:00:00:00:00:02 > 02:00:00:00:00:01, ethertype IPv4 (0x0800), length 1000: "), "{lines}");
    assert!(lines.contains("(tos 0x0, ttl 64, id 0, offset 0, flags [none], proto UDP (17), length 986"), "{lines}");
    for length in lengths {
        assert!(!output(&["tcpdump", "-nn", "-r", path, &format!("len = {length}")]).is_empty(), "{length}: {lines}");
    }
}

#[test]
fn a_rewritten_packet() {
    let mut expected = frame(1000);
    (expected[5], expected[22]) = (0x99, 7);
    is_changed("rewrites", "dst mac 02:00:00:00:00:01->02:00:00:00:00:99, ttl 64->7", &expected);
}

/// The same to tcpdump, of a run of its own.
#[test]
fn a_rewritten_packet_is_read_by_tcpdump() {
    let nic = Nic::veth();
    let programs = Programs::load(PACKETS, &["rewrites"]);
    programs.attach(&nic, Mode::Native, "rewrites");
    let path = file("rewritten");
    let tracers = start(&nic, &[vec!["-i", "veth0", "-w", &path, "-s", "300"]]);
    send_frame(&nic.other_end("veth1"), &frame(1000));
    programs.ports().wait_for(&[FIRST_PORT]);
    end(tracers);
    let lines = output(&["tcpdump", "-nn", "-e", "-v", "-r", &path, "udp"]);
    let after =
        lines.find("02:00:00:00:00:02 > 02:00:00:00:00:99, ethertype IPv4 (0x0800), length 1000: (tos 0x0, ttl 7,");
    let before =
        lines.find("02:00:00:00:00:02 > 02:00:00:00:00:01, ethertype IPv4 (0x0800), length 1000: (tos 0x0, ttl 64,");
    assert!(before.is_some() && before < after, "{lines}");
    std::fs::remove_file(&path).unwrap();
}

/// How it arrived is noted as far as it is compared, however little is to be kept of it.
#[test]
fn a_rewritten_packet_is_shown_no_further_than_it_is_kept() {
    let nic = Nic::veth();
    let programs = Programs::load(PACKETS, &["rewrites"]);
    programs.attach(&nic, Mode::Native, "rewrites");
    let words = ["-i", "veth0", "-s", "64", "-xx"];
    let tracers = start(&nic, &[words.to_vec(), [&words[..], &["udp"]].concat()]);
    send_frame(&nic.other_end("veth1"), &frame(1000));
    programs.ports().wait_for(&[FIRST_PORT]);
    for ended in end(tracers) {
        let changed = "[dst mac 02:00:00:00:00:01->02:00:00:00:00:99, ttl 64->7]";
        let behind = ended.stdout.iter().skip_while(|line| !line.ends_with(changed)).skip(1);
        // 16 bytes a line.
        assert_eq!(behind.take_while(|line| line.starts_with("\t0x")).count(), 4, "{ended:?}");
    }
}

#[test]
fn a_pushed_header() {
    let pushed: Vec<u8> = (0xa0..0xa0 + 20).collect();
    is_changed("pushes", "pushed 20", &[pushed, frame(1000)].concat());
}

#[test]
fn a_tunnels_header_is_told_by_its_addresses() {
    let original = frame(1000);
    let outer = [&[0x45, 0, 0x03, 0xee, 0, 0, 0x40, 0, 64, 4, 0, 0][..], &[10, 0, 0, 1, 10, 0, 0, 2]].concat();
    let words = "pushed 20: IP 10.0.0.1 > 10.0.0.2: IPIP";
    is_changed("tunnels", words, &[&original[..14], &outer, &original[14..]].concat());
}

#[test]
fn a_popped_header() {
    is_changed("pops", "popped 4", &frame(1000)[4..]);
}

#[test]
fn a_cut_tail() {
    is_changed("cuts", "cut 40", &frame(1000)[..960]);
}

/// Its length is the whole one, before and after, wherever its bytes are: in one buffer, as generic XDP puts it, on every
/// kernel; in several, on those that have such (5.10 refuses the program, and the MTU for any other native one).
#[test]
fn a_packet_longer_than_a_page() {
    let long = frame(8042);
    let nic = nic_with_long_packets();
    let programs = Programs::load(PACKETS, &["drops"]);
    programs.attach(&nic, Mode::Generic, "drops");
    assert_eq!(lengths_of(&nic, &programs, &long, ""), [8042, 8042]);

    let nic = nic_with_long_packets();
    assert_eq!(Programs::loads(PACKETS, "cuts_fragments"), kernel() >= (5, 18));
    assert!(programs.try_to_attach(&nic, Mode::Native, "drops") < 0);
    if kernel() >= (5, 18) {
        let programs = Programs::load(PACKETS, &["cuts_fragments"]);
        programs.attach(&nic, Mode::Native, "cuts_fragments");
        // The program drops none but those of several buffers.
        assert_eq!(lengths_of(&nic, &programs, &long, " [cut 10]"), [8042, 8032]);
    }
}

/// Both ends of a pair take frames of 8042 bytes.
fn nic_with_long_packets() -> Nic {
    let nic = Nic::veth();
    nic.ip(&["link", "set", "veth0", "mtu", "8028"]);
    nic.other_end("veth1").ip(&["link", "set", "veth1", "mtu", "8028"]);
    nic
}

/// Sends a frame, which is dropped, and whose line ends with `words`; its lengths before and after, on which two files agree,
/// one of whole frames.
fn lengths_of(nic: &Nic, programs: &Programs, frame: &[u8], words: &str) -> [u32; 2] {
    let files = [file("long"), file("long-128")];
    let mut tracers = start(
        nic,
        &[
            vec!["-i", "veth0", "-w", &files[0]],
            vec!["-i", "veth0", "-w", &files[1], "-s", "128"],
            vec!["-i", "veth0", "-o", "text", "udp"],
        ],
    );
    send_frame(&nic.other_end("veth1"), frame);
    programs.ports().wait_for(&[FIRST_PORT]);
    let words = format!(": UDP, length {}{words}", frame.len() - 42);
    tracers[2].wait_for_lines(1, &words);
    let ended = end(tracers);
    let [line] = &ended[2].stdout[..] else { panic!("{ended:?}") };
    assert!(line.contains(" XDP_DROP ") && line.ends_with(&words), "{line}");
    let lines = output(&["tcpdump", "-nn", "-e", "-r", &files[0], "udp"]);
    assert!(lines.contains(&format!(", length {}: 192.0.2.2.40000 > ", frame.len())), "{lines}");
    let [whole, short] = files.map(|path| before_and_after(&path));
    assert_eq!(whole[1].bytes, frame[..whole[1].length as usize]);
    assert!(frame.starts_with(&whole[0].bytes) && whole[0].bytes.len() >= 128);
    assert!(short.iter().all(|packet| packet.bytes == frame[..128]));
    let lengths = |packets: &[Packet; 2]| [packets[0].length, packets[1].length];
    assert_eq!(lengths(&whole), lengths(&short));
    lengths(&whole)
}

/// Two devices with the same index, each in its own namespace, run the same program: the index alone tells them not apart.
#[test]
fn one_program_on_devices_of_equal_indexes() {
    let nics = [Nic::veth(), Nic::veth()];
    let programs = Programs::load(COMPONENTS, &["component_one"]);
    for nic in &nics {
        assert_eq!((nic.name.as_str(), ifindex(nic)), ("veth0", ifindex(&nics[0])));
        programs.attach(nic, Mode::Native, "component_one");
    }
    let known = programs.known("component_one");
    let (id, path) = (known.id.to_string(), file("indexes"));
    let with = |netns: Option<&Nic>, words: &[&str]| {
        let words = [&[XDPTRACE], words].concat();
        netns.map_or_else(|| words.iter().map(|word| (*word).to_owned()).collect(), |nic| nic.inside(&words))
    };
    let commands = [
        with(Some(&nics[0]), &["-i", "veth0"]),
        with(Some(&nics[1]), &["-i", "veth0"]),
        with(Some(&nics[0]), &["-i", "any"]),
        with(Some(&nics[0]), &["-p", &id]),
        with(None, &["-p", &id]),
        with(Some(&nics[1]), &["-p", &id, "-w", &path]),
    ];
    let mut tracers: Vec<Tracer> = commands.iter().map(|words| Tracer::spawn_command(words)).collect();
    tracers.iter_mut().for_each(Tracer::wait_until_it_listens);
    let ports = [FIRST_PORT..FIRST_PORT + 5, FIRST_PORT + 5..FIRST_PORT + 10];
    nics.iter().zip(&ports).for_each(|(nic, ports)| send(nic, ports.clone()));
    programs.ports().wait_for(&(FIRST_PORT..FIRST_PORT + 10).collect::<Vec<_>>());
    let ended = end(tracers);

    // Device by device, what each shows of the first's datagrams and of the second's.
    let expected = [
        [Some("veth0"), None],
        [None, Some("veth0")],
        [Some("veth0"), None],
        [Some("veth0"), Some("?")],
        [Some("?"), Some("?")],
    ];
    for (ended, expected) in ended.iter().zip(expected) {
        assert_devices_are_shown(ended, expected, &ports);
    }
    // The last one, of the second's namespace, has a file.
    assert_device_is_in_file(&path, &ports[1]);
}

/// The lines of these two devices' datagrams have this name each, where they are shown.
fn assert_devices_are_shown(ended: &Ended, devices: [Option<&str>; 2], ports: &[Range<u16>; 2]) {
    let mut found: Vec<(u16, String)> =
        shown(&ended.stdout).into_iter().map(|shown| (shown.port, shown.device)).collect();
    found.sort();
    let datagrams = |(device, ports): (Option<&str>, &Range<u16>)| {
        let device = device.map(str::to_owned);
        ports.clone().filter_map(|port| Some((port, device.clone()?))).collect::<Vec<_>>()
    };
    let expected: Vec<(u16, String)> = devices.into_iter().zip(ports).flat_map(datagrams).collect();
    assert_eq!(found, expected, "{ended:?}");
    // There is no filter but the device.
    let Counts { filtered, skipped, .. } = ended.counts();
    let is_by_device = expected.len() == 5;
    assert!(skipped == 0 && if is_by_device { filtered >= 5 } else { filtered == 0 }, "{ended:?}");
}

/// In a file, only the packets to these ports have a device.
fn assert_device_is_in_file(path: &str, its_ports: &Range<u16>) {
    let packets = capture::take(path);
    for port in FIRST_PORT..FIRST_PORT + 10 {
        let device = if its_ports.contains(&port) { "veth0" } else { "?" };
        let is_to_port = |packet: &&Packet| {
            packet.bytes[12..].starts_with(&[8, 0]) && packet.bytes[36..].starts_with(&port.to_be_bytes())
        };
        let names: Vec<&str> = packets.iter().filter(is_to_port).map(|packet| packet.interface.as_str()).collect();
        let expected = ["fentry", "fexit"].map(|end| format!("{device}:component_one()@{end}"));
        assert_eq!(names, expected, "{port}");
    }
}

/// The queues in the files of tracers, one of each of these programs by its id, on one datagram; none twice.
fn queues_in_files(nic: &Nic, programs: &Programs, ids: &[u32]) -> Vec<[Option<u32>; 2]> {
    let ids: Vec<String> = ids.iter().map(u32::to_string).collect();
    let files: Vec<String> = ids.iter().map(|id| file(&format!("queue-{id}"))).collect();
    let words: Vec<Vec<&str>> =
        ids.iter().zip(&files).map(|(id, file)| vec!["-i", "veth0", "-p", id, "-w", file]).collect();
    let tracers = start(nic, &words);
    send(nic, [FIRST_PORT + 1]);
    programs.ports().wait_for(&[FIRST_PORT + 1]);
    end(tracers);
    files.iter().map(|path| before_and_after(path).map(|packet| packet.queue)).collect()
}

/// In a program of a devmap the device to leave by is known, and the queue is not; no output shows the former.
#[test]
fn devices_and_queues_in_a_devmap() {
    let nic = Nic::veth();
    nic.use_second_queue();
    let out = nic.another("veth2");
    let pass = Programs::load(COMPONENTS, &["component_two"]);
    pass.attach(&out.other_end("veth2-peer"), Mode::Native, "component_two");
    let programs = Programs::load(CHAINS, &["to_device", "at_device"]);
    programs.redirect_to_device(&out, 1, "at_device");
    programs.attach(&nic, Mode::Native, "to_device");
    let [to, at] = ["to_device", "at_device"].map(|name| programs.id(name));
    let known = known_of(&nic, at);
    let egress = Some((ifindex(&out) as u32, Some("veth2".to_owned())));
    assert_eq!((known.device.as_deref(), known.egress, known.queue), (Some("veth0"), egress, None));
    let known = known_of(&nic, to);
    assert_eq!((known.device.as_deref(), known.egress, known.queue), (Some("veth0"), None, Some(1)));
    assert_eq!(queues_in_files(&nic, &programs, &[to, at]), [[Some(1); 2], [None; 2]]);
}

/// In a program of a cpumap neither is, however it came.
#[test]
fn devices_and_queues_in_a_cpumap() {
    let nic = Nic::veth();
    nic.use_second_queue();
    let programs = Programs::load(CHAINS, &["to_cpu", "at_cpu"]);
    programs.redirect_to_cpu(0, "at_cpu");
    programs.attach(&nic, Mode::Native, "to_cpu");
    let [to, at] = ["to_cpu", "at_cpu"].map(|name| programs.id(name));
    for (id, queue) in [(at, None), (to, Some(1))] {
        let known = known_of(&nic, id);
        assert_eq!((known.device.as_deref(), known.egress, known.queue), (Some("veth0"), None, queue));
    }
    assert_eq!(queues_in_files(&nic, &programs, &[to, at]), [[Some(1); 2], [None; 2]]);
}

/// Bytes that the program puts in front of the packet make it a changed one, and are not part of it.
#[test]
fn metadata_is_told_and_is_no_part_of_the_packet() {
    let nic = Nic::veth();
    let programs = Programs::load(PACKETS, &["marks"]);
    programs.attach(&nic, Mode::Native, "marks");
    let known = known_of(&nic, programs.id("marks"));
    assert_eq!((known.metadata_lengths, &known.metadata[..], known.changed), ([0, 8], &b"xdptrace"[..], Some(true)));

    let path = file("metadata");
    let mut tracers = start(&nic, &[vec!["-i", "veth0", "-w", &path], vec!["-i", "veth0", "-o", "text", "udp"]]);
    send_frame(&nic.other_end("veth1"), &frame(100));
    tracers[1].wait_for_lines(1, ": UDP, length 58 [metadata pushed 8]");
    end(tracers);
    let packets = before_and_after(&path);
    assert!(packets.iter().all(|packet| packet.length == 100 && packet.bytes == frame(100)), "{packets:?}");
}
