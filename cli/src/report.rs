//! What a call has told, an attribute a line, or as one object of JSON.

use std::io::{self, Write as _};

use opendb::{AppendMode, Backup, Compaction, Recovery, Salvage, Stats, Verification};
use serde_json::{Map, Value, json};

/// Attributes of a record, under their names.
macro_rules! fields {
    ($record:expr; $($name:ident)*) => {
        Value::Object(Map::from_iter([$((stringify!($name).to_owned(), json!($record.$name))),*]))
    };
}

/// Something that a call has told.
pub(crate) trait Report {
    /// Its attributes.
    fn fields(&self) -> Value;
}

impl Report for Stats {
    fn fields(&self) -> Value {
        let mut fields = fields!(self;
            keys keyspaces segments log_bytes live_bytes dead_bytes allocated_bytes bytes_appended bytes_copied bytes_checkpointed
            bytes_hinted bytes_ordered compactions checkpoints large_bytes large_live_bytes last_sequence durable_sequence syncs
            snapshots oldest_snapshot_seconds pinned_bytes versions versions_bytes index_bytes order_bytes order_runs order_file_bytes
            cache_bytes cache_hits cache_misses cache_admissions poisoned);
        fields["append"] = json!(match self.append {
            AppendMode::Auto => "auto",
            AppendMode::Mapped => "mapped",
            AppendMode::Write => "write",
        });
        fields["write_amplification"] = json!(self.write_amplification());
        fields["space_amplification"] = json!(self.space_amplification());
        fields["recovery"] = self.recovery.fields();
        fields
    }
}

impl Report for Recovery {
    fn fields(&self) -> Value {
        fields!(self; clean frames frames_rewritten bytes_dropped torn_segment torn_offset damaged)
    }
}

impl Report for Compaction {
    fn fields(&self) -> Value {
        fields!(self; segments_removed bytes_copied bytes_freed)
    }
}

impl Report for Backup {
    fn fields(&self) -> Value {
        fields!(self; sequence segments_linked segments_copied bytes_copied)
    }
}

impl Report for Salvage {
    fn fields(&self) -> Value {
        fields!(self; keys keyspaces lost)
    }
}

impl Report for Verification {
    fn fields(&self) -> Value {
        let mut fields = fields!(self; segments records keys counts_compared);
        fields["violations"] =
            self.violations.iter().map(|found| fields!(found; segment offset reason)).collect();
        fields
    }
}

/// Prints it.
pub(crate) fn print(report: &impl Report, json: bool) -> io::Result<()> {
    let fields = report.fields();
    if json { print_json(&fields) } else { print_lines(&mut io::stdout().lock(), "", &fields) }
}

/// Prints a value of JSON in a line.
pub(crate) fn print_json(value: &Value) -> io::Result<()> {
    writeln!(io::stdout().lock(), "{value}")
}

fn print_lines(output: &mut impl io::Write, before: &str, fields: &Value) -> io::Result<()> {
    for (name, value) in fields.as_object().into_iter().flatten() {
        match value {
            Value::Object(_) => print_lines(output, &format!("{name}."), value)?,
            Value::Array(all) if all.is_empty() => writeln!(output, "{before}{name}: none")?,
            Value::Array(all) => {
                for one in all {
                    writeln!(output, "{before}{name}: {}", as_text(one))?;
                }
            }
            value => writeln!(output, "{before}{name}: {}", as_text(value))?,
        }
    }
    Ok(())
}

/// A value without the marks of JSON.
fn as_text(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}

/// Tells something beside the output. Nobody may be reading.
pub(crate) fn complain(text: &str) {
    let _written = writeln!(io::stderr().lock(), "{text}");
}
