//! Whether the columns of a table are the pixels of an image or features: by their names and their number.
//! Pure.

use crate::data::images::shape_of_row;

/// Smaller squares without names of pixels are features.
const SMALLEST_NAMELESS: i64 = 6;
/// The same of bytes in columns called 0, 1, 2 ..., as arrays of images become tables.
const SMALLEST_NUMBERED: i64 = 3;
/// Smaller squares of what is called features are no image.
const SMALLEST_FEATURES: i64 = 28;

/// Words in the names of pixels.
const PIXEL_WORDS: [&str; 7] = ["pixel", "pixels", "pix", "px", "p", "img", "image"];
/// Words that say of a pixel which colour it has.
const COLOURS: [[&str; 2]; 3] = [["r", "red"], ["g", "green"], ["b", "blue"]];
/// Words between the numbers of a row and a column.
const PLACE_WORDS: [&str; 6] = ["x", "y", "c", "row", "col", "column"];
/// Words that say of numbered columns that they are no pixels.
const FEATURE_WORDS: [&str; 12] = [
    "feature",
    "features",
    "feat",
    "attribute",
    "attr",
    "att",
    "variable",
    "var",
    "sensor",
    "gene",
    "component",
    "pc",
];

/// What the names of columns say.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Naming {
    Pixels,
    /// Nothing: the columns are numbered.
    Numbers,
    /// The columns are numbered and called features.
    Features,
    /// Each column has a name of its own.
    Words,
}

/// The shape of a row of that many values in columns of these names, if they have any; and what users should
/// know about it if they may expect another one, as of bytes.
pub fn shape(names: Option<&[String]>, values: usize, are_bytes: bool) -> (Vec<i64>, Option<String>) {
    let (square, flat) = (shape_of_row(values as i64), vec![values as i64]);
    let (side, image) = match square[..] {
        [height, width] => (height, format!("{width} x {height} pixels")),
        [_, height, width] => (height, format!("{width} x {height} pixels in colour")),
        _ => return (flat, None),
    };
    let naming = names.map_or(Naming::Numbers, Naming::of);
    let is_number = |name: &String| name.parse::<f64>().is_ok();
    let are_numbers = names.is_some_and(|names| names.iter().all(is_number));
    let smallest = if are_numbers && are_bytes { SMALLEST_NUMBERED } else { SMALLEST_NAMELESS };
    let why = match naming {
        Naming::Numbers if side < smallest => "no column is called a pixel",
        Naming::Features if side < SMALLEST_FEATURES => "the columns are called so",
        Naming::Words => "the columns have names of their own",
        Naming::Numbers
            if side < SMALLEST_NAMELESS
                || names.is_some_and(|names| !names[0].is_empty() && !is_number(&names[0])) =>
        {
            let note = format!("rows of {values} values are taken as {image}: the columns are numbered");
            return (square, Some(note));
        }
        _ => return (square, None),
    };
    let is_doubtful = are_bytes || naming == Naming::Features;
    let note = || format!("rows of {values} values are taken as features, not as {image}: {why}");
    (flat, is_doubtful.then(note))
}

impl Naming {
    fn of(names: &[String]) -> Naming {
        if names.iter().all(|name| name.is_empty() || name.parse::<f64>().is_ok()) {
            return Naming::Numbers;
        }
        let stems: Vec<Stem> = names.iter().map(|name| Stem::of(name)).collect();
        let first = &stems[0].words;
        if stems.iter().any(|stem| stem.words != *first) {
            return Naming::Words;
        }
        let has_word = |known: &[&str]| first.iter().any(|word| known.contains(&word.as_str()));
        let has_colours =
            (0..COLOURS.len()).all(|colour| stems.iter().any(|stem| stem.colour == Some(colour)));
        let has_places = first.iter().all(|word| PLACE_WORDS.contains(&word.as_str()))
            && stems.iter().all(|stem| stem.numbers > 1);
        let is_numbered = stems.iter().all(|stem| stem.numbers > 0);
        if has_word(&PIXEL_WORDS) || has_colours || has_places {
            Naming::Pixels
        } else if !is_numbered {
            Naming::Words
        } else if has_word(&FEATURE_WORDS) {
            Naming::Features
        } else {
            Naming::Numbers
        }
    }
}

