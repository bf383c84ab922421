//! What the words mean.

#![allow(clippy::unwrap_used, clippy::panic)]
use super::*;

fn plan(words: &str) -> Result<Plan> {
    Plan::new(["xdptrace"].into_iter().chain(words.split_whitespace()).map(OsString::from))
}

fn tracing(words: &str) -> Tracing {
    match plan(words).unwrap() {
        Plan::Trace(tracing) => *tracing,
        other => panic!("{words}: {other:?}"),
    }
}

#[test]
fn trace_is_the_default_command_and_device_has_three_spellings() {
    let scope = Scope { devices: Devices::Named(vec!["eth0".into()]), ..Scope::default() };
    let expected = Tracing { scope, follow: true, ..Tracing::default() };
    for words in ["-i eth0", "--device eth0", "--interface eth0", "--device=eth0", "trace -i eth0"] {
        assert_eq!(tracing(words), expected, "{words}");
    }
}

#[test]
fn programs_are_narrowed_by_commas_or_repeated() {
    let narrowing =
        tracing("-p 12,xdp_lb -p xdp_lb@13:parse,tag:90f686eb86991928,/sys/fs/bpf/lb:f,all").scope.narrowing;
    let program = |program, function: Option<&str>| Narrowing { program, function: function.map(str::to_owned) };
    let expected = [
        program(Selector::Id(12), None),
        program(Selector::Name("xdp_lb".into()), None),
        program(Selector::NameAtId("xdp_lb".into(), 13), Some("parse")),
        program(Selector::Tag([0x90, 0xf6, 0x86, 0xeb, 0x86, 0x99, 0x19, 0x28]), None),
        program(Selector::Pin("/sys/fs/bpf/lb".into()), Some("f")),
        program(Selector::All, None),
    ];
    assert_eq!(narrowing, expected);
    let shown: Vec<String> = narrowing.iter().map(Narrowing::to_string).collect();
    assert_eq!(shown.join(","), "12,xdp_lb,xdp_lb@13:parse,tag:90f686eb86991928,/sys/fs/bpf/lb:f,all");
}

#[test]
fn devices_are_several_or_any() {
    let devices = |words| tracing(words).scope.devices;
    assert_eq!(devices("-i eth0 -i eth1"), Devices::Named(vec!["eth0".into(), "eth1".into()]));
    assert_eq!(devices("-i any"), Devices::Any);
    assert_eq!(devices("-p 12"), Devices::Unnamed);
    assert_eq!(plan("").unwrap(), Plan::Bare);
}

#[test]
fn demo_is_short_for_passthrough_classic_icmp() {
    assert_eq!(tracing("demo --device eth0"), tracing("--passthrough --output classic -i eth0 icmp"));
}

#[test]
fn options_may_follow_the_filter() {
    assert_eq!(tracing("-i eth0 icmp -o classic"), tracing("-o classic -i eth0 icmp"));
}

#[test]
fn r_is_short_for_read() {
    let reading = |words: &str| match plan(words).unwrap() {
        Plan::Read(reading) => reading,
        other => panic!("{words}: {other:?}"),
    };
    let expected = Reading { file: "x.pcapng".into(), ..Reading::default() };
    assert_eq!(reading("read x.pcapng"), expected);
    assert_eq!(reading("-r x.pcapng"), expected);
    let selection = Selection { filter: "udp port 9".into(), verdicts: Some(2), changed: true, ..Selection::default() };
    let expected = Reading { file: "-".into(), selection, count: Some(3), output: Output::Classic };
    let options = "udp -c 3 --verdict drop port 9 --changed -o classic";
    assert_eq!(reading(&format!("read - {options}")), expected);
    assert_eq!(reading(&format!("-r - {options}")), expected);
}

#[test]
fn passthrough_takes_its_mode_after_an_equals_sign_only() {
    assert_eq!(tracing("-i eth0 --passthrough icmp").selection.filter.words, "icmp");
    assert_eq!(tracing("-i eth0 --passthrough=generic").passthrough, Some(Passthrough::Generic));
    assert_eq!(tracing("-i eth0 --passthrough=native").passthrough, Some(Passthrough::Native));
}

