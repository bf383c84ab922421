//! `xdptrace top`: numbers on the terminal, live.

use clap::Args;

use super::Counted;

/// `xdptrace top`
#[derive(Debug, Args)]
pub struct Top {
    /// What is counted
    #[command(flatten)]
    pub counted: Counted,
    /// Whose packets they are, too: src, dst, sport, dport, proto, vlan, length, or flow for the first five; commas
    #[arg(long, value_name = "KEYS")]
    pub by: Option<String>,
    /// With --by src or dst: leading bits of IPv4 and IPv6 addresses that matter: 24/64
    #[arg(long, value_name = "BITS/BITS", requires = "by")]
    pub prefix: Option<String>,
}
