//! `none`, which switches an option off that a `--config` file, a sweep or the run that is repeated has on.

use std::ffi::OsString;

const NONE: &str = "none";

/// The options that can be off, by their names in files.
const SWITCHED: [&str; 22] = [
    "image_size",
    "group_column",
    "group_pattern",
    "fold",
    "drop_duplicates",
    "weights",
    "freeze",
    "normalize",
    "clip_norm",
    "ema",
    "class_weights",
    "augment",
    "metrics",
    "time_limit",
    "baseline",
    "stopping_threshold",
    "divergence_threshold",
    "plateau_patience",
    "checkpoint_every",
    "limit",
    "classes",
    "maximum",
];

/// Whether a value switches the option of that name off.
pub fn is_off(name: &str, value: &str) -> bool {
    // As records say that nothing is left out.
    let is_word = value == NONE || (value == "all" && ["classes", "limit"].contains(&name));
    is_word && SWITCHED.contains(&name)
}

/// Takes `--NAME none` out of the words of a command line; the names of the options that are off then. Of an option that
/// is given twice the last one counts.
pub fn take_off(words: Vec<OsString>) -> (Vec<OsString>, Vec<String>) {
    let (mut kept, mut off): (_, Vec<String>) = (Vec::new(), Vec::new());
    let mut words = words.into_iter().peekable();
    while let Some(word) = words.next() {
        if word == "--" {
            kept.push(word);
            break;
        }
        let flag = word.to_str().and_then(|word| word.strip_prefix("--"));
        let (flag, joined) = flag.map_or(("", None), |flag| match flag.split_once('=') {
            Some((flag, value)) => (flag, Some(value)),
            None => (flag, None),
        });
        let name = flag.replace('-', "_");
        off.retain(|other| *other != name);
        let next = words.peek().and_then(|next| next.to_str());
        if !is_off(&name, joined.or(next).unwrap_or_default()) {
            kept.push(word);
            continue;
        }
        if joined.is_none() {
            words.next();
        }
        off.push(name);
    }
    (kept.into_iter().chain(words).collect(), off)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::{OPTIONS, TrainOptions};

    #[test]
    fn options_that_can_be_off_are_off_by_default() {
        let defaults = serde_json::to_value(TrainOptions::defaults()).unwrap();
        for name in SWITCHED {
            assert!(OPTIONS.iter().any(|option| option.name == name) && defaults[name].is_null(), "{name}");
        }
    }

    #[test]
    fn the_last_word_about_an_option_counts() {
        let take = |line: &str| {
            let (kept, off) = take_off(line.split(' ').map(OsString::from).collect());
            let kept: Vec<String> = kept.into_iter().map(|word| word.into_string().unwrap()).collect();
            (kept.join(" "), off.join(" "))
        };
        let pair = |kept: &str, off: &str| (kept.to_string(), off.to_string());
        assert_eq!(
            take("train --ema none --seed 1 --clip-norm=none"),
            pair("train --seed 1", "ema clip_norm")
        );
        assert_eq!(take("train --ema none --ema 0.9"), pair("train --ema 0.9", ""));
        assert_eq!(take("train --limit all"), pair("train", "limit"));
        assert_eq!(take("train --ema 0.9 --ema none"), pair("train --ema 0.9", "ema"));
        let others = "train --out none --label-column none -- --ema none";
        assert_eq!(take(others), pair(others, ""));
    }
}