#[test]
fn xdpdumps_words_mean_what_they_mean_there() {
    for (theirs, ours) in [
        ("--interface eth0 --rx-capture entry", "-i eth0 --probe entry"),
        ("-i eth0 --rx-capture=exit", "-i eth0 --probe exit"),
        ("-i eth0 --rx-capture entry,exit", "-i eth0 --probe both"),
        ("-i eth0 --rx-capture=exit,entry", "-i eth0"),
        ("-i eth0 --program-names xdp_lb@12,all", "-i eth0 -p xdp_lb@12,all"),
        ("-i eth0 --snapshot-length=16 --hex", "-i eth0 -s 16 -x"),
        ("-i eth0 --write f", "-i eth0 -w f"),
        ("-i eth0 --perf-wakeup 32 --verbose", "-i eth0 -v"),
        ("-i eth0 --promiscuous-mode", "-i eth0 -P"),
        ("-i eth0 --load-xdp-program icmp", "-i eth0 --passthrough icmp"),
        ("-i eth0 --load-xdp-program --load-xdp-mode unspecified", "-i eth0 --passthrough"),
        ("-i eth0 --load-xdp-program --load-xdp-mode native", "-i eth0 --passthrough=native"),
        ("-i eth0 --load-xdp-mode=skb --load-xdp-program", "-i eth0 --passthrough=generic"),
        // Nothing is attached.
        ("-i eth0 --load-xdp-mode hw", "-i eth0"),
    ] {
        assert_eq!(tracing(theirs), tracing(ours), "{theirs}");
    }
    assert_eq!(plan("--list-interfaces").unwrap(), plan("-D").unwrap());
    assert!(tracing("-i eth0 -P").promiscuous && !tracing("-i eth0").promiscuous);
    // They don't crowd the help.
    let Plan::Print(help) = plan("--help").unwrap() else { panic!("no help") };
    for word in ["--load-xdp", "--perf-wakeup", "--rx-capture", "--program-names", "--list-interfaces", "entry,exit"] {
        assert!(!help.contains(word), "{word}");
    }
}

#[test]
fn export_listens_on_the_loopback_waits_and_follows() {
    let export = |words: &str| match plan(words).unwrap() {
        Plan::Export(export) => *export,
        other => panic!("{words}: {other:?}"),
    };
    let plain = export("export");
    assert_eq!(plain.listen.to_string(), "127.0.0.1:9494");
    assert_eq!((plain.interval, plain.per_queue), (Duration::from_secs(1), false));
    let counting = Counting { interval: plain.interval, at_once: true, times: None, by: None, drops_a_second: None };
    let scope = Scope { devices: Devices::Any, ..Scope::default() };
    let expected = Tracing { scope, wait: true, follow: true, counting: Some(counting), ..Tracing::default() };
    assert_eq!(plain.tracing, expected);
    let words = "export --listen [::1]:0 -i eth0 -p xdp_lb --interval 5s --probe exit --outcome all --per-queue --netns x \
                 --filter-at exit udp or icmp";
    let Export { listen, per_queue, interval, tracing } = export(words);
    assert_eq!((&*listen.to_string(), per_queue, interval.as_secs()), ("[::1]:0", true, 5));
    assert_eq!(tracing.scope.devices, Devices::Named(vec!["eth0".into()]));
    assert_eq!((tracing.scope.narrowing.len(), tracing.scope.netns.as_deref()), (1, Some("x")));
    let Selection { shown, filter, filter_at, outcomes, .. } = tracing.selection;
    assert_eq!((shown, filter, filter_at, outcomes), (Probes::Exit, "udp or icmp".into(), Side::Exit, Outcomes::All));
    // A program is looked for by its name wherever it is.
    assert_eq!(export("export -p xdp_lb").tracing.scope.devices, Devices::Unnamed);
}

