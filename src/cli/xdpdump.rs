//! xdpdump's options that have no other place here. What else it calls differently is an alias of what is called here.

use clap::{Args, ValueEnum};

/// xdpdump's options.
#[derive(Debug, Clone, Args)]
pub struct Xdpdump {
    /// The mode of --load-xdp-program, which is --passthrough; without that, it says nothing
    #[arg(long, value_name = "MODE", hide = true)]
    pub load_xdp_mode: Option<LoadMode>,
    /// Says nothing: the tracer is woken by so many bytes, and after 100 ms at most
    #[arg(long, value_name = "EVENTS", hide = true)]
    pub perf_wakeup: Option<u32>,
}

/// How xdpdump has a program attached.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum LoadMode {
    /// In the driver
    Native,
    /// In the network stack, with any driver
    Skb,
    /// In the NIC
    Hw,
    /// As the kernel chooses
    Unspecified,
}
