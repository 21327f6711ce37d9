//! The targets of the fuzzer without the fuzzer: each seed has to be valid, and then seeds are changed at random. Nothing panics or
//! hangs, no length is believed, and calls come out as in the map.

use opendb_fuzzed::{TARGETS, Target, seeds};
use opendb_tests::allocation::{forget, largest_bytes};
use opendb_tests::random::Random;
use opendb_tests::watch::Watch;
use opendb_tests::{Failure, Outcome};

use crate::panics;
use crate::plan::{Plan, Tally};
use crate::planted::plant;

/// Largest piece of memory that may be asked for at once: some times the longest value of a record.
const ALLOCATION_BYTES_MAX: usize = 32 << 20;
/// Of so many inputs one goes to each target but the first, in their order: a directory takes some hundred times as long as a
/// decoder.
const SELDOM: [(usize, u64); 2] = [(2, 100), (1, 25)];
/// Most changes of one input.
const CHANGES_MAX: usize = 8;
/// Longest piece of a seed that is moved, repeated or left out.
const PIECE_BYTES_MAX: usize = 64;
/// Numbers that lengths and counts go wrong at.
const EDGES: [u64; 8] = [0, 1, 0x7f, 0xff, 0xffff, 0x10_0001, 0xffff_ffff, u64::MAX];

/// Takes every seed, and as many inputs made of them as are wanted.
pub(super) fn run(plan: &Plan, tally: &mut Tally) -> Outcome<()> {
    let tried = try_all(plan, tally);
    opendb::simulation::Sabotage::BlindChecksums.mend();
    // It may be what is broken in all campaigns.
    let planted = plan.sabotage.as_deref().map_or(Ok(()), plant);
    tried.and(planted.map_err(|error| Failure(error.to_string())))
}

fn try_all(plan: &Plan, tally: &mut Tally) -> Outcome<()> {
    forget();
    let mut random = Random::new(plan.seed);
    let seeds = TARGETS.iter().map(|target| seeds::committed(target.name)).collect::<Result<Vec<_>, _>>()?;
    for (target, seeds) in TARGETS.iter().zip(&seeds) {
        for (name, bytes) in seeds {
            if !take(target, name, bytes)? {
                return Err(Failure(format!("the seed {name} of {} is no longer valid", target.name)));
            }
            tally.add("seeds", 1);
        }
    }
    for _ in 0..plan.iterations {
        let chosen = SELDOM.into_iter().find(|(_, times)| random.one_in(*times)).map_or(0, |(at, _)| at);
        let (Some(target), Some(seeds)) = (TARGETS.get(chosen), seeds.get(chosen)) else { continue };
        let (Some((name, seed)), Some((_, other))) = (random.pick(seeds), random.pick(seeds)) else {
            continue;
        };
        let bytes = change(&mut random, seed, other);
        let was_valid = take(target, name, &bytes)?;
        tally.add(target.name, 1);
        tally.add("valid all the same", u64::from(was_valid));
    }
    Ok(())
}

/// Whether the bytes were valid. A finding tells where they are.
fn take(target: &Target, name: &str, bytes: &[u8]) -> Outcome<bool> {
    target.prepare();
    let watch = Watch::start(&format!("{} bytes made of the seed {name} of {}", bytes.len(), target.name));
    let before = panics();
    let taken = std::panic::catch_unwind(|| (target.take)(bytes));
    drop(watch);
    let finding = match (&taken, largest_bytes()) {
        (Err(_), _) => "a panic, told above".to_owned(),
        _ if panics() != before => "a panic in another thread, told above".to_owned(),
        (_, largest) if largest > ALLOCATION_BYTES_MAX => format!("{largest} bytes were asked for at once"),
        (Ok(was_valid), _) => return Ok(*was_valid),
    };
    let kept = opendb_tests::place::temporary()?.keep().join("input");
    std::fs::write(&kept, bytes)?;
    Err(Failure(format!(
        "{} of the seed {name}: {finding}; the bytes are in {}",
        target.name,
        kept.display()
    )))
}

/// A seed with some changes.
fn change(random: &mut Random, seed: &[u8], other: &[u8]) -> Vec<u8> {
    let mut bytes = seed.to_vec();
    for _ in 0..=random.index(CHANGES_MAX) {
        change_once(random, &mut bytes, other);
    }
    bytes
}

fn change_once(random: &mut Random, bytes: &mut Vec<u8>, other: &[u8]) {
    let at = random.index(bytes.len());
    let end = (at + 1 + random.index(PIECE_BYTES_MAX)).min(bytes.len());
    match random.below(8) {
        0 | 1 => bytes.iter_mut().skip(at).take(1).for_each(|byte| *byte ^= 1 << random.below(8)),
        2 => bytes.iter_mut().skip(at).take(1).for_each(|byte| *byte = random.bits() as u8),
        3 | 4 => {
            let edge = EDGES[random.index(EDGES.len())].to_le_bytes();
            let width = 1 << random.below(4);
            bytes.iter_mut().skip(at).zip(edge).take(width).for_each(|(byte, edge)| *byte = edge);
        }
        5 => drop(bytes.drain(at..end)),
        6 => {
            let piece = bytes.get(at..end).unwrap_or_default().to_vec();
            let to = random.index(bytes.len());
            bytes.splice(to..to, piece);
        }
        _ => {
            let from = random.index(other.len());
            let piece = other.iter().skip(from).take(end - at);
            bytes.iter_mut().skip(at).zip(piece).for_each(|(byte, new)| *byte = *new);
        }
    }
}
