//! `cargo xtask bench`: builds and runs the benchmark, for Rust or with the packages of another language, and may put its
//! tables and charts into the checkout.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};

use crate::log::Log;
use crate::project::Project;
use crate::runners::{self, Runner};
use crate::snippets;

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
    /// The Python package beside py-lmdb, rocksdict, plyvel, sqlite3 and dict, which are installed into the checkout
    #[arg(long)]
    python: bool,
    /// The Node package beside lmdb, classic-level, better-sqlite3 and Map, which are installed into the checkout
    #[arg(long)]
    node: bool,
    /// Puts the summary and the charts between the markers in README.md
    #[arg(long)]
    update_readme: bool,
    /// Compiles every peer in; RocksDB needs a C++ compiler and libclang, and half an hour
    #[arg(long, conflicts_with_all = ["python", "node"])]
    peers: bool,
    /// Measures little; from Rust, compiles in what builds within minutes
    #[arg(long, conflicts_with = "peers")]
    quick: bool,
    /// Arguments of the benchmark, such as `--keys 10000000 --only get,scan`; `-- --help` lists them
    #[arg(last = true)]
    benchmark: Vec<String>,
}

impl Arguments {
    /// What the benchmark itself is given.
    fn passed_on(&self) -> impl Iterator<Item = &str> {
        self.quick.then_some("--quick").into_iter().chain(self.benchmark.iter().map(String::as_str))
    }
}

/// Builds the benchmark in release and runs it.
pub(crate) fn run(project: &Project, arguments: &Arguments) -> Result<()> {
    let wanted = [(arguments.python, Runner::Python), (arguments.node, Runner::Node)];
    let runners: Vec<Runner> =
        wanted.into_iter().filter_map(|(wanted, runner)| wanted.then_some(runner)).collect();
    if runners.is_empty() {
        return run_rust(project, arguments);
    }
    for runner in runners {
        let results = results(project).join(runner.name());
        runners::run(project, runner, &results, arguments.passed_on())?;
        finish(project, arguments, &results, Some(runner))?;
    }
    Ok(())
}

fn run_rust(project: &Project, arguments: &Arguments) -> Result<()> {
    let results = results(project);
    let mut command = project.cargo("run --release --quiet --locked --package opendb-bench");
    if arguments.peers {
        command.args(["--features", "peers"]);
    }
    if arguments.quick {
        command.args(["--features", "quick"]);
    }
    command.arg("--").arg("--directory").arg(project.target("bench/stores")).arg("--results").arg(&results);
    Log::Out.run(command.args(arguments.passed_on()))?;
    finish(project, arguments, &results, None)
}

fn results(project: &Project) -> PathBuf {
    project.target("bench/results")
}

fn finish(project: &Project, arguments: &Arguments, results: &Path, runner: Option<Runner>) -> Result<()> {
    println!("tables, charts and results.json are in {}", results.display());
    if arguments.update_readme { update_readme(project, results, runner) } else { Ok(()) }
}

/// Keeps the results in the checkout and shows their summary in the README, in the part of their language.
fn update_readme(project: &Project, results: &Path, runner: Option<Runner>) -> Result<()> {
    let part = runner.map(Runner::name);
    let kept = part.map_or_else(|| RESULTS.to_owned(), |part| format!("{RESULTS}/{part}"));
    let marker = part.map_or_else(|| "performance".to_owned(), |part| format!("performance-{part}"));
    fs::create_dir_all(project.path(&kept)).with_context(|| format!("creating {kept}"))?;
    let copy = |name: &str| {
        let to = project.path(&kept).join(name);
        fs::copy(results.join(name), to).with_context(|| format!("copying {name}")).map(drop)
    };
    copy("results.md")?;
    copy("results.json")?;
    let mut shown =
        fs::read_to_string(results.join("summary.md")).context("reading the summary of the benchmark")?;
    shown.push_str(&format!("\nAll rows, settings and versions: [results.md]({kept}/results.md).\n"));
    for (name, title) in CHARTS {
        let file = format!("{name}.svg");
        if results.join(&file).exists() {
            copy(&file)?;
            shown.push_str(&format!("\n![{title}]({kept}/{file})\n"));
        }
    }
    let readme = project.path("README.md");
    let text = fs::read_to_string(&readme).context("reading README.md")?;
    let (begin, end) = (format!("<!-- {marker} -->"), format!("<!-- /{marker} -->"));
    let text = snippets::replace_between(&text, &begin, &end, &shown).context("README.md")?;
    fs::write(&readme, text).context("writing README.md")?;
    println!("README.md has the new summary, {kept} the rest");
    Ok(())
}
