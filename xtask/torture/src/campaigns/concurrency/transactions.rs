//! Transactions, batches and snapshots of several threads have to be serializable, and batches are seen whole.
//!
//! A list is a key whose value names everybody who has appended to it, in their order: so its last value tells the order of all its
//! versions, and each read how many of them it has seen (K. Kingsbury and P. Alvaro, *Elle*, 2020). A group is many keys in two
//! keyspaces which one thread overwrites together, each time with the next number: it is one object, and who sees one key of it new
//! and another one old has read it before and after the same batch. What comes before what is put into a [`Graph`].

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Instant;

use opendb::{OpenDB, Scan, Transaction};
use opendb_tests::random::Random;
use opendb_tests::{Failure, Outcome};

use super::graph::{Graph, Node};
use super::{OTHER, Work, durability, is_committed, together};
use crate::plan::Tally;

/// Lists; the object behind them is the group.
const LISTS: usize = 4;
const GROUP: usize = LISTS;
/// Keys of the group in each keyspace.
const PIECES: usize = 100;
/// Threads with transactions, and transactions of each.
const THREADS: u64 = 3;
const TRANSACTIONS: u64 = 16;
const BATCHES: u64 = 20;
/// Most looks of the thread that looks while others write.
const LOOKS_MAX: usize = 300;
/// How seldom a transaction lets others go first between two steps.
const YIELDS: u64 = 3;
/// Most reads and appends of one transaction.
const STEPS_MAX: u64 = 4;

/// Who appends, by a number that is used once.
type Name = u32;

/// What somebody did, with what was seen as it was read.
#[derive(Debug, Default)]
struct Deed {
    what: String,
    called: u64,
    returned: u64,
    /// Lists as they were read.
    lists: Vec<(usize, Vec<Name>)>,
    /// Numbers of the group as they were read; 0 before the first batch.
    group: Vec<u64>,
    /// The lists that it has appended to, and under which name.
    appended: Vec<usize>,
    name: Name,
    /// The number that it has given the group.
    batch: Option<u64>,
}

/// One history.
pub(super) fn run(database: &OpenDB, prefix: &str, random: &mut Random, tally: &mut Tally) -> Outcome<()> {
    let place = Place { database, prefix, begin: Instant::now() };
    let is_over = AtomicBool::new(false);
    let mut works: Vec<Work<'_, Vec<Deed>>> = Vec::new();
    for thread in 0..THREADS {
        let (place, random) = (&place, Random::new(random.bits()));
        works.push(Box::new(move || place.transact(thread, random)));
    }
    let (place_of_batches, over) = (&place, &is_over);
    let mut other = Random::new(random.bits());
    works.push(Box::new(move || {
        let deeds = place_of_batches.write_group(&mut other);
        over.store(true, Ordering::Relaxed);
        deeds
    }));
    let mut other = Random::new(random.bits());
    works.push(Box::new(move || place_of_batches.look(&mut other, over)));
    let deeds: Vec<Deed> = together(works)?.into_iter().flatten().collect();
    tally.add("transactions, batches and looks", deeds.len() as u64);
    tally.add("conflicts", THREADS * TRANSACTIONS - deeds.iter().filter(|deed| deed.name > 0).count() as u64);
    let graph = place.graph(&deeds)?;
    match graph.cycle() {
        None => Ok(()),
        Some(cycle) => Err(Failure(format!("each of these has to come before the next one:\n{cycle}"))),
    }
}

/// Where a history is.
struct Place<'a> {
    database: &'a OpenDB,
    prefix: &'a str,
    begin: Instant,
}

