//! Numbers as text in the width that there is: fewer digits rather than a broken number.

/// A number in `width` characters, with all `decimals` if they fit, else with fewer, else with an exponent. What
/// does not fit even so is whole all the same. A number that these decimals would show as zero has an exponent.
pub fn number(value: f64, decimals: usize, width: usize) -> String {
    if !value.is_finite() {
        return value.to_string().to_lowercase();
    }
    let fits = |text: &String| text.len() <= width;
    let is_tiny = value != 0.0 && value.abs() < 0.5 * 0.1f64.powi(decimals as i32);
    let plain = (0..=decimals).rev().map(|decimals| format!("{value:.decimals$}")).find(fits);
    let short = (0..=2).rev().map(|decimals| format!("{value:.decimals$e}")).find(fits);
    let fitting = if is_tiny { short } else { plain.or(short) };
    fitting.unwrap_or_else(|| format!("{value:.0e}"))
}

/// A time in at most 6 characters: `38 ms`, `0.2 s`, `45 s`, `12 min`, `3.5 h`, `120 d`.
pub fn duration(seconds: f64) -> String {
    const UNITS: [(&str, f64, usize); 4] =
        [("s", 99.5, 1), ("min", 99.5, 0), ("h", 48.0, 1), ("d", f64::MAX, 0)];
    let mut amount = seconds.max(0.0);
    if amount < 0.0995 {
        return format!("{:.0} ms", amount * 1e3);
    }
    for ((unit, limit, decimals), larger) in UNITS.into_iter().zip([60.0, 60.0, 24.0, 1.0]) {
        if amount < limit {
            return format!("{amount:.decimals$} {unit}");
        }
        amount /= larger;
    }
    format!("{amount:.0} d")
}

/// A time to wait, to the second: `45 s`, `12 min`.
pub fn rough_duration(seconds: f64) -> String {
    if seconds < 99.5 { format!("{:.0} s", seconds.max(0.0)) } else { duration(seconds) }
}

/// The time of a step in at most 8 characters: `950 us`, `19.3 ms`, `2.1 s`.
pub fn step_time(seconds: f64) -> String {
    if seconds < 0.001 {
        format!("{:.0} us", seconds * 1e6)
    } else if seconds < 1.0 {
        format!("{:.1} ms", seconds * 1e3)
    } else {
        duration(seconds)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_number_loses_digits_but_is_never_cut() {
        for (value, decimals, width, text) in [
            (0.58571, 4, 6, "0.5857"),
            (0.58571, 3, 5, "0.586"),
            (12.34567, 4, 6, "12.346"),
            (1234.567, 4, 6, "1234.6"),
            (123_456.7, 4, 6, "123457"),
            (1_234_567.8, 4, 6, "1.23e6"),
            (0.000_012_3, 4, 6, "1.2e-5"),
            (0.000_012_3, 3, 5, "1e-5"),
            (-0.5, 4, 6, "-0.500"),
            (0.0, 4, 6, "0.0000"),
            (1e300, 4, 6, "1e300"),
            (-1e300, 4, 5, "-1e300"),
            (f64::NAN, 4, 6, "nan"),
            (f64::NEG_INFINITY, 4, 6, "-inf"),
        ] {
            assert_eq!(number(value, decimals, width), text, "{value}");
        }
    }

    #[test]
    fn times_are_short_at_every_size() {
        for (seconds, text) in [
            (0.038, "38 ms"),
            (0.0996, "0.1 s"),
            (59.96, "60.0 s"),
            (99.49, "99.5 s"),
            (99.5, "2 min"),
            (720.0, "12 min"),
            (5940.0, "99 min"),
            (6000.0, "1.7 h"),
            (90_000.0, "25.0 h"),
            (2e7, "231 d"),
        ] {
            assert_eq!(duration(seconds), text);
        }
        assert_eq!([0.4, 45.2, 720.0].map(rough_duration), ["0 s", "45 s", "12 min"]);
        assert_eq!([0.000_95, 0.0193, 2.1].map(step_time), ["950 us", "19.3 ms", "2.1 s"]);
    }
}
