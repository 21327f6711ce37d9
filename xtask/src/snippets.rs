//! Keeps the programs printed in Markdown files equal to the files they come from.
//!
//! Between `<!-- file: core/examples/quickstart.rs -->` and `<!-- /file -->` stands the whole of that file as a fenced
//! block, so that what people read is what the tests run.

use std::fs;
use std::path::Path;

use anyhow::{Context as _, Result, bail};

const BEGIN: &str = "<!-- file: ";
const BEGIN_CLOSE: &str = " -->";
const END: &str = "<!-- /file -->";

/// The text with every block filled from its file.
pub(crate) fn fill(root: &Path, text: &str) -> Result<String> {
    let mut filled = String::with_capacity(text.len());
    let mut rest = text;
    while let Some((before, after)) = rest.split_once(BEGIN) {
        let (path, after) = after.split_once(BEGIN_CLOSE).context("a file marker is not closed by -->")?;
        let Some((_, after)) = after.split_once(END) else {
            bail!("the block of {path} has no {END} after it");
        };
        let content = fs::read_to_string(root.join(path))
            .with_context(|| format!("reading {path}, which a block names"))?;
        let language = language_of(path);
        filled.push_str(before);
        filled.push_str(&format!(
            "{BEGIN}{path}{BEGIN_CLOSE}\n```{language}\n{}\n```\n{END}",
            content.trim_end()
        ));
        rest = after;
    }
    filled.push_str(rest);
    Ok(filled)
}

/// The text with what stands between two markers replaced.
pub(crate) fn replace_between(text: &str, begin: &str, end: &str, content: &str) -> Result<String> {
    let (before, after) = text.split_once(begin).with_context(|| format!("there is no {begin}"))?;
    let (_, after) = after.split_once(end).with_context(|| format!("there is no {end} after {begin}"))?;
    Ok(format!("{before}{begin}\n{}\n{end}{after}", content.trim()))
}

fn language_of(path: &str) -> &'static str {
    match Path::new(path).extension().and_then(|extension| extension.to_str()) {
        Some("rs") => "rust",
        Some("py") => "python",
        Some("mjs" | "js") => "js",
        Some("ts") => "ts",
        Some("c" | "h") => "c",
        Some("cpp" | "hpp") => "cpp",
        _ => "",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn blocks_are_filled_and_filling_again_changes_nothing() {
        let directory = tempfile::tempdir().unwrap();
        fs::write(directory.path().join("one.rs"), "fn main() {}\n\n").unwrap();
        let text = "a\n<!-- file: one.rs -->\nold\n<!-- /file -->\nb\n";
        let filled = fill(directory.path(), text).unwrap();
        assert_eq!(filled, "a\n<!-- file: one.rs -->\n```rust\nfn main() {}\n```\n<!-- /file -->\nb\n");
        assert_eq!(fill(directory.path(), &filled).unwrap(), filled);
    }

    #[test]
    fn a_block_without_its_file_or_its_end_is_an_error() {
        let directory = tempfile::tempdir().unwrap();
        assert!(fill(directory.path(), "<!-- file: gone.rs -->\n<!-- /file -->").is_err());
        fs::write(directory.path().join("one.rs"), "").unwrap();
        assert!(fill(directory.path(), "<!-- file: one.rs -->\n").is_err());
    }

    #[test]
    fn what_stands_between_markers_is_replaced() {
        let text =
            replace_between("a\n<!-- x -->\nold\n<!-- /x -->\nb", "<!-- x -->", "<!-- /x -->", "new\n");
        assert_eq!(text.unwrap(), "a\n<!-- x -->\nnew\n<!-- /x -->\nb");
        assert!(replace_between("a", "<!-- x -->", "<!-- /x -->", "new").is_err());
    }
}
