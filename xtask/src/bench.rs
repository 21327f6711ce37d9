//! `cargo xtask bench`: builds and runs the benchmark, and may put its tables and charts into the checkout.

use std::fs;
use std::path::Path;

use anyhow::{Context as _, Result};

use crate::log::Log;
use crate::project::Project;
use crate::snippets;

const BEGIN: &str = "<!-- performance -->";
const END: &str = "<!-- /performance -->";
/// Where what the README shows is kept, seen from the checkout.
const RESULTS: &str = "xtask/bench/results";
/// What the README shows.
const CHARTS: [(&str, &str); 6] = [
    ("writes", "Writes a second"),
    ("reads", "Gets a second"),
    ("scans", "Scans a second"),
    ("transactions", "Transactions and durable puts a second"),
    ("ycsb", "YCSB"),
    ("footprint", "Opening, memory and disk"),
];

/// What `bench` takes.
#[derive(clap::Args)]
pub(crate) struct Arguments {
    /// Puts the summary and the charts between the markers in README.md
    #[arg(long)]
    update_readme: bool,
    /// Compiles every peer in; RocksDB needs a C++ compiler and libclang, and half an hour
    #[arg(long)]
    peers: bool,
    /// Compiles in what builds within minutes, and measures little
    #[arg(long, conflicts_with = "peers")]
    quick: bool,
    /// Arguments of the benchmark, such as `--keys 10000000 --only get,scan`; `-- --help` lists them
    #[arg(last = true)]
    benchmark: Vec<String>,
}

/// Builds the benchmark in release and runs it.
pub(crate) fn run(project: &Project, arguments: &Arguments) -> Result<()> {
    let directory = project.target("bench");
    let results = directory.join("results");
    let mut command = project.cargo("run --release --quiet --locked --package opendb-bench");
    if arguments.peers {
        command.args(["--features", "peers"]);
    }
    if arguments.quick {
        command.args(["--features", "quick"]);
    }
    command.arg("--").arg("--directory").arg(directory.join("stores")).arg("--results").arg(&results);
    command.args(arguments.quick.then_some("--quick")).args(&arguments.benchmark);
    Log::Out.run(&mut command)?;
    println!("tables, charts and results.json are in {}", results.display());
    if arguments.update_readme { update_readme(project, &results) } else { Ok(()) }
}

/// Keeps the results in the checkout and shows their summary in the README.
fn update_readme(project: &Project, results: &Path) -> Result<()> {
    let kept = project.path(RESULTS);
    fs::create_dir_all(&kept).with_context(|| format!("creating {}", kept.display()))?;
    let copy = |name: &str| {
        fs::copy(results.join(name), kept.join(name)).with_context(|| format!("copying {name}")).map(drop)
    };
    copy("results.md")?;
    copy("results.json")?;
    let mut shown =
        fs::read_to_string(results.join("summary.md")).context("reading the summary of the benchmark")?;
    shown.push_str(&format!("\nAll rows, settings and versions: [results.md]({RESULTS}/results.md).\n"));
    for (name, title) in CHARTS {
        let file = format!("{name}.svg");
        if results.join(&file).exists() {
            copy(&file)?;
            shown.push_str(&format!("\n![{title}]({RESULTS}/{file})\n"));
        }
    }
    let readme = project.path("README.md");
    let text = fs::read_to_string(&readme).context("reading README.md")?;
    let text = snippets::replace_between(&text, BEGIN, END, &shown).context("README.md")?;
    fs::write(&readme, text).context("writing README.md")?;
    println!("README.md has the new summary, {RESULTS} the rest");
    Ok(())
}
