//! `cargo xtask node`: the Node package as those get it who install it. The package and that of this platform are packed and installed
//! into an empty project with scripts turned off, and everything runs from there.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, Result, bail, ensure};

use crate::doors::{copy_files, node_module};
use crate::languages::{build_node, node_output};
use crate::log::Log;
use crate::project::{Project, remove_directory};
use crate::runners::{self, Runner};
use crate::steps::{self, Step};
use crate::tools::Tool;

/// Where all of it goes, seen from cargo's target directory.
const WORKSPACE: &str = "node";
/// The kinds of files that the package consists of, of which `files` in its `package.json` says which are published.
const PUBLISHED: [&str; 7] = ["cjs", "mjs", "ts", "cts", "mts", "json", "md"];

/// What `node` takes.
#[derive(clap::Args)]
pub(crate) struct Arguments {
    /// Runs this step only, and those it needs; may be given several times
    #[arg(long, value_name = "STEP")]
    only: Vec<String>,
}

/// Runs the steps and prints the summary.
pub(crate) fn run(project: &Project, arguments: &Arguments) -> Result<()> {
    steps::sum_up(&steps::run(project, &steps::select(STEPS, &arguments.only)?, true))
}

const STEPS: &[Step] = &[
    Step {
        name: "packages",
        what: "the package, and the one of this platform, in release",
        tools: &[Tool::Node, Tool::Npm],
        needs: &[],
        run: |project, log| {
            build_node(project, log)?;
            packages(project, log, "build")
        },
    },
    Step {
        name: "install",
        what: "into an empty project, without scripts: the quickstart with import, with require and as TypeScript",
        tools: &[],
        needs: &["packages"],
        run: |project, log| {
            let place = Place::new(project, log)?;
            place.quickstart(log)?;
            place.quickstart_in_typescript(log)
        },
    },
    Step {
        name: "tests",
        what: "the tests of the package, where it is installed",
        tools: &[],
        needs: &["install"],
        run: |project, log| {
            let place = Place::there(project);
            place.copy_tests()?;
            place.install_for_tests(log)?;
            log.run(place.npm(&place.package()).args(["run", "test"]))
        },
    },
    Step {
        name: "suites",
        what: "the suites that abstract-level and Keyv publish, from their published packages",
        tools: &[],
        needs: &["tests"],
        run: |project, log| {
            let place = Place::there(project);
            log.run(place.npm(&place.package()).args(["run", "test:suites"]))?;
            log.run(place.npm(&place.package()).args(["run", "types"]))
        },
    },
    Step {
        name: "memory",
        what: "memory stays flat over ten million calls, and over opening and closing a thousand times",
        tools: &[],
        needs: &["tests"],
        run: |project, log| {
            let place = Place::there(project);
            log.run(place.node().arg("--expose-gc").arg(place.package().join("benches/memory.mjs")))
        },
    },
    Step {
        name: "beside",
        what: "gets, puts and scans beside lmdb-js, in one run",
        tools: &[],
        needs: &[],
        run: |project, _| {
            let arguments = ["--stores", "opendb,lmdb", "--only", "put,get,scan", "--seconds", "1"];
            runners::run(project, Runner::Node, &project.target("node-beside"), arguments.into_iter())
        },
    },
];

/// The short form, for `cargo xtask test`: of the same build as the other steps, without the tests, which they have run.
pub(crate) fn quick(project: &Project, log: &Log) -> Result<()> {
    packages(project, log, "build:debug")?;
    Place::new(project, log)?.quickstart(log)
}

