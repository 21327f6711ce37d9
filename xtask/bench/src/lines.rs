//! What the runners for other languages print: one line of JSON about the run, then one for each row of each store in each
//! round, with the fields of the file for programs. Their rows are rows of ours.

use std::fs;
use std::path::Path;

use anyhow::{Context as _, Result, ensure};
use opendb_measure::machine::Machine;
use serde_json::Value;

use crate::clock::Timing;
use crate::report::{Conditions, FORMAT, Report, StoreNotes};
use crate::rows::{ROWS, Row, find};
use crate::run::{Outcome, Sample};

/// The report of what was measured on this machine.
pub(crate) fn read(path: &Path, machine: Machine) -> Result<Report> {
    let text = fs::read_to_string(path).with_context(|| format!("reading {}", path.display()))?;
    parse(&text, machine).with_context(|| format!("in {}", path.display()))
}

fn parse(text: &str, machine: Machine) -> Result<Report> {
    let mut lines = text.lines();
    let head: Value = serde_json::from_str(lines.next().context("nothing was measured")?)?;
    ensure!(whole(&head, "format")? == u64::from(FORMAT), "the lines are of another format");
    let wanted: Vec<&Row> = list(&head, "rows")?.iter().map(row).collect::<Result<_>>()?;
    Ok(Report {
        asked: conditions(&head)?,
        machine,
        stores: list(&head, "stores")?.iter().map(notes).collect::<Result<_>>()?,
        rows: ROWS.iter().filter(|row| wanted.contains(row)).collect(),
        samples: lines.map(sample).collect::<Result<_>>()?,
        left_out: list(&head, "not_available")?.iter().map(left_out).collect::<Result<_>>()?,
    })
}

fn conditions(head: &Value) -> Result<Conditions> {
    Ok(Conditions {
        language: word(head, "language")?,
        keys: whole(head, "keys")?,
        value_bytes: whole(head, "value_bytes")?,
        seed: whole(head, "seed")?,
        rounds: whole(head, "rounds")?,
        seconds_per_row: number(head, "seconds_per_row")?,
    })
}

fn notes(store: &Value) -> Result<StoreNotes> {
    Ok(StoreNotes {
        id: word(store, "id")?,
        name: word(store, "name")?,
        version: word(store, "version")?,
        persistent: field(store, "persistent")?.as_bool().context("persistent is no boolean")?,
        survives: word(store, "survives")?,
        durable: None,
        settling: word(store, "settling")?,
    })
}

fn left_out(store: &Value) -> Result<String> {
    Ok(format!("{} (not available: {})", word(store, "name")?, word(store, "reason")?))
}

fn sample(line: &str) -> Result<Sample> {
    let line: Value = serde_json::from_str(line).context("a line is no JSON")?;
    let outcome = if line.get("failed").is_some() {
        Outcome::Failed(word(&line, "failed")?)
    } else if line.get("lacks").is_some() {
        Outcome::Lacks(word(&line, "lacks")?)
    } else {
        Outcome::Timing(timing(&line)?)
    };
    Ok(Sample {
        store: word(&line, "store")?,
        row: row(field(&line, "row")?)?,
        round: u32::try_from(whole(&line, "round")?).context("round")?,
        outcome,
        details: field(&line, "details")?.clone(),
    })
}

fn timing(line: &Value) -> Result<Timing> {
    Ok(Timing {
        calls: whole(line, "calls")?,
        complete: field(line, "complete")?.as_bool().context("complete is no boolean")?,
        mean: number(line, "mean")?,
        p50: whole(line, "p50")?,
        p99: whole(line, "p99")?,
        p999: whole(line, "p99.9")?,
        slowest: whole(line, "slowest")?,
    })
}

fn row(id: &Value) -> Result<&'static Row> {
    let id = id.as_str().context("a row has no name")?;
    find(id).with_context(|| format!("there is no row {id}"))
}

fn field<'a>(object: &'a Value, name: &str) -> Result<&'a Value> {
    object.get(name).with_context(|| format!("there is no {name}"))
}

fn word(object: &Value, name: &str) -> Result<String> {
    Ok(field(object, name)?.as_str().with_context(|| format!("{name} is no text"))?.to_owned())
}

fn whole(object: &Value, name: &str) -> Result<u64> {
    field(object, name)?.as_u64().with_context(|| format!("{name} is no whole number"))
}

fn number(object: &Value, name: &str) -> Result<f64> {
    field(object, name)?.as_f64().with_context(|| format!("{name} is no number"))
}

fn list<'a>(object: &'a Value, name: &str) -> Result<&'a Vec<Value>> {
    field(object, name)?.as_array().with_context(|| format!("{name} is no list"))
}

#[cfg(test)]
mod tests {
    use super::*;

    const LINES: &str = r#"{"format":1,"language":"python","keys":2000,"value_bytes":100,"seed":1,"rounds":1,"seconds_per_row":0.5,"rows":["scan-10-iterated-fresh","get-uniform"],"stores":[{"id":"opendb","name":"OpenDB","version":"opendb 1","persistent":true,"survives":"default","settling":"compact()"},{"id":"lmdb","name":"py-lmdb","version":"lmdb 3","persistent":true,"survives":"sync=False","settling":"nothing"}],"not_available":[{"name":"plyvel","reason":"no wheel"}]}
{"store":"opendb","row":"get-uniform","round":1,"details":{},"calls":9,"complete":true,"mean":100.5,"p50":90,"p99":200,"p99.9":300,"slowest":300}
{"store":"lmdb","row":"get-uniform","round":1,"details":{},"calls":9,"complete":true,"mean":201.0,"p50":90,"p99":400,"p99.9":500,"slowest":500}
{"store":"opendb","row":"scan-10-iterated-fresh","round":1,"details":{},"failed":"a scan gave something else"}
"#;

    #[test]
    fn lines_of_another_language_make_the_same_report() {
        let report = parse(LINES, Machine::of(Path::new("/"))).unwrap();
        let text = report.markdown();
        assert!(text.contains("| get | 100 ns (200 ns) | 201 ns (400 ns) | 0.50 |"), "{text}");
        assert!(text.contains("Not measured in this run: plyvel (not available: no wheel)."), "{text}");
        assert!(text.contains("OpenDB failed in `scan-10-iterated-fresh`: a scan gave something else"));
        assert!(text.contains("Python; 2,000 keys"), "{text}");
        assert!(report.summary().contains("| | OpenDB | py-lmdb | best other |"));
        assert_eq!(report.own_failures().len(), 1);
        assert_eq!(report.json()["language"], "python");
    }

    #[test]
    fn lines_that_are_not_whole_are_refused() {
        let parse = |text: &str| parse(text, Machine::of(Path::new("/")));
        assert!(parse("").is_err());
        assert!(parse(&LINES.replace("\"format\":1", "\"format\":2")).is_err());
        assert!(parse(&LINES.replace("\"get-uniform\"", "\"get-nothing\"")).is_err());
        assert!(parse(&LINES.replace("\"mean\":100.5,", "")).is_err());
        assert!(parse(&LINES[..LINES.len() - 9]).is_err());
    }
}
