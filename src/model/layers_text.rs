//! From text, `dense 512, relu, dropout 0.2`, to layers and back.

use super::layers::{self, KINDS, Layer};
use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

/// What is wrong with a text, and where.
#[derive(Clone, Debug, PartialEq)]
pub struct ParseError {
    /// The whole text.
    pub text: String,
    /// The byte range of the wrong word in it.
    pub place: std::ops::Range<usize>,
    /// What is wrong.
    pub message: String,
}

impl fmt::Display for ParseError {
    /// The message, and below it the text with the wrong word underlined.
    fn fmt(&self, out: &mut fmt::Formatter) -> fmt::Result {
        let before = self.text[..self.place.start].chars().count();
        let width = self.text[self.place.clone()].chars().count().max(1);
        writeln!(out, "{}", self.message)?;
        writeln!(out, "  {}", self.text)?;
        write!(out, "  {}{}", " ".repeat(before), "^".repeat(width))
    }
}

impl std::error::Error for ParseError {}

/// Layers in order, not yet built.
#[derive(Clone, Debug, Default)]
pub struct Layers(pub(crate) Vec<Arc<dyn Layer>>);

impl Layers {
    /// Reads a list of layers, separated by commas (or line breaks); each is a word and its arguments.
    /// An empty text has no layers: the model is its classifier alone.
    ///
    /// # Errors
    /// The first wrong word, with its place.
    pub fn parse(text: &str) -> Result<Layers, ParseError> {
        if text.trim().is_empty() {
            return Ok(Layers(Vec::new()));
        }
        let mut start = 0;
        let mut parsed = Vec::new();
        for item in text.split_inclusive([',', '\n']) {
            parsed.push(parse_layer(text, start, item.trim_end_matches([',', '\n']))?);
            start += item.len();
        }
        if text.ends_with(',') {
            let place = text.len() - 1..text.len();
            let message = "a layer is missing after the last comma".to_string();
            return Err(ParseError { text: text.to_string(), place, message });
        }
        Ok(Layers(parsed))
    }

    /// The same layers behind one that standardises its inputs, unless they begin with it.
    pub fn standardized(mut self) -> Layers {
        if !self.are_standardized() {
            self.0.insert(0, Arc::new(layers::Standardize { by_channel: false }));
        }
        self
    }

    /// The same layers behind one that standardises the channels of images, unless they begin with it.
    pub fn normalized(mut self) -> Layers {
        if !self.are_normalized() {
            self.0.insert(0, Arc::new(layers::Standardize { by_channel: true }));
        }
        self
    }

    /// Whether the first layer standardises the channels of images.
    pub fn are_normalized(&self) -> bool {
        let by_channel = layers::Standardize { by_channel: true }.arguments();
        self.0.first().is_some_and(|first| is_standardize(first) && first.arguments() == by_channel)
    }

    /// Whether the first layer standardises its inputs.
    pub fn are_standardized(&self) -> bool {
        self.0.first().is_some_and(is_standardize)
    }

    /// Whether a layer is to standardise what others give, whose means change in training.
    pub fn standardize_within(&self) -> bool {
        self.0.iter().skip(1).any(is_standardize)
    }

    /// All layer kinds with their arguments, for help: `dense N, relu, ...`.
    pub fn usage() -> String {
        layers::usage()
    }

    /// A layer of each kind, as users write it: `dense 8`.
    pub fn examples() -> impl Iterator<Item = &'static str> {
        KINDS.iter().map(|kind| kind.example)
    }
}

fn is_standardize(layer: &Arc<dyn Layer>) -> bool {
    layer.keyword() == layers::Standardize { by_channel: false }.keyword()
}

impl FromStr for Layers {
    type Err = ParseError;

    /// As [`Layers::parse`].
    fn from_str(text: &str) -> Result<Layers, ParseError> {
        Layers::parse(text)
    }
}

impl fmt::Display for Layers {
    /// The text that [`Layers::parse`] reads back to the same layers.
    fn fmt(&self, out: &mut fmt::Formatter) -> fmt::Result {
        out.write_str(&format(&self.0))
    }
}

