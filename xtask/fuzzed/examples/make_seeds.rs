//! Makes the seeds of the fuzzer anew: `cargo run -p opendb-fuzzed --example make_seeds -- xtask/fuzz/seeds`.

use std::error::Error;
use std::fs;
use std::path::PathBuf;

fn main() -> Result<(), Box<dyn Error>> {
    let to = PathBuf::from(std::env::args().nth(1).ok_or("a directory for the seeds has to be given")?);
    let place = tempfile::tempdir()?;
    for seed in opendb_fuzzed::seeds::make(place.path())? {
        let directory = to.join(seed.target);
        fs::create_dir_all(&directory)?;
        println!("{:>8} bytes  {}/{}", seed.bytes.len(), seed.target, seed.name);
        fs::write(directory.join(&seed.name), &seed.bytes)?;
    }
    Ok(())
}
