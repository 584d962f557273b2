//! Names that are shortened to fit and can still be told apart. Pure.

use super::font::Font;
use std::collections::HashMap;

const ELLIPSIS: char = '…';

/// The text; where it is wider than `width` pixels, its middle is left out: names often differ at their ends.
pub(super) fn shortened(font: Font, text: &str, width: f64) -> String {
    if font.width(text) <= width {
        return text.to_string();
    }
    let letters: Vec<char> = text.chars().collect();
    let width_of = |letter: char| font.width(letter.encode_utf8(&mut [0; 4]));
    let mut room = width - width_of(ELLIPSIS);
    let (mut head, mut tail) = (0, 0);
    while head + tail < letters.len() {
        // One from the start, one from the end.
        let is_at_start = head <= tail;
        let next = if is_at_start { letters[head] } else { letters[letters.len() - 1 - tail] };
        room -= width_of(next);
        if room < 0.0 {
            break;
        }
        if is_at_start { head += 1 } else { tail += 1 }
    }
    let start: String = letters[..head].iter().collect();
    let end: String = letters[letters.len() - tail..].iter().collect();
    format!("{}{ELLIPSIS}{}", start.trim_end(), end.trim_start())
}

/// The names, each at most `width` pixels wide. Two that look the same once their middle is left out show where
/// they differ or, if there is no room for that, their numbers.
pub(super) fn labels(font: Font, names: &[String], width: f64) -> Vec<String> {
    let mut labels: Vec<String> = names.iter().map(|name| shortened(font, name, width)).collect();
    for alike in groups_of_alike(&labels) {
        let same = common_start(alike.iter().map(|&index| names[index].as_str()));
        for &index in &alike {
            let name = &names[index];
            // A few letters of what they share, and the rest from the difference on.
            let start: String = name.chars().take(3.min(same)).collect();
            let rest: String = name.chars().skip(same).collect();
            let start = format!("{start}{ELLIPSIS}");
            let room = width - font.width(&start);
            labels[index] = start + &font.fit(&rest, room);
        }
    }
    for alike in groups_of_alike(&labels) {
        for index in alike {
            let number = format!(" #{index}");
            labels[index] = shortened(font, &names[index], width - font.width(&number)) + &number;
        }
    }
    labels
}

/// The indices of equal labels, in groups of several.
fn groups_of_alike(labels: &[String]) -> Vec<Vec<usize>> {
    let mut groups: HashMap<&str, Vec<usize>> = HashMap::new();
    for (index, label) in labels.iter().enumerate() {
        groups.entry(label).or_default().push(index);
    }
    let mut groups: Vec<Vec<usize>> = groups.into_values().filter(|group| group.len() > 1).collect();
    groups.sort_unstable();
    groups
}

/// How many letters all of the names begin with, without a part of a word at their end.
fn common_start<'a>(mut names: impl Iterator<Item = &'a str>) -> usize {
    let first: Vec<char> = names.next().unwrap_or_default().chars().collect();
    let same = names.fold(first.len(), |same, name| {
        first.iter().zip(name.chars()).take(same).take_while(|(one, other)| **one == *other).count()
    });
    let word = first[..same].iter().rev().take_while(|letter| letter.is_alphanumeric()).count();
    if word <= MAX_WORD { same - word } else { same }
}

/// Longer ones are divided.
const MAX_WORD: usize = 8;

#[cfg(test)]
mod tests {
    use super::super::drawing::INK;
    use super::*;

    const FONT: Font = Font::new(13.0, INK);

    fn labelled(names: &[&str], width: f64) -> Vec<String> {
        let names: Vec<String> = names.iter().map(|name| name.to_string()).collect();
        let labels = labels(FONT, &names, width);
        assert!(labels.iter().all(|label| FONT.width(label) <= width), "{labels:?}");
        labels
    }

    #[test]
    fn the_middle_is_left_out() {
        assert_eq!(labelled(&["gull", "a"], 60.0), ["gull", "a"]);
        let long = ["Lesser black-backed gull, adult", "Lesser black-backed gull, juvenile"];
        assert_eq!(labelled(&long, 110.0), ["Lesser bla…ll, adult", "Lesser bl…juvenile"]);
    }

    #[test]
    fn names_that_differ_in_the_middle_stay_distinct() {
        let names = ["Lesser black-backed gull of the north", "Lesser black-footed gull of the north", "a"];
        assert_eq!(labelled(&names, 110.0), ["Les…backed gull …", "Les…footed gull …", "a"]);
        // Three places of difference: there is room for one.
        let alike = |one: char, two: char| {
            format!("{}{one}{}{two}{}", "x".repeat(40), "y".repeat(40), "z".repeat(40))
        };
        let names = [alike('a', 'a'), alike('a', 'b'), alike('b', 'a'), alike('b', 'b')];
        let names: Vec<&str> = names.iter().map(String::as_str).collect();
        let labels = labelled(&names, 110.0);
        assert!(labels[0].ends_with(" #0") && labels[3].ends_with(" #3"), "{labels:?}");
    }
}
