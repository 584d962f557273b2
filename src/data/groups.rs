//! Groups of images that belong together, such as those of one writer or patient: every split keeps a group
//! on one side.

use super::label_encoding::as_number;
#[cfg(feature = "images")]
use regex_lite::Regex;
use std::collections::HashMap;
#[cfg(feature = "images")]
use std::fmt;
#[cfg(feature = "images")]
use std::str::FromStr;
use std::sync::Arc;

/// What says which group an image belongs to.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub enum GroupBy {
    /// A column of a table, by name or by index from 0.
    Column(String),
    /// The names of the files in folders of images.
    #[cfg(feature = "images")]
    FileName(GroupPattern),
}

impl GroupBy {
    /// The column, if it is one.
    pub(super) fn column(&self) -> Option<&str> {
        match self {
            GroupBy::Column(column) => Some(column),
            #[cfg(feature = "images")]
            GroupBy::FileName(_) => None,
        }
    }

    /// What data must have for it, for people.
    pub(super) fn needs(&self) -> &'static str {
        if self.column().is_some() { "columns" } else { "file names" }
    }
}

/// A regular expression whose first capture group, or whole match if it has none, is the group in the name of
/// a file. One with a slash is matched with the path below the folder of the data, any other with the name of
/// the file alone.
///
/// ```
/// use fitch::data::GroupPattern;
///
/// let writer: GroupPattern = r"^(w\d+)_".parse()?;
/// assert_eq!(writer.group_of("cat/w12_3.png"), Some("w12"));
/// let patient: GroupPattern = r"([^/]+)/[^/]+$".parse()?;
/// assert_eq!(patient.group_of("cat/anna/3.png"), Some("anna"));
/// # Ok::<(), fitch::data::ParseGroupPatternError>(())
/// ```
#[cfg(feature = "images")]
#[derive(Clone, Debug)]
pub struct GroupPattern(Regex);

#[cfg(feature = "images")]
impl GroupPattern {
    /// The group in a path below the folder of the data; none if it does not match or matches nothing at all.
    pub fn group_of<'a>(&self, path: &'a str) -> Option<&'a str> {
        let is_of_path = self.0.as_str().contains('/');
        let name = if is_of_path { path } else { path.rsplit('/').next().unwrap_or(path) };
        let captures = self.0.captures(name)?;
        let first = usize::from(self.0.captures_len() > 1);
        let group = captures.iter().skip(first).flatten().next()?.as_str();
        (!group.is_empty()).then_some(group)
    }
}

#[cfg(feature = "images")]
impl PartialEq for GroupPattern {
    fn eq(&self, other: &GroupPattern) -> bool {
        self.0.as_str() == other.0.as_str()
    }
}

#[cfg(feature = "images")]
impl FromStr for GroupPattern {
    type Err = ParseGroupPatternError;

    fn from_str(text: &str) -> Result<GroupPattern, ParseGroupPatternError> {
        Regex::new(text).map(GroupPattern).map_err(|fault| ParseGroupPatternError(fault.to_string()))
    }
}

/// A text that is no regular expression.
#[cfg(feature = "images")]
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ParseGroupPatternError(String);

#[cfg(feature = "images")]
impl fmt::Display for ParseGroupPatternError {
    fn fmt(&self, out: &mut fmt::Formatter) -> fmt::Result {
        write!(out, "is not a regular expression: {}", self.0)
    }
}

#[cfg(feature = "images")]
impl std::error::Error for ParseGroupPatternError {}

/// The names of groups, numbered as they are met.
#[derive(Default)]
pub(super) struct GroupIndex {
    number_of: HashMap<String, u32>,
    pub names: Vec<String>,
}

impl GroupIndex {
    /// The number of a group. Equal numbers are one group, however they are written: `7` and `7.0`.
    pub fn of(&mut self, name: &str) -> u32 {
        if let Some(&number) = self.number_of.get(name) {
            return number;
        }
        let next = self.names.len() as u32;
        let number = *self.number_of.entry(as_number(name)).or_insert(next);
        if number == next {
            self.names.push(name.to_string());
        }
        self.number_of.insert(name.to_string(), number);
        number
    }
}

/// The groups of stored images.
#[derive(Clone, Debug)]
pub(super) struct Groups {
    /// A number for each stored image.
    pub of_stored: Arc<[u32]>,
    /// By their numbers, which other splits of the same data share.
    pub names: Arc<[String]>,
}

#[cfg(all(test, feature = "images"))]
mod tests {
    use super::*;

    #[test]
    fn a_pattern_finds_the_group_in_the_name_or_in_the_path() {
        for (pattern, path, group) in [
            (r"^w\d+", "train/cat/w12_3.png", Some("w12")),
            (r"^(w\d+)_", "w12_3.png", Some("w12")),
            (r"^cat", "cat/w1.png", None),
            (r"/(p\d+)/", "cat/p3/1.png", Some("p3")),
            (r"^(?:(a\d)|(b\d))", "b2.png", Some("b2")),
            (r"\d*", "cat.png", None),
            (r"^(x)?c", "cat.png", None),
        ] {
            let pattern: GroupPattern = pattern.parse().unwrap();
            assert_eq!(pattern.group_of(path), group, "{pattern:?} {path}");
        }
        let fault = "(a".parse::<GroupPattern>().unwrap_err().to_string();
        assert!(fault.starts_with("is not a regular expression: "), "{fault}");
    }
}
