//! What the benchmark and the figures at scale have in common.
//!
//! # Layout
//! - [`workload`]: keys and values that nothing has to hold, and that a read of any of them can be checked against
//! - [`histogram`], [`numbers`]: durations counted; numbers summed up
//! - [`system`], [`machine`], [`cgroup`], [`child`]: memory and files as the system sees them; the machine; limits of memory;
//!   this program in another process
//! - [`lmdb`]: the store that both hold others against

pub mod cgroup;
pub mod child;
pub mod histogram;
pub mod lmdb;
pub mod machine;
pub mod numbers;
pub mod system;
pub mod workload;