fn parse_layer(text: &str, start: usize, item: &str) -> Result<Arc<dyn Layer>, ParseError> {
    let fault = |place, message| ParseError { text: text.to_string(), place, message };
    let offset = start + item.len() - item.trim_start().len();
    let mut words = item.split_whitespace();
    let Some(word) = words.next() else {
        let comma = (start + item.len()).min(text.len().saturating_sub(1));
        return Err(fault(comma..comma + 1, "a layer is missing before this comma".to_string()));
    };
    let Some(kind) = KINDS.iter().find(|kind| kind.keyword == word) else {
        let message = format!("'{word}' is not a layer kind; there are: {}", layers::usage());
        return Err(fault(offset..offset + word.len(), message));
    };
    let arguments: Vec<&str> = words.collect();
    (kind.parse)(&arguments).map_err(|rule| {
        // The arguments are underlined; without any, the word itself.
        let place = match arguments.first() {
            Some(_) => {
                let behind_word =
                    &item[item.trim_start().as_ptr() as usize - item.as_ptr() as usize + word.len()..];
                let gap = behind_word.len() - behind_word.trim_start().len();
                offset + word.len() + gap..offset + item.trim().len()
            }
            None => offset..offset + word.len(),
        };
        fault(place, format!("'{word}' {rule}"))
    })
}

/// The text that reads back to the same layers.
pub(super) fn format<'a>(layers: impl IntoIterator<Item = &'a Arc<dyn Layer>>) -> String {
    let items = layers
        .into_iter()
        .map(|layer| format!("{} {}", layer.keyword(), layer.arguments()).trim_end().to_string());
    items.collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_text_of_parsed_layers_reads_back() {
        let text = "dense 512, relu, dropout 0.2, dense 30, tanh, sigmoid, gelu";
        assert_eq!(Layers::parse(text).unwrap().to_string(), text);
        assert_eq!(
            Layers::parse("  dense   512,relu ,dropout .2 ").unwrap().to_string(),
            "dense 512, relu, dropout 0.2"
        );
        assert_eq!(Layers::parse("dense 5\nrelu").unwrap().to_string(), "dense 5, relu");
        assert!(Layers::parse("").unwrap().0.is_empty());
    }

    #[test]
    fn every_kind_parses_under_its_own_word() {
        for kind in KINDS {
            let layers: Layers = kind.example.parse().unwrap();
            assert_eq!(layers.0[0].keyword(), kind.keyword);
            assert_eq!(layers.to_string(), kind.example);
        }
    }

    /// The word that an error points at, and its message.
    fn fault(text: &str) -> (String, String) {
        let error = Layers::parse(text).unwrap_err();
        (text[error.place.clone()].to_string(), error.message)
    }

    #[test]
    fn errors_point_at_the_bad_word() {
        let (word, message) = fault("dense 512, dens 10, relu");
        assert_eq!(word, "dens");
        assert!(message.contains("'dens' is not a layer kind; there are: dense N, relu"), "{message}");
        for (text, bad) in [
            ("dense 512, dense x", "x"),
            ("dense 0", "0"),
            ("dense -3, relu", "-3"),
            ("dense 9999999999", "9999999999"),
            ("relu, dense", "dense"),
            ("dense 3 4", "3 4"),
            ("relu 5", "5"),
            ("dropout 1", "1"),
            ("dense 2,  dropout   nan ", "nan"),
            ("dropout", "dropout"),
            ("dense 5,, relu", ","),
            ("dense 5,", ","),
            (",", ","),
            ("Dense 5", "Dense"),
            ("größe 5", "größe"),
        ] {
            assert_eq!(fault(text).0, bad, "in '{text}'");
        }
    }

    #[test]
    fn the_display_underlines_the_bad_word() {
        let shown = Layers::parse("relu, größe 5").map(|_| ()).unwrap_err().to_string();
        let lines: Vec<&str> = shown.lines().collect();
        assert_eq!(lines[1..], ["  relu, größe 5", "        ^^^^^"]);
    }
}
