//! Numbers as text for readers.

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