impl Place<'_> {
    fn now(&self) -> u64 {
        u64::try_from(self.begin.elapsed().as_nanos()).unwrap_or(u64::MAX)
    }

    fn list(&self, number: usize) -> Vec<u8> {
        format!("{}list {number}", self.prefix).into_bytes()
    }

    fn piece(&self, number: usize) -> (&'static str, Vec<u8>) {
        let keyspace = if number.is_multiple_of(2) { "default" } else { OTHER };
        (keyspace, format!("{}piece {:02}", self.prefix, number / 2).into_bytes())
    }

    /// The transactions of a thread that were committed.
    fn transact(&self, thread: u64, mut random: Random) -> Outcome<Vec<Deed>> {
        let mut deeds = Vec::new();
        for number in 0..TRANSACTIONS {
            let name = (thread * TRANSACTIONS + number + 1) as Name;
            let mut deed = Deed { what: format!("transaction {name}"), name, ..Deed::default() };
            deed.called = self.now();
            let mut transaction = self.database.begin_transaction()?;
            for _ in 0..=random.below(STEPS_MAX) {
                self.step(&mut transaction, &mut deed, &mut random)?;
                if random.one_in(YIELDS) {
                    std::thread::yield_now();
                }
            }
            let is_committed = is_committed(transaction.commit_with(durability(&mut random)))?;
            deed.returned = self.now();
            deeds.extend(is_committed.then_some(deed));
        }
        Ok(deeds)
    }

    fn step(&self, transaction: &mut Transaction, deed: &mut Deed, random: &mut Random) -> Outcome<()> {
        let list = random.index(LISTS);
        match random.below(8) {
            0 | 1 => {
                let seen = names(transaction.get("default", &self.list(list))?.as_deref());
                deed.lists.push((list, without(seen, deed.name)));
            }
            2..=4 if !deed.appended.contains(&list) => {
                let seen = names(transaction.get("default", &self.list(list))?.as_deref());
                let longer: Vec<Name> = seen.iter().copied().chain([deed.name]).collect();
                let bytes: Vec<u8> = longer.iter().flat_map(|name| name.to_le_bytes()).collect();
                transaction.put("default", &self.list(list), &bytes)?;
                deed.lists.push((list, seen));
                deed.appended.push(list);
            }
            5 => {
                let start = format!("{}list ", self.prefix);
                let entries = transaction.scan_prefix("default", start.as_bytes())?.into_iter().collect();
                self.note_lists(deed, &entries);
            }
            _ => {
                let (keyspace, key) = self.piece(random.index(2 * PIECES));
                deed.group.push(number(transaction.get(keyspace, &key)?.as_deref()));
            }
        }
        Ok(())
    }

    /// All lists, of which those that were never written to are not among the entries.
    fn note_lists(&self, deed: &mut Deed, entries: &BTreeMap<Vec<u8>, Vec<u8>>) {
        for list in 0..LISTS {
            let seen = names(entries.get(&self.list(list)).map(Vec::as_slice));
            deed.lists.push((list, without(seen, deed.name)));
        }
    }

    /// The batches.
    fn write_group(&self, random: &mut Random) -> Outcome<Vec<Deed>> {
        let batch = |number: u64| -> Outcome<Deed> {
            let mut deed = Deed { what: format!("batch {number}"), batch: Some(number), ..Deed::default() };
            let mut batch = self.database.batch();
            for piece in 0..2 * PIECES {
                let (keyspace, key) = self.piece(piece);
                batch.put(keyspace, &key, &number.to_le_bytes())?;
            }
            let durability = durability(random);
            deed.called = self.now();
            batch.commit_with(durability)?;
            deed.returned = self.now();
            Ok(deed)
        };
        (1..=BATCHES).map(batch).collect()
    }

    /// Looks without a transaction, until the batches are written.
    fn look(&self, random: &mut Random, is_over: &AtomicBool) -> Outcome<Vec<Deed>> {
        let mut deeds = Vec::new();
        while deeds.len() < LOOKS_MAX && !is_over.load(Ordering::Relaxed) {
            match random.below(4) {
                0 => deeds.push(self.deed("scan of the group", |deed| self.look_at_group(deed))?),
                1 => deeds.push(self.deed("snapshot of everything", |deed| self.look_at_everything(deed))?),
                2 => {
                    let list = random.index(LISTS);
                    deeds.push(self.deed("get of a list", |deed| {
                        deed.lists.push((list, names(self.database.get(&self.list(list))?.as_deref())));
                        Ok(())
                    })?);
                }
                _ => {
                    // One that is written early in a batch, and then one that is written late.
                    let early = random.index(PIECES);
                    for piece in [early, 2 * PIECES - 1 - early] {
                        deeds.push(self.deed("get of a piece", |deed| self.look_at_piece(deed, piece))?);
                    }
                }
            }
        }
        Ok(deeds)
    }

    /// Something that is done, with its call and its return.
    fn deed(&self, what: &str, work: impl FnOnce(&mut Deed) -> Outcome<()>) -> Outcome<Deed> {
        let mut deed = Deed { what: what.to_owned(), called: self.now(), ..Deed::default() };
        work(&mut deed)?;
        deed.returned = self.now();
        Ok(deed)
    }

    fn look_at_piece(&self, deed: &mut Deed, piece: usize) -> Outcome<()> {
        let (keyspace, key) = self.piece(piece);
        deed.group.push(number(self.database.keyspace(keyspace)?.get(&key)?.as_deref()));
        Ok(())
    }

    /// All pieces of one keyspace as an iterator has them.
    fn look_at_group(&self, deed: &mut Deed) -> Outcome<()> {
        let mut pieces = 0;
        let start = format!("{}piece ", self.prefix);
        for entry in self.database.keyspace(OTHER)?.iter(&Scan::prefix(start.into_bytes()))? {
            deed.group.push(number(Some(&entry?.1)));
            pieces += 1;
        }
        if pieces != PIECES {
            deed.group.push(0);
        }
        Ok(())
    }

    /// Everything as a snapshot has it.
    fn look_at_everything(&self, deed: &mut Deed) -> Outcome<()> {
        let snapshot = self.database.snapshot()?;
        let other = snapshot.keyspace(OTHER)?;
        for at in (0..2 * PIECES).rev() {
            let (keyspace, key) = self.piece(at);
            let view = if keyspace == OTHER { &other } else { &snapshot };
            deed.group.push(number(view.get(&key)?.as_deref()));
        }
        let start = format!("{}list ", self.prefix);
        let entries = snapshot.scan_prefix(start.as_bytes())?.into_iter().collect();
        self.note_lists(deed, &entries);
        Ok(())
    }

    /// What came before what, by the lists as they are at the end.
    fn graph(&self, deeds: &[Deed]) -> Outcome<Graph> {
        let mut graph = Graph::default();
        for list in 0..LISTS {
            let last = names(self.database.get(&self.list(list))?.as_deref());
            let mut appended: Vec<Name> =
                deeds.iter().filter(|deed| deed.appended.contains(&list)).map(|deed| deed.name).collect();
            let mut there = last.clone();
            appended.sort_unstable();
            there.sort_unstable();
            if there != appended {
                return Err(Failure(format!(
                    "list {list}: {appended:?} have committed, and at the end it is {last:?}"
                )));
            }
            check_reads(list, &last, deeds)?;
            let writer = |name: &Name| deeds.iter().position(|deed| deed.name == *name).unwrap_or_default();
            graph.orders.push(last.iter().map(writer).collect());
        }
        let batches = (1..=BATCHES).map(|number| deeds.iter().position(|deed| deed.batch == Some(number)));
        graph.orders.push(batches.map(Option::unwrap_or_default).collect());
        graph.nodes = deeds.iter().map(node).collect();
        Ok(graph)
    }
}

