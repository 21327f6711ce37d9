//! Random histories against the model: writes of every kind, snapshots that stay, compactions, reopenings, deaths of the
//! process and power cuts, in any order; after each step the database is verified from end to end.

use std::env;

use super::model::{
    Driven, Random, State, all_options, assert_same, check, lose_checkpoints, open, open_image, read_all,
};
use crate::database::{OpenDB, Snapshot};
use crate::disk::SimulatedDisk;
use crate::options::Options;
use crate::{Durability, Scan};

const HISTORIES: u64 = 40;
const STEPS: usize = 40;

/// A number from the environment, or the default.
fn number(name: &str, default: u64) -> u64 {
    env::var(name).ok().and_then(|text| text.parse().ok()).unwrap_or(default)
}

/// A snapshot of the default keyspace with what it must show for as long as it lives.
struct Kept {
    snapshot: Snapshot,
    state: State,
}

struct History {
    driven: Driven,
    options: Options,
    kept: Vec<Kept>,
    random: Random,
    context: String,
}

impl History {
    fn step(&mut self) {
        match self.random.below(100) {
            0..=69 => self.driven.step(&mut self.random).unwrap(),
            70..=71 => drop(self.driven.db.compact().unwrap()),
            72..=75 => self.compact_a_little(),
            76..=80 => self.keep_snapshot(),
            81..=84 => drop(self.kept.pop()),
            85..=89 => self.reopen(),
            90..=93 => self.die(),
            94..=96 => self.lose_power(),
            _ => self.delete_much(),
        }
        check(&self.driven.db, &self.context);
        for kept in &self.kept {
            let expected = kept.state.of_default();
            let found: Vec<_> = kept.snapshot.scan_prefix(b"").unwrap();
            assert_eq!(found.len(), expected.len(), "a snapshot, {}", self.context);
            for ((key, value), (expected_key, expected_value)) in found.iter().zip(&expected) {
                assert!(
                    key == expected_key && value[..] == expected_value[..],
                    "{key:?} of a snapshot, {}",
                    self.context
                );
            }
        }
    }

    fn compact_a_little(&mut self) {
        let store = self.driven.db.keyspace("default").unwrap().handle.shared_store().unwrap();
        store.compact_a_little(self.random.one_in(2), 1 + self.random.below(3), || {});
    }

    fn keep_snapshot(&mut self) {
        if self.kept.len() < 3 {
            let snapshot = self.driven.db.snapshot().unwrap();
            self.kept.push(Kept { snapshot, state: self.driven.state.clone() });
        }
    }

    fn go_on(&mut self, db: OpenDB, disk: &SimulatedDisk, found: usize) {
        let mut history = self.driven.history.clone();
        history.cut_to(found);
        let large_one_in = self.driven.large_one_in;
        self.driven = Driven::on(disk, db, history);
        self.driven.large_one_in = large_one_in;
    }

    fn reopen(&mut self) {
        self.kept.clear();
        self.driven.db.close().unwrap();
        let all = self.driven.history.len();
        let disk = self.driven.disk.clone();
        let (db, _) = open_image(&disk, &self.options, &self.driven.history, all, &self.context);
        let recovery = db.stats().unwrap().recovery;
        assert_eq!((recovery.clean, recovery.frames), (true, 0), "nothing is read again, {}", self.context);
        let mut history = self.driven.history.clone();
        history.durable = all;
        self.go_on(db, &disk, all);
    }

    fn die(&mut self) {
        self.kept.clear();
        let disk = self.driven.disk.process_death();
        if self.random.one_in(2) {
            lose_checkpoints(&disk);
        }
        let all = self.driven.history.len();
        let (db, found) = open_image(&disk, &self.options, &self.driven.history, all, &self.context);
        self.go_on(db, &disk, found);
    }

    fn lose_power(&mut self) {
        self.kept.clear();
        let least = self.driven.durable();
        let disk = self.driven.disk.crash(&mut || self.random.next());
        if self.random.one_in(2) {
            lose_checkpoints(&disk);
        }
        let (db, found) = open_image(&disk, &self.options, &self.driven.history, least, &self.context);
        self.go_on(db, &disk, found);
    }

    /// So that there are tombstones and whole segments without anything live.
    fn delete_much(&mut self) {
        for key in self.driven.state.of_default().into_iter().map(|(key, _)| key) {
            if !self.random.one_in(4) {
                self.driven.delete_key(("default", key), Durability::Buffered).unwrap();
            }
        }
    }
}

#[test]
fn random_histories_are_what_the_model_says_with_nothing_to_be_found_wrong_after_any_step() {
    let first = number("OPENDB_HISTORY_SEED", 1);
    for seed in first..first + number("OPENDB_HISTORIES", HISTORIES) {
        let options = all_options(64 << 10)[seed as usize % 3].clone();
        let disk = SimulatedDisk::new();
        let mut driven = Driven::new(&disk, &options);
        driven.large_one_in = if seed % 4 == 0 { 30 } else { 0 };
        let random = Random(seed.wrapping_mul(0x9e37_79b9));
        let mut history =
            History { driven, options, kept: Vec::new(), random, context: format!("history {seed}") };
        for step in 0..STEPS {
            history.context = format!("history {seed}, step {step}");
            history.step();
        }
        assert_same(&read_all(&history.driven.db), &history.driven.state, &history.context);
        history.kept.clear();
        history.driven.db.close().unwrap();
        let db = open(&history.driven.disk, &history.options).unwrap();
        check(&db, &history.context);
        assert_same(&read_all(&db), &history.driven.state, &history.context);
        let all = db.scan_prefix(b"").unwrap();
        let keys: Vec<_> = db.keys(&Scan::all()).unwrap().map(|key| key.unwrap()).collect();
        assert_eq!(all.iter().map(|(key, _)| key.clone()).collect::<Vec<_>>(), keys);
    }
}
