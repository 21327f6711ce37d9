//! One line of JSON for each thing that was measured.

use serde_json::{Map, Value, json};

/// What a value is held against.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Target {
    /// Good when it is not above.
    AtMost(f64),
    /// Good when it is not below.
    AtLeast(f64),
    /// Good when it is this and nothing else.
    Exactly(f64),
}

impl Target {
    fn is_met(self, value: f64) -> bool {
        match self {
            Target::AtMost(bound) => value <= bound,
            Target::AtLeast(bound) => value >= bound,
            Target::Exactly(bound) => value == bound,
        }
    }

    fn parts(self) -> (&'static str, f64) {
        match self {
            Target::AtMost(bound) => ("at most", bound),
            Target::AtLeast(bound) => ("at least", bound),
            Target::Exactly(bound) => ("exactly", bound),
        }
    }
}

/// What became of a measurement.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Outcome {
    /// It was measured.
    Value(f64),
    /// The store has not got what it takes.
    Unavailable(String),
    /// The machine has not got what it takes.
    Skipped(String),
}

/// One thing that was measured.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Line {
    /// What was measured, in words.
    pub(crate) measured: &'static str,
    /// What the number counts.
    pub(crate) unit: &'static str,
    /// The number, or why there is none.
    pub(crate) outcome: Outcome,
    /// What it should be, where something is asked of it.
    pub(crate) target: Option<Target>,
    /// What helps to understand the number.
    pub(crate) details: Value,
}

impl Line {
    /// A measured number without a target.
    pub(crate) fn new(measured: &'static str, unit: &'static str, value: f64) -> Line {
        Line { measured, unit, outcome: Outcome::Value(value), target: None, details: json!({}) }
    }

    /// The same with a target.
    pub(crate) fn target(self, target: Target) -> Line {
        Line { target: Some(target), ..self }
    }

    /// The same with details, which are an object of JSON.
    pub(crate) fn details(self, details: Value) -> Line {
        Line { details, ..self }
    }

    /// The same with another outcome than a number.
    pub(crate) fn outcome(self, outcome: Outcome) -> Line {
        Line { outcome, ..self }
    }

    /// Whether the target is met; `None` where there is no target or no number.
    fn met(&self) -> Option<bool> {
        match (self.target, &self.outcome) {
            (Some(target), Outcome::Value(value)) => Some(target.is_met(*value)),
            _ => None,
        }
    }

    /// Whether a strict run fails for this line: a target is missed, or could not be held against anything because the
    /// store lacks something. What the machine lacks is not the store's fault.
    fn fails(&self) -> bool {
        match self.outcome {
            Outcome::Value(_) => self.met() == Some(false),
            Outcome::Unavailable(_) => self.target.is_some(),
            Outcome::Skipped(_) => false,
        }
    }

    fn json(&self, figure: &str, parameters: &Value) -> Value {
        let mut line = Map::new();
        let mut add = |name: &str, value: Value| line.insert(name.to_owned(), value);
        add("figure", json!(figure));
        add("measured", json!(self.measured));
        add("parameters", parameters.clone());
        add("available", json!(matches!(self.outcome, Outcome::Value(_))));
        match &self.outcome {
            Outcome::Value(value) => add("value", json!(rounded(*value))),
            Outcome::Unavailable(reason) => add("unavailable", json!(reason)),
            Outcome::Skipped(reason) => add("skipped", json!(reason)),
        };
        add("unit", json!(self.unit));
        if let Some((bound, target)) = self.target.map(Target::parts) {
            add("bound", json!(bound));
            add("target", json!(target));
            add("met", json!(self.met()));
        }
        add("details", self.details.clone());
        Value::Object(line)
    }
}

/// Six decimals: more is noise, and fewer would make a nanosecond in milliseconds nothing.
fn rounded(value: f64) -> f64 {
    (value * 1e6).round() / 1e6
}

/// Prints the lines of one figure as they come.
pub(crate) struct Report {
    figure: &'static str,
    parameters: Value,
    failures: u32,
}

impl Report {
    /// Of the figure of this name.
    pub(crate) fn new(figure: &'static str) -> Report {
        Report { figure, parameters: json!({}), failures: 0 }
    }

    /// Sets what stands as parameters in every line from now on, an object of JSON.
    pub(crate) fn parameters(&mut self, parameters: Value) {
        eprintln!("{}: {parameters}", self.figure);
        self.parameters = parameters;
    }

    /// Prints a line.
    pub(crate) fn line(&mut self, line: &Line) {
        self.failures += u32::from(line.fails());
        println!("{}", line.json(self.figure, &self.parameters));
    }

    /// How many lines a strict run fails for.
    pub(crate) fn failures(&self) -> u32 {
        self.failures
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_tells_its_value_its_target_and_whether_it_is_met() {
        let line = Line::new("bytes per key", "bytes", 12.0).target(Target::AtMost(12.5));
        let json = line.json("load", &json!({"keys": 5}));
        assert_eq!(json["met"], true);
        assert_eq!(json["target"], 12.5);
        assert_eq!(json["value"], 12.0);
        assert_eq!(json["parameters"]["keys"], 5);
        assert!(!line.fails());
        assert!(Line::new("keys", "", 1.0).target(Target::AtLeast(2.0)).fails());
        assert!(Line::new("keys", "", 1.0).target(Target::Exactly(2.0)).fails());
        assert!(Line::new("keys", "", 1.0).json("load", &json!({})).get("met").is_none());
    }

    #[test]
    fn what_the_store_lacks_fails_a_strict_run_and_what_the_machine_lacks_does_not() {
        let line = Line::new("keys", "", 1.0).target(Target::AtLeast(2.0));
        let unavailable = line.clone().outcome(Outcome::Unavailable("no call".to_owned()));
        assert!(unavailable.fails());
        let json = unavailable.json("load", &json!({}));
        assert_eq!((&json["available"], &json["met"]), (&json!(false), &Value::Null));
        let skipped = line.outcome(Outcome::Skipped("no cgroup".to_owned()));
        assert!(!skipped.fails());
        assert_eq!(skipped.json("load", &json!({}))["skipped"], "no cgroup");
    }
}