/// Packs the package and the one of this platform, which has the native module that `script` builds.
fn packages(project: &Project, log: &Log, script: &str) -> Result<()> {
    let workspace = project.target(WORKSPACE);
    remove_directory(&workspace)?;
    let package = workspace.join("package");
    let from = project.path("bindings-node");
    copy_files(&from, &package, &PUBLISHED)?;
    for directory in ["lib", "adapters", "bin"] {
        copy_files(&from.join(directory), &package.join(directory), &PUBLISHED)?;
    }
    for licence in ["LICENSE-MIT", "LICENSE-APACHE"] {
        fs::copy(from.join(licence), package.join(licence)).with_context(|| format!("copying {licence}"))?;
    }
    let npm = |directory: &Path| {
        let mut command = Command::new(Tool::Npm.program());
        command.current_dir(directory);
        command
    };
    log.run(
        npm(&from).args(["exec", "--", "napi", "create-npm-dirs", "--npm-dir", "npm", "--cwd"]).arg(&package),
    )?;
    let native = if script == "build" { workspace.join("native") } else { node_output(project) };
    fs::create_dir_all(&native).with_context(|| format!("creating {}", native.display()))?;
    log.run(npm(&from).args(["run", script, "--", "--output-dir"]).arg(&native))?;
    let module = node_module(project, log)?;
    let this = platform_of(&module)?.to_owned();
    let platform = package.join("npm").join(&this);
    fs::copy(native.join(&module), platform.join(&module)).with_context(|| format!("copying {module}"))?;
    // What `napi pre-publish` does where the modules of all platforms are there.
    let version = env!("CARGO_PKG_VERSION");
    let platforms = fs::read_dir(package.join("npm")).context("listing the packages of platforms")?;
    let mut set = npm(&package);
    set.args(["pkg", "set"]);
    for entry in platforms {
        let name = entry?.file_name().to_string_lossy().into_owned();
        set.arg(format!("optionalDependencies.opendb-{name}={version}"));
    }
    log.run(&mut set)?;
    for packed in [&platform, &package] {
        log.run(npm(packed).args(["pack", "--silent", "--pack-destination"]).arg(&workspace))?;
    }
    Ok(())
}

/// The platform in the name of a native module.
fn platform_of(module: &str) -> Result<&str> {
    let platform = module.strip_prefix("opendb.").and_then(|rest| rest.strip_suffix(".node"));
    platform.with_context(|| format!("{module} does not name a platform"))
}

/// A project that has the package installed and nothing else.
struct Place<'a> {
    project: &'a Project,
    directory: PathBuf,
}

