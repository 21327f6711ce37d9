//! The whole engine on the simulated disk: power cuts, deaths of the process, calls that fail, and the order of syncs.

mod damage;
mod faults;
mod histories;
mod model;
mod power_cut;
mod rebuilds;
mod regressions;
mod sync_order;
