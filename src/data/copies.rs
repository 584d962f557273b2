//! Identical images: within the training images, and across the splits, where they make results look better than they
//! are.

use super::Dataset;
use super::image_digests::ImageDigests;
use super::image_place::ImagePlace;
use super::numbered_images::NumberedImages;
use super::split::SplitRows;
use anyhow::Result;
use serde::{Deserialize, Serialize};
use std::collections::HashMap;

/// How many images have an identical one elsewhere.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
#[non_exhaustive]
pub struct Copies {
    /// Training images that repeat an earlier training image.
    pub within_train: CopyCount,
    /// Validation images that are also training images.
    pub validation_in_train: CopyCount,
    /// Test images that are also training images.
    pub test_in_train: CopyCount,
    /// Test images that are also validation images.
    pub test_in_validation: CopyCount,
    /// Validation images that repeat an earlier validation image.
    pub within_validation: CopyCount,
    /// Test images that repeat an earlier test image.
    pub within_test: CopyCount,
    /// The training images that [`Copies::drop_from`] leaves out, in order.
    #[serde(skip)]
    superfluous: Vec<i64>,
}

/// How many images are identical to others.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct CopyCount {
    /// Those with an identical image of the same label.
    pub same_label: usize,
    /// Those whose identical images all have other labels.
    pub different_label: usize,
    /// The first of the same label.
    #[serde(skip)]
    pub same_example: Option<CopyExample>,
    /// The first of different labels.
    #[serde(skip)]
    pub different_example: Option<CopyExample>,
}

/// Two identical images.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CopyExample {
    /// The one that counts as the copy.
    pub copy: ImagePlace,
    /// The one that it is a copy of.
    pub original: ImagePlace,
}

/// What an image is used for.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Role {
    Train,
    Validation,
    Test,
    Unused,
}

impl Dataset {
    /// Counts the images that are identical to others, value by value. `rows` are those of the training split that are
    /// trained on and that are held out; without them, all are trained on. `digests` are those of this data set.
    ///
    /// # Errors
    /// Too little memory, or more images than 32 bits can number.
    pub fn copies(&self, digests: &ImageDigests, rows: Option<&SplitRows>) -> Result<Copies> {
        let images = NumberedImages::new(self, digests)?;
        let mut roles = vec![if rows.is_some() { Role::Unused } else { Role::Train }; self.train.len()];
        for (rows, role) in
            rows.iter().flat_map(|rows| [(&rows.train, Role::Train), (&rows.validation, Role::Validation)])
        {
            rows.iter().for_each(|&row| roles[row as usize] = role);
        }
        let role = |number: u32| match images.place(number).0.name {
            "train" => roles[number as usize],
            "validation" => Role::Validation,
            _ => Role::Test,
        };
        let found = images.copies(|number| role(number) != Role::Unused);
        let mut copies = Copies::default();
        for group in found.chunk_by(|a, b| a.0 == b.0) {
            let members = || std::iter::once(group[0].0).chain(group.iter().map(|&(_, copy)| copy));
            let of = |wanted: Role| members().filter(|&number| role(number) == wanted).collect::<Vec<u32>>();
            let (train, validation, test) = (of(Role::Train), of(Role::Validation), of(Role::Test));
            let count = |into: &mut CopyCount, copies: &[u32], originals: &[u32]| {
                into.add(&images, copies, originals)
            };
            count(&mut copies.validation_in_train, &validation, &train);
            count(&mut copies.test_in_train, &test, &train);
            count(&mut copies.test_in_validation, &test, &validation);
            copies.within_train.add_repetitions(&images, &train);
            copies.within_validation.add_repetitions(&images, &validation);
            copies.within_test.add_repetitions(&images, &test);
            let is_elsewhere = !validation.is_empty() || !test.is_empty();
            let labels_differ = train.iter().any(|&number| images.label(number) != images.label(train[0]));
            let kept = usize::from(!is_elsewhere && !labels_differ);
            copies.superfluous.extend(train.iter().skip(kept).map(|&number| i64::from(number)));
        }
        copies.superfluous.sort_unstable();
        Ok(copies)
    }
}

impl Copies {
    /// Leaves training rows out so that no picture is left twice, nor one that is also a validation or a test image. Of
    /// identical training images the first one of the data stays. If their labels differ, none does: nobody knows
    /// which label is right. Returns how many rows were left out.
    pub fn drop_from(&self, train: &mut Vec<i64>) -> usize {
        let before = train.len();
        train.retain(|row| self.superfluous.binary_search(row).is_err());
        before - train.len()
    }
}

impl CopyCount {
    /// Both numbers together.
    pub fn total(&self) -> usize {
        self.same_label + self.different_label
    }

    /// Counts images that are identical to `originals`.
    fn add(&mut self, images: &NumberedImages, copies: &[u32], originals: &[u32]) {
        let Some(&any) = originals.first() else { return };
        let mut first_of = HashMap::new();
        originals.iter().for_each(|&original| _ = first_of.entry(images.label(original)).or_insert(original));
        for &copy in copies {
            self.count(images, copy, first_of.get(&images.label(copy)).copied(), any);
        }
    }

    /// Counts images that are identical to one another, but for the first one.
    fn add_repetitions(&mut self, images: &NumberedImages, group: &[u32]) {
        let mut first_of = HashMap::new();
        for &number in group {
            let label = images.label(number);
            if number != group[0] {
                self.count(images, number, first_of.get(&label).copied(), group[0]);
            }
            first_of.entry(label).or_insert(number);
        }
    }

