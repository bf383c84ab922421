//! The man pages: xdptrace(8) and one for each subcommand, from the command line's definition. What that doesn't say is here.

use std::fs;
use std::io;
use std::path::Path;

use clap::Command;
use clap_mangen::Man;
use clap_mangen::roff::{Roff, bold, roman};

/// What one does, and the words that do it.
type Example = (&'static str, &'static str);

/// By the subcommand; that without a name is xdptrace itself.
const EXAMPLES: [(&str, &[Example]); 7] = [
    (
        "",
        &[
            ("What is there to trace, and can this machine", "xdptrace list\nxdptrace check"),
            ("Each packet that eth0's XDP program drops, of one port", "xdptrace -i eth0 --verdict drop udp port 53"),
            (
                "What became of redirects, and which came to nothing",
                "xdptrace -i eth0 --outcome all --verdict redirect\nxdptrace -i eth0 --only-failed",
            ),
            (
                "Into files of 100 MB, of which ten are kept, as a user without any privilege",
                "xdptrace -i eth0 -w eth0.pcapng -C 100M -W 10 -Z nobody",
            ),
            ("For other tools", "xdptrace -i eth0 -o json | jq -r .verdict\nxdptrace -i eth0 -w - | tshark -r -"),
        ],
    ),
    (
        "read",
        &[
            (
                "The dropped packets of a file, with what the program changed",
                "xdptrace read eth0.pcapng --verdict drop",
            ),
            ("A file of xdpdump's, as JSON", "xdptrace read xdpdump.pcap -o json"),
        ],
    ),
    ("list", &[("Every BPF program, and whether it can be traced", "xdptrace list --all")]),
    ("check", &[("Whether eth0's program can be traced, and what that takes", "xdptrace check -i eth0")]),
    (
        "stats",
        &[
            ("Rates every second, and the totals after a minute", "xdptrace stats -i eth0 -c 60"),
            ("Which networks most is dropped of", "xdptrace stats -i eth0 --by src --prefix 24/64 --verdict drop"),
        ],
    ),
    ("top", &[("All NICs that have an XDP program", "xdptrace top")]),
    ("export", &[("For Prometheus, on the machine's own address alone", "xdptrace export --listen 127.0.0.1:9494")]),
];

const STATUSES: [(&str, &str); 6] = [
    ("0", "Done, also by Ctrl-C, SIGTERM, SIGHUP or a closed pipe."),
    ("1", "Something failed while running."),
    ("2", "The command line is wrong."),
    ("3", "This user may not, or this kernel cannot."),
    ("4", "The device or the program is missing, or cannot be traced."),
    ("5", "Something was lost, with --fail-on-loss."),
];

const CAPABILITIES: [(&str, &str); 7] = [
    ("CAP_SYS_ADMIN", "To open programs by their id; it stands for the next two."),
    ("CAP_BPF, CAP_PERFMON", "To load fentry and fexit."),
    ("CAP_NET_ADMIN", "For --passthrough."),
    ("CAP_NET_RAW", "For -P."),
    ("CAP_SETUID, CAP_SETGID", "For -Z."),
    ("CAP_DAC_OVERRIDE", "To write into others' folders."),
    ("CAP_SYS_RESOURCE", "Before Linux 5.11, to have maps counted as locked memory."),
];

/// Those that trace, and need what that takes.
const TRACING: [&str; 7] = ["", "trace", "demo", "stats", "top", "export", "check"];

/// Others' pages.
const SEE_ALSO: &str = "pcap-filter(7), tcpdump(8), tshark(1), bpftool(8), bpftool-prog(8), xdp-loader(8), xdpdump(8), \
                        capabilities(7)";

/// Writes all pages into a folder.
///
/// # Errors
/// One cannot be written.
pub fn write(mut command: Command, folder: &Path) -> io::Result<()> {
    command.build();
    let names: Vec<String> = shown(&command).map(|one| one.get_name().to_owned()).collect();
    let pages = shown(&command).map(|one| (one.get_name().to_owned(), one.clone()));
    for (name, page) in [(String::new(), command.clone())].into_iter().chain(pages) {
        let title = title(&name);
        fs::write(folder.join(format!("{title}.8")), render(&name, page.name(title.clone()), &names)?)?;
    }
    Ok(())
}

fn shown(command: &Command) -> impl Iterator<Item = &Command> {
    command.get_subcommands().filter(|one| !one.is_hide_set())
}

fn title(name: &str) -> String {
    if name.is_empty() { "xdptrace".into() } else { format!("xdptrace-{name}") }
}

fn render(name: &str, command: Command, names: &[String]) -> io::Result<Vec<u8>> {
    let version = format!("xdptrace {}", env!("CARGO_PKG_VERSION"));
    let has_subcommands = command.has_subcommands();
    let man = Man::new(command.display_name(title(name)).bin_name(title(name).replacen('-', " ", 1)))
        .section("8")
        .source(version)
        .manual("System Administration");
    let mut page = Vec::new();
    man.render_title(&mut page)?;
    man.render_name_section(&mut page)?;
    man.render_synopsis_section(&mut page)?;
    man.render_description_section(&mut page)?;
    man.render_options_section(&mut page)?;
    if has_subcommands {
        man.render_subcommands_section(&mut page)?;
    }
    let mut more = Roff::new();
    if let Some((_, examples)) = EXAMPLES.iter().find(|(of, _)| *of == name) {
        add_examples(&mut more, examples);
    }
    add_list(&mut more, "EXIT STATUS", &STATUSES);
    if TRACING.contains(&name) {
        add_list(&mut more, "CAPABILITIES", &CAPABILITIES);
    }
    more.control("SH", ["SEE ALSO"]);
    let others = [String::new()].into_iter().chain(names.iter().cloned()).filter(|other| other != name);
    let own: Vec<String> = others.map(|other| format!("{}(8)", title(&other))).collect();
    more.text([roman(format!("{}, {SEE_ALSO}", own.join(", ")))]);
    more.to_writer(&mut page)?;
    Ok(page)
}

fn add_examples(page: &mut Roff, examples: &[Example]) {
    page.control("SH", ["EXAMPLES"]);
    for (purpose, words) in examples {
        page.control("PP", []).text([roman(format!("{purpose}:"))]);
        page.control("PP", []).control("RS", ["4"]).control("nf", []);
        for line in words.lines() {
            page.text([bold(line)]);
        }
        page.control("fi", []).control("RE", []);
    }
}

fn add_list(page: &mut Roff, heading: &str, rows: &[(&str, &str)]) {
    page.control("SH", [heading]);
    for (term, meaning) in rows {
        page.control("TP", []).text([bold(*term)]).text([roman(*meaning)]);
    }
}
