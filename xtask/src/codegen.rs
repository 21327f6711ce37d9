//! `cargo xtask codegen`: writes anew what is generated from the sources, or says where the committed files differ.

use std::fs;

use anyhow::{Context as _, Result, bail};

use crate::log::Log;
use crate::project::Project;
use crate::{difference, header, languages, snippets};

/// The Markdown files that print programs of the checkout.
const WITH_PROGRAMS: [&str; 6] = [
    "README.md",
    "bindings-python/README.md",
    "bindings-node/README.md",
    "ffi/README.md",
    "docs/python.md",
    "docs/node.md",
];

/// Files that are published with each package, which has nothing from above its own directory.
const LICENCES: [&str; 2] = ["LICENSE-MIT", "LICENSE-APACHE"];
const PACKAGES: [&str; 2] = ["bindings-python", "bindings-node"];

/// What building the Node package generates.
const NODE_FILES: [&str; 2] = ["native.cjs", "native.d.ts"];

/// What `codegen` takes.
#[derive(clap::Args)]
pub(crate) struct Arguments {
    /// Changes nothing; fails where a committed file is not what would be written
    #[arg(long)]
    check: bool,
}

/// Generates every file and writes it, or compares.
pub(crate) fn run(project: &Project, arguments: &Arguments, log: &Log) -> Result<()> {
    languages::build_node(project, log)?;
    let files = generate(project)?;
    if arguments.check { compare(project, &files) } else { write(project, &files, log) }
}

/// Compares, for the step of `cargo xtask test`, after the step that built the Node package.
pub(crate) fn check(project: &Project, log: &Log) -> Result<()> {
    let files = generate(project)?;
    log.say(&format!("{} generated files compared", files.len()))?;
    compare(project, &files)
}

/// Every generated file: its path in the checkout and what it should hold.
fn generate(project: &Project) -> Result<Vec<(String, String)>> {
    let mut files = vec![(header::PATH.to_owned(), header::generate(project)?)];
    for name in NODE_FILES {
        let built = languages::node_output(project).join(name);
        let text = fs::read_to_string(&built).with_context(|| format!("reading {}", built.display()))?;
        files.push((format!("bindings-node/{name}"), text));
    }
    for name in LICENCES {
        let text = fs::read_to_string(project.path(name)).with_context(|| format!("reading {name}"))?;
        files.extend(PACKAGES.map(|package| (format!("{package}/{name}"), text.clone())));
    }
    for path in WITH_PROGRAMS.into_iter().filter(|path| project.path(path).exists()) {
        let text = fs::read_to_string(project.path(path)).with_context(|| format!("reading {path}"))?;
        let filled = snippets::fill(project.root(), &text).with_context(|| path.to_owned())?;
        files.push((path.to_owned(), filled));
    }
    Ok(files)
}

fn compare(project: &Project, files: &[(String, String)]) -> Result<()> {
    let mut differences = Vec::new();
    for (path, wanted) in files {
        let there = fs::read_to_string(project.path(path)).unwrap_or_default();
        differences.extend(difference::describe(path, &there, wanted));
    }
    if !differences.is_empty() {
        bail!(
            "generated files are not up to date; run `cargo xtask codegen` and commit the result\n{}",
            differences.join("\n")
        );
    }
    Ok(())
}

fn write(project: &Project, files: &[(String, String)], log: &Log) -> Result<()> {
    for (path, wanted) in files {
        let there = fs::read_to_string(project.path(path)).unwrap_or_default();
        if there != *wanted {
            fs::write(project.path(path), wanted).with_context(|| format!("writing {path}"))?;
            log.say(&format!("wrote {path}"))?;
        }
    }
    log.say("generated files are up to date")
}
