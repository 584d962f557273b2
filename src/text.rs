//! Numbers and names as text for readers.

use std::borrow::Cow;

/// `669706` as `669,706`.
pub fn with_separators(number: i64) -> String {
    let digits = number.to_string();
    let mut text = String::new();
    for (position, digit) in digits.chars().enumerate() {
        if position > 0 && (digits.len() - position).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// The size of float32 parameters in units of 1024: `2.55 MB`.
pub(crate) fn size_text(parameters: i64) -> String {
    let mut size = 4.0 * parameters as f64;
    let mut units = ["B", "KB", "MB", "GB", "TB"].into_iter();
    let mut unit = units.next().unwrap_or_default();
    while size >= 1024.0 {
        let Some(next) = units.next() else { break };
        size /= 1024.0;
        unit = next;
    }
    format!("{size:.2} {unit}")
}

/// `1 epoch`, `1,000 epochs`.
pub fn counted(number: usize, what: &str) -> String {
    let ending = if number == 1 { "" } else { "s" };
    format!("{} {what}{ending}", with_separators(number as i64))
}

/// The first `most` names of a list, and how many there are beside them: `cat, dog and 3 more`.
pub fn listed(names: &[impl AsRef<str>], most: usize) -> String {
    let shown = names.iter().take(most).map(AsRef::as_ref).collect::<Vec<_>>().join(", ");
    match names.len().saturating_sub(most) {
        0 => shown,
        more => format!("{shown} and {more} more"),
    }
}

/// A number of bytes for people: `70 GiB`, `3.5 GiB`, `120 MiB`.
pub fn byte_size(bytes: u64) -> String {
    let mut size = bytes as f64;
    let mut unit = "bytes";
    for larger in ["KiB", "MiB", "GiB", "TiB"] {
        // What would round to 1024 is 1.0 of the next unit.
        if size < 1023.5 {
            break;
        }
        (size, unit) = (size / 1024.0, larger);
    }
    let digits = usize::from(size < 9.95 && unit != "bytes");
    format!("{size:.digits$} {unit}")
}

/// A name as it can be shown: characters that a terminal would obey, that turn the direction of text or that
/// XML does not have are written as in Rust, `\u{1b}`.
pub fn printable(name: &str) -> Cow<'_, str> {
    let is_hidden = |letter: char| {
        letter.is_control()
            || matches!(letter, '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}' | '\u{fffe}' | '\u{ffff}')
    };
    if !name.contains(is_hidden) {
        return Cow::Borrowed(name);
    }
    let shown = |letter: char| match is_hidden(letter) {
        true => letter.escape_unicode().to_string(),
        false => letter.to_string(),
    };
    Cow::Owned(name.chars().map(shown).collect())
}

/// The name of a file as it can be shown, in which different names stay different: bytes that are not UTF-8
/// are written as `\xff`.
#[cfg_attr(not(feature = "images"), allow(dead_code))]
pub(crate) fn printable_file_name(name: &std::ffi::OsStr) -> String {
    let mut shown = String::new();
    for chunk in name.as_encoded_bytes().utf8_chunks() {
        shown += &printable(chunk.valid());
        chunk.invalid().iter().for_each(|byte| shown += &format!("\\x{byte:02x}"));
    }
    shown
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_long_list_ends_with_a_number() {
        let names = ["cat", "dog", "owl"];
        assert_eq!(
            [0, 2, 3].map(|count| listed(&names[..count], 2)),
            ["", "cat, dog", "cat, dog and 1 more"]
        );
    }

    #[test]
    fn bytes_have_two_digits_or_a_whole_number() {
        let cases: [(u64, &str); 8] = [
            (0, "0 bytes"),
            (5, "5 bytes"),
            (1023, "1023 bytes"),
            (1024, "1.0 KiB"),
            (3_758_096_384, "3.5 GiB"),
            (70 << 30, "70 GiB"),
            ((1 << 30) - 1, "1.0 GiB"),
            (u64::MAX, "16777216 TiB"),
        ];
        for (bytes, text) in cases {
            assert_eq!(byte_size(bytes), text);
        }
    }

    #[test]
    fn what_a_terminal_would_obey_is_escaped() {
        assert_eq!(printable("c\u{1b}[31mat"), "c\\u{1b}[31mat");
        assert_eq!(printable("a\nb\u{202e}c"), "a\\u{a}b\\u{202e}c");
        for name in ["cat", "Großer Hund", "猫", "a\\b"] {
            assert!(matches!(printable(name), Cow::Borrowed(shown) if shown == name));
        }
    }

    #[cfg(unix)]
    #[test]
    fn names_that_are_not_utf_8_stay_different() {
        use std::os::unix::ffi::OsStrExt;
        let shown = |bytes| printable_file_name(std::ffi::OsStr::from_bytes(bytes));
        assert_eq!(
            [shown(b"caf\xe9"), shown(b"caf\xe8"), shown("café".as_bytes())],
            ["caf\\xe9", "caf\\xe8", "café"]
        );
    }
}