#[test]
fn every_wrong_word_is_refused_in_one_line() {
    for words in [
        "-o text",
        "-i eth0 -Q out",
        "-i eth0 -y RAW",
        "-i eth0 -I",
        "-p ,",
        "-p 0",
        "-p 99999999999",
        "-p tag:12",
        "-p tag:+0f686eb86991928",
        "-p xdp_lb@x",
        "-p xdp_lb:",
        "-i any --passthrough",
        "-p 12 --passthrough",
        "-i",
        "--nonsense",
        "-i eth0 --probe exit --changed",
        "-i eth0 --probe exit --slower 1ms",
        "-i eth0 --probe entry --verdict drop",
        "-i eth0 --verdict nope",
        "-i eth0 --slower 1d",
        "-i eth0 --sample 0",
        "-i eth0 -c 0",
        "-i eth0 -B 0",
        "-i eth0 -o xml",
        "demo",
        "-i eth0 --passthrough=fast",
        "restore-features 1 x",
        "export --listen :9494",
        "export --listen 9494",
        "export --listen localhost:9494",
        "export --listen ::1:9494",
        "export --listen 127.0.0.1",
        "export --interval 1ms",
        "export --interval x",
        "export --probe entry",
        "export -w f",
        "read",
        "read x --probe exit",
        "read x -w y",
        "-r x -i eth0",
        "-r x --probe exit",
        "-r x -P",
        "-i eth0 --rx-capture entry,entry",
        "-i eth0 --perf-wakeup x",
        "-i eth0 --load-xdp-program --load-xdp-mode hw",
        "-i eth0 --passthrough=native --load-xdp-mode skb",
    ] {
        let error = plan(words).unwrap_err();
        assert_eq!(crate::failure::status(&error), crate::failure::Status::Usage, "{words}");
        assert!(!format!("{error:#}").contains('\n'), "{words}: {error:#}");
    }
}

#[test]
fn the_snap_length_is_the_lines_or_the_whole_frame() {
    let snap_len = |words: &str| tracing(words).selection.snap_len;
    let whole = crate::bpf::LONGEST_SNAP_LEN;
    assert_eq!(snap_len("-i eth0"), 128);
    assert_eq!(snap_len("-i eth0 -s 64"), 64);
    assert_eq!((snap_len("-i eth0 -s 0"), snap_len("-i eth0 -w x")), (whole, whole));
    assert_eq!(snap_len("-i eth0 -w x --snapshot-length 96"), 96);
}

#[test]
fn a_command_behind_options_is_told_where_it_belongs() {
    for (words, said) in [
        ("-i eth0 stats", "stats is a command, and comes before its options: xdptrace stats …"),
        ("--netns peer list", "list is a command"),
        ("help stats", "help is no command: xdptrace --help"),
    ] {
        let refused = plan(words).unwrap_err().to_string();
        assert!(refused.starts_with(said), "{words}: {refused}");
    }
    assert_eq!(tracing("-i eth0 host top").selection.filter.words, "host top");
}

#[test]
fn filter_words_are_one_expression() {
    let selection = tracing("-i eth0 udp port 9 or icmp -s 64").selection;
    assert_eq!(selection.filter.words, "udp port 9 or icmp");
}

