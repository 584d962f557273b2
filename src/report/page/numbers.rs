//! Numbers as people read them.

use crate::text::with_separators;

/// A measured value in four significant digits or four decimals, whichever are more.
pub(super) fn number(value: f64) -> String {
    match value.abs() {
        _ if !value.is_finite() => format!("{value}"),
        0.0 => "0".to_string(),
        size if !(1e-4..1e6).contains(&size) => format!("{value:.3e}"),
        size if size < 0.1 => {
            let decimals = (3.0 - size.log10().floor()) as usize;
            let text = format!("{value:.decimals$}");
            text.trim_end_matches('0').to_string()
        }
        _ => format!("{value:.4}"),
    }
}

/// `1,000`.
pub(super) fn count(number: usize) -> String {
    with_separators(number as i64)
}

/// `4.2 s`, `3 min 20 s`, `2 h 5 min`.
pub(super) fn duration(seconds: f64) -> String {
    let whole = seconds.round().max(0.0) as u64;
    match whole {
        _ if seconds < 59.95 => format!("{seconds:.1} s"),
        ..3600 => format!("{} min {} s", whole / 60, whole % 60),
        _ => format!("{} h {} min", whole / 3600, whole % 3600 / 60),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_told_as_people_tell_them() {
        let told = [0.04, 4.25, 59.97, 200.4, 7_530.0].map(duration);
        assert_eq!(told, ["0.0 s", "4.2 s", "1 min 0 s", "3 min 20 s", "2 h 5 min"]);
    }
}
