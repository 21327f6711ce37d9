//! `cargo xtask test`: every check of every language, as named steps.

use std::collections::BTreeSet;
use std::env;
use std::io::IsTerminal as _;

use anyhow::{Result, ensure};

use crate::doors::Doors;
use crate::languages::{build_c, build_node, build_python, conformance, python_tests, python_types};
use crate::log::Log;
use crate::project::{Project, remove_directory};
use crate::steps::{self, Step};
use crate::tools::Tool;
use crate::{codegen, links, node, python, quickstarts, torture};

/// What `test` takes.
#[derive(clap::Args)]
pub(crate) struct Arguments {
    /// Runs this step only, and those it needs; may be given several times
    #[arg(long, value_name = "STEP")]
    only: Vec<String>,
    /// Lists the steps and ends
    #[arg(long)]
    list: bool,
    /// Shows all output as it comes, as is done where there is no terminal
    #[arg(long)]
    verbose: bool,
}

/// Runs the steps and prints the summary.
pub(crate) fn run(project: &Project, arguments: &Arguments) -> Result<()> {
    let steps = steps::select(STEPS, &arguments.only)?;
    if arguments.list {
        for step in steps {
            println!("{:<16} {}", step.name, step.what);
        }
        return Ok(());
    }
    let tools: BTreeSet<Tool> = steps.iter().flat_map(|step| step.tools).copied().collect();
    for missing in tools.iter().filter_map(|tool| tool.missing()) {
        println!("missing: {missing}");
    }
    let stream = arguments.verbose || env::var_os("CI").is_some() || !std::io::stdout().is_terminal();
    steps::sum_up(&steps::run(project, &steps, stream))
}

