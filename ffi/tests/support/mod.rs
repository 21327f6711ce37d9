//! What the tests of the C library have in common: building the library, and compiling and running programs against it.

#![allow(dead_code, reason = "no test uses all of it")]

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::sync::OnceLock;

pub(crate) const C_FLAGS: &[&str] =
    &["-std=c99", "-Wall", "-Wextra", "-Wpedantic", "-Werror", "-g", "-D_DEFAULT_SOURCE"];
pub(crate) const CPP_FLAGS: &[&str] = &["-std=c++17", "-Wall", "-Wextra", "-Wpedantic", "-Werror", "-g"];
/// Every error and every lost block fails, those that are only possibly lost as well.
pub(crate) const VALGRIND: &[&str] = &[
    "--error-exitcode=1",
    "--leak-check=full",
    "--errors-for-leak-kinds=definite,possible",
    "--num-callers=40",
    "--quiet",
];
/// The caller's side watched by the compiler: what a program reads through the views and bytes it was given.
pub(crate) const SANITIZERS: &[&str] = &["-fsanitize=address,undefined", "-fno-sanitize-recover=all"];
/// What the static library needs besides itself.
pub(crate) const STATIC_LIBRARIES: &[&str] = &["-lpthread", "-ldl", "-lm"];

pub(crate) fn crate_directory() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// Runs a command to its end and asserts that it went well.
pub(crate) fn run(command: &mut Command) -> Output {
    let output = command.output().unwrap_or_else(|error| panic!("starting {command:?}: {error}"));
    assert!(
        output.status.success(),
        "{command:?}: {}\n{}{}",
        output.status,
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    );
    output
}

/// The directory with libopendb.so and libopendb.a, which Cargo does not build for tests by itself.
pub(crate) fn library_directory() -> &'static Path {
    static BUILT: OnceLock<PathBuf> = OnceLock::new();
    BUILT.get_or_init(|| {
        // This program is <target directory>/<profile>/deps/<name>.
        let program = std::env::current_exe().unwrap();
        let profile_directory = program.parent().and_then(Path::parent).unwrap();
        let profile = match profile_directory.file_name().unwrap().to_str().unwrap() {
            "debug" => "dev",
            name => name,
        };
        let mut cargo = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
        cargo.args(["build", "--lib", "--profile", profile, "--manifest-path"]);
        cargo.arg(crate_directory().join("Cargo.toml"));
        run(cargo.arg("--target-dir").arg(profile_directory.parent().unwrap()));
        profile_directory.to_owned()
    })
}

/// The sources with this ending in a directory of the crate, sorted; there is at least one.
pub(crate) fn sources(directory: &str, ending: &str) -> Vec<PathBuf> {
    let entries = fs::read_dir(crate_directory().join(directory)).unwrap();
    let mut sources: Vec<_> = entries
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.extension().is_some_and(|extension| extension == ending))
        .collect();
    sources.sort();
    assert!(!sources.is_empty(), "no .{ending} in {directory}");
    sources
}

/// The compiler of a source with its warnings and the directory of the headers.
pub(crate) fn compiler(source: &Path) -> Command {
    let cpp = source.extension().is_some_and(|extension| extension == "cpp");
    let mut compiler = Command::new(if cpp { "g++" } else { "gcc" });
    compiler.args(if cpp { CPP_FLAGS } else { C_FLAGS });
    compiler.arg("-I").arg(crate_directory().join("include"));
    compiler
}

/// Compiles a program that finds the shared library at run time.
pub(crate) fn compile(source: &Path, flags: &[&str], directory: &Path) -> PathBuf {
    let program = directory.join(source.file_name().unwrap()).with_extension("program");
    let library = library_directory();
    let mut compiler = compiler(source);
    compiler
        .args(flags)
        .arg(source)
        .arg("-o")
        .arg(&program)
        .arg("-L")
        .arg(library)
        .args(["-lopendb", "-lpthread"]);
    run(compiler.arg(format!("-Wl,-rpath,{}", library.display())));
    program
}

/// Runs a program on an empty directory of its own, behind the command that watches it.
pub(crate) fn run_on_scratch(watcher: &[&str], program: &Path) -> Output {
    let directory = tempfile::tempdir().unwrap();
    let mut words = watcher.iter().map(std::ffi::OsStr::new).chain([program.as_os_str()]);
    run(Command::new(words.next().unwrap()).args(words).arg(directory.path()))
}

/// The functions whose names follow `before` in a text.
pub(crate) fn functions(text: &str, before: &str) -> BTreeSet<String> {
    let names = text.split(before).skip(1).map(|rest| {
        let end =
            rest.find(|letter: char| !letter.is_ascii_alphanumeric() && letter != '_').unwrap_or(rest.len());
        (&rest[..end], rest[end..].starts_with('(') || before.starts_with(" T"))
    });
    names.filter(|(_, called)| *called).map(|(name, _)| format!("opendb_{name}")).collect()
}

/// The functions that the library has.
pub(crate) fn exported() -> BTreeSet<String> {
    let library = library_directory().join("libopendb.so");
    let symbols = run(Command::new("nm").args(["-D", "--defined-only"]).arg(library));
    functions(&String::from_utf8(symbols.stdout).unwrap(), " T opendb_")
}
