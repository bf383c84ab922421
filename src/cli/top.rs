//! What `top` may be asked for.

use clap::Args;

use super::Scope;

/// `xdptrace top`
#[derive(Debug, Args)]
pub struct Top {
    /// Which programs on which NICs
    #[command(flatten)]
    pub scope: Scope,
    /// How often numbers are read: 1s, 500ms
    #[arg(long, value_name = "DURATION", default_value = "1s")]
    pub interval: String,
    /// What packets are counted by as well: src, dst, sport, dport, proto, vlan, length, flow; commas
    #[arg(long, value_name = "KEYS")]
    pub by: Option<String>,
    /// Leading bits of addresses that --by looks at, of IPv4 and IPv6
    #[arg(long, value_name = "BITS/BITS", default_value = "32/128", requires = "by")]
    pub prefix: String,
    /// Which packets, in tcpdump's language: see pcap-filter(7)
    #[arg(value_name = "FILTER")]
    pub filter: Vec<String>,
}
