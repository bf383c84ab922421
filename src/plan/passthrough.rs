//! A program of our own, where there is none.

use anyhow::Result;

use super::Plan;
use crate::cli::{self, LoadMode, RestoreFeatures, Trace};
use crate::failure::Failure;

/// How a pass-through program is attached.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Passthrough {
    /// As the kernel chooses: native where the driver has XDP, else generic.
    Auto,
    /// In the network stack, with any driver.
    Generic,
    /// In the driver.
    Native,
}

impl Passthrough {
    /// What the command line says of it. xdpdump's mode is nothing without a program to attach, as there.
    ///
    /// # Errors
    /// The mode is said twice, or is none in which a program can be traced.
    pub(super) fn of(trace: &Trace) -> Result<Option<Self>> {
        Ok(Some(match (trace.passthrough, trace.xdpdump.load_xdp_mode) {
            (None, _) => return Ok(None),
            (Some(cli::Passthrough::Auto), None | Some(LoadMode::Unspecified)) => Self::Auto,
            (Some(cli::Passthrough::Auto), Some(LoadMode::Native)) | (Some(cli::Passthrough::Native), None) => {
                Self::Native
            }
            (Some(cli::Passthrough::Auto), Some(LoadMode::Skb)) | (Some(cli::Passthrough::Generic), None) => {
                Self::Generic
            }
            (Some(cli::Passthrough::Auto), Some(LoadMode::Hw)) => {
                return Err(Failure::usage(
                    "--load-xdp-mode hw: what runs in the NIC cannot be traced: native, skb or unspecified",
                ));
            }
            (Some(_), Some(_)) => {
                return Err(Failure::usage("--passthrough=MODE says the mode already: leave --load-xdp-mode out"));
            }
        }))
    }
}

impl Plan {
    /// What the process that puts features back is told.
    ///
    /// # Errors
    /// Somebody else has called it.
    pub(super) fn restore_features(RestoreFeatures { ifindex, features }: RestoreFeatures) -> Result<Self> {
        let features: Result<Vec<u32>, _> = features.split(',').map(|word| u32::from_str_radix(word, 16)).collect();
        match features {
            Ok(features) => Ok(Self::RestoreFeatures { ifindex, features }),
            Err(_) => Err(Failure::usage("restore-features is for xdptrace's own use")),
        }
    }
}
