//! Numbers in the cells of tables.

use std::cmp::Ordering;

/// The sign before the fraction of a number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Decimal {
    Point,
    Comma,
}

impl Decimal {
    /// The sign in the cells of some rows, which the separator parts.
    pub fn of(rows: &[Vec<String>], separator: u8) -> Decimal {
        let count = |sign: char, is_meant: fn(Sign) -> bool| {
            rows.iter().flatten().filter(|cell| sign_in(cell, sign).is_some_and(is_meant)).count()
        };
        let is_certain = |sign: Sign| sign == Sign::Decimal;
        let (commas, points) = (count(',', is_certain), count('.', is_certain));
        let is_comma = match commas.cmp(&points) {
            Ordering::Greater => true,
            Ordering::Less => false,
            // Between commas, a quoted 1,234 is more likely a thousand.
            Ordering::Equal => {
                let is_any = |sign: Sign| sign != Sign::Thousands;
                count(',', is_any) > count('.', is_any) && (commas > 0 || separator != b',')
            }
        };
        if is_comma { Decimal::Comma } else { Decimal::Point }
    }

    /// The number in a cell, if it holds one: finite, or a truth value, 1 or 0.
    pub fn number(self, cell: &str) -> Option<f64> {
        let cell = cell.trim();
        let number = match self.with_point(cell) {
            Some(plain) => plain.parse::<f64>(),
            None => cell.parse(),
        };
        match number {
            Ok(number) => Some(number).filter(|number| number.is_finite()),
            Err(_) if cell.eq_ignore_ascii_case("true") => Some(1.0),
            Err(_) if cell.eq_ignore_ascii_case("false") => Some(0.0),
            Err(_) => None,
        }
    }

    /// A number that is not written as programs read it, as they do: `1.255,5` as `1255.5`, in a table with
    /// decimal commas.
    pub fn with_point(self, cell: &str) -> Option<String> {
        let (sign, of_thousands) = match self {
            Decimal::Point => ('.', ','),
            Decimal::Comma => (',', '.'),
        };
        let has_sign = cell.contains(',') || (self == Decimal::Comma && cell.contains('.'));
        if !has_sign {
            return None;
        }
        let (whole, fraction) = match cell.split_once(sign) {
            Some((whole, fraction)) => (whole, Some(fraction)),
            None => (cell, None),
        };
        let whole = match whole.contains(of_thousands) {
            true if are_thousands(whole, of_thousands) => whole.replace(of_thousands, ""),
            true => return None,
            false => whole.to_string(),
        };
        let text = fraction.map_or(whole.clone(), |fraction| format!("{whole}.{fraction}"));
        text.parse::<f64>().is_ok().then_some(text)
    }
}

/// What a sign in a number stands for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Sign {
    /// It stands before the fraction.
    Decimal,
    Thousands,
    /// `1.255` may be either.
    Either,
}

/// What a point or a comma in a cell stands for, if the cell is a number with one.
fn sign_in(cell: &str, sign: char) -> Option<Sign> {
    let other = if sign == ',' { '.' } else { ',' };
    let cell = cell.trim().trim_start_matches(['-', '+']);
    let are_digits = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    if let Some((whole, fraction)) = cell.rsplit_once(sign)
        && are_digits(fraction)
        && (are_digits(whole) || are_thousands(whole, other))
    {
        let is_group = fraction.len() == 3 && whole.len() <= 3 && !whole.starts_with('0');
        return Some(if is_group { Sign::Either } else { Sign::Decimal });
    }
    are_thousands(cell.rsplit_once(other).map_or(cell, |(whole, _)| whole), sign).then_some(Sign::Thousands)
}

/// Whether a number has a sign before every three of its digits: `-1.255.000`.
fn are_thousands(whole: &str, sign: char) -> bool {
    let mut groups = whole.trim_start_matches(['-', '+']).split(sign);
    let are_digits = |group: &str| group.bytes().all(|byte| byte.is_ascii_digit());
    let is_first =
        |group: &str| (1..=3).contains(&group.len()) && !group.starts_with('0') && are_digits(group);
    let has_first = groups.next().is_some_and(is_first);
    let mut others = groups.peekable();
    has_first && others.peek().is_some() && others.all(|group| group.len() == 3 && are_digits(group))
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
            ("1.255", Some(1.255), Some(1255.0)),
            ("-1.255.000,5", None, Some(-1_255_000.5)),
            ("1,255.5", Some(1255.5), None),
            ("1,255", Some(1255.0), Some(1.255)),
            ("0.125", Some(0.125), Some(0.125)),
            ("12.55,5", None, None),
            ("1,25.5", None, None),
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
        // Thousands are no sign of the other.
        assert_eq!(Decimal::of(&rows(&["1.255", "2.500", "45,5"]), b';'), Decimal::Comma);
        assert_eq!(Decimal::of(&rows(&["1.255,5", "3", "4.5"]), b';'), Decimal::Point);
        assert_eq!(Decimal::of(&rows(&["1.255,5", "2.500.000"]), b';'), Decimal::Comma);
        assert_eq!(Decimal::of(&rows(&["1,255", "2,500", "45.5"]), b';'), Decimal::Point);
        let plain = |cell| Decimal::Comma.with_point(cell);
        assert_eq!((plain("2,0").unwrap(), plain("1.000").unwrap()), ("2.0".to_string(), "1000".to_string()));
        assert_eq!(
            (plain("2"), plain("cat"), plain("a,b"), Decimal::Point.with_point("2.0")),
            (None, None, None, None)
        );
    }
}
