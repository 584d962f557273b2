//! The columns of the table of predictions: as many as the terminal has room for.

use console::measure_text_width;

/// A probability with its head, and a gap before and after.
const PROBABILITY: usize = 2 + "probability".len() + 2;
const GAP: usize = 2;
/// A class or the name of an input is shortened to this, but not further.
const SHORT: usize = 12;

#[derive(Clone, Debug, PartialEq)]
pub struct Layout {
    /// How many of the most likely classes.
    pub ranks: usize,
    /// The width of a class.
    pub class: usize,
    /// The widths of the columns with the probabilities of the first classes.
    pub probabilities: Vec<usize>,
    /// The width that is left for the input, if there is a limit.
    pub input: Option<usize>,
    /// Whether something has no room.
    pub leaves_out: bool,
}

impl Layout {
    pub fn new(classes: &[String], top: usize, all_probabilities: bool, columns: Option<usize>) -> Layout {
        let longest = classes.iter().map(|class| measure_text_width(class)).chain(["class".len()]).max();
        let longest = longest.unwrap_or_default();
        let width = |class: &String| measure_text_width(class).max("0.0000".len());
        let all = classes.iter().filter(|_| all_probabilities);
        let Some(columns) = columns else {
            let probabilities = all.map(width).collect();
            return Layout { ranks: top, class: longest, probabilities, input: None, leaves_out: false };
        };
        let least = longest.min(SHORT);
        let mut room = columns.saturating_sub(SHORT);
        let ranks = (room / (least + PROBABILITY)).clamp(1, top.max(1));
        room = room.saturating_sub(ranks * (least + PROBABILITY));
        let mut probabilities = Vec::new();
        for class in all {
            let width = width(class).min(SHORT);
            if width + GAP > room {
                break;
            }
            room -= width + GAP;
            probabilities.push(width);
        }
        // What is left is for classes and input alike.
        let class = longest.min(least + room / (ranks + 1));
        room -= ranks * (class - least);
        let leaves_out = ranks < top || all_probabilities && probabilities.len() < classes.len();
        Layout { ranks, class, probabilities, input: Some(SHORT + room), leaves_out }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_fit_the_terminal() {
        let classes: Vec<String> =
            (0..10).map(|digit| format!("{} number {digit}", "long ".repeat(12))).collect();
        for columns in 40..200 {
            for (top, all) in [(1, false), (3, false), (10, false), (1, true), (3, true)] {
                let layout = Layout::new(&classes, top, all, Some(columns));
                let Layout { ranks, class, probabilities, input, .. } = &layout;
                let probabilities: usize = probabilities.iter().map(|width| width + GAP).sum();
                let width = ranks * (class + PROBABILITY) + probabilities + input.unwrap();
                assert!(width <= columns && *ranks > 0, "{columns}: {layout:?}");
            }
        }
        let wide = Layout::new(&classes, 3, true, Some(500));
        assert!(!wide.leaves_out && wide.ranks == 3 && wide.probabilities.len() == 10, "{wide:?}");
        assert!(Layout::new(&classes, 3, true, Some(80)).leaves_out);
    }
}
