//! What is done with a store, in scenes that each begin with an empty one.

pub(crate) mod children;
mod durable;
mod load;
mod points;
mod scans;
mod transactions;
mod ycsb;

use anyhow::Result;

use crate::rows::Group;
use crate::run::Run;

/// Something that is done with a store of its own.
pub(crate) struct Scene {
    /// What it measures.
    pub(crate) groups: &'static [Group],
    /// Does it. Rows of groups that are not wanted are left out.
    pub(crate) run: fn(&mut Run<'_>) -> Result<()>,
}

/// All of them.
pub(crate) const SCENES: &[Scene] = &[
    Scene {
        groups: &[Group::Put, Group::Get, Group::Overwrite, Group::Delete, Group::Batch],
        run: points::run,
    },
    Scene { groups: &[Group::Scan], run: scans::run },
    Scene { groups: &[Group::Transaction], run: transactions::run },
    Scene { groups: &[Group::Durable], run: durable::run },
    Scene { groups: &[Group::Ycsb], run: ycsb::run },
    Scene { groups: &[Group::Open], run: children::open },
    Scene { groups: &[Group::Footprint], run: children::footprint },
];
