//! The campaigns.

mod concurrency;
mod corrupt;
mod crash;
mod diskfull;
mod endurance;
mod fuzz;
mod iofault;
mod model;
mod powercut;
pub(crate) mod processes;

use opendb_tests::Outcome;

use crate::plan::{Plan, Tally};

/// Something that is done to databases again and again.
#[derive(Debug)]
pub(crate) struct Campaign {
    /// What it is called by.
    pub(crate) name: &'static str,
    /// What it does, in a line.
    pub(crate) what: &'static str,
    /// What its iterations are.
    pub(crate) unit: &'static str,
    /// Iterations of the short form.
    pub(crate) quick: u64,
    /// Iterations of the long form.
    pub(crate) full: u64,
    /// Does it, and counts. A failure is a finding.
    pub(crate) run: fn(&Plan, &mut Tally) -> Outcome<()>,
}

/// All of them.
pub(crate) const CAMPAIGNS: &[Campaign] = &[
    Campaign {
        name: "crash",
        what: "a process that writes, or opens, is killed at any moment or at a chosen call to the system",
        unit: "kills",
        quick: 60,
        full: 10_000,
        run: crash::run,
    },
    Campaign {
        name: "processes",
        what: "one process writes and others read beside it; any of them is killed, and another takes its place",
        unit: "kills",
        quick: 60,
        full: 2000,
        run: processes::run,
    },
    Campaign {
        name: "powercut",
        what: "the power goes at any call to a simulated disk, and under a mounted ext4, again and again",
        unit: "images",
        quick: 1500,
        full: 20_000,
        run: powercut::run,
    },
    Campaign {
        name: "corrupt",
        what: "files rot, are cut, mixed up, copied over each other and removed",
        unit: "mutations",
        quick: 1000,
        full: 100_000,
        run: corrupt::run,
    },
    Campaign {
        name: "hostile",
        what: "the same by somebody who makes the checksums right: no panic, no hang, no length believed",
        unit: "mutations",
        quick: 300,
        full: 30_000,
        run: corrupt::hostile::run,
    },
    Campaign {
        name: "fuzz",
        what: "the seeds of the fuzzer, and what becomes of them by chance: decoded, opened, and as calls held against a map",
        unit: "inputs",
        quick: 5000,
        full: 1_000_000,
        run: fuzz::run,
    },
    Campaign {
        name: "iofault",
        what: "each kind of call to the system fails with each of its errors, once, some times or for ever",
        unit: "faults",
        quick: 300,
        full: 5000,
        run: iofault::run,
    },
    Campaign {
        name: "diskfull",
        what: "simulated disks, tmpfs and ext4 are filled to the last byte, and got out of that",
        unit: "fillings",
        quick: 12,
        full: 300,
        run: diskfull::run,
    },
    Campaign {
        name: "model",
        what: "random commands by every kind of call have to answer as the model does",
        unit: "commands",
        quick: 40_000,
        full: 1_000_000,
        run: model::run,
    },
    Campaign {
        name: "concurrency",
        what: "threads meet on few keys, and what they saw has to be of one order of whole commits",
        unit: "histories",
        quick: 300,
        full: 3000,
        run: concurrency::run,
    },
    Campaign {
        name: "endurance",
        what: "a live set of one size is worked on for long, and nothing grows",
        unit: "seconds",
        quick: 15,
        full: 1800,
        run: endurance::run,
    },
];
