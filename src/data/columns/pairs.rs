//! Whether two columns say the same, each in its own words. Pure.

use std::collections::HashMap;

/// Labels and the values of another column, each of which belongs to one of the other kind.
#[derive(Default)]
pub struct Pairs {
    values: HashMap<String, String>,
    labels: HashMap<String, String>,
    rows: usize,
}

impl Pairs {
    /// Whether one more row fits those before. Rows without a label say nothing.
    pub fn fit(&mut self, label: &str, value: &str) -> bool {
        /// More are no classes.
        const MOST: usize = 1_000;
        if label.is_empty() {
            return true;
        }
        if let (Some(known), Some(of_value)) = (self.values.get(label), self.labels.get(value)) {
            self.rows += 1;
            return known == value && of_value == label;
        }
        let is_new = !self.values.contains_key(label) && !self.labels.contains_key(value);
        if is_new {
            self.values.insert(label.to_string(), value.to_string());
            self.labels.insert(value.to_string(), label.to_string());
            self.rows += 1;
        }
        is_new && self.values.len() <= MOST
    }

    /// Whether enough rows fitted for it to be no accident.
    pub fn are_many(&self) -> bool {
        const ROWS: usize = 20;
        const OF_CLASS: usize = 4;
        let classes = self.values.len();
        classes > 1 && self.rows >= ROWS.max(OF_CLASS * classes)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_and_labels_belong_to_one_another() {
        let mut pairs = Pairs::default();
        assert!((0..20).all(|row| pairs.fit(["a", "b"][row % 2], ["0", "1"][row % 2])) && pairs.are_many());
        assert!(pairs.fit("", "1") && !pairs.fit("a", "1") && !pairs.fit("c", "1") && !pairs.fit("a", "2"));
        let mut constant = Pairs::default();
        assert!((0..50).all(|_| constant.fit("a", "0")) && !constant.are_many());
        let mut few = Pairs::default();
        assert!((0..50).all(|row: i32| few.fit(&row.to_string(), &row.to_string())) && !few.are_many());
    }
}