/// What was read of a list has to be a beginning of what it is at the end.
fn check_reads(list: usize, last: &[Name], deeds: &[Deed]) -> Outcome<()> {
    for deed in deeds {
        for (_, seen) in deed.lists.iter().filter(|read| read.0 == list) {
            if !last.starts_with(seen) {
                return Err(Failure(format!(
                    "list {list}: {} has read {seen:?}, and at the end it is {last:?}",
                    deed.what
                )));
            }
        }
    }
    Ok(())
}

fn node(deed: &Deed) -> Node {
    let lists = deed.lists.iter().map(|(list, seen)| (*list, seen.len()));
    let group = deed.group.iter().map(|number| (GROUP, *number as usize));
    Node {
        what: format!("{} ({} to {} ns)", deed.what, deed.called, deed.returned),
        called: deed.called,
        returned: deed.returned,
        reads: lists.chain(group).collect(),
    }
}

fn names(value: Option<&[u8]>) -> Vec<Name> {
    let (names, _) = value.unwrap_or_default().as_chunks();
    names.iter().map(|bytes| Name::from_le_bytes(*bytes)).collect()
}

/// What a transaction has read, without what it had appended itself.
fn without(mut seen: Vec<Name>, own: Name) -> Vec<Name> {
    if own > 0 && seen.last() == Some(&own) {
        seen.pop();
    }
    seen
}

fn number(value: Option<&[u8]>) -> u64 {
    value.and_then(|value| value.first_chunk()).map_or(0, |bytes| u64::from_le_bytes(*bytes))
}
