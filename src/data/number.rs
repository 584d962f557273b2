//! Numbers in the cells of tables.

/// The sign before the fraction of a number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Decimal {
    Point,
    Comma,
}

impl Decimal {
    /// The sign in the cells of some rows, which the separator parts.
    pub fn of(rows: &[Vec<String>], separator: u8) -> Decimal {
        let count = |sign: char| {
            let has_sign = |cell: &&String| fraction(cell, sign).is_some();
            rows.iter().flatten().filter(has_sign).map(|cell| fraction(cell, sign)).collect::<Vec<_>>()
        };
        let commas = count(',');
        // Between commas, a quoted 1,234 is more likely a thousand.
        let are_thousands = separator == b',' && commas.iter().all(|digits| *digits == Some(3));
        match commas.len() > count('.').len() && !are_thousands {
            true => Decimal::Comma,
            false => Decimal::Point,
        }
    }

    /// The number in a cell, if it holds one: finite, or a truth value, 1 or 0.
    pub fn number(self, cell: &str) -> Option<f64> {
        let cell = cell.trim();
        let number = match self {
            Decimal::Comma if cell.contains(',') => cell.replacen(',', ".", 1).parse(),
            _ => cell.parse::<f64>(),
        };
        match number {
            Ok(number) => Some(number).filter(|number| number.is_finite()),
            Err(_) if cell.eq_ignore_ascii_case("true") => Some(1.0),
            Err(_) if cell.eq_ignore_ascii_case("false") => Some(0.0),
            Err(_) => None,
        }
    }
}

/// The number of digits behind the sign, of a number with one.
fn fraction(cell: &str, sign: char) -> Option<usize> {
    let (whole, fraction) = cell.trim().split_once(sign)?;
    let whole = whole.trim_start_matches(['-', '+']);
    let are_digits = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    (are_digits(whole) && are_digits(fraction)).then_some(fraction.len())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_finite_and_have_the_sign_of_their_table() {
        for (cell, point, comma) in [
            (" 12 ", Some(12.0), Some(12.0)),
            ("-1.5e3", Some(-1500.0), Some(-1500.0)),
            ("1,5", None, Some(1.5)),
            ("1,5,5", None, None),
            ("True", Some(1.0), Some(1.0)),
            ("nan", None, None),
            ("inf", None, None),
            ("1e999", None, None),
            ("", None, None),
            ("x", None, None),
        ] {
            assert_eq!((Decimal::Point.number(cell), Decimal::Comma.number(cell)), (point, comma), "{cell}");
        }
        let rows = |cells: &[&str]| vec![cells.iter().map(|cell| cell.to_string()).collect::<Vec<_>>()];
        assert_eq!(Decimal::of(&rows(&["1,5", "2"]), b';'), Decimal::Comma);
        assert_eq!(Decimal::of(&rows(&["1,500", "2"]), b','), Decimal::Point);
        assert_eq!(Decimal::of(&rows(&["1.5", "70 80", "a,b"]), b';'), Decimal::Point);
    }
}