#[test]
fn files_rotate_and_letters_that_say_nothing_alone_are_refused() {
    let rotation = |words| tracing(words).capture.unwrap().rotation;
    assert_eq!(rotation("-i eth0 -w f"), Rotation::default());
    let all = Rotation { bytes: Some(10 << 10), seconds: Some(60), count: Some(3) };
    assert_eq!(rotation("-i eth0 -w f -C 10k -G 60 -W 3"), all);
    let capture = tracing("-i eth0 -w f -U --print --reopen-on-hup").capture.unwrap();
    assert!(capture.packet_buffered && capture.prints && capture.reopens);
    let format = |words| tracing(words).capture.unwrap().format;
    assert_eq!(format("-i eth0 -w - --use-pcap"), Format::Pcap { nanoseconds: false });
    assert_eq!(format("-i eth0 -w - --use-pcap --nano"), Format::Pcap { nanoseconds: true });
    assert_eq!(tracing("-i eth0 -U --print").capture, None);
    for words in [
        "-C 1",
        "-G 1",
        "-W 1",
        "-w f -W 1",
        "--use-pcap",
        "--reopen-on-hup",
        "-w f -C x",
        "-w f -C 0",
        "-w f -G 0",
        "-w f -C 1 -W 0",
        "-w - -C 1",
        "-w - --print",
        "-w - --reopen-on-hup",
        "-w f --reopen-on-hup --use-pcap",
        "-w=",
    ] {
        let error = plan(&format!("-i eth0 {words}")).unwrap_err();
        assert_eq!(crate::failure::status(&error), crate::failure::Status::Usage, "{words}");
        assert_eq!(error.to_string().lines().count(), 1, "{words}: {error}");
    }
}

fn stats(words: &str) -> Stats {
    match plan(&format!("stats {words}")).unwrap() {
        Plan::Stats(stats) => *stats,
        other => panic!("{words}: {other:?}"),
    }
}

#[test]
fn stats_counts_what_trace_would_show() {
    let words = "-i eth0 -p xdp_lb --queue 1 --verdict drop --slower 2us --filter-at exit --wait --no-follow --netns n udp port 9";
    let (counted, traced) = (stats(words).tracing, tracing(words));
    let counting =
        Counting { interval: Duration::from_secs(1), at_once: false, times: None, by: None, drops_a_second: None };
    let selection = Selection { rate: None, ..traced.selection.clone() };
    assert_eq!(counted, Tracing { counting: Some(counting), selection, ..traced });
}

#[test]
fn stats_has_intervals_and_keys() {
    let words =
        "-i eth0 --interval 500ms -c 3 --duration 10s --by src,dport --prefix 24/64 -N 5 -v --json -n --outcome all";
    let stats = stats(words);
    let by = By { parts: vec![Part::Source, Part::DestinationPort], prefix4: 24, prefix6: 64, rows: 5 };
    let interval = Duration::from_millis(500);
    let counting = Counting { interval, at_once: false, times: Some(3), by: Some(by), drops_a_second: None };
    assert_eq!(stats.tracing.counting, Some(counting));
    assert_eq!(stats.tracing.duration, Some(Duration::from_secs(10)));
    assert_eq!(stats.tracing.selection.outcomes, Outcomes::All);
    assert!(stats.json && stats.per_queue);
}

#[test]
fn numbers_are_not_offered_what_they_refuse() {
    for command in ["stats", "top", "export"] {
        let Plan::Print(help) = plan(&format!("{command} --help")).unwrap() else { panic!("no help") };
        assert!(help.contains("--probe") && !help.contains("fentry alone"), "{command}: {help}");
    }
}

#[test]
fn stats_refuses_what_means_nothing() {
    let table = [
        ("", "-i DEV"),
        ("-i eth0 --probe entry", "[possible values: both, exit]"),
        ("-i eth0 --probe exit --slower 1us", "--slower"),
        ("-i eth0 --interval 1ms", "100ms"),
        ("-i eth0 --interval soon", "duration"),
        ("-i eth0 -N 3", "--by"),
        ("-i eth0 --prefix 24/64", "--by"),
        ("-i eth0 --by dport --prefix 24/64", "addresses"),
        ("-i eth0 --by src --prefix 24", "24/64"),
        ("-i eth0 --by srcs", "'srcs'"),
        ("-i eth0 -c 0", "-c"),
        ("-i eth0 -I", "Ethernet"),
        ("-i eth0 -Q out", "-Q"),
        ("-i eth0 -w x.pcapng", "-w"),
        ("-i eth0 --changed", "--changed"),
    ];
    for (words, part) in table {
        let error = plan(&format!("stats {words}")).unwrap_err().to_string();
        assert!(error.contains(part) && !error.contains('\n'), "{words}: {error}");
    }
}
