//! Did you mean ...? The known word that is most like a mistyped one.

/// How alike two words must be, from 0 to 1: clap's own bound.
const LEAST_SIMILARITY: f64 = 0.7;

/// The word most like `typed`, if one is alike at all.
pub fn nearest<'a>(typed: &str, known: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let typed = typed.to_lowercase();
    let similarity = |word: &'a str| (word, strsim::jaro_winkler(&typed, &word.to_lowercase()));
    let alike = known.into_iter().map(similarity).filter(|(_, alike)| *alike > LEAST_SIMILARITY);
    alike.max_by(|(_, a), (_, b)| a.total_cmp(b)).map(|(word, _)| word)
}

/// `; did you mean mnist?`, to append to an error; empty if no word is alike.
pub fn did_you_mean<'a>(typed: &str, known: impl IntoIterator<Item = &'a str>) -> String {
    nearest(typed, known).map_or(String::new(), |word| format!("; did you mean {word}?"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_nearest_word_is_suggested_if_it_is_near() {
        for (typed, expected) in [
            ("minst", Some("mnist")),
            ("kminst", Some("kmnist")),
            ("MNIST", Some("mnist")),
            ("val_acc", Some("val_accuracy")),
            ("los", Some("loss")),
            ("imagenet", None),
            ("x", None),
        ] {
            let known = ["digits", "mnist", "kmnist", "loss", "accuracy", "val_loss", "val_accuracy"];
            assert_eq!(nearest(typed, known), expected, "{typed}");
        }
        assert_eq!(did_you_mean("x", ["mnist"]), "");
    }
}
