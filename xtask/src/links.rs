//! Checks that what the Markdown files of the checkout point at is there.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, bail};

use crate::log::Log;
use crate::project::Project;

/// Directories that are not ours.
const NOT_OURS: [&str; 5] = ["target", "node_modules", ".venv", ".git", "venv"];
/// Directories whose name at the beginning of a word in backticks makes it a path, from the root or from the file.
const OUR_DIRECTORIES: [&str; 6] = ["core", "ffi", "tests", "xtask", "bindings-python", "bindings-node"];

/// Fails with every link to a missing file or heading, and every path in backticks that is not there.
pub(crate) fn check(project: &Project, log: &Log) -> Result<()> {
    let mut files = Vec::new();
    collect(project.root(), &mut files)?;
    let mut broken = Vec::new();
    for file in &files {
        let text = fs::read_to_string(file).with_context(|| format!("reading {}", file.display()))?;
        for target in broken_in(project.root(), file, &text) {
            let shown = file.strip_prefix(project.root()).unwrap_or(file);
            broken.push(format!("{}: {target} is not there", shown.display()));
        }
    }
    log.say(&format!("{} Markdown files read", files.len()))?;
    if !broken.is_empty() {
        bail!("{}", broken.join("\n"));
    }
    Ok(())
}

fn collect(directory: &Path, files: &mut Vec<PathBuf>) -> Result<()> {
    let entries = fs::read_dir(directory).with_context(|| format!("listing {}", directory.display()))?;
    for entry in entries {
        let path = entry?.path();
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        if path.is_dir() && !NOT_OURS.contains(&name.as_str()) {
            collect(&path, files)?;
        } else if name.ends_with(".md") {
            files.push(path);
        }
    }
    Ok(())
}

fn broken_in(root: &Path, file: &Path, text: &str) -> Vec<String> {
    let directory = file.parent().unwrap_or(root);
    let mut broken = Vec::new();
    for line in prose_lines(text) {
        for (at, part) in line.split('`').enumerate() {
            if at % 2 == 0 {
                broken
                    .extend(links(part).filter(|link| !link_holds(directory, text, link)).map(str::to_owned));
            } else if is_path_of_ours(part) && !root.join(part).exists() && !directory.join(part).exists() {
                broken.push(part.to_owned());
            }
        }
    }
    broken
}

/// The lines that are not in a fenced block.
fn prose_lines(text: &str) -> impl Iterator<Item = &str> {
    let mut in_fence = false;
    text.lines().filter(move |line| {
        let is_fence = line.trim_start().starts_with("```");
        in_fence ^= is_fence;
        !in_fence && !is_fence
    })
}

/// The targets of `[text](target)`.
fn links(prose: &str) -> impl Iterator<Item = &str> {
    prose.split("](").skip(1).filter_map(|rest| rest.split_once(')')).map(|(target, _)| target.trim())
}

fn link_holds(directory: &Path, text: &str, link: &str) -> bool {
    if link.contains("://") || link.starts_with("mailto:") {
        return true;
    }
    let (path, heading) = link.split_once('#').map_or((link, None), |(path, heading)| (path, Some(heading)));
    if path.is_empty() {
        return heading.is_some_and(|heading| has_heading(text, heading));
    }
    let target = directory.join(path);
    match heading {
        Some(heading) if path.ends_with(".md") => {
            fs::read_to_string(target).is_ok_and(|text| has_heading(&text, heading))
        }
        _ => target.exists(),
    }
}

fn has_heading(text: &str, wanted: &str) -> bool {
    prose_lines(text)
        .filter(|line| line.starts_with('#'))
        .any(|line| anchor(line.trim_start_matches('#')) == wanted)
}

/// The name a heading is linked by: small letters, digits and hyphens, with hyphens for spaces.
fn anchor(heading: &str) -> String {
    let kept = heading.trim().chars().filter(|letter| letter.is_alphanumeric() || " -_".contains(*letter));
    kept.map(|letter| if letter == ' ' { '-' } else { letter }).collect::<String>().to_lowercase()
}

fn is_path_of_ours(word: &str) -> bool {
    let is_plain = |letter: char| letter.is_alphanumeric() || "/._-".contains(letter);
    let mut parts = word.split('/');
    let begins = parts.next().is_some_and(|first| OUR_DIRECTORIES.contains(&first));
    begins && word.contains('/') && word.chars().all(is_plain) && !parts.any(|part| NOT_OURS.contains(&part))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn missing_files_headings_and_paths_are_found() {
        let directory = tempfile::tempdir().unwrap();
        fs::create_dir(directory.path().join("core")).unwrap();
        fs::write(directory.path().join("core/there.md"), "# A `heading`, too\n").unwrap();
        let text = "\
# Title
[good](core/there.md) [good](core/there.md#a-heading-too) [good](#title) [far](https://example.org/x)
[bad](core/gone.md) [bad](core/there.md#gone) and [bad](#gone), `core/there.md`, `core/gone.rs`, `core/target/x`
```
[not read](gone.md)
```
";
        let broken = broken_in(directory.path(), &directory.path().join("README.md"), text);
        assert_eq!(broken, ["core/gone.md", "core/there.md#gone", "#gone", "core/gone.rs"]);
    }
}
