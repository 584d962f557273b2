//! Augmentation as users write it: `shift 0.1, rotate 10`, or `photos`.

use super::Augmentation;
use std::fmt;
use std::str::FromStr;

/// A word for a change.
struct Word {
    word: &'static str,
    /// The number that it stands for alone.
    usual: f64,
    max: f64,
    /// The number that it sets.
    of: fn(&mut Augmentation) -> &mut f64,
}

/// Only with a limit far beyond what is useful.
const MAX_BETA: f64 = 100.0;

const WORDS: [Word; 9] = [
    Word { word: "shift", usual: 0.1, max: 1.0, of: |changes| &mut changes.shift },
    Word { word: "rotate", usual: 10.0, max: 180.0, of: |changes| &mut changes.rotate },
    Word { word: "zoom", usual: 0.1, max: 0.9, of: |changes| &mut changes.zoom },
    Word { word: "flip", usual: 0.5, max: 1.0, of: |changes| &mut changes.flip },
    Word { word: "crop", usual: 0.5, max: 0.95, of: |changes| &mut changes.crop },
    Word { word: "colour", usual: 0.4, max: 1.0, of: |changes| &mut changes.colour },
    Word { word: "erase", usual: 0.25, max: 1.0, of: |changes| &mut changes.erase },
    Word { word: "mixup", usual: 0.2, max: MAX_BETA, of: |changes| &mut changes.mixup },
    Word { word: "cutmix", usual: 1.0, max: MAX_BETA, of: |changes| &mut changes.cutmix },
];

const PRESETS: [(&str, Augmentation); 2] =
    [("photos", Augmentation::PHOTOS), ("digits", Augmentation::DIGITS)];

/// Other spellings.
const SAME: [(&str, &str); 1] = [("color", "colour")];

/// What is wrong with the text of an [`Augmentation`].
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub enum ParseAugmentationError {
    /// A part is not one of the known words with at most one number.
    UnknownPart(String),
    /// A number is out of range.
    OutOfRange {
        /// The word before the number.
        word: &'static str,
        /// The largest number allowed; the smallest is 0.
        max: f64,
    },
}

impl fmt::Display for ParseAugmentationError {
    fn fmt(&self, out: &mut fmt::Formatter) -> fmt::Result {
        match self {
            ParseAugmentationError::UnknownPart(part) => {
                let words = WORDS.map(|word| word.word).join(", ");
                let presets = PRESETS.map(|(word, _)| word).join(" or ");
                write!(
                    out,
                    "'{part}' is none of {words}, or {presets}, with a number or without, such as shift \
                     0.1,rotate 10"
                )
            }
            ParseAugmentationError::OutOfRange { word, max } => {
                write!(out, "{word} must be from 0 to {max}")
            }
        }
    }
}

impl std::error::Error for ParseAugmentationError {}

impl FromStr for Augmentation {
    type Err = ParseAugmentationError;

    /// Reads `shift 0.1, rotate 10` and so on; each part may be missing, and so may its number. `photos` and
    /// `digits` stand for several parts; a later part changes what an earlier one says.
    fn from_str(text: &str) -> Result<Augmentation, ParseAugmentationError> {
        let mut changes = Augmentation::default();
        for part in text.split(',') {
            let unknown = || ParseAugmentationError::UnknownPart(part.trim().to_string());
            let (word, number) = match part.split_whitespace().collect::<Vec<_>>()[..] {
                [word] => (word, None),
                [word, number] => (word, Some(number)),
                _ => return Err(unknown()),
            };
            if let (Some((_, preset)), None) = (PRESETS.iter().find(|(name, _)| *name == word), number) {
                for Word { of, .. } in &WORDS {
                    let number = *of(&mut preset.clone());
                    if number > 0.0 {
                        *of(&mut changes) = number;
                    }
                }
                continue;
            }
            let word = SAME.iter().find(|(other, _)| *other == word).map_or(word, |(_, same)| same);
            let known = WORDS.iter().find(|known| known.word == word);
            let &Word { word, usual, max, of } = known.ok_or_else(unknown)?;
            *of(&mut changes) = match number {
                None => usual,
                Some(number) => {
                    let number = number.parse().ok().filter(|number| (0.0..=max).contains(number));
                    number.ok_or(ParseAugmentationError::OutOfRange { word, max })?
                }
            };
        }
        Ok(changes)
    }
}

impl fmt::Display for Augmentation {
    /// As it is read.
    fn fmt(&self, out: &mut fmt::Formatter) -> fmt::Result {
        let parts = WORDS.iter().map(|Word { word, of, .. }| (word, *of(&mut self.clone())));
        let parts: Vec<String> = parts
            .filter(|(_, number)| *number > 0.0)
            .map(|(word, number)| format!("{word} {number}"))
            .collect();
        out.write_str(&parts.join(", "))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_is_read_with_its_numbers_or_the_usual_ones() {
        let read = |text: &str| text.parse::<Augmentation>();
        assert_eq!(read("shift,rotate,zoom"), Ok(Augmentation::DIGITS));
        assert_eq!(read("flip, crop, color, erase"), read("photos"));
        assert_eq!(read("digits"), Ok(Augmentation::DIGITS));
        assert_eq!(read("rotate 20"), Ok(Augmentation { rotate: 20.0, ..Augmentation::default() }));
        let mixed = Augmentation { crop: 0.0, mixup: 0.2, cutmix: 1.0, ..Augmentation::PHOTOS };
        assert_eq!(read("crop 0.9,photos,crop 0,mixup,cutmix"), Ok(mixed));
        for changes in [Augmentation::DIGITS, Augmentation::PHOTOS, mixed] {
            assert_eq!(read(&changes.to_string()), Ok(changes));
        }
        for wrong in [
            "",
            "mirror",
            "shift 2",
            "shift -1",
            "rotate x",
            "shift 0.1 0.2",
            "zoom 1",
            "shift,,zoom",
            "photos 1",
            "crop 1",
            "flip nan",
            "mixup 101",
        ] {
            assert!(read(wrong).is_err(), "{wrong}");
        }
    }
}
