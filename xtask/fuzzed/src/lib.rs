//! What is done with bytes of all kinds. The fuzzer of `xtask/fuzz` finds them by coverage; the campaign `fuzz` of the torture
//! program takes the seeds, and changes them at random.
//!
//! # Layout
//! - [`decoders`]: each decoder of what stands in files
//! - [`directory`]: a directory of any files
//! - [`operations`]: calls of all kinds, held against a map
//! - [`seeds`]: valid bytes for each of them, made from databases of every kind of file

pub mod decoders;
pub mod directory;
pub mod operations;
pub mod seeds;

use opendb::simulation::Sabotage;

/// Something that takes bytes.
#[derive(Debug, Clone, Copy)]
pub struct Target {
    /// What it is called by; its seeds are in the directory of that name.
    pub name: &'static str,
    /// Whether checksums are to be passed over.
    pub is_blind: bool,
    /// Takes the bytes, whatever they are, and panics where they show a fault. Whether they were valid: a seed is.
    pub take: fn(&[u8]) -> bool,
}

/// All of them.
pub const TARGETS: [Target; 3] = [
    Target { name: "decoders", is_blind: true, take: decoders::take },
    Target { name: "open", is_blind: true, take: directory::take },
    Target { name: "operations", is_blind: false, take: operations::take },
];

impl Target {
    /// Has the whole process pass over checksums, or not: as this target wants it.
    pub fn prepare(&self) {
        if self.is_blind { Sabotage::BlindChecksums.plant() } else { Sabotage::BlindChecksums.mend() }
    }
}
