//! HTML in which nothing that users wrote can be anything but text.

use crate::text::printable;
use serde::Serialize;
use std::fmt::Write;

/// A text, safe between tags and within the quotes of an attribute.
pub(super) fn text(raw: &str) -> String {
    let mut safe = String::with_capacity(raw.len());
    for letter in printable(raw).chars() {
        match letter {
            '&' => safe += "&amp;",
            '<' => safe += "&lt;",
            '>' => safe += "&gt;",
            '"' => safe += "&quot;",
            '\'' => safe += "&#39;",
            other => safe.push(other),
        }
    }
    safe
}

/// Data for a script. No text in it can end the script, or begin a comment of HTML.
///
/// # Errors
/// What has no JSON.
pub(super) fn json(value: &impl Serialize) -> serde_json::Result<String> {
    let text = serde_json::to_string(value)?;
    Ok(text.replace('<', "\\u003c").replace('>', "\\u003e").replace('&', "\\u0026"))
}

/// A section with its heading.
pub(super) fn section(id: &str, title: &str, content: &str) -> String {
    format!(
        "<section id=\"{id}\" aria-labelledby=\"{id}-title\">\n<h2 id=\"{id}-title\">{title}</h2>\n\
         {content}</section>\n"
    )
}

/// What may be wider than the page: it scrolls, with the keyboard, too.
pub(super) fn scrolling(label: &str, content: &str) -> String {
    let label = text(label);
    format!("<div class=\"wide\" role=\"region\" tabindex=\"0\" aria-label=\"{label}\">\n{content}</div>\n")
}

/// A table of names and their values.
pub(super) fn facts(caption: &str, rows: &[(String, String)]) -> String {
    let mut table = format!("<table class=\"facts\"><caption>{caption}</caption><tbody>\n");
    for (name, value) in rows {
        let (name, value) = (text(name), text(value));
        let _ = writeln!(table, "<tr><th scope=\"row\">{name}</th><td>{value}</td></tr>");
    }
    table + "</tbody></table>\n"
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_users_write_stays_text() {
        let name = "</script><b>\"a\" & 'b'\u{1b}\u{2028}";
        assert_eq!(text(name), "&lt;/script&gt;&lt;b&gt;&quot;a&quot; &amp; &#39;b&#39;\\u{1b}\\u{2028}");
        let json = json(&[name, "<!--"]).unwrap();
        assert!(!json.contains(['<', '>', '&']), "{json}");
        assert_eq!(serde_json::from_str::<Vec<String>>(&json).unwrap(), [name, "<!--"]);
    }
}
