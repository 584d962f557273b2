//! Paths as Python's source has them. Lines of Python have no single quotes, so that a shell takes them
//! between such ones.

use crate::text::printable;
use std::path::Path;

/// The path as a string of Python.
pub fn quoted(path: &Path) -> String {
    let mut text = String::new();
    for chunk in path.as_os_str().as_encoded_bytes().utf8_chunks() {
        for letter in chunk.valid().chars() {
            match letter {
                '\\' | '"' => text.extend(['\\', letter]),
                '\'' => text += "\\x27",
                // Whoever prints it would write these letters in another way.
                _ if printable(letter.encode_utf8(&mut [0; 4])) != letter.to_string() => {
                    text += &match u32::from(letter) {
                        code @ ..=0xff => format!("\\x{code:02x}"),
                        code @ ..=0xffff => format!("\\u{code:04x}"),
                        code => format!("\\U{code:08x}"),
                    }
                }
                _ => text.push(letter),
            }
        }
        // Python's own escape of what is not UTF-8.
        chunk.invalid().iter().for_each(|byte| text += &format!("\\udc{byte:02x}"));
    }
    format!("\"{text}\"")
}

/// The same of a folder, with a slash behind it; nothing for the current one.
pub fn quoted_folder(folder: &Path) -> String {
    match folder == Path::new("") {
        true => "\"\"".to_string(),
        false => quoted(&folder.join("")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_are_written_as_python_has_them() {
        for (path, text) in [
            ("a b/c.gif", r#""a b/c.gif""#),
            ("caf\u{301} 日本 \u{200b}\u{202f}.gif", "\"caf\u{301} 日本 \u{200b}\u{202f}.gif\""),
            ("say \"hi\" \\ it's", r#""say \"hi\" \\ it\x27s""#),
            ("a\tb\nc\u{1b}\u{202e}", r#""a\x09b\x0ac\x1b\u202e""#),
            ("$HOME `x` {a} %s [b]", r#""$HOME `x` {a} %s [b]""#),
        ] {
            assert_eq!(quoted(Path::new(path)), text);
        }
        assert_eq!(
            ["", "a", "a/"].map(|path| quoted_folder(Path::new(path))),
            [r#""""#, r#""a/""#, r#""a/""#]
        );
    }

    #[cfg(unix)]
    #[test]
    fn bytes_that_are_not_utf_8_stay_what_they_are() {
        use std::os::unix::ffi::OsStrExt;
        let path = Path::new(std::ffi::OsStr::from_bytes(b"caf\xe9"));
        assert_eq!(quoted(path), r#""caf\udce9""#);
    }
}
