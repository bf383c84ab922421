//! `xdptrace top` in a terminal, which tmux is.

use std::fs::File;
use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::path::PathBuf;
use std::thread;
use std::time::Duration;

use nix::sys::termios::{FlowArg, tcflow};

use crate::lab::{Nic, TARGETS, assert_nothing_is_left, output, run, wait_for};
use crate::loader::{Mode, detach};
use crate::tracer::XDPTRACE;

/// After this, a signal is a second one.
const SAME_WISH: Duration = Duration::from_millis(600);

/// A shell in a terminal in a NIC's namespace.
pub struct Pane {
    socket: String,
    /// What stty(1) said at the beginning.
    modes: PathBuf,
}

impl Pane {
    pub fn open(nic: &Nic, name: &str) -> Self {
        let socket = format!("xdptrace-{}-{name}", std::process::id());
        let modes = std::env::temp_dir().join(format!("{socket}.stty"));
        let tmux = ["tmux", "-L", &socket, "-f", "/dev/null", "new-session", "-d", "-x", "100", "-y", "24"];
        let shell = ["env", "LC_ALL=C.UTF-8", "TERM=xterm", "PS1=$ "];
        let words = [&["env", "LC_ALL=C.UTF-8"], &tmux[..], &shell[..], &["bash", "--norc", "--noprofile"]].concat();
        nic.output(&words);
        let pane = Self { socket, modes };
        pane.enter(&format!("stty -a >{}; clear; echo ready", pane.modes.display()));
        pane.wait("a shell", |screen| screen.starts_with("ready"));
        pane
    }

    fn tmux(&self, words: &[&str]) -> String {
        output(&[&["tmux", "-L", &self.socket], words].concat())
    }

    pub fn press(&self, key: &str) {
        self.tmux(&["send-keys", key]);
    }

    pub fn enter(&self, line: &str) {
        self.tmux(&["send-keys", "-l", line]);
        self.press("Enter");
    }

    fn resize(&self, columns: &str, lines: &str) {
        self.tmux(&["resize-window", "-x", columns, "-y", lines]);
    }

    fn screen(&self) -> String {
        self.tmux(&["capture-pane", "-p"])
    }

    /// The screen that is as it is to be.
    pub fn wait(&self, what: &str, is_it: impl Fn(&str) -> bool) -> String {
        wait_for(what, || Some(self.screen()).filter(|screen| is_it(screen)))
    }

    /// Starts it; what it says at its end stands alone on the screen then.
    fn start_top(&self, options: &str) {
        self.start_reading("200ms", options);
    }

    /// What is traced is there at once, however seldom numbers are read.
    fn start_reading(&self, interval: &str, options: &str) {
        self.enter(&format!("clear; {XDPTRACE} top -i veth0 --interval {interval} {options}; echo status $?"));
        self.wait("a screen of top's", |screen| screen.contains("PACKETS/S") && screen.contains("target_drop"));
    }

    /// Its end, after which everything is as it was before.
    fn wait_for_the_end(&self) {
        self.wait_for_the_end_with(0, " seen = ");
    }

    fn wait_for_the_end_with(&self, status: u8, words: &str) {
        let screen = self.wait("end of top", |screen| screen.contains("status "));
        assert!(screen.contains(&format!("status {status}\n")) && screen.contains(words), "{screen}");
        assert!(!screen.contains("PACKETS/S") && !screen.contains("dropped last"), "{screen}");
        self.wait_for_its_modes();
        assert_eq!(self.tmux(&["display-message", "-p", "#{alternate_on}#{cursor_flag}"]).trim(), "01");
    }

    fn wait_for_its_modes(&self) {
        self.enter(&format!("clear; stty -a | diff - {} && echo the same", self.modes.display()));
        self.wait("a terminal as before", |screen| screen.lines().any(|line| line == "the same"));
    }

    /// The process that the shell runs.
    pub fn pid(&self) -> String {
        let shell = self.tmux(&["list-panes", "-F", "#{pane_pid}"]);
        output(&["pgrep", "-P", shell.trim()]).trim().to_owned()
    }
}

impl Drop for Pane {
    fn drop(&mut self) {
        run(&["tmux", "-L", &self.socket, "kill-server"]);
        let _ = std::fs::remove_file(&self.modes);
    }
}

fn dropping() -> Nic {
    let nic = Nic::veth();
    nic.attach("xdpdrv", TARGETS, "target_drop_with_a_long_name");
    nic
}

/// Packets a second of the program, as the screen has them.
fn rate(screen: &str) -> Option<f64> {
    let line = screen.lines().find(|line| line.contains("target_drop"))?;
    line.split_whitespace().nth(1)?.parse().ok()
}