    /// Counts an image; `same` is identical to it and has its label, `any` is identical to it.
    fn count(&mut self, images: &NumberedImages, copy: u32, same: Option<u32>, any: u32) {
        let (count, example) = match same {
            Some(_) => (&mut self.same_label, &mut self.same_example),
            None => (&mut self.different_label, &mut self.different_example),
        };
        *count += 1;
        example.get_or_insert(CopyExample {
            copy: images.image_place(copy),
            original: images.image_place(same.unwrap_or(any)),
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::data::{Images, TestOrigin};
    use tch::Tensor;

    /// Pictures of two equal pixels, given as value and label.
    fn images(pictures: &[(u8, i64)]) -> Images {
        let values: Vec<u8> = pictures.iter().flat_map(|&(value, _)| [value, value]).collect();
        let labels = pictures.iter().map(|&(_, label)| label).collect();
        Images::new(Tensor::from_slice(&values).view([-1, 1, 2]), labels).unwrap()
    }

    fn dataset(train: Images, validation: Option<Images>, test: Images) -> Dataset {
        Dataset {
            name: "a".to_string(),
            train,
            validation,
            test,
            test_origin: TestOrigin::Own,
            classes: ["x", "y", "z"].map(str::to_string).to_vec(),
            maximum: 255.0,
            notes: Vec::new(),
            left_out: Vec::new(),
            table: None,
        }
    }

    fn copies_of(dataset: &Dataset, rows: Option<&SplitRows>) -> Copies {
        dataset.copies(&dataset.fingerprint_and_digests().unwrap().1, rows).unwrap()
    }

    fn numbers(count: &CopyCount) -> (usize, usize) {
        (count.same_label, count.different_label)
    }

    #[test]
    fn copies_are_counted_between_roles_and_by_label() {
        let train = [(1, 0), (2, 0), (1, 0), (3, 0), (2, 1), (3, 0), (4, 0), (4, 0), (9, 1), (8, 2)];
        let test = images(&[(1, 0), (2, 1), (8, 0), (7, 0), (4, 1), (9, 1), (7, 0), (7, 2)]);
        let set = dataset(images(&train), None, test);
        // Row 6 is held out, row 9 is not used.
        let rows = SplitRows { train: vec![8, 7, 5, 4, 3, 2, 1, 0], validation: vec![6] };
        let copies = copies_of(&set, Some(&rows));
        assert_eq!(numbers(&copies.within_train), (2, 1));
        assert_eq!(numbers(&copies.validation_in_train), (1, 0));
        assert_eq!(numbers(&copies.test_in_train), (3, 1));
        assert_eq!(numbers(&copies.test_in_validation), (0, 1));
        assert_eq!([&copies.within_validation, &copies.within_test].map(numbers), [(0, 0), (1, 1)]);
        let example = copies.within_train.different_example.unwrap();
        let place = |index| ImagePlace { split: "train", index };
        assert_eq!(example, CopyExample { copy: place(4), original: place(1) });
        assert_eq!((example.copy.label(&set), example.original.label(&set)), (1, 0));

        // Of the pictures of training images alone, one stays, the first.
        let mut left = rows.train.clone();
        assert_eq!((copies.drop_from(&mut left), left), (7, vec![3]));
        let after = copies_of(&set, Some(&SplitRows { train: vec![3], ..rows }));
        let in_train = [after.within_train, after.validation_in_train, after.test_in_train];
        assert_eq!(in_train.map(|count| count.total()), [0; 3]);
        assert_eq!(after.test_in_validation, copies.test_in_validation);
    }

    #[test]
    fn no_picture_with_contradictory_labels_stays() {
        let set = dataset(images(&[(1, 0), (1, 1), (2, 1), (2, 1), (1, 0)]), None, images(&[(3, 0)]));
        let mut rows = vec![4, 3, 2, 1, 0];
        assert_eq!((copies_of(&set, None).drop_from(&mut rows), rows), (4, vec![2]));
    }

    #[test]
    fn images_that_are_all_alike_and_sets_of_one_image_are_counted() {
        let alike = dataset(images(&vec![(5, 0); 3_000]), Some(images(&[(5, 1)])), images(&[(5, 0); 2]));
        let copies = copies_of(&alike, None);
        assert_eq!(numbers(&copies.within_train), (2_999, 0));
        assert_eq!(numbers(&copies.validation_in_train), (0, 1));
        assert_eq!(numbers(&copies.test_in_train), (2, 0));
        assert_eq!(numbers(&copies.within_test), (1, 0));
        let digests = alike.fingerprint_and_digests().unwrap().1.without_validation();
        assert_eq!(alike.copies(&digests, None).unwrap().validation_in_train.total(), 0);
        let single = dataset(images(&[(1, 0)]), None, images(&[(2, 0)]));
        assert_eq!(copies_of(&single, None), Copies::default());
    }

    #[test]
    fn equal_digests_alone_make_no_copies() {
        let set = dataset(images(&[(1, 0), (2, 0), (1, 0)]), None, images(&[(2, 0)]));
        let digests = ImageDigests { train: vec![7; 3], validation: Vec::new(), test: vec![7] };
        let copies = set.copies(&digests, None).unwrap();
        assert_eq!((copies.within_train.total(), copies.test_in_train.total()), (1, 1));
        assert!(set.copies(&ImageDigests { test: vec![7; 2], ..digests }, None).is_err());
    }
}
