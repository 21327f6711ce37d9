//! Builds the library, compiles every C and C++ program of the tests and examples against it with warnings as errors,
//! and runs them, plainly, under valgrind and with the compiler's sanitizers.

// What goes wrong here is a failed test.
#![allow(clippy::unwrap_used, clippy::panic)]

mod support;

use std::collections::BTreeSet;
use std::fs;
use std::process::Command;

use support::{
    SANITIZERS, STATIC_LIBRARIES, VALGRIND, compile, compiler, crate_directory, library_directory,
};
use support::{exported, functions, run, run_on_scratch, sources};

/// Runs every test program of a language: plainly, under valgrind, and compiled with the sanitizers.
fn run_programs(directory: &str, ending: &str) {
    let valgrind = [&["valgrind"], VALGRIND].concat();
    for source in sources(directory, ending) {
        let scratch = tempfile::tempdir().unwrap();
        let program = compile(&source, &[], scratch.path());
        run_on_scratch(&[], &program);
        run_on_scratch(&valgrind, &program);
        run_on_scratch(&[], &compile(&source, SANITIZERS, scratch.path()));
    }
}

#[test]
fn c_programs_pass_and_are_clean() {
    run_programs("tests/c", "c");
}

#[test]
fn cpp_programs_pass_and_are_clean() {
    run_programs("tests/cpp", "cpp");
}

/// Each runs as a process of its own on the directory that the one before left behind.
#[test]
fn quickstarts_count_their_visits_on_one_directory() {
    let scratch = tempfile::tempdir().unwrap();
    for (visit, source) in [(1, "quickstart.c"), (2, "quickstart.cpp"), (3, "quickstart.c")] {
        let program = compile(&crate_directory().join("examples").join(source), &[], scratch.path());
        let output = run(Command::new(program).arg(scratch.path().join("database")));
        let text = String::from_utf8(output.stdout).unwrap();
        let expected = format!("user:1 = Alice\nuser:2 = Bob\nvisits: {visit}\n");
        assert!(text.ends_with(&expected), "{source}: {text}");
    }
}

/// What a newcomer sees who runs a first program under valgrind: no error and no lost block.
#[test]
fn quickstarts_are_clean_under_valgrind() {
    let scratch = tempfile::tempdir().unwrap();
    let valgrind = [&["valgrind"], VALGRIND].concat();
    for source in ["quickstart.c", "quickstart.cpp"] {
        let program = compile(&crate_directory().join("examples").join(source), &[], scratch.path());
        run_on_scratch(&valgrind, &program);
    }
}

#[test]
fn the_static_library_links_alone() {
    let scratch = tempfile::tempdir().unwrap();
    let program = scratch.path().join("quickstart");
    let source = crate_directory().join("examples/quickstart.c");
    let mut compiler = compiler(&source);
    compiler.arg(&source).arg("-o").arg(&program).arg(library_directory().join("libopendb.a"));
    run(compiler.args(STATIC_LIBRARIES));
    let output = run(Command::new(&program).arg(scratch.path().join("database")));
    assert!(String::from_utf8(output.stdout).unwrap().ends_with("visits: 1\n"));
}

/// Each header compiles by itself, in every language it is for.
#[test]
fn headers_stand_alone() {
    let scratch = tempfile::tempdir().unwrap();
    for (header, source, standard) in [
        ("opendb.h", "alone.c", "-std=c99"),
        ("opendb.h", "alone.cpp", "-std=c++11"),
        ("opendb.h", "alone.cpp", "-std=c++17"),
        ("opendb.hpp", "alone.cpp", "-std=c++17"),
        ("opendb.hpp", "alone.cpp", "-std=c++20"),
    ] {
        let source = scratch.path().join(source);
        let begun = "opendb_scan scan = OPENDB_SCAN_INIT; opendb_stats stats = OPENDB_STATS_INIT; \
                     opendb_compaction done = OPENDB_COMPACTION_INIT; opendb_backup_result made = OPENDB_BACKUP_RESULT_INIT; \
                     opendb_salvage_result saved = OPENDB_SALVAGE_RESULT_INIT;";
        fs::write(&source, format!("#include \"{header}\"\n{begun}\n")).unwrap();
        run(compiler(&source).args([standard, "-fsyntax-only"]).arg(&source));
    }
}

/// An older C++ is refused by one sentence, not by what the compiler makes of the first line that it does not know.
#[test]
fn the_cpp_header_says_which_standard_it_needs() {
    let scratch = tempfile::tempdir().unwrap();
    let source = scratch.path().join("old.cpp");
    fs::write(&source, "#include \"opendb.hpp\"\n").unwrap();
    for standard in ["-std=c++11", "-std=c++14"] {
        let output = compiler(&source).args([standard, "-fsyntax-only"]).arg(&source).output().unwrap();
        assert!(!output.status.success());
        let text = String::from_utf8(output.stderr).unwrap();
        let errors: Vec<_> = text.lines().filter(|line| line.contains("error: ")).collect();
        assert_eq!(errors.len(), 1, "{text}");
        assert!(errors[0].contains("opendb.hpp needs C++17: compile with -std=c++17"), "{text}");
    }
}

/// The header declares what the library exports, no more and no less, and the C programs call all of it.
#[test]
fn header_library_and_tests_have_the_same_functions() {
    let header = fs::read_to_string(crate_directory().join("include/opendb.h")).unwrap();
    let declared: BTreeSet<_> = header
        .lines()
        .filter(|line| {
            line.starts_with(|letter: char| letter.is_ascii_lowercase()) && !line.starts_with("typedef")
        })
        .flat_map(|line| functions(line, "opendb_"))
        .collect();
    assert!(declared.len() > 70, "only {} functions were found in the header", declared.len());

    assert_eq!(declared, exported());

    let programs: String =
        sources("tests/c", "c").iter().map(|path| fs::read_to_string(path).unwrap()).collect();
    for name in declared {
        assert!(programs.contains(&name), "no test in C calls {name}");
    }
}