#[test]
fn a_terminal_shows_what_is_counted_and_is_left_as_it_was() {
    let nic = dropping();
    let pane = Pane::open(&nic, "shows");
    pane.start_top("");
    let pings = nic.there_in_background(&["ping", "-n", "-q", "-i", "0.02", &nic.address]);
    let screen = pane.wait("packets", |screen| rate(screen).is_some_and(|rate| rate > 0.0));
    assert!(screen.lines().any(|line| line.trim_start_matches('>').starts_with("veth0 ")), "{screen}");
    pane.resize("45", "6");
    pane.wait("a narrow screen", |screen| screen.contains("BITS/S") && !screen.contains("VERDICTS"));
    pane.resize("20", "4");
    pane.wait("a hint", |screen| screen.starts_with("40x5 needed"));
    pane.resize("100", "24");
    pane.wait("a wide screen", |screen| screen.contains("ERRORS/S"));
    pane.press("Down");
    pane.press("Enter");
    let dropped = format!("IP {} > {}: ICMP echo request", nic.peer, nic.address);
    let screen = pane.wait("a dropped packet", |screen| screen.contains(&dropped));
    assert!(screen.contains("XDP_DROP") && screen.contains("latency so far: p50 "), "{screen}");
    // Also when more were dropped than are told of in a second.
    let of_all = |screen: &str| {
        let line = screen.lines().find(|line| line.starts_with(" all "))?;
        line.split_whitespace().nth(5)?.parse::<u64>().ok()
    };
    let is_new = |screen: &str| [0, 1, 2].iter().any(|ago| screen.contains(&format!(" {ago}s ago IP ")));
    pane.wait("a later one", |screen| of_all(screen).is_some_and(|all| all > 60) && is_new(screen));
    drop(pings);
    pane.press("q");
    pane.wait_for_the_end();
    assert_nothing_is_left();
}

#[test]
fn keys_of_packets_are_a_view_of_its_own() {
    let nic = dropping();
    let pane = Pane::open(&nic, "by");
    pane.start_top("--by src,length icmp");
    let _pings = nic.there_in_background(&["ping", "-n", "-q", "-i", "0.2", &nic.address]);
    pane.press("b");
    let row = format!("{} 98 XDP_DROP ", nic.peer);
    let one_blank = |line: &str| line.split_whitespace().collect::<Vec<_>>().join(" ");
    pane.wait("a sender", |screen| screen.lines().any(|line| one_blank(line).starts_with(&row)));
    pane.press("C-c");
    pane.wait_for_the_end();
}

#[test]
fn signals_end_it_or_suspend_it_and_leave_the_terminal_as_it_was() {
    let nic = dropping();
    let pane = Pane::open(&nic, "signals");
    pane.start_top("");
    pane.press("C-z");
    let screen = pane.wait("a stopped job", |screen| screen.contains("Stopped"));
    assert!(!screen.contains("PACKETS/S"), "{screen}");
    pane.enter("clear; fg; echo status $?");
    pane.wait("a screen of top's", |screen| screen.contains("PACKETS/S"));
    output(&["kill", "-s", "TERM", &pane.pid()]);
    pane.wait_for_the_end();
    for signal in ["INT", "HUP"] {
        pane.start_top("");
        output(&["kill", "-s", signal, &pane.pid()]);
        pane.wait_for_the_end();
    }
    assert_nothing_is_left();
}

#[test]
fn an_error_is_said_when_the_terminal_is_as_it_was() {
    let nic = dropping();
    let pane = Pane::open(&nic, "error");
    pane.start_reading("24h", "--no-follow");
    detach(&nic, Mode::Native);
    pane.wait_for_the_end_with(4, "xdptrace: what was traced is gone, and --no-follow leaves ");
    assert_nothing_is_left();
}

/// The run waits for what it says at its end to be read, and nobody reads it.
#[test]
fn a_second_signal_finds_the_terminal_as_it_was() {
    let nic = dropping();
    let pane = Pane::open(&nic, "second");
    let pipe = pane.modes.with_extension("fifo");
    output(&["mkfifo", pipe.to_str().unwrap()]);
    let mut held = File::options().read(true).write(true).custom_flags(libc::O_NONBLOCK).open(&pipe).unwrap();
    pane.start_top(&format!("2>{}", pipe.display()));
    while held.write(&[b'x'; 4096]).is_ok() {}
    while held.write(b"x").is_ok() {}
    let pid = pane.pid();
    output(&["kill", "-s", "TERM", &pid]);
    pane.wait("the screen from before", |screen| !screen.contains("PACKETS/S"));
    thread::sleep(SAME_WISH);
    output(&["kill", "-s", "TERM", &pid]);
    pane.wait_for_the_end_with(130, "");
    std::fs::remove_file(pipe).unwrap();
    assert_nothing_is_left();
}

/// What is on the screen cannot be taken away then, but keys are to do what they did.
#[test]
fn a_second_signal_gives_back_a_terminal_that_takes_nothing() {
    let nic = dropping();
    let pane = Pane::open(&nic, "stopped");
    // Not on the screen, where it may stand behind half of a command to the terminal.
    let status = pane.modes.with_extension("status");
    pane.start_top(&format!("; echo $? >{}", status.display()));
    let pid = pane.pid();
    let path = pane.tmux(&["list-panes", "-F", "#{pane_tty}"]);
    let terminal = File::options().read(true).custom_flags(libc::O_NOCTTY).open(path.trim()).unwrap();
    tcflow(&terminal, FlowArg::TCOOFF).unwrap();
    output(&["kill", "-s", "TERM", &pid]);
    thread::sleep(SAME_WISH);
    output(&["kill", "-s", "INT", &pid]);
    let ended = wait_for("end of top", || std::fs::read_to_string(&status).ok().filter(|words| !words.is_empty()));
    // 0: on a machine that is busy the first signal had its way before the second one came.
    assert!(["130", "0"].contains(&ended.trim()), "{ended}");
    tcflow(&terminal, FlowArg::TCOON).unwrap();
    pane.wait_for_its_modes();
    std::fs::remove_file(status).unwrap();
    assert_nothing_is_left();
}
