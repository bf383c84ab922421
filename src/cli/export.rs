//! `xdptrace export`

use clap::Args;

use super::Counted;

/// `xdptrace export`
#[derive(Debug, Args)]
pub struct Export {
    /// Address and port to answer HTTP at: 127.0.0.1:9494, [::1]:9494; port 0: any that is free
    // As it stands in the help, where brackets are no link.
    #[allow(rustdoc::broken_intra_doc_links)]
    #[arg(long, value_name = "ADDR:PORT", default_value = "127.0.0.1:9494")]
    pub listen: String,
    /// What is counted; without -i and -p, whatever NIC has a program; it always waits
    #[command(flatten)]
    pub counted: Counted,
    /// Series for each receive queue
    #[arg(long)]
    pub per_queue: bool,
}
