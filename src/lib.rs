//! xdptrace shows the packets of the XDP program that a NIC is already running, with the program's verdict, and changes
//! nothing in it.
//!
//! The rooms, in the order in which the data of a run passes them: each hands on to a later one and is handed to by an
//! earlier one only. What they say of failures is in `failure` and `refusal`, which anyone may use.
//!
//! ```text
//! words      cli          what the command line may hold
//!            completion   … and what a shell is told that completes them
//!            plan         … and what it means: checked once, no later room sees clap
//! filter     filter       FILTER → cBPF → eBPF, to be put into the BPF side before it is loaded
//! kernel     kernel       which kernel this is, and what it and this process say of themselves
//!            privileges   what this user must be allowed, and what of it is given up again
//!            target       NIC → the programs on its path → the functions to trace, again and again. Reads, never loads
//!            passthrough  a program of our own where the NIC has none
//!            promiscuous  a NIC that takes frames for others as well
//!            layout       the kernel's BTF → the little of it that loading takes
//!            probe        fentry and fexit: loaded, aimed at a target, attached
//!            follow       … for each target, in step with what comes and goes
//!            refusal      what the kernel's 'no' means
//! packet     bpf          XDP program → fentry → fexit → struct record → perf event array
//!            batches      … where each CPU gathers its records: flushed when they have waited long enough
//!            reader       perf event array → records
//!            event        record → Event, and what may become of its verdict
//!            numbers      … or, where runs are counted instead: the kernel side's counters → Numbers
//!            delivery     … with the names that its numbers stand for, joined with what became of the verdict, and handed on
//!            packet       an Event's bytes → headers, tcpdump's words, what the program changed
//!            sink         Event → line, or block of a file; Numbers → tables, or a screen
//!            outlet       line, block → standard output, which may block; or files, one after the other
//!            export       … or text → whoever asks for it by HTTP
//! file       recorded     a file of packets → Event, from where on it goes the same way
//!            choice       … and which of them are asked for
//! all        session      wires them together; the only one that knows everyone
//!            progress     … and how a run goes, while it goes: SIGUSR1, lost records, the line on a terminal
//!            list, check  what could be traced, and what stands against it: `target` and `kernel` → text or JSON
//!            stop         signals → the flags that end it, or ask for something meanwhile
//!            failure      exit statuses
//! ```
//!
//! It is a library only so that its tests and its binary share it: the command line is the interface, and nothing
//! here is stable.

pub mod batches;
pub mod bpf;
pub mod check;
pub mod choice;
pub mod cli;
pub mod completion;
pub mod delivery;
pub mod event;
pub mod export;
pub mod failure;
pub mod filter;
pub mod follow;
pub mod kernel;
pub mod layout;
pub mod list;
pub mod numbers;
pub mod outlet;
pub mod packet;
pub mod passthrough;
pub mod plan;
pub mod privileges;
pub mod probe;
pub mod progress;
pub mod promiscuous;
pub mod reader;
pub mod recorded;
pub mod refusal;
pub mod session;
pub mod sink;
pub mod stop;
pub mod target;
