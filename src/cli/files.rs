//! How -w writes files: tcpdump's letters.

use clap::Args;

/// How -w writes files.
#[derive(Debug, Clone, Args)]
pub struct Files {
    /// With -w: begin a new file when one has this many millions of bytes; with k, M or G behind it, KiB, MiB or GiB
    #[arg(short = 'C', value_name = "SIZE")]
    pub file_size: Option<String>,
    /// With -w: begin a new file after so many seconds; its name is made by strftime(3)
    #[arg(short = 'G', value_name = "SECONDS", value_parser = clap::value_parser!(u64).range(1..))]
    pub rotate_seconds: Option<u64>,
    /// With -C: so many files, then the first one again; with -G: stop after so many
    #[arg(short = 'W', value_name = "COUNT", value_parser = clap::value_parser!(u32).range(1..))]
    pub file_count: Option<u32>,
    /// With -w: write each packet by itself, not with others
    #[arg(short = 'U', long)]
    pub packet_buffered: bool,
    /// With -w: print lines as well
    #[arg(long)]
    pub print: bool,
    /// With -w: on SIGHUP open the file anew by its name, for logrotate
    #[arg(long)]
    pub reopen_on_hup: bool,
    /// Write legacy pcap
    #[arg(long, hide = true)]
    pub use_pcap: bool,
}