const STEPS: &[Step] = &[
    Step {
        name: "format",
        what: "the sources are formatted as rustfmt formats them",
        tools: &[],
        needs: &[],
        run: |project, log| log.run(&mut project.cargo("fmt --all --check")),
    },
    Step {
        name: "links",
        what: "what Markdown files point at is there",
        tools: &[],
        needs: &[],
        run: links::check,
    },
    Step {
        name: "clippy",
        what: "no warning in any crate of the workspace",
        tools: &[],
        needs: &[],
        run: |project, log| {
            log.run(&mut project.cargo("clippy --workspace --all-targets --locked -- --deny warnings"))
        },
    },
    Step {
        name: "core",
        what: "unit, property and documentation tests of the core",
        tools: &[],
        needs: &[],
        run: |project, log| log.run(&mut project.cargo("test --package opendb --locked --no-fail-fast")),
    },
    Step {
        name: "cli",
        what: "the program `opendb`, run as one runs it",
        tools: &[],
        needs: &[],
        run: |project, log| log.run(&mut project.cargo("test --package opendb-cli --locked --no-fail-fast")),
    },
    Step {
        name: "loom",
        what: "every interleaving of the index's readers and writers",
        tools: &[],
        needs: &[],
        run: loom,
    },
    Step {
        name: "doc",
        what: "the documentation builds without a warning",
        tools: &[],
        needs: &[],
        run: |project, log| {
            let mut command = project.cargo("doc --workspace --no-deps --locked");
            log.run(command.env("RUSTDOCFLAGS", "--deny warnings"))
        },
    },
    Step {
        name: "tasks",
        what: "unit tests of the tasks, the demonstration and the benchmark",
        tools: &[],
        needs: &[],
        run: |project, log| {
            log.run(&mut project.cargo(
                "test --locked --no-fail-fast --package xtask --package opendb-demo --package opendb-measure \
                 --package opendb-bench",
            ))
        },
    },
    Step {
        name: "scale",
        what: "every figure of `cargo xtask scale` comes out, in its short form",
        tools: &[],
        needs: &[],
        run: |project, log| {
            log.run(&mut project.cargo("test --locked --no-fail-fast --package opendb-scale"))
        },
    },
    Step {
        name: "torture",
        what: "every campaign of `cargo xtask torture`, in its short form, and that it finds planted faults",
        tools: &[],
        needs: &[],
        run: |project, log| {
            log.run(
                &mut project
                    .cargo("test --locked --no-fail-fast --package opendb-torture --package opendb-fuzzed"),
            )?;
            torture::quick(project, log)
        },
    },
    Step {
        name: "build-python",
        what: "the Python package, in a virtual environment",
        tools: &[Tool::Python, Tool::Venv],
        needs: &[],
        run: build_python,
    },
    Step {
        name: "build-node",
        what: "the Node package",
        tools: &[Tool::Node, Tool::Npm],
        needs: &[],
        run: build_node,
    },
    Step {
        name: "build-c",
        what: "the C library and its driver",
        tools: &[Tool::C],
        needs: &[],
        run: build_c,
    },
    Step {
        name: "codegen",
        what: "generated files are up to date",
        tools: &[Tool::Node, Tool::Npm],
        needs: &["build-node"],
        run: codegen::check,
    },
    Step {
        name: "conformance",
        what: "scripts, model, exchange, crashes and damage, through all four doors",
        tools: &[],
        needs: &["build-python", "build-node", "build-c"],
        run: conformance,
    },
    Step {
        name: "python",
        what: "tests of the Python package, and the suites of what it plugs into",
        tools: &[],
        needs: &["build-python"],
        run: python_tests,
    },
    Step {
        name: "python-types",
        what: "the Python stubs say what is there, and programs check against them",
        tools: &[],
        needs: &["build-python"],
        run: python_types,
    },
    Step {
        name: "wheel",
        what: "the Python package as it is published, in a clean environment; `cargo xtask python` does more there",
        tools: &[],
        needs: &["build-python"],
        run: python::quick,
    },
    Step {
        name: "node",
        what: "tests of the Node package, and the suites of what it plugs into",
        tools: &[],
        needs: &["build-node"],
        run: |project, log| {
            log.run(&mut project.cargo("test --package opendb-node --locked"))?;
            log.run(project.program(Tool::Npm.program(), "bindings-node").arg("test"))?;
            log.run(project.program(Tool::Npm.program(), "bindings-node").args(["run", "test:suites"]))
        },
    },
    Step {
        name: "packed",
        what: "the Node package as it is published, in an empty project; `cargo xtask node` does more there",
        tools: &[],
        needs: &["build-node"],
        run: node::quick,
    },
    Step {
        name: "node-types",
        what: "a TypeScript program checks against the declarations",
        tools: &[],
        needs: &["build-node"],
        run: |project, log| {
            log.run(project.program(Tool::Npm.program(), "bindings-node").args(["run", "types"]))
        },
    },
    Step {
        name: "c",
        what: "tests of the C library and the C++ header, each program alone, under valgrind and with sanitizers",
        tools: &[Tool::C, Tool::Cpp, Tool::Valgrind],
        needs: &["build-c"],
        run: |project, log| log.run(&mut project.cargo("test --package opendb-ffi --locked --no-fail-fast")),
    },
    Step {
        name: "quickstarts",
        what: "the programs of the README run, one database for all four",
        tools: &[Tool::C],
        needs: &["build-python", "build-node", "build-c"],
        run: |project, log| {
            let doors = Doors::installed(project);
            let database = project.target("xtask/quickstart-db");
            remove_directory(&database)?;
            quickstarts::run(project, &doors, log, &database)
        },
    },
];

/// The index's tests under `loom`, in a target directory of their own since every crate is built anew for them.
fn loom(project: &Project, log: &Log) -> Result<()> {
    let mut command = project.cargo("test --package opendb --lib --locked loom");
    command.env("RUSTFLAGS", "--cfg loom").env("CARGO_TARGET_DIR", project.target("loom"));
    let output = log.output(&mut command)?;
    ensure!(
        !output.contains("ok. 0 passed"),
        "no test of the core has loom in its name: nothing was checked"
    );
    Ok(())
}
