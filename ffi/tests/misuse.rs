//! Every function of the header with every argument wrong in every way that can be found out, in a program in C that is made from
//! the header: so a function that is added is in it, or its parameters are of a type that this says it does not know.

// What goes wrong here is a failed test.
#![allow(clippy::unwrap_used, clippy::panic)]

mod support;

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::fs;
use std::path::PathBuf;

use support::{SANITIZERS, VALGRIND, compile, crate_directory, exported, run_on_scratch};

/// Parameters for which NULL stands for something, by function where not everywhere.
const MAY_BE_NULL: &[(&str, &str)] = &[
    ("", "error_out"),
    ("", "scan"),
    ("", "progress"),
    ("", "user_data"),
    ("", "expected"),
    ("", "replacement"),
    ("opendb_open", "options"),
    ("opendb_iterator_next", "value_out"),
    ("opendb_compact", "compaction"),
    ("opendb_backup", "result"),
    ("opendb_salvage", "result"),
    ("opendb_close", "database"),
];
/// Functions of handles that were made from a database and go on answering when it is closed.
const NOT_CLOSED: &[&str] = &["opendb_batch_len", "opendb_transaction_rollback"];
/// Handles that do not depend on the database.
const INDEPENDENT: &[&str] =
    &["options", "names", "pinned", "values", "value_reader", "verification", "error", "database"];

/// A function of the header.
struct Function {
    name: String,
    returns: String,
    parameters: Vec<Parameter>,
}

struct Parameter {
    name: String,
    kind: Kind,
}

