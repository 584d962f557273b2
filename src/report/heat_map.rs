//! The confusion matrix as a picture: darker where a greater share of a true class went. It must not know
//! where the counts come from.

use super::drawing::{Drawing, FAINT, GREY, INK, Style};
use super::font::{Anchor, Font};
use crate::metrics::ConfusionMatrix;
use crate::text::with_separators;

const TITLE: Font = Font::new(19.0, INK).bold();
const LABEL: Font = Font::new(13.0, INK);
const NOTE: Font = Font::new(12.5, GREY);
const MARGIN: f64 = 18.0;
/// Names longer than this are cut.
const LONGEST_NAME: f64 = 130.0;
/// More classes than this leave no room for numbers.
const GREATEST_WITH_NUMBERS: usize = 24;

/// Draws the matrix: a row a true class, a column a predicted one, each cell with its count and, below,
/// its share of the row.
pub fn heat_map(matrix: &ConfusionMatrix, classes: &[String]) -> Drawing {
    let count = classes.len();
    let has_numbers = count <= GREATEST_WITH_NUMBERS;
    let cell = match count {
        ..=12 => 54.0,
        13..=GREATEST_WITH_NUMBERS => 44.0,
        _ => (900.0 / count as f64).max(3.0),
    };
    let names: Vec<String> = classes.iter().map(|class| LABEL.fit(class, LONGEST_NAME)).collect();
    let longest = names.iter().map(|name| LABEL.width(name)).fold(0.0, f64::max);
    let turned = longest > cell - 6.0;
    let left = MARGIN + 24.0 + longest + 10.0;
    // Turned names lean by 45 degrees: over the height, and over the right edge.
    let (head, overhang) = if turned { (longest * 0.72 + 18.0, longest * 0.72) } else { (22.0, 0.0) };
    let top = 66.0 + head;
    let side = cell * count as f64;
    let total: u64 = matrix.counts.iter().flatten().sum();
    let right: u64 = (0..count).map(|class| matrix.counts[class][class]).sum();
    let title = "Confusion matrix";
    let subtitle = format!(
        "{} of {} test images right ({:.2} %)",
        with_separators(right as i64),
        with_separators(total as i64),
        100.0 * right as f64 / total.max(1) as f64
    );
    let head_width = TITLE.width(title) + 24.0 + NOTE.width(&subtitle);
    let width = (left + side + overhang.max(MARGIN) + MARGIN).max(MARGIN + head_width + MARGIN);
    let mut picture = Drawing::new(width, top + side + MARGIN);
    picture.text(MARGIN, 30.0, title, TITLE, Anchor::Start);
    picture.text(MARGIN + TITLE.width(title) + 24.0, 30.0, &subtitle, NOTE, Anchor::Start);
    picture.text(left + side / 2.0, 58.0, "predicted class", NOTE, Anchor::Middle);
    picture.turned_text(MARGIN + 10.0, top + side / 2.0, "true class", NOTE, Anchor::Middle, -90.0);

    // With many classes, only as many names as there is room for.
    let every = (13.0 / cell).ceil().max(1.0) as usize;
    for (number, name) in names.iter().enumerate().step_by(every) {
        let middle = cell * (number as f64 + 0.5);
        picture.text(left - 8.0, top + middle + 4.5, name, LABEL, Anchor::End);
        match turned {
            true => picture.turned_text(left + middle + 4.0, top - 8.0, name, LABEL, Anchor::Start, -45.0),
            false => picture.text(left + middle, top - 8.0, name, LABEL, Anchor::Middle),
        }
    }
    for (truth, counts) in matrix.counts.iter().enumerate() {
        let row: u64 = counts.iter().sum();
        for (prediction, &count) in counts.iter().enumerate() {
            let share = if row == 0 { 0.0 } else { count as f64 / row as f64 };
            let (x, y) = (left + cell * prediction as f64, top + cell * truth as f64);
            // A single mistake among thousands must still be seen, so the root of the share counts.
            let shade = share.sqrt();
            let fill =
                if truth == prediction { mixed([0, 90, 150], shade) } else { mixed([190, 60, 0], shade) };
            let style = match has_numbers {
                true => Style::fill(fill).with_stroke(FAINT, 1.0),
                false => Style::fill(fill),
            };
            picture.rectangle(x, y, cell, cell, style);
            if has_numbers && count > 0 {
                let ink = if shade > 0.6 { "#ffffff" } else { INK };
                let size = if cell > 50.0 { 14.0 } else { 12.0 };
                let text = count.to_string();
                picture.text(x + cell / 2.0, y + cell / 2.0, &text, Font::new(size, ink), Anchor::Middle);
                let rate = percent(share);
                picture.text(
                    x + cell / 2.0,
                    y + cell / 2.0 + 14.0,
                    &rate,
                    Font::new(10.0, ink),
                    Anchor::Middle,
                );
            }
        }
    }
    picture.rectangle(left, top, side, side, Style::stroke("#8a8a8a", 1.0));
    picture
}

/// A colour between white (0) and `full` (1).
fn mixed(full: [u8; 3], share: f64) -> String {
    let [red, green, blue] = full.map(|part| (255.0 + (f64::from(part) - 255.0) * share).round() as u8);
    format!("#{red:02x}{green:02x}{blue:02x}")
}

fn percent(share: f64) -> String {
    match 100.0 * share {
        small if small < 9.95 => format!("{small:.1} %"),
        large => format!("{large:.0} %"),
    }
}
