//! How the classes of two parts of a data set compare: which are on one side alone, and how far their shares
//! are apart. Pure: it sees counts only.

use crate::text::counted;

/// Classes that are named.
const NAMED: usize = 6;

/// What a part of a data set has of each class.
#[derive(Clone, Copy, Debug)]
pub struct ClassCounts<'a> {
    /// For people: `training`.
    pub name: &'a str,
    /// The number of its images of each class.
    pub counts: &'a [usize],
}

impl ClassCounts<'_> {
    fn total(&self) -> usize {
        self.counts.iter().sum()
    }

    /// `33 training images`.
    fn images(&self, class: usize) -> String {
        counted(self.counts[class], &format!("{} image", self.name))
    }
}

/// The classes that one of two parts has and the other lacks, a sentence for each part, for people: `the
/// validation set has no image of 2 of 10 classes: cat (33 training images), dog (1 training image)`.
pub fn one_sided(classes: &[String], parts: [ClassCounts; 2]) -> Vec<String> {
    let [first, second] = parts;
    let lacking = |part: ClassCounts, other: ClassCounts| {
        let missing: Vec<usize> =
            (0..classes.len()).filter(|&class| part.counts[class] == 0 && other.counts[class] > 0).collect();
        if missing.is_empty() || part.total() == 0 {
            return None;
        }
        let named = missing.iter().take(NAMED);
        let named = named.map(|&class| format!("{} ({})", classes[class], other.images(class)));
        let more = (missing.len() > NAMED).then(|| format!("and {} more", missing.len() - NAMED));
        Some(format!(
            "the {} set has no image of {} of {} classes: {}",
            part.name,
            missing.len(),
            classes.len(),
            named.chain(more).collect::<Vec<_>>().join(", ")
        ))
    };
    [lacking(first, second), lacking(second, first)].into_iter().flatten().collect()
}

/// The class whose shares in two parts differ most, for people: `class shares differ by at most 2.1 points
/// (cat: 10.4 % of training, 12.5 % of validation)`; none if a part is empty.
pub fn largest_difference(classes: &[String], [first, second]: [ClassCounts; 2]) -> Option<String> {
    if first.total() == 0 || second.total() == 0 {
        return None;
    }
    let share = |part: ClassCounts, class: usize| 100.0 * part.counts[class] as f64 / part.total() as f64;
    let difference = |class: usize| (share(first, class) - share(second, class)).abs();
    let class =
        (0..classes.len()).max_by(|&a, &b| difference(a).total_cmp(&difference(b)).then(b.cmp(&a)))?;
    Some(format!(
        "class shares differ by at most {:.1} points ({}: {:.1} % of {}, {:.1} % of {})",
        difference(class),
        classes[class],
        share(first, class),
        first.name,
        share(second, class),
        second.name
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn classes_on_one_side_are_named_with_their_counts() {
        let classes = ["cat", "dog", "owl"].map(str::to_string);
        let part = |name, counts| ClassCounts { name, counts };
        let parts = [part("training", &[1_200, 1, 0][..]), part("validation", &[0, 0, 20])];
        assert_eq!(
            one_sided(&classes, parts),
            [
                "the training set has no image of 1 of 3 classes: owl (20 validation images)",
                "the validation set has no image of 2 of 3 classes: cat (1,200 training images), dog (1 training \
                 image)"
            ]
        );
        let whole = [part("training", &[3, 2, 1]), part("test", &[1, 1, 2])];
        assert!(one_sided(&classes, whole).is_empty());
        assert_eq!(
            largest_difference(&classes, whole).unwrap(),
            "class shares differ by at most 33.3 points (owl: 16.7 % of training, 50.0 % of test)"
        );
        let empty = [part("training", &[3, 2, 1]), part("validation", &[0, 0, 0])];
        assert!(one_sided(&classes, empty).is_empty() && largest_difference(&classes, empty).is_none());
    }
}
