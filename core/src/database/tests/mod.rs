//! The whole engine on the simulated disk: power cuts, deaths of the process, calls that fail, and the order of syncs.

mod backup;
mod beside;
mod compacting;
mod damage;
mod faults;
mod following;
mod full_device;
mod histories;
mod large_compaction;
mod locks;
mod long_commits;
mod model;
mod power_cut;
mod reading;
mod rebuilds;
mod regressions;
mod replaying;
mod salvage;
mod scans;
mod sync_order;
mod values;
