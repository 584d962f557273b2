//! What was understood of the data, in a few lines before training: what they are, which classes they have,
//! and the options that decide what was not said.

use fitch::data::{Dataset, LoadOptions, TEST_SHARE, TableForm, TestOrigin, likely_groups};
use fitch::text::with_separators;

/// Names of classes that are listed, and the letters of each.
const LISTED: usize = 6;
const LETTERS: usize = 24;

/// The data as a format gave them, read with such options.
pub struct Understood<'a> {
    pub dataset: &'a Dataset,
    /// The format, for people.
    pub format: &'a str,
    pub reading: &'a LoadOptions,
    /// The number of training images of each class.
    pub class_counts: &'a [usize],
    /// The minimum and the maximum of the training images.
    pub range: [f64; 2],
    /// Whether each column is scaled by its own mean and deviation.
    pub are_standardized: bool,
}

impl Understood<'_> {
    /// At most four lines.
    pub fn lines(&self) -> Vec<String> {
        let mut lines = vec![self.values(), self.classes()];
        lines.extend((!self.dataset.notes.is_empty()).then(|| self.dataset.notes.join("; ")));
        let options = self.options();
        lines.extend((!options.is_empty()).then(|| format!("to decide otherwise: {}", options.join(", "))));
        lines
    }

    /// `CSV, 28 x 28 grey pixels, Uint8 from 0 to 255, 255 becomes 1`, or how features are scaled.
    fn values(&self) -> String {
        let Dataset { train, maximum, .. } = self.dataset;
        let what = match self.dataset.shape()[..] {
            [3, height, width] => format!("{width} x {height} pixels in colour"),
            [height, width] => format!("{width} x {height} grey pixels"),
            _ => format!("{} values", self.dataset.shape().iter().product::<i64>()),
        };
        let ([min, max], maximum) = (self.range.map(short), short(*maximum));
        let scaling = match self.are_standardized {
            true => {
                "; the columns have different ranges: they are standardised (layer standardize)".to_string()
            }
            false => format!(", {maximum} becomes 1"),
        };
        format!("{}, {what}, {:?} from {min} to {max}{scaling}", self.format, train.kind())
    }

    /// `3 classes (cat, dog, horse), 12 (dog) to 480 (cat) training images each`.
    fn classes(&self) -> String {
        let classes = &self.dataset.classes;
        let of_class = |(&count, name): (&usize, &String)| (count, short_name(name));
        let counts = || self.class_counts.iter().zip(classes).map(of_class);
        let extremes = counts().min_by_key(|(count, _)| *count).zip(counts().max_by_key(|(count, _)| *count));
        let counts = match extremes {
            Some(((least, _), (most, _))) if least == most => with_separators(least as i64),
            Some(((least, rarest), (most, commonest))) => {
                let (least, most) = (with_separators(least as i64), with_separators(most as i64));
                format!("{least} ({rarest}) to {most} ({commonest})")
            }
            None => "no".to_string(),
        };
        let label = self.dataset.table.as_ref().and_then(|table| table.label.as_ref());
        let label = label.map_or(String::new(), |label| format!("; labels from the column {label}"));
        format!(
            "{} classes ({}), {counts} training images each{label}",
            classes.len(),
            listed(classes.iter().map(|name| short_name(name)))
        )
    }

    /// `class weights: cat 2, dog 1`.
    pub fn class_weights(&self, weights: &[f32]) -> String {
        let of_class =
            |(name, weight): (&String, &f32)| format!("{} {}", short_name(name), short(f64::from(*weight)));
        format!("class weights: {}", listed(self.dataset.classes.iter().zip(weights).map(of_class)))
    }

    /// What is to be said of a column that may name groups, but is a value like others.
    pub fn group_warning(&self) -> Option<String> {
        let names = self.dataset.table.as_ref()?.names()?;
        let column = likely_groups(&names).into_iter().next()?;
        self.reading.group_by.is_none().then(|| {
            format!(
                "the network takes the column {column} as a value of each row; if it says whose the rows are, \
                 --group-column {column} keeps those of one together"
            )
        })
    }

    /// The options that decide what nobody has said.
    fn options(&self) -> Vec<&'static str> {
        let Dataset { table, maximum, test_origin, .. } = self.dataset;
        let is_table = table.is_some();
        let in_colour = self.dataset.shape().len() == 3;
        let is_default = |share| share == TEST_SHARE;
        // An order of pixels says that they are pixels.
        let may_be_pixels = in_colour || table.as_ref().is_some_and(TableForm::may_be_pixels);
        let options = [
            (is_table && self.reading.label_column.is_none(), "--label-column"),
            (is_table && may_be_pixels && self.reading.pixel_order.is_none(), "--pixel-order"),
            (![1.0, 255.0].contains(maximum) && self.reading.maximum.is_none(), "--maximum"),
            (
                *test_origin == TestOrigin::SetAside && self.reading.test_share.is_none_or(is_default),
                "--test-split",
            ),
        ];
        options.into_iter().filter_map(|(is_guess, option)| is_guess.then_some(option)).collect()
    }
}

/// The first letters of a long name.
fn short_name(name: &str) -> String {
    match name.char_indices().nth(LETTERS) {
        Some((end, _)) => format!("{}...", &name[..end]),
        None => name.to_string(),
    }
}

/// The first of many.
fn listed(items: impl ExactSizeIterator<Item = String>) -> String {
    let more = (items.len() > LISTED).then(|| "...".to_string());
    items.take(LISTED).chain(more).collect::<Vec<_>>().join(", ")
}

/// Whole numbers as they are, others to four digits; with an exponent if they are very large or small.
fn short(value: f64) -> String {
    let is_usual = value == 0.0 || (1e-3..1e12).contains(&value.abs());
    match value.fract() == 0.0 {
        _ if !is_usual => format!("{value:.3e}"),
        true => value.to_string(),
        false => format!("{value:.4}").trim_end_matches('0').to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_short() {
        let values = [0.0, 255.0, 0.028266, -2.5, 2.55e-46, -1e300];
        assert_eq!(values.map(short), ["0", "255", "0.0283", "-2.5", "2.550e-46", "-1.000e300"]);
    }
}
