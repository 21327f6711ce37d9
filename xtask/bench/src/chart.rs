//! Bars as SVG, readable on a light page and on a dark one.

use std::fmt::Write as _;

const WIDTH: f64 = 760.0;
const BAR_LEFT: f64 = 150.0;
/// Leaves room for the number behind the longest bar.
const BAR_WIDTH: f64 = 470.0;
const BAR_HEIGHT: f64 = 14.0;
const LINE_HEIGHT: f64 = 19.0;
const TITLE_HEIGHT: f64 = 30.0;
const MARGIN: f64 = 12.0;
/// From the upper end of a line to where its text stands.
const BASELINE: f64 = 12.0;

/// Middle tones first, for viewers that know nothing of schemes.
const STYLE: &str = "text{font:12px system-ui,sans-serif;fill:#6e7781}.t{font-weight:600}.b{fill:#8c98a5}\
     .o{fill:#2f6fde}.f{fill:none;stroke:#8c98a5;stroke-dasharray:3 2}\
     @media (prefers-color-scheme:light){text{fill:#24292f}}\
     @media (prefers-color-scheme:dark){text{fill:#e6edf3}.b{fill:#6e7681}.o{fill:#4f8ff7}}";

/// How a bar is drawn.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Look {
    /// The store that this is about.
    Own,
    /// Another one.
    Other,
    /// What cannot be compared, as a floor.
    Floor,
}

/// One bar.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Bar {
    /// What stands before it.
    pub(crate) label: String,
    /// Its length, in whatever unit.
    pub(crate) length: f64,
    /// What stands behind it.
    pub(crate) text: String,
    /// How it is drawn.
    pub(crate) look: Look,
}

/// Bars that are held against each other.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Block {
    /// What they are of.
    pub(crate) title: String,
    /// The bars, from above.
    pub(crate) bars: Vec<Bar>,
}

/// The blocks one below the other. In each, the longest bar takes the whole width.
pub(crate) fn svg(heading: &str, blocks: &[Block]) -> String {
    let lines: usize = blocks.iter().map(|block| block.bars.len()).sum();
    let height = 2.0 * MARGIN + (blocks.len() + 1) as f64 * TITLE_HEIGHT + lines as f64 * LINE_HEIGHT;
    let mut text = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH} {height}\" width=\"{WIDTH}\" \
         height=\"{height}\" role=\"img\" aria-label=\"{0}\">\n<style>{STYLE}</style>\n",
        escaped(heading)
    );
    let mut top = MARGIN;
    write_text(&mut text, MARGIN, top + BASELINE, "t", heading);
    top += TITLE_HEIGHT;
    for block in blocks {
        write_text(&mut text, MARGIN, top + BASELINE, "t", &block.title);
        top += TITLE_HEIGHT - 8.0;
        let longest = block.bars.iter().map(|bar| bar.length).fold(0.0, f64::max);
        for bar in &block.bars {
            write_bar(&mut text, top, bar, longest);
            top += LINE_HEIGHT;
        }
        top += 8.0;
    }
    text.push_str("</svg>\n");
    text
}

fn write_bar(text: &mut String, top: f64, bar: &Bar, longest: f64) {
    let width = if longest > 0.0 { (bar.length / longest * BAR_WIDTH).max(1.0) } else { 1.0 };
    let class = match bar.look {
        Look::Own => "o",
        Look::Other => "b",
        Look::Floor => "f",
    };
    write_text(text, MARGIN, top + BASELINE, "", &bar.label);
    let _ = writeln!(
        text,
        "<rect class=\"{class}\" x=\"{BAR_LEFT}\" y=\"{top:.1}\" width=\"{width:.1}\" height=\"{BAR_HEIGHT}\" rx=\"2\"/>"
    );
    write_text(text, BAR_LEFT + width + 6.0, top + BASELINE, "", &bar.text);
}

fn write_text(text: &mut String, left: f64, baseline: f64, class: &str, words: &str) {
    let _ = writeln!(
        text,
        "<text class=\"{class}\" x=\"{left:.1}\" y=\"{baseline:.1}\">{}</text>",
        escaped(words)
    );
}

fn escaped(words: &str) -> String {
    words.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bar(label: &str, length: f64) -> Bar {
        Bar { label: label.to_owned(), length, text: format!("{length} a second"), look: Look::Other }
    }

    #[test]
    fn the_longest_bar_takes_the_width_and_others_their_part_of_it() {
        let block = Block { title: "gets".to_owned(), bars: vec![bar("one", 100.0), bar("other", 25.0)] };
        let text = svg("all", &[block]);
        assert!(text.contains("width=\"470.0\"") && text.contains("width=\"117.5\""), "{text}");
        assert!(text.contains(">25 a second</text>"));
    }

    #[test]
    fn words_are_no_markup_and_every_element_is_closed() {
        let block = Block { title: "a < b & \"c\"".to_owned(), bars: vec![bar("<x>", 0.0)] };
        let text = svg("a & b", &[block]);
        assert!(text.contains("a &lt; b &amp; &quot;c&quot;") && text.contains("&lt;x&gt;"));
        assert_eq!(text.matches("<text").count(), text.matches("</text>").count());
        assert!(text.starts_with("<svg ") && text.ends_with("</svg>\n"));
    }
}
