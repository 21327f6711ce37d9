//! Files by somebody who makes the checksums right: the same lives and the same damage, while every checksum is 0, whatever the
//! bytes. What is read may be anything; nobody panics, also not in the background, nothing hangs, and no length is believed.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use opendb::simulation::Sabotage;
use opendb::{Durability, OpenDB, Scan};
use opendb_tests::damage::write_files;
use opendb_tests::random::Random;
use opendb_tests::{Failure, Outcome, place};

use super::{Counts, each_case, options};
use crate::plan::{Plan, Tally};
use crate::planted::plant;

/// Damages as often as is wanted, with blind checksums.
pub(in super::super) fn run(plan: &Plan, tally: &mut Tally) -> Outcome<()> {
    Sabotage::BlindChecksums.plant();
    let tried = each_case(plan, tally, &|_, files, random| try_case(files, random));
    Sabotage::BlindChecksums.mend();
    // It may be what is broken in all campaigns.
    let planted = plan.sabotage.as_deref().map_or(Ok(()), plant);
    tried.and(planted.map_err(|error| Failure(error.to_string())))
}

fn try_case(files: &BTreeMap<PathBuf, Vec<u8>>, random: &mut Random) -> Outcome<Counts> {
    let directory = place::in_memory()?;
    let path = directory.path().join("db");
    std::fs::create_dir(&path)?;
    write_files(&path, files)?;
    let mut counts = vec!["mutations"];
    if random.one_in(4)
        && let Ok(database) = OpenDB::open_with_options(&path, options(random).read_damaged(true))
    {
        read_all(&database);
        counts.push("read as they were");
    }
    if random.one_in(4) && OpenDB::salvage(&path, directory.path().join("salvaged")).is_ok() {
        counts.push("salvaged");
    }
    for what in ["opened", "opened again"] {
        let Ok(database) = OpenDB::open_with_options(&path, options(random)) else { break };
        counts.push(what);
        use_all_of(&database, &directory.path().join(what));
    }
    Ok(counts)
}

/// Reads and writes in every way, whatever comes of it.
fn use_all_of(database: &OpenDB, elsewhere: &Path) {
    read_all(database);
    let _verification = database.verify();
    let _writes = [
        database.put(b"key", b"value"),
        database.put_with(b"large", &vec![1; (1 << 20) + 1], Durability::Sync),
        database.delete(b"key"),
    ];
    let _transaction = database.transact(|transaction| {
        let value = transaction.get("default", b"large")?.unwrap_or_default();
        transaction.put("default", b"copy", &value)
    });
    let _rest = (database.compact(), database.backup(elsewhere), database.stats(), database.close());
}

fn read_all(database: &OpenDB) {
    for name in database.keyspaces().unwrap_or_default() {
        let Ok(keyspace) = database.keyspace(&name) else { continue };
        for scan in [Scan::all(), Scan::all().reverse()] {
            let Ok(entries) = keyspace.iter(&scan) else { continue };
            for (key, _) in entries.map_while(Result::ok) {
                let _found = (keyspace.get(&key), keyspace.exists(&key), keyspace.len());
            }
        }
    }
}
