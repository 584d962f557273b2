//! JSON that people can read: a list of numbers, or whatever else holds no list or object, is one line.

use serde_json::Value;
use std::fmt::Write;

/// The value with line breaks between its parts, and one at its end.
pub fn json_text(value: &Value) -> String {
    let mut text = String::new();
    write(value, 0, &mut text);
    text + "\n"
}

fn write(value: &Value, depth: usize, text: &mut String) {
    let parts: Vec<(Option<&String>, &Value)> = match value {
        Value::Array(parts) => parts.iter().map(|part| (None, part)).collect(),
        Value::Object(parts) => parts.iter().map(|(name, part)| (Some(name), part)).collect(),
        plain => {
            let _ = write!(text, "{plain}");
            return;
        }
    };
    let is_line = parts.iter().all(|(_, part)| !part.is_array() && !part.is_object());
    text.push(if value.is_array() { '[' } else { '{' });
    for (index, (name, part)) in parts.iter().enumerate() {
        match (is_line, index) {
            (true, 0) => {}
            (true, _) => text.push_str(", "),
            (false, _) => {
                let comma = if index == 0 { "" } else { "," };
                let _ = write!(text, "{comma}\n{}", "  ".repeat(depth + 1));
            }
        }
        if let Some(name) = name {
            let _ = write!(text, "{}: ", Value::from(name.as_str()));
        }
        write(part, depth + 1, text);
    }
    if !is_line {
        let _ = write!(text, "\n{}", "  ".repeat(depth));
    }
    text.push(if value.is_array() { ']' } else { '}' });
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn what_holds_nothing_deeper_is_a_line_and_all_reads_back() {
        let value = json!({
            "a \"name\"": 0.1, "rows": [[1, 2], [3, null]], "none": [], "object": {}, "scores": [{"f1": 1.5, "class": "é"}]
        });
        let text = json_text(&value);
        assert_eq!(serde_json::from_str::<Value>(&text).unwrap(), value);
        assert_eq!(
            text,
            "{\n  \"a \\\"name\\\"\": 0.1,\n  \"rows\": [\n    [1, 2],\n    [3, null]\n  ],\n  \"none\": [],\n  \
             \"object\": {},\n  \"scores\": [\n    {\"f1\": 1.5, \"class\": \"é\"}\n  ]\n}\n"
        );
    }
}
