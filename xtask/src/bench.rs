//! `cargo xtask bench`: builds and runs the benchmark, and may put its table into the README.

use std::fs;

use anyhow::{Context as _, Result};

use crate::log::Log;
use crate::project::Project;
use crate::snippets;

const BEGIN: &str = "<!-- performance -->";
const END: &str = "<!-- /performance -->";

/// What `bench` takes.
#[derive(clap::Args)]
pub(crate) struct Arguments {
    /// Puts the table between the markers in README.md
    #[arg(long)]
    update_readme: bool,
    /// Arguments of the benchmark, such as `--keys 100000 --rounds 5 --floor`; `-- --help` lists them
    #[arg(last = true)]
    benchmark: Vec<String>,
}

/// Builds the benchmark in release and runs it.
pub(crate) fn run(project: &Project, arguments: &Arguments) -> Result<()> {
    let directory = project.target("bench");
    fs::create_dir_all(&directory).with_context(|| format!("creating {}", directory.display()))?;
    let markdown = directory.join("results.md");
    Log::Out.run(
        project
            .cargo("run --release --quiet --package opendb-bench --")
            .arg("--directory")
            .arg(&directory)
            .arg("--markdown")
            .arg(&markdown)
            .arg("--json")
            .arg(directory.join("results.json"))
            .args(&arguments.benchmark),
    )?;
    if arguments.update_readme {
        let table = fs::read_to_string(&markdown).context("reading the table of the benchmark")?;
        let readme = project.path("README.md");
        let text = fs::read_to_string(&readme).context("reading README.md")?;
        let text = snippets::replace_between(&text, BEGIN, END, &table).context("README.md")?;
        fs::write(&readme, text).context("writing README.md")?;
        println!("README.md has the new table");
    }
    Ok(())
}
