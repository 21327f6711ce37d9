//! Shows where a committed file and what it should be differ.

/// How many lines of each side are shown.
const LINES_SHOWN: usize = 30;

/// The lines that differ: `-` is what is there, `+` what should be. Nothing when the two are equal.
pub(crate) fn describe(name: &str, there: &str, wanted: &str) -> Option<String> {
    if there == wanted {
        return None;
    }
    let there: Vec<&str> = there.lines().collect();
    let wanted: Vec<&str> = wanted.lines().collect();
    let head = there.iter().zip(&wanted).take_while(|(left, right)| left == right).count();
    let tails = there.iter().rev().zip(wanted.iter().rev());
    let shorter = there.len().min(wanted.len());
    let tail = tails.take_while(|(left, right)| left == right).count().min(shorter - head);
    let mut text = format!("{name}, from line {}:", head + 1);
    for (mark, lines) in [('-', &there), ('+', &wanted)] {
        let differing = lines.get(head..lines.len() - tail).unwrap_or_default();
        for line in differing.iter().take(LINES_SHOWN) {
            text.push_str(&format!("\n{mark} {line}"));
        }
        if differing.len() > LINES_SHOWN {
            text.push_str(&format!("\n{mark} (and {} more lines)", differing.len() - LINES_SHOWN));
        }
    }
    Some(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_differs_is_shown() {
        assert_eq!(describe("f", "a\nb\nc\n", "a\nb\nc\n"), None);
        assert_eq!(describe("f", "a\nb\nc\n", "a\nx\ny\nc\n").unwrap(), "f, from line 2:\n- b\n+ x\n+ y");
        assert_eq!(describe("f", "a\na\n", "a\na\na\n").unwrap(), "f, from line 3:\n+ a");
        assert_eq!(describe("f", "", "a\n").unwrap(), "f, from line 1:\n+ a");
        assert_eq!(describe("f", "a", "a\n").unwrap(), "f, from line 2:");
    }
}
