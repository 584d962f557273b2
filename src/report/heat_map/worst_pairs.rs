//! The classes that are taken for one another most often, as a list.

use super::color_scale::ColorScale;
use super::{LABEL, NOTE, percent, share_of};
use crate::metrics::ConfusionMatrix;
use crate::report::drawing::{Drawing, FAINT, Style};
use crate::report::font::Anchor;
use crate::report::labels::labels;
use crate::text::with_separators;
use std::cmp::Reverse;

const ROW: f64 = 19.0;
const HEAD: f64 = 62.0;
/// However few cells there are, and however many.
const ROWS: [usize; 2] = [5, 20];
const NAME_WIDTH: f64 = 170.0;
const GAP: f64 = 14.0;
/// A matrix of so few classes is read at a glance.
const FEW_CLASSES: usize = 5;

/// The most frequent mistakes: images, share of the true class, true class, predicted class.
pub(super) struct WorstPairs {
    left: f64,
    top: f64,
    rows: Vec<[String; 4]>,
    /// Of the columns.
    widths: [f64; 4],
}

const NAMES: [&str; 4] = ["images", "share", "true class", "predicted"];

impl WorstPairs {
    /// As many as there is room for above `bottom`.
    pub fn below(
        scale: &ColorScale,
        matrix: &ConfusionMatrix,
        classes: &[String],
        bottom: f64,
    ) -> WorstPairs {
        let (left, top) = (scale.left, scale.bottom() + 30.0);
        let room = ((bottom - top - HEAD) / ROW).max(0.0) as usize;
        let mut pairs: Vec<(u64, usize, usize)> = Vec::new();
        for (truth, counts) in matrix.counts.iter().enumerate().filter(|_| classes.len() > FEW_CLASSES) {
            let wrong =
                counts.iter().enumerate().filter(|&(prediction, &count)| prediction != truth && count > 0);
            pairs.extend(wrong.map(|(prediction, &count)| (count, truth, prediction)));
        }
        pairs.sort_by_key(|&(count, truth, prediction)| (Reverse(count), truth, prediction));
        pairs.truncate(room.clamp(ROWS[0], ROWS[1]));
        let named: Vec<usize> = {
            let mut named: Vec<usize> =
                pairs.iter().flat_map(|&(_, truth, prediction)| [truth, prediction]).collect();
            named.sort_unstable();
            named.dedup();
            named
        };
        let names: Vec<String> = named.iter().map(|&class| classes[class].clone()).collect();
        let names = labels(LABEL, &names, NAME_WIDTH);
        let name =
            |class: usize| named.binary_search(&class).map_or(String::new(), |index| names[index].clone());
        let row = |(count, truth, prediction): (u64, usize, usize)| {
            let share = share_of(count, matrix.counts[truth].iter().sum());
            [with_separators(count as i64), percent(share), name(truth), name(prediction)]
        };
        let rows: Vec<[String; 4]> = pairs.into_iter().map(row).collect();
        let width = |column: usize| {
            let cells = rows.iter().map(|row| LABEL.width(&row[column]));
            cells.fold(NOTE.width(NAMES[column]), f64::max)
        };
        WorstPairs { left, top, widths: [0, 1, 2, 3].map(width), rows }
    }

    pub fn right(&self) -> f64 {
        if self.rows.is_empty() { 0.0 } else { self.left + self.widths.iter().sum::<f64>() + 3.0 * GAP }
    }

    pub fn bottom(&self) -> f64 {
        if self.rows.is_empty() { 0.0 } else { self.top + HEAD + ROW * self.rows.len() as f64 }
    }

    pub fn draw(&self, drawing: &mut Drawing) {
        if self.rows.is_empty() {
            return;
        }
        drawing.text(self.left, self.top + 14.0, "Most frequent mistakes", LABEL.bold(), Anchor::Start);
        let mut line = |cells: [&str; 4], font, y: f64| {
            let mut x = self.left;
            for (column, (cell, width)) in cells.into_iter().zip(self.widths).enumerate() {
                match column {
                    // Numbers.
                    0 | 1 => drawing.text(x + width, y, cell, font, Anchor::End),
                    _ => drawing.text(x, y, cell, font, Anchor::Start),
                }
                x += width + GAP;
            }
        };
        line(NAMES, NOTE, self.top + 36.0);
        for (index, row) in self.rows.iter().enumerate() {
            line(row.each_ref().map(String::as_str), LABEL, self.top + HEAD - 4.0 + ROW * index as f64);
        }
        let y = self.top + 42.0;
        drawing.line((self.left, y), (self.right(), y), Style::stroke(FAINT, 1.0));
    }
}