/// A name without its numbers.
struct Stem {
    words: Vec<String>,
    colour: Option<usize>,
    numbers: usize,
}

impl Stem {
    fn of(name: &str) -> Stem {
        let name = name.to_lowercase();
        let texts = |is_part: fn(char) -> bool| {
            name.split(move |letter| !is_part(letter)).filter(|text| !text.is_empty()).map(str::to_string)
        };
        let colour_of = |word: &String| COLOURS.iter().position(|words| words.contains(&word.as_str()));
        let (colours, words): (Vec<String>, Vec<String>) =
            texts(char::is_alphabetic).partition(|word| colour_of(word).is_some());
        let numbers = texts(|letter| letter.is_ascii_digit()).count();
        Stem { words, colour: colours.first().and_then(colour_of), numbers }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn numbered(count: usize, name: impl Fn(usize) -> String) -> Vec<String> {
        (0..count).map(name).collect()
    }

    #[test]
    fn names_say_what_are_pixels() {
        for (names, expected) in [
            (numbered(4, |i| format!("pixel{i}")), Naming::Pixels),
            (numbered(4, |i| format!("px_{}_{}", i / 2, i % 2)), Naming::Pixels),
            (numbered(4, |i| format!("{}x{}", i / 2 + 1, i % 2 + 1)), Naming::Pixels),
            (numbered(4, |i| format!("r{}c{}", i / 2, i % 2)), Naming::Pixels),
            (numbered(12, |i| format!("{}{}", ["R", "G", "B"][i % 3], i / 3)), Naming::Pixels),
            (numbered(12, |i| format!("p{}_{}", i / 3, ["red", "green", "blue"][i % 3])), Naming::Pixels),
            (numbered(4, |i| format!("x{i}")), Naming::Numbers),
            (numbered(4, |i| i.to_string()), Naming::Numbers),
            (numbered(4, |i| format!("0.{i}")), Naming::Numbers),
            (numbered(4, |i| format!("V{}", i + 1)), Naming::Numbers),
            (numbered(4, |i| format!("feature_{i}")), Naming::Features),
            (["age", "sex", "cp", "chol"].map(str::to_string).to_vec(), Naming::Words),
            (["a1", "a2", "a3", "b1"].map(str::to_string).to_vec(), Naming::Words),
        ] {
            assert_eq!(Naming::of(&names), expected, "{names:?}");
        }
    }

    #[test]
    fn squares_are_images_unless_they_are_small_or_called_otherwise() {
        for (names, values, expected) in [
            (None, 784, vec![28, 28]),
            (None, 64, vec![8, 8]),
            (None, 48, vec![48]),
            (None, 16, vec![16]),
            (None, 3 * 1024, vec![3, 32, 32]),
            (None, 57, vec![57]),
            (Some("pixel"), 4, vec![2, 2]),
            (Some("x"), 16, vec![16]),
            (Some("x"), 64, vec![8, 8]),
            (Some(""), 4, vec![4]),
            (Some(""), 16, vec![4, 4]),
            (Some(""), 48, vec![3, 4, 4]),
            (Some("feature"), 64, vec![64]),
            (Some("feature"), 784, vec![28, 28]),
        ] {
            let names = names.map(|stem| numbered(values, |i| format!("{stem}{i}")));
            assert_eq!(shape(names.as_deref(), values, true).0, expected, "{names:?}");
        }
        let numbers = numbered(16, |i| i.to_string());
        assert_eq!(shape(Some(&numbers), 16, false).0, [16], "features that are no bytes");
        let words: Vec<String> = ["age", "sex", "cp", "chol"].map(str::to_string).to_vec();
        let note = |values, are_bytes| shape(Some(&words), values, are_bytes).1;
        let expected = "rows of 4 values are taken as features, not as 2 x 2 pixels: the columns have names of \
                        their own";
        assert_eq!((note(4, true).as_deref(), note(4, false)), (Some(expected), None));
        assert_eq!((shape(Some(&words), 4, true).0, note(5, true)), (vec![4], None));
    }
}
