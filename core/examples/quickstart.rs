//! Put, get, scan and a transaction that counts: `cargo run --example quickstart -- ./db`.

use opendb::{OpenDB, Result};

fn main() -> Result<()> {
    let path = std::env::args().nth(1).unwrap_or_else(|| "./db".to_owned());
    let db = OpenDB::open(path)?;

    db.put(b"user:1", b"Alice")?;
    db.put(b"user:2", b"Bob")?;
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    println!("user:1 is {:?}", db.get(b"user:1")?.as_deref().map(text));

    for (key, value) in db.scan_prefix(b"user:")? {
        println!("{} = {}", text(&key), text(&value));
    }

    let visits = db.transact(|txn| {
        let seen = txn.get("default", b"visits")?.unwrap_or_default();
        let visits = u64::from_le_bytes(seen.try_into().unwrap_or_default()) + 1;
        txn.put("default", b"visits", &visits.to_le_bytes())?;
        Ok(visits)
    })?;
    println!("visits: {visits}");
    db.close()
}
