//! What the index takes, in bytes a key and in lines touched.

use super::Index;
use super::random::{Random, location};
use super::slot::TAG_MASK;

/// A sixteenth of the real shards, so that the tables are as large as those of sixteen times the keys.
const SHARDS: usize = 64;

fn filled(keys: u64, random: &mut Random) -> (Index, Vec<u64>) {
    let index = Index::with_collisions(SHARDS, TAG_MASK);
    let hashes: Vec<_> = (0..keys).map(|_| random.next()).collect();
    (1..).zip(&hashes).for_each(|(n, &hash)| index.insert(hash, location(n)));
    (index, hashes)
}

/// The mean of lines touched, and the most.
fn lines_touched(index: &Index, hashes: impl ExactSizeIterator<Item = u64>) -> (f64, usize) {
    let count = hashes.len() as f64;
    let (sum, most) = hashes.fold((0, 0), |(sum, most), hash| {
        let lines = index.lines_touched(hash);
        (sum + lines, lines.max(most))
    });
    (sum as f64 / count, most)
}

/// Tables as those of 2 to 4 million keys. One shard at a time has two tables, for as long as it grows: that is less
/// than a hundredth of the whole on top in the real index, and is added here.
#[test]
fn takes_at_most_12_5_bytes_a_key_at_every_moment() {
    let mut random = Random::new(1);
    let (index, _) = filled(125_000, &mut random);
    let mut bytes_per_key_max = 0.0_f64;
    for keys in 125_001..=250_000 {
        index.insert(random.next(), location(keys));
        if keys % 100 == 0 {
            bytes_per_key_max = bytes_per_key_max.max(index.memory_bytes() as f64 / keys as f64);
        }
    }
    println!("at most {bytes_per_key_max:.2} bytes a key");
    let growing = 1.0 + 1.0 / 1024.0;
    assert!(bytes_per_key_max * growing < 12.5, "{bytes_per_key_max} bytes a key");
    assert!(bytes_per_key_max > 9.0, "{bytes_per_key_max} bytes a key cannot be");
}

#[test]
fn touches_little_more_than_one_line() {
    let mut random = Random::new(2);
    // From just after one growth to just before the next.
    for keys in (100_000..=130_000).step_by(5_000) {
        let (index, hashes) = filled(keys, &mut random);
        let (hit, hit_most) = lines_touched(&index, hashes.into_iter());
        let misses: Vec<_> = (0..50_000).map(|_| random.next()).collect();
        let (miss, miss_most) = lines_touched(&index, misses.into_iter());
        println!(
            "{keys} keys: lines touched by a hit {hit:.3} (most {hit_most}), by a miss {miss:.3} ({miss_most})"
        );
        assert!(hit < 1.3 && miss < 1.15 && hit_most.max(miss_most) <= 30);
    }
}

/// Removal leaves spill bits behind. Without new tables from time to time, every line would have all eight in the end,
/// and a lookup would go through half a table.
#[test]
fn churn_does_not_make_lookups_long() {
    let mut random = Random::new(3);
    let (index, mut hashes) = filled(32_000, &mut random);
    let memory_bytes = index.memory_bytes();
    let mut places: Vec<_> = (1..=32_000).map(location).collect();
    for n in 0..320_000 {
        let position = random.below(hashes.len());
        assert!(index.remove(hashes[position], places[position]));
        (hashes[position], places[position]) = (random.next(), location(100_000 + n));
        index.insert(hashes[position], places[position]);
    }
    let (hit, hit_most) = lines_touched(&index, hashes.into_iter());
    let (miss, miss_most) =
        lines_touched(&index, (0..50_000).map(|_| random.next()).collect::<Vec<_>>().into_iter());
    println!(
        "after churn: lines touched by a hit {hit:.3} (most {hit_most}), by a miss {miss:.3} ({miss_most})"
    );
    assert!(hit < 1.4 && miss < 1.25 && hit_most.max(miss_most) <= 30);
    assert!(index.memory_bytes() < memory_bytes + memory_bytes / 4);
}