impl<'a> Place<'a> {
    fn new(project: &'a Project, log: &Log) -> Result<Place<'a>> {
        let place = Place::there(project);
        remove_directory(&place.directory)?;
        fs::create_dir_all(&place.directory).context("creating an empty project")?;
        log.run(place.npm(&place.directory).args(["init", "--yes", "--silent"]))?;
        place.install(log, place.tarballs()?)?;
        Ok(place)
    }

    /// The one that an earlier step has made.
    fn there(project: &'a Project) -> Place<'a> {
        Place { project, directory: project.target(WORKSPACE).join("project") }
    }

    /// The package, where it is installed.
    fn package(&self) -> PathBuf {
        self.directory.join("node_modules/opendb")
    }

    fn npm(&self, directory: &Path) -> Command {
        let mut command = Command::new(Tool::Npm.program());
        command.current_dir(directory);
        command
    }

    fn node(&self) -> Command {
        let mut command = Command::new(Tool::Node.program());
        command.current_dir(&self.directory);
        command
    }

    fn install(&self, log: &Log, what: Vec<String>) -> Result<()> {
        let mut install = self.npm(&self.directory);
        install.args(["install", "--ignore-scripts", "--no-audit", "--no-fund", "--save-exact"]);
        log.run(install.args(what))
    }

    fn tarballs(&self) -> Result<Vec<String>> {
        let workspace = self.project.target(WORKSPACE);
        let entries = fs::read_dir(&workspace).with_context(|| format!("listing {}", workspace.display()))?;
        let mut packed = Vec::new();
        for entry in entries {
            let path = entry?.path();
            if path.extension().is_some_and(|extension| extension == "tgz") {
                packed.push(path.display().to_string());
            }
        }
        if packed.len() != 2 {
            bail!("{} packages are in {} where two were packed", packed.len(), workspace.display());
        }
        Ok(packed)
    }

    /// The quickstart as the README prints it, and the same with `require`.
    fn quickstart(&self, log: &Log) -> Result<()> {
        let printed = printed_quickstart(self.project)?;
        self.run_quickstart(log, "quickstart.mjs", &printed)?;
        self.run_quickstart(log, "quickstart.cjs", &with_require(&printed))
    }

    /// The same as TypeScript, checked in its strictest form.
    fn quickstart_in_typescript(&self, log: &Log) -> Result<()> {
        self.install(log, dev_dependencies(self.project, &["typescript", "@types/node"])?)?;
        let name = "quickstart.mts";
        fs::write(self.directory.join(name), printed_quickstart(self.project)?)
            .context("writing a program")?;
        log.run(self.npm(&self.directory).args([
            "exec", "--", "tsc", "--strict", "--target", "es2022", "--module", "nodenext", "--types", "node",
            "--outDir", "compiled", name,
        ]))?;
        let output = log.output(self.node().arg("compiled/quickstart.mjs"))?;
        ensure!(output.ends_with("visits: 1\n"), "the quickstart in TypeScript printed {output:?}");
        Ok(())
    }

    fn run_quickstart(&self, log: &Log, name: &str, program: &str) -> Result<()> {
        fs::write(self.directory.join(name), program).with_context(|| format!("writing {name}"))?;
        let output = log.output(self.node().arg(name))?;
        ensure!(output.ends_with("visits: 1\n"), "{name} printed {output:?}");
        Ok(())
    }

    /// The tests find their package as one that is around them.
    fn copy_tests(&self) -> Result<()> {
        let from = self.project.path("bindings-node");
        for directory in ["test", "test-suites", "benches", "examples"] {
            copy_files(&from.join(directory), &self.package().join(directory), &PUBLISHED)?;
        }
        Ok(())
    }

    fn install_for_tests(&self, log: &Log) -> Result<()> {
        self.install(log, dev_dependencies(self.project, &[])?)
    }
}

/// The program in JavaScript that stands in the README.
fn printed_quickstart(project: &Project) -> Result<String> {
    let readme = fs::read_to_string(project.path("README.md")).context("reading README.md")?;
    let (_, after) = readme.split_once("```js\n").context("README.md has no program in JavaScript")?;
    let (program, _) = after.split_once("```").context("the program in README.md does not end")?;
    Ok(program.to_owned())
}

/// The same program with `require`.
fn with_require(program: &str) -> String {
    let line = |line: &str| match line.strip_prefix("import ").and_then(|rest| rest.split_once(" from ")) {
        Some((names, module)) => format!("const {names} = require({module})\n"),
        None => format!("{line}\n"),
    };
    program.lines().map(line).collect()
}

/// What the package names for its tests, each as npm takes it: some of it, or all.
fn dev_dependencies(project: &Project, only: &[&str]) -> Result<Vec<String>> {
    let path = project.path("bindings-node/package.json");
    let text = fs::read_to_string(&path).with_context(|| format!("reading {}", path.display()))?;
    let package: serde_json::Value = serde_json::from_str(&text).context("parsing package.json")?;
    let named = package["devDependencies"].as_object().context("package.json has no devDependencies")?;
    let wanted = named.iter().filter(|(name, _)| only.is_empty() || only.contains(&name.as_str()));
    Ok(wanted.map(|(name, version)| format!("{name}@{}", version.as_str().unwrap_or_default())).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn imports_become_requires_and_nothing_else_changes() {
        let program = "import { open } from 'opendb'\n\nconst from = open(path)\n";
        assert_eq!(with_require(program), "const { open } = require('opendb')\n\nconst from = open(path)\n");
    }

    #[test]
    fn a_module_names_its_platform() {
        assert_eq!(platform_of("opendb.linux-x64-gnu.node").unwrap(), "linux-x64-gnu");
        assert!(platform_of("opendb.so").is_err());
    }
}
