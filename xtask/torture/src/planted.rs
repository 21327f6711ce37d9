//! Faults that are planted on purpose, each with the campaign that finds it: what cannot fail proves nothing.

use std::path::Path;
use std::process::{Command, Stdio};

use anyhow::{Context as _, Result, bail};
use opendb::simulation::Sabotage;

use crate::FOUND;

/// A fault and who finds it.
#[derive(Debug)]
pub(crate) struct Planted {
    /// The name of the rule that is broken.
    pub(crate) sabotage: &'static str,
    /// The campaign that finds it,
    pub(crate) campaign: &'static str,
    /// with at most so many iterations.
    pub(crate) iterations: u64,
}

/// Every fault once.
pub(crate) const PLANTED: &[Planted] = &[
    Planted { sabotage: "drop-tombstones", campaign: "crash", iterations: 600 },
    Planted { sabotage: "copy-over-newer", campaign: "crash", iterations: 60 },
    Planted { sabotage: "skip-checksum", campaign: "corrupt", iterations: 1000 },
    Planted { sabotage: "blind-checksums", campaign: "corrupt", iterations: 1000 },
    Planted { sabotage: "ignore-conflicts", campaign: "concurrency", iterations: 60 },
    Planted { sabotage: "show-half-batches", campaign: "concurrency", iterations: 300 },
    Planted { sabotage: "keep-segments", campaign: "endurance", iterations: 30 },
    Planted { sabotage: "skip-sync", campaign: "powercut", iterations: 2500 },
    Planted { sabotage: "skip-directory-sync", campaign: "powercut", iterations: 2500 },
    Planted { sabotage: "acknowledge-early", campaign: "powercut", iterations: 2500 },
    Planted { sabotage: "take-torn-batches", campaign: "powercut", iterations: 2500 },
    Planted { sabotage: "remove-before-manifest", campaign: "powercut", iterations: 2500 },
    Planted { sabotage: "go-on-after-failure", campaign: "iofault", iterations: 300 },
    Planted { sabotage: "acknowledge-without-room", campaign: "diskfull", iterations: 10 },
    Planted { sabotage: "write-over-retired", campaign: "processes", iterations: 100 },
    Planted { sabotage: "believe-lengths", campaign: "fuzz", iterations: 5000 },
];

/// Breaks a rule in this process.
pub(crate) fn plant(name: &str) -> Result<()> {
    let Some((_, sabotage)) = Sabotage::ALL.into_iter().find(|(known, _)| *known == name) else {
        let known: Vec<_> = Sabotage::ALL.into_iter().map(|(name, _)| name).collect();
        bail!("nothing called {name:?} can be broken; there are {}", known.join(", "));
    };
    sabotage.plant();
    Ok(())
}

/// Runs each campaign against the faults that it is to find, in a process of its own. Whether all of them were found.
pub(crate) fn run(seed: u64, directory: Option<&Path>) -> Result<bool> {
    let mut all_found = true;
    for planted in PLANTED {
        let Planted { sabotage, campaign, iterations } = planted;
        let mut command = Command::new(std::env::current_exe().context("finding this program")?);
        command.args([campaign, "--sabotage", sabotage, "--iterations", &iterations.to_string()]);
        command.args(["--seed", &seed.to_string()]).stdout(Stdio::null()).stderr(Stdio::null());
        if let Some(directory) = directory {
            command.arg("--directory").arg(directory);
        }
        let status = command.status().with_context(|| format!("starting {campaign}"))?;
        let is_found = status.code() == Some(i32::from(FOUND));
        all_found &= is_found;
        println!("planted {sabotage:<26} {} by {campaign}", if is_found { "found" } else { "NOT FOUND" });
    }
    Ok(all_found)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::campaigns::CAMPAIGNS;

    #[test]
    fn every_fault_is_found_by_a_campaign_that_there_is() {
        for (name, _) in Sabotage::ALL {
            assert!(PLANTED.iter().any(|planted| planted.sabotage == name), "{name} is looked for by nobody");
        }
        for planted in PLANTED {
            assert!(CAMPAIGNS.iter().any(|campaign| campaign.name == planted.campaign), "{planted:?}");
            assert!(Sabotage::ALL.iter().any(|(name, _)| *name == planted.sabotage), "{planted:?}");
        }
    }
}
