//! The C and C++ door to OpenDB. Its documentation is the header, `include/opendb.h`, which is generated from the
//! comments here; the numbered conventions at its head are what every `SAFETY` comment of this crate refers to.
//!
//! No logic of its own: an export checks its arguments, calls the engine and hands out what comes back.
//!
//! # Layout
//! - [`handle`]: what C holds instead of addresses; no `unsafe`
//! - [`guard`]: NULL, lengths, text and panics at the border, and the bodies that many exports share
//! - [`sized`]: structs of a caller that begin with their size
//! - [`error`]: status numbers and messages
//! - [`bytes`]: owned, viewed and pinned bytes, lists of names
//! - [`many`]: the values of many keys
//! - [`options`], [`database`], [`stats`], [`scan`], [`keyspace`], [`batch`], [`transaction`], [`snapshot`],
//!   [`stream`], [`maintenance`], [`version`]: the exports, in the order of the header

// An export is named for C, and its contract with the caller stands in the header once instead of above each.
#![allow(clippy::missing_safety_doc)]

mod handle;

#[allow(unsafe_code)] // Reads a caller's bytes.
mod guard;

#[allow(unsafe_code)] // Fills a caller's structs.
mod sized;

#[allow(unsafe_code)] // Exports.
pub mod error;

#[allow(unsafe_code)] // Exports; frees the bytes that were given out.
pub mod bytes;

#[allow(unsafe_code)] // Exports.
pub mod many;

#[allow(unsafe_code)] // Exports.
pub mod options;

#[allow(unsafe_code)] // Exports; reads a caller's path.
pub mod database;

#[allow(unsafe_code)] // Exports.
pub mod stats;

#[allow(unsafe_code)] // Exports; reads a caller's struct.
pub mod scan;

#[allow(unsafe_code)] // Exports.
pub mod keyspace;

#[allow(unsafe_code)] // Exports.
pub mod batch;

#[allow(unsafe_code)] // Exports; follows the transaction that is lent to a callback.
pub mod transaction;

#[allow(unsafe_code)] // Exports.
pub mod snapshot;

#[allow(unsafe_code)] // Exports; fills a caller's buffer.
pub mod stream;

#[allow(unsafe_code)] // Exports; calls a caller's function.
pub mod maintenance;

#[allow(unsafe_code)] // Exports.
pub mod version;
