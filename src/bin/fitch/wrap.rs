//! Sentences in lines of the terminal's width, broken between words: a terminal would break them within a number.

use console::measure_text_width;

/// Breaks a text into lines that fit the columns. Longer words stay whole: they may be names of files.
pub fn wrap(text: &str, columns: usize) -> String {
    text.split('\n').map(|line| wrap_line(line, columns)).collect::<Vec<_>>().join("\n")
}

/// The same, as it is where there is no width to fit.
pub fn wrap_to(text: &str, columns: Option<usize>) -> String {
    columns.map_or_else(|| text.to_string(), |columns| wrap(text, columns))
}

fn wrap_line(line: &str, columns: usize) -> String {
    if measure_text_width(line) <= columns {
        return line.to_string();
    }
    let mut wrapped = String::new();
    let (mut width, mut is_blank) = (0, true);
    for word in line.split_inclusive(' ') {
        let (all, without_space) = (measure_text_width(word), measure_text_width(word.trim_end_matches(' ')));
        if !is_blank && width + without_space > columns {
            wrapped.truncate(wrapped.trim_end_matches(' ').len());
            wrapped.push('\n');
            (width, is_blank) = (0, true);
        }
        wrapped += word;
        width += all;
        is_blank &= without_space == 0;
    }
    wrapped
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_broken_between_words_only() {
        let text = "the best val_loss is 0.146422 in epoch 12\n  runs/a-long-name of a run";
        assert_eq!(wrap(text, 80), text);
        assert_eq!(
            wrap(text, 15),
            "the best\nval_loss is\n0.146422 in\nepoch 12\n  runs/a-long-name\nof a run"
        );
        assert_eq!(wrap("\u{1b}[1mwarning:\u{1b}[0m so", 11), "\u{1b}[1mwarning:\u{1b}[0m so");
    }
}
