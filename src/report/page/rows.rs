//! The epochs that a page has room for, and the history as a table of them.

use super::html::{scrolling, text};
use super::numbers::number;
use crate::metrics::History;
use crate::text::with_separators;
use std::collections::BTreeSet;
use std::fmt::Write;

/// A page has at most about this many numbers of a history.
const MAX_CELLS: usize = 8_000;

/// The indices of the epochs that are shown: all of them or, of very many, those with the extremes of each
/// metric in every stretch of epochs, and those that must be there.
pub(super) fn shown(history: &History, needed: &[usize]) -> Vec<usize> {
    let epochs = history.epochs.len();
    let most = MAX_CELLS / history.columns().len();
    if epochs <= most {
        return (0..epochs).collect();
    }
    let stretches = (most / (2 * history.metric_names.len() + 1)).max(1);
    let length = epochs.div_ceil(stretches);
    let mut kept: BTreeSet<usize> = needed.iter().copied().filter(|&index| index < epochs).collect();
    kept.insert(epochs - 1);
    for start in (0..epochs).step_by(length) {
        let stretch = || start..(start + length).min(epochs);
        kept.insert(start);
        for metric in &history.metric_names {
            let value = |index: &usize| {
                history.epochs[*index].metrics.get(metric).copied().filter(|value| value.is_finite())
            };
            let measured = || stretch().filter(|index| value(index).is_some());
            let order =
                |one: &usize, other: &usize| value(one).partial_cmp(&value(other)).unwrap_or(one.cmp(other));
            kept.extend(measured().min_by(order));
            kept.extend(measured().max_by(order));
        }
    }
    kept.into_iter().collect()
}

/// The history as a table that can be sorted.
pub(super) fn table(history: &History, shown: &[usize], best: Option<usize>) -> String {
    let columns = history.columns();
    let mut table = "<table class=\"sortable\" id=\"epochs\"><caption>".to_string();
    let epochs = history.epochs.len();
    match shown.len() == epochs {
        true if best.is_some() => table += "Every epoch; the best one is marked",
        true => table += "Every epoch",
        false => {
            let (shown, all) = (with_separators(shown.len() as i64), with_separators(epochs as i64));
            let _ = write!(table, "{shown} of {all} epochs; <code>history.csv</code> has all of them");
        }
    }
    table += "</caption>\n<thead><tr>";
    for name in &columns {
        let _ = write!(table, "<th scope=\"col\">{}</th>", text(&name.replace('_', " ")));
    }
    table += "</tr></thead>\n<tbody>\n";
    let cells: Vec<Vec<Option<f64>>> =
        shown.iter().map(|&index| history.cells(&history.epochs[index])).collect();
    let texts: Vec<Vec<String>> = (0..columns.len())
        .map(|column| aligned(&cells.iter().map(|row| row[column]).collect::<Vec<_>>()))
        .collect();
    for (row, (cells, &index)) in cells.iter().zip(shown).enumerate() {
        let record = &history.epochs[index];
        table += if best == Some(record.epoch) { "<tr class=\"best\">" } else { "<tr>" };
        for (column, &cell) in cells.iter().enumerate() {
            match (cell, column) {
                (None, _) => table += "<td></td>",
                (Some(epoch), 0) if best == Some(record.epoch) => {
                    let _ =
                        write!(table, "<th scope=\"row\" data-value=\"{epoch}\">{epoch} <b>best</b></th>");
                }
                (Some(epoch), 0) => {
                    let _ = write!(table, "<th scope=\"row\">{epoch}</th>");
                }
                (Some(value), _) => {
                    let _ = write!(table, "<td data-value=\"{value}\">{}</td>", texts[column][row]);
                }
            }
        }
        table += "</tr>\n";
    }
    table += "</tbody></table>\n";
    scrolling("History", &table)
}

/// The values of a column with as many decimals each: four significant digits of the largest, but at least four
/// decimals, without zeros at the end that all of them have.
fn aligned(values: &[Option<f64>]) -> Vec<String> {
    let finite = || values.iter().flatten().filter(|value| value.is_finite());
    let largest = finite().fold(0.0f64, |largest, value| largest.max(value.abs()));
    if largest >= 1e6 || (largest > 0.0 && largest < 1e-6) {
        return values.iter().map(|value| value.map_or(String::new(), number)).collect();
    }
    let decimals = (3.0 - largest.max(1e-12).log10().floor()).clamp(4.0, 9.0) as usize;
    let mut texts: Vec<String> = values
        .iter()
        .map(|value| value.map_or(String::new(), |value| format!("{value:.decimals$}")))
        .collect();
    let zeros = |text: &String| text.len() - text.trim_end_matches('0').len();
    let common = texts.iter().filter(|text| text.contains('.')).map(zeros).min().unwrap_or(0);
    // Without decimals there is no point either.
    let cut = if common == decimals { common + 1 } else { common };
    texts.iter_mut().filter(|text| text.contains('.')).for_each(|text| text.truncate(text.len() - cut));
    texts
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::metrics::EpochRecord;
    use std::collections::BTreeMap;

    #[test]
    fn the_numbers_of_a_column_are_aligned() {
        let shown = |values: &[f64]| aligned(&values.iter().copied().map(Some).collect::<Vec<_>>());
        assert_eq!(shown(&[0.5, 0.25, 12.0]), ["0.50", "0.25", "12.00"]);
        assert_eq!(shown(&[0.001, 0.0005]), ["0.0010", "0.0005"]);
        assert_eq!(shown(&[0.001, 0.00012345]), ["0.001000", "0.000123"]);
        assert_eq!(shown(&[3.0, f64::NAN, 4.0]), ["3", "NaN", "4"]);
        assert_eq!(aligned(&[None, Some(0.0)]), ["", "0"]);
    }

    #[test]
    fn of_very_many_epochs_the_outline_the_best_and_the_last_stay() {
        let mut history = History::new(["loss", "accuracy"]);
        for epoch in 1..=100_000 {
            let loss = if epoch == 70_007 { 90.0 } else { 1.0 / epoch as f64 };
            let metrics = BTreeMap::from([("loss".to_string(), loss), ("val_loss".to_string(), f64::NAN)]);
            history.epochs.push(EpochRecord { epoch, metrics, learning_rate: 0.1, seconds: 1.0 });
        }
        let kept = shown(&history, &[4_321]);
        assert!((200..=1_000).contains(&kept.len()) && kept.is_sorted(), "{}", kept.len());
        for index in [0, 4_321, 70_006, 99_999] {
            assert!(kept.contains(&index), "{index}");
        }
        history.epochs.truncate(300);
        assert_eq!(shown(&history, &[]).len(), 300);
    }
}