/// What a parameter takes.
#[derive(Clone, PartialEq)]
enum Kind {
    /// A handle of the type with this name.
    Handle(String),
    /// A place for a handle of the type with this name.
    HandleOut(String),
    /// A place for what this expression is.
    Out(&'static str),
    /// Views of keys whose count is the next parameter.
    Views,
    /// A view, or NULL.
    MaybeView,
    Count,
    /// Bytes whose length is the next parameter.
    Bytes(&'static str),
    Length,
    Text(&'static str),
    /// A struct that begins with its size, and what it is begun with.
    Sized(String, String),
    /// A number that is checked, one that is right, and one that is wrong.
    Checked(&'static str),
    /// Anything that this expression is.
    Any(&'static str),
    Callback(&'static str),
    ErrorOut,
    BytesToFree,
}

impl Function {
    fn gives_status(&self) -> bool {
        self.returns == "opendb_status" && self.parameters.iter().any(|one| one.kind == Kind::ErrorOut)
    }

    /// Whether the handle is none any more behind the call, whatever came of it.
    fn consumes(&self) -> bool {
        ["commit", "rollback", "finish"].iter().any(|word| self.name.contains(word))
    }

    /// The handle that the function belongs to.
    fn handle(&self) -> Option<&str> {
        self.parameters.first().and_then(|first| match &first.kind {
            Kind::Handle(handle) => Some(handle.as_str()),
            _ => None,
        })
    }

    /// The call with the right arguments, but for one that is another.
    fn call(&self, but: Option<(usize, &str)>) -> String {
        let mut views = 0;
        let arguments: Vec<String> = self
            .parameters
            .iter()
            .enumerate()
            .map(|(at, parameter)| match but {
                Some((other, with)) if other == at => with.to_owned(),
                // What was announced has to be there.
                _ if at == 0 && self.name.contains("finish") => {
                    "(opendb_value_writer_write(value_writer, B(\"v\"), NULL), value_writer)".to_owned()
                }
                _ => right(parameter, &mut views),
            })
            .collect();
        format!("{}({})", self.name, arguments.join(", "))
    }
}

/// An argument that is right.
fn right(parameter: &Parameter, views: &mut u32) -> String {
    match &parameter.kind {
        Kind::Handle(handle) => handle.clone(),
        Kind::HandleOut(handle) => format!("&{handle}_out"),
        Kind::Out("view_out") => {
            *views += 1;
            if *views > 1 { "&view_out_2".to_owned() } else { "&view_out".to_owned() }
        }
        Kind::Out(place) => format!("&{place}"),
        Kind::Bytes(expression) | Kind::Text(expression) | Kind::Any(expression) => (*expression).to_owned(),
        Kind::Callback(function) => (*function).to_owned(),
        Kind::Views | Kind::MaybeView => "&key_view".to_owned(),
        Kind::Length | Kind::Count => "1".to_owned(),
        Kind::Sized(variable, _) => format!("&{variable}"),
        Kind::Checked(right) => (*right).to_owned(),
        Kind::ErrorOut => "&told".to_owned(),
        Kind::BytesToFree => "&bytes".to_owned(),
    }
}

/// The functions that the header declares.
fn functions() -> Vec<Function> {
    let header = fs::read_to_string(crate_directory().join("include/opendb.h")).unwrap();
    let mut text = String::new();
    let mut rest = header.as_str();
    while let Some((before, comment)) = rest.split_once("/*") {
        text.push_str(before);
        rest = comment.split_once("*/").unwrap().1;
    }
    text.push_str(rest);
    let handles: Vec<String> = text
        .lines()
        .filter_map(|line| line.strip_prefix("typedef struct opendb_")?.split_once(' '))
        .map(|(name, _)| name.to_owned())
        .collect();
    let declarations = text.split_once("extern \"C\" {").unwrap().1.split_once("#ifdef").unwrap().0;
    let declarations =
        declarations.lines().filter(|line| !line.starts_with('#')).collect::<Vec<_>>().join(" ");
    declarations.split(';').filter(|one| one.contains('(')).map(|one| function(one, &handles)).collect()
}

fn function(declaration: &str, handles: &[String]) -> Function {
    let words = declaration.split_whitespace().collect::<Vec<_>>().join(" ");
    let (head, parameters) = words.trim_end_matches(')').split_once('(').unwrap();
    let (returns, name) = split_name(head);
    let parameters = parameters.split(", ").filter(|one| *one != "void");
    let parameters = parameters
        .map(|parameter| {
            let (kind, parameter) = split_name(parameter);
            let kind = kind_of(&name, &kind, &parameter, handles);
            Parameter { name: parameter, kind }
        })
        .collect();
    Function { name, returns, parameters }
}

/// The type and the name of `type name` or `type *name`.
fn split_name(declared: &str) -> (String, String) {
    let at = declared.rfind([' ', '*']).unwrap() + 1;
    (declared[..at].trim().to_owned(), declared[at..].to_owned())
}

fn kind_of(function: &str, kind: &str, name: &str, handles: &[String]) -> Kind {
    let plain = kind.trim_start_matches("const ");
    let handle = |suffix: &str| {
        let named = plain.strip_prefix("opendb_")?.strip_suffix(suffix)?;
        handles.iter().find(|handle| *handle == named).cloned()
    };
    match (plain, name) {
        ("opendb_error **", "error_out") => Kind::ErrorOut,
        ("opendb_bytes *", "bytes") => Kind::BytesToFree,
        ("opendb_bytes *", _) => Kind::Out("bytes_out"),
        ("opendb_view *", "keys") => Kind::Views,
        ("size_t", "count") => Kind::Count,
        ("opendb_view *", "expected" | "replacement") => Kind::MaybeView,
        ("opendb_view *", _) => Kind::Out("view_out"),
        ("int64_t *", _) => Kind::Out("sum_out"),
        ("int64_t", "by") => Kind::Any("1"),
        ("uint32_t", "retries") => Kind::Any("1"),
        ("uint64_t *", _) => Kind::Out("count_out"),
        ("void *", "user_data") => Kind::Any("NULL"),
        ("void *", "buffer") => Kind::Bytes("buffer"),
        // What is there already is no number.
        ("void *", "key") if function.contains("increment") => Kind::Bytes("\"n\""),
        ("void *", "key" | "prefix") => Kind::Bytes("\"k\""),
        ("void *", "value" | "piece") => Kind::Bytes("\"v\""),
        ("size_t", name) if name.ends_with("_length") => Kind::Length,
        ("size_t", "index") => Kind::Any("0"),
        ("char *", "keyspace" | "name") => Kind::Text("\"default\""),
        ("char *", "path") if function == "opendb_backup" => Kind::Text("elsewhere()"),
        ("char *", "into") => Kind::Text("elsewhere()"),
        ("char *", "path" | "damaged") => Kind::Text("below"),
        ("bool", _) => Kind::Any("true"),
        ("uint64_t", "cache_bytes") => Kind::Any("1 << 20"),
        ("uint64_t", "segment_bytes") => Kind::Any("1 << 20"),
        ("uint64_t", "milliseconds") => Kind::Any("1"),
        ("uint64_t", "length") => Kind::Any("4"),
        ("uint64_t", "position") => Kind::Any("1"),
        ("opendb_status", "status") => Kind::Any("OPENDB_ERROR_CLOSED"),
        ("opendb_durability" | "opendb_append_mode" | "opendb_compression", _) => Kind::Checked("0"),
        ("opendb_work", _) => Kind::Callback("work"),
        ("opendb_progress", _) => Kind::Callback("progress"),
        ("opendb_scan *" | "opendb_stats *" | "opendb_compaction *", _)
        | ("opendb_backup_result *" | "opendb_salvage_result *", _) => {
            let name = plain.trim_start_matches("opendb_").trim_end_matches(" *");
            Kind::Sized(format!("{name}_struct"), format!("OPENDB_{}_INIT", name.to_uppercase()))
        }
        _ => match (handle(" *"), handle(" **")) {
            (Some(handle), _) => Kind::Handle(handle),
            (_, Some(handle)) => Kind::HandleOut(handle),
            _ => panic!("{function} has a parameter {name} of a type that is not known here: {kind}"),
        },
    }
}

/// The program, with one function for each function of the header.
fn program(functions: &[Function]) -> String {
    let preamble = crate_directory().join("tests/misuse/misuse.h");
    let mut text = format!("#include {:?}\n\n", preamble.to_str().unwrap());
    text.push_str(&settle());
    let mut main = String::new();
    for function in functions {
        write!(text, "static void try_{}(void) {{\n{}}}\n\n", function.name, tries(function)).unwrap();
        writeln!(main, "    try_{}();", function.name).unwrap();
    }
    // Those that consume a handle come last, each on a database of its own.
    let (consuming, others): (Vec<_>, Vec<_>) = functions.iter().partition(|function| function.consumes());
    let after_close: String = others.into_iter().chain(consuming).filter_map(after_close).collect();
    text.push_str(&anything(functions));
    write!(
        text,
        "int main(int count, char **arguments) {{\n    CHECK(count == 2);\n    \
         strcpy(directory, arguments[1]);\n    remake_database();\n{main}    \
         doing = \"after close\";\n    remake_database();\n    {{\n    \
         opendb_error *told;\n    OK(opendb_close(database, &error));\n{after_close}    }}\n    \
         remake_database();\n    OK(opendb_verify(database, &verification_out, &error));\n    \
         CHECK(opendb_verification_violations(verification_out) == 0);\n    settle();\n    \
         opendb_close(database, NULL);\n    free_all();\n    CHECK(opendb_handles_live() == 0);\n    \
         torment_all();\n    remake_database();\n    OK(opendb_verify(database, &verification_out, &error));\n    \
         CHECK(opendb_verification_violations(verification_out) == 0);\n    settle();\n    opendb_close(database, NULL);\n    free_all();\n    return 0;\n}}\n"
    )
    .unwrap();
    text
}

/// The types of handles that a call can hand out.
const HANDED_OUT: &[&str] = &[
    "keyspace",
    "snapshot",
    "batch",
    "transaction",
    "iterator",
    "names",
    "pinned",
    "values",
    "value_reader",
    "value_writer",
    "verification",
];

/// Frees what a call has handed out, and leaves in every place what no call may leave.
fn settle() -> String {
    let mut text = "static void settle(void) {\n".to_owned();
    for handle in HANDED_OUT {
        writeln!(text, "    opendb_{handle}_free({handle}_out);\n    {handle}_out = POISON;").unwrap();
    }
    text.push_str("    opendb_close(database_out, NULL);\n    database_out = POISON;\n");
    text.push_str("    opendb_bytes_free(&bytes_out);\n    count_out = 77;\n    sum_out = 77;\n}\n\n");
    text
}

/// Every call of one function, first with all arguments right.
fn tries(function: &Function) -> String {
    let mut text = format!("    opendb_error *told = NULL;\n    doing = \"{}\";\n", function.name);
    for parameter in &function.parameters {
        if let Kind::Sized(variable, init) = &parameter.kind {
            let kind = variable.trim_end_matches("_struct");
            writeln!(text, "    opendb_{kind} {variable} = {init};").unwrap();
        }
        if parameter.kind == Kind::BytesToFree {
            text.push_str("    opendb_bytes bytes = {NULL, 0};\n");
        }
    }
    text.push_str("    (void)told;\n");
    text.push_str(&one(function, None, Expected::Taken));
    for (at, parameter) in function.parameters.iter().enumerate() {
        for (with, expected) in wrong(function, parameter) {
            text.push_str(&one(function, Some((at, &with)), expected));
        }
    }
    text
}

/// What a call has to come to.
enum Expected {
    Taken,
    /// Refused with an error whose message has this in it.
    Refused(String),
    /// Nothing happens, and as many handles are live as before.
    Nothing,
}

/// A call with what is looked at behind it.
fn one(function: &Function, but: Option<(usize, &str)>, expected: Expected) -> String {
    let call = function.call(but);
    let without_told = but.is_some_and(|(at, _)| function.parameters[at].kind == Kind::ErrorOut);
    let told = if without_told { "NULL" } else { "told" };
    let mut text = "    settle();\n".to_owned();
    match expected {
        _ if !function.gives_status() => {
            text.push_str("    { size_t live = opendb_handles_live();\n");
            match function.returns.as_str() {
                "void" => writeln!(text, "    {call};").unwrap(),
                "opendb_options *" => writeln!(text, "    opendb_options_free({call});").unwrap(),
                _ => writeln!(text, "    (void){call};").unwrap(),
            }
            if but.is_some() && matches!(expected, Expected::Nothing) {
                text.push_str("    CHECK(opendb_handles_live() == live);\n");
            }
            text.push_str("    (void)live; }\n");
        }
        Expected::Taken | Expected::Nothing => {
            writeln!(text, "    {{ opendb_status status = {call}; taken(status, {told}); }}").unwrap();
        }
        Expected::Refused(naming) => {
            writeln!(text, "    told = POISON;\n    {{ opendb_status status = {call}; refused(\"{naming}\", status, told); }}")
                .unwrap();
            text.push_str(&places_are_empty(function, but));
        }
    }
    if let Some((variable, _)) = but.and_then(|(_, with)| with.trim_start_matches('(').split_once(".size")) {
        writeln!(text, "    {variable}.size = sizeof {variable};").unwrap();
    }
    // A call that was taken may have consumed the handle, or gone on with it.
    let used = function.parameters.iter().filter_map(|parameter| match &parameter.kind {
        Kind::Handle(handle) if handle != "database" => Some(handle.as_str()),
        _ => None,
    });
    used.for_each(|handle| writeln!(text, "    remake_{handle}();").unwrap());
    let closes =
        function.name == "opendb_close" || but.is_some_and(|(_, with)| with.contains("opendb_close"));
    if closes {
        text.push_str("    remake_database();\n");
    }
    text
}

/// Where a call was refused, every place that it was given has nothing in it.
fn places_are_empty(function: &Function, but: Option<(usize, &str)>) -> String {
    let mut text = String::new();
    for (at, parameter) in function.parameters.iter().enumerate() {
        if but.is_some_and(|(other, _)| other == at) {
            continue;
        }
        match &parameter.kind {
            Kind::HandleOut(handle) => writeln!(text, "    CHECK({handle}_out == NULL);").unwrap(),
            Kind::Out("count_out") => text.push_str("    CHECK(count_out == 0);\n"),
            Kind::Out("sum_out") => text.push_str("    CHECK(sum_out == 0);\n"),
            Kind::Out("bytes_out") => text.push_str("    CHECK(bytes_out.data == NULL);\n"),
            _ => {}
        }
    }
    text
}

/// What is wrong for a parameter, each with what has to come of it.
fn wrong(function: &Function, parameter: &Parameter) -> Vec<(String, Expected)> {
    let name = &parameter.name;
    let refused = |with: &str, text: String| (with.to_owned(), Expected::Refused(text));
    let is_null = || refused("NULL", format!("{name} is NULL"));
    let may_be_null =
        MAY_BE_NULL.iter().any(|(of, one)| one == name && (of.is_empty() || *of == function.name));
    let frees = function.name.ends_with("_free");
    let mut wrong = match &parameter.kind {
        Kind::Handle(handle) => return wrong_handles(function, name, handle, may_be_null || frees),
        Kind::Any(_) if name == "index" && function.gives_status() => {
            vec![refused("SIZE_MAX", "index is".to_owned())]
        }
        Kind::Any(_) if name == "index" => vec![("SIZE_MAX".to_owned(), Expected::Nothing)],
        Kind::Any(_) if name == "status" => vec![("12345".to_owned(), Expected::Nothing)],
        Kind::Any(_) | Kind::BytesToFree => return vec![],
        // No more of it is touched than is filled, which is five bytes of a value.
        Kind::Length if name == "buffer_length" => vec![("SIZE_MAX".to_owned(), Expected::Taken)],
        Kind::Length => {
            let of = name.trim_end_matches("_length");
            let mut wrong = vec![refused("SIZE_MAX", format!("{of}: no memory"))];
            wrong.push(refused("(size_t)1 << 63", format!("{of}: no memory")));
            return wrong;
        }
        Kind::Count => return vec![refused("SIZE_MAX", "keys: no memory".to_owned())],
        Kind::Views => vec![
            refused("NULL", format!("{name} is no address")),
            refused("(const opendb_view *)((const char *)&key_view + 1)", format!("{name} is no address")),
            refused("&wrong_view", format!("{name} is NULL and its length is 1")),
        ],
        Kind::MaybeView => vec![
            ("NULL".to_owned(), Expected::Taken),
            refused("(const opendb_view *)((const char *)&key_view + 1)", format!("{name} is no address")),
            refused("&wrong_view", format!("{name} is NULL and its length is 1")),
        ],
        Kind::Text(_) if matches!(name.as_str(), "keyspace" | "name") => {
            vec![is_null(), refused("\"\\xff\"", format!("{name} is not UTF-8"))]
        }
        Kind::Checked(_) => vec![refused("-1", String::new()), refused("99", String::new())],
        Kind::Bytes(_) => vec![refused("NULL", format!("{name} is NULL and its length is 1"))],
        _ if may_be_null => vec![("NULL".to_owned(), Expected::Taken)],
        _ => vec![is_null()],
    };
    if let Kind::Sized(variable, _) = &parameter.kind {
        for size in ["0", "1", "4097", "SIZE_MAX"] {
            wrong.push(refused(
                &format!("({variable}.size = {size}, &{variable})"),
                format!("{name}.size is"),
            ));
        }
    }
    wrong
}

/// NULL, a handle that was freed, one of another type, an address, a number that nobody gave out.
fn wrong_handles(
    function: &Function,
    name: &str,
    handle: &str,
    may_be_null: bool,
) -> Vec<(String, Expected)> {
    let gone = if handle == "database" {
        "(opendb_close(database, NULL), database)".to_owned()
    } else {
        format!("(opendb_{handle}_free({handle}), {handle})")
    };
    let other = if handle == "options" { "(void *)names" } else { "(void *)options" };
    let all = [
        (gone.as_str(), "not live"),
        (other, "another type"),
        ("(void *)&object", "not a handle"),
        ("MADE_UP", if handle == "database" { "" } else { "handle" }),
    ];
    let mut wrong: Vec<(String, Expected)> = Vec::new();
    if may_be_null {
        wrong.push(("NULL".to_owned(), Expected::Nothing));
    } else {
        wrong.push(("NULL".to_owned(), Expected::Refused(format!("{name} is NULL"))));
    }
    for (with, text) in all {
        // A handle that goes within the call is counted there.
        let expected = if function.gives_status() {
            Expected::Refused(text.to_owned())
        } else if with == gone {
            Expected::Taken
        } else {
            Expected::Nothing
        };
        wrong.push((with.to_owned(), expected));
    }
    wrong
}

/// A call with a handle of a database that was closed.
fn after_close(function: &Function) -> Option<String> {
    function.handle().filter(|handle| !INDEPENDENT.contains(handle))?;
    if !function.gives_status() || NOT_CLOSED.contains(&function.name.as_str()) {
        return None;
    }
    let mut text = format!("    doing = \"{} after close\";\n    settle();\n", function.name);
    if function.consumes() {
        text.push_str("    remake_database();\n    CHECK(opendb_close(database, NULL) == OPENDB_OK);\n");
    }
    let mut call = function.call(None);
    for parameter in &function.parameters {
        if let Kind::Sized(variable, _) = &parameter.kind {
            call = call.replace(&format!("&{variable}"), "NULL");
        }
    }
    writeln!(text, "    {{ opendb_status status = {call}; closed(status, told); }}").unwrap();
    Some(text)
}

/// A function of which each call takes long, or after which hardly any other comes to something.
fn is_seldom(name: &str) -> bool {
    ["opendb_backup", "opendb_salvage", "opendb_compact", "opendb_verify", "opendb_close"].contains(&name)
}

/// One call of any function with any handles, for many threads at once.
fn anything(functions: &[Function]) -> String {
    let threads = crate_directory().join("tests/misuse/threads.h");
    let mut text = format!(
        "#include {:?}\n\nstatic void call_anything(unsigned *random) {{\n",
        threads.to_str().unwrap()
    );
    writeln!(text, "    switch (next(random) % {}) {{", functions.len()).unwrap();
    for (at, function) in functions.iter().enumerate() {
        let seldom =
            if is_seldom(&function.name) { "        if (next(random) % SELDOM != 0) break;\n" } else { "" };
        writeln!(text, "    case {at}: {{\n{seldom}{}        break;\n    }}", any_call(function)).unwrap();
    }
    text.push_str("    }\n}\n\n");
    text
}

fn any_call(function: &Function) -> String {
    let (mut places, mut arguments, mut behind) = (String::new(), Vec::new(), String::new());
    for parameter in &function.parameters {
        let name = &parameter.name;
        arguments.push(match &parameter.kind {
            Kind::Handle(handle) => format!("any({}, random)", handle.to_uppercase()),
            Kind::HandleOut(handle) => {
                writeln!(places, "        opendb_{handle} *{name} = NULL;").unwrap();
                writeln!(behind, "        share({}, {name}, random);", handle.to_uppercase()).unwrap();
                format!("&{name}")
            }
            Kind::ErrorOut => {
                places.push_str("        opendb_error *told = NULL;\n");
                behind.push_str("        share(ERROR, told, random);\n");
                "&told".to_owned()
            }
            Kind::Out("bytes_out") | Kind::BytesToFree => {
                writeln!(places, "        opendb_bytes {name} = {{NULL, 0}};").unwrap();
                writeln!(behind, "        opendb_bytes_free(&{name});").unwrap();
                format!("&{name}")
            }
            Kind::Out(place) => {
                let kind = match *place {
                    "view_out" => "opendb_view",
                    "sum_out" => "int64_t",
                    _ => "uint64_t",
                };
                writeln!(places, "        {kind} {name};").unwrap();
                format!("&{name}")
            }
            Kind::Sized(_, init) => {
                let kind = init.trim_end_matches("_INIT").to_lowercase();
                writeln!(places, "        {kind} {name} = {init};").unwrap();
                format!("&{name}")
            }
            Kind::Bytes("buffer") => {
                places.push_str("        char own[16];\n");
                "own".to_owned()
            }
            Kind::Text("elsewhere()") => "\"/dev/null/nowhere\"".to_owned(),
            _ => right(parameter, &mut 0),
        });
    }
    let call = format!("{}({})", function.name, arguments.join(", "));
    let call = match function.returns.as_str() {
        "opendb_status" => format!("no_fault(\"{}\", {call})", function.name),
        "opendb_options *" => format!("share(OPTIONS, {call}, random)"),
        "void" => call,
        _ => format!("(void){call}"),
    };
    format!("{places}        {call};\n{behind}")
}

fn built() -> (tempfile::TempDir, PathBuf) {
    let scratch = tempfile::tempdir().unwrap();
    let source = scratch.path().join("misuse.c");
    fs::write(&source, program(&functions())).unwrap();
    (scratch, source)
}

#[test]
fn every_argument_of_every_function_can_be_wrong() {
    let known: BTreeSet<String> = functions().into_iter().map(|function| function.name).collect();
    assert_eq!(known, exported());
    let (scratch, source) = built();
    run_on_scratch(&[], &compile(&source, &[], scratch.path()));
    run_on_scratch(&[], &compile(&source, SANITIZERS, scratch.path()));
}

#[test]
fn valgrind_finds_nothing_where_arguments_are_wrong() {
    let (scratch, source) = built();
    run_on_scratch(&[&["valgrind"], VALGRIND].concat(), &compile(&source, &[], scratch.path()));
}
