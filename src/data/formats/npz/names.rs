//! Which arrays of an archive are the images and which the labels, by their names and shapes. Pure.

use super::array::Header;
use crate::data::Fault;
use crate::data::raw_dataset::{Split, words};
use crate::text::listed;
use anyhow::{Result, bail};

/// The words for images and for labels, the likelier ones first.
const IMAGE_WORDS: [&str; 12] = [
    "images", "image", "imgs", "img", "pictures", "pixels", "x", "inputs", "input", "data", "features",
    "samples",
];
const LABEL_WORDS: [&str; 9] =
    ["labels", "label", "y", "targets", "target", "classes", "class", "digit", "category"];

/// Words of arrays that describe the others.
const DESCRIPTIONS: [&str; 3] = ["names", "name", "descr"];

/// An array, not read yet.
#[derive(Debug)]
pub struct Described {
    pub name: String,
    /// None if it cannot be read.
    pub header: Option<Header>,
}

/// The arrays of a split.
#[derive(Debug, PartialEq)]
pub struct Pair {
    pub split: Split,
    pub images: String,
    pub labels: String,
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Role {
    /// With its place among the words.
    Images(usize),
    Labels(usize),
}

impl Described {
    fn words(&self) -> Vec<String> {
        let mut found = Vec::new();
        for word in words(&self.name) {
            // `xtrain`, `ytest`.
            let parts = ["x", "y"].into_iter().find_map(|letter| Some((letter, word.strip_prefix(letter)?)));
            match parts.filter(|(_, rest)| Split::of_name(rest).is_some()) {
                Some((letter, rest)) => found.extend([letter.to_string(), rest.to_string()]),
                None => found.push(word),
            }
        }
        found
    }

    fn split(&self) -> Option<Split> {
        Split::of_name(&self.words().join("_"))
    }

    /// The last word that says something decides: `image_labels` are labels.
    fn role(&self) -> Option<Role> {
        let words = self.words();
        if words.iter().any(|word| DESCRIPTIONS.contains(&word.as_str())) {
            return None;
        }
        words.iter().rev().find_map(|word| {
            // `trainimages`
            let place = |known: &[&str]| {
                let is_it = |known: &&str| {
                    word == known
                        || (known.len() > 4
                            && word.strip_suffix(known).is_some_and(|rest| Split::of_name(rest).is_some()))
                };
                known.iter().position(is_it)
            };
            place(&LABEL_WORDS).map(Role::Labels).or_else(|| place(&IMAGE_WORDS).map(Role::Images))
        })
    }

    fn shape(&self) -> &[i64] {
        self.header.as_ref().map_or(&[], |header| &header.shape)
    }

    /// The name without what it says of the split.
    fn stem(&self) -> String {
        let words = self.words();
        words.into_iter().filter(|word| Split::of_name(word).is_none()).collect::<Vec<_>>().join("_")
    }

    fn looks_like_images(&self) -> bool {
        self.shape().len() > 1 && !self.looks_like_labels() && !self.are_words()
    }

    fn looks_like_labels(&self) -> bool {
        matches!(self.shape(), [_] | [_, 1]) || self.are_words()
    }

    fn are_words(&self) -> bool {
        self.header.as_ref().is_some_and(|header| header.values.are_words())
    }

    /// `x (60 x 28 x 28)`
    fn description(&self) -> String {
        let sizes: Vec<String> = self.shape().iter().map(i64::to_string).collect();
        if sizes.is_empty() { self.name.clone() } else { format!("{} ({})", self.name, sizes.join(" x ")) }
    }
}

/// The arrays of each split, that to train with first. `asked` names the array of labels.
///
/// # Errors
/// No images with labels to train with; images without labels, or labels without images.
pub fn pairs(arrays: &[Described], asked: Option<&str>) -> Result<Vec<Pair>> {
    let of_split = |split: Option<Split>| -> Vec<&Described> {
        arrays.iter().filter(|array| array.split() == split).collect()
    };
    let mut found = Vec::new();
    for split in Split::ALL {
        found.extend(pair(split, &of_split(Some(split)), arrays, asked)?);
    }
    if !found.iter().any(|pair| pair.split == Split::Train)
        && let Some(pair) = pair(Split::Train, &of_split(None), arrays, asked)?
    {
        found.insert(0, pair);
    }
    // A test set alone is one to evaluate with.
    if let [only] = found.as_mut_slice() {
        only.split = Split::Train;
    }
    if !found.iter().any(|pair| pair.split == Split::Train) {
        bail!(
            "has no array x_train; there are {}; images are wanted as x_train and labels as y_train, or x and \
             y, images and labels, data and target",
            described(arrays)
        );
    }
    Ok(found)
}

/// What users should know of arrays that belong to no pair and do not only describe others.
pub fn unused(arrays: &[Described], pairs: &[Pair]) -> Option<String> {
    let is_used =
        |array: &&Described| pairs.iter().any(|pair| pair.images == array.name || pair.labels == array.name);
    let describes =
        |array: &Described| array.words().iter().any(|word| DESCRIPTIONS.contains(&word.as_str()));
    let unused = arrays.iter().filter(|array| !is_used(array) && !describes(array));
    let unused: Vec<String> = unused.map(Described::description).collect();
    (!unused.is_empty()).then(|| format!("not used: {}", unused.join(", ")))
}

/// The images and the labels among the arrays of a split; none if it has neither.
fn pair(split: Split, group: &[&Described], all: &[Described], asked: Option<&str>) -> Result<Option<Pair>> {
    let images = group.iter().filter_map(|array| match array.role()? {
        Role::Images(place) => Some((place, *array)),
        Role::Labels(_) => None,
    });
    let mut images: Vec<(usize, &Described)> = images.collect();
    // What has height and width comes before the same in rows.
    images.sort_by_key(|(place, array)| (std::cmp::Reverse(array.shape().len().min(3)), *place));
    let labels = group.iter().filter_map(|array| match array.role()? {
        Role::Labels(place) => Some((place, *array)),
        Role::Images(_) => None,
    });
    let mut labels: Vec<(usize, &Described)> = labels.collect();
    let count = images.first().and_then(|(_, array)| array.shape().first());
    labels.sort_by_key(|(place, array)| (array.shape().first() != count, *place, array.name.len()));
    let (mut images, mut labels) =
        (images.first().map(|(_, array)| *array), labels.first().map(|(_, array)| *array));
    // Unnamed arrays, and those whose partner has a name that says nothing.
    if images.is_none_or(|images| !images.looks_like_images()) || labels.is_none() {
        let others: Vec<&Described> =
            group.iter().filter(|array| array.role().is_none() || group.len() == 2).copied().collect();
        let by_shape = |fits: fn(&Described) -> bool| {
            let mut fitting = others.iter().filter(|array| fits(array));
            fitting.next().filter(|_| fitting.next().is_none()).copied()
        };
        let of_shape = (by_shape(Described::looks_like_images), by_shape(Described::looks_like_labels));
        if let (Some(first), Some(second)) = of_shape
            && first.shape()[0] == second.shape()[0]
        {
            (images, labels) = (Some(first), Some(second));
        } else if group.len() == 2 || images.is_some() != labels.is_some() {
            images = images.or(of_shape.0);
            labels = labels.or(of_shape.1);
        }
    }
    if let Some(asked) = asked {
        let is_asked = |array: &&&Described| array.name == asked || array.stem() == asked.to_lowercase();
        labels = group.iter().find(is_asked).copied();
        if labels.is_none() && images.is_some() {
            let expected = format!("the arrays are {}", described(all));
            return Err(Fault::UnknownLabelColumn { column: asked.to_string(), expected }.into());
        }
    }
    match (images, labels) {
        (Some(images), Some(labels)) => {
            Ok(Some(Pair { split, images: images.name.clone(), labels: labels.name.clone() }))
        }
        (Some(only), None) if only.split().is_some() => {
            bail!("has {} but no labels for it; there are {}", only.name, described(all))
        }
        (None, Some(only)) if only.split().is_some() => {
            bail!("has {} but no images for it; there are {}", only.name, described(all))
        }
        _ => Ok(None),
    }
}

/// For people.
fn described(arrays: &[Described]) -> String {
    const MOST: usize = 12;
    let arrays: Vec<String> = arrays.iter().map(Described::description).collect();
    if arrays.is_empty() { "no arrays".to_string() } else { listed(&arrays, MOST) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn described(name: &str, shape: &[i64]) -> Described {
        let sizes: String = shape.iter().map(|size| format!("{size},")).collect();
        let header = format!("{{'descr': '|u1', 'fortran_order': False, 'shape': ({sizes})}}");
        let length = (header.len() as u16).to_le_bytes();
        let bytes = [b"\x93NUMPY\x01\x00", &length[..], header.as_bytes()].concat();
        Described { name: name.to_string(), header: Some(Header::read(&mut bytes.as_slice()).unwrap()) }
    }

    fn found(arrays: &[(&str, &[i64])], asked: Option<&str>) -> Result<Vec<(Split, String, String)>> {
        let arrays: Vec<Described> = arrays.iter().map(|(name, shape)| described(name, shape)).collect();
        let pairs = pairs(&arrays, asked)?;
        Ok(pairs.into_iter().map(|pair| (pair.split, pair.images, pair.labels)).collect())
    }

    #[test]
    fn arrays_are_found_by_the_names_that_people_give() {
        for [images, labels] in [
            ["x_train", "y_train"],
            ["X_train", "y_train"],
            ["train_images", "train_labels"],
            ["trainX", "trainY"],
            ["Xtrain", "Ytrain"],
            ["trainimages", "trainlabels"],
            ["train_data", "train_target"],
            ["x", "y"],
            ["X", "Y"],
            ["images", "labels"],
            ["data", "target"],
            ["image", "label"],
            ["arr_0", "arr_1"],
            ["features", "targets"],
            ["train", "train_labels"],
            ["one", "two"],
        ] {
            let pairs = found(&[(labels, &[5]), (images, &[5, 4, 4])], None).unwrap();
            assert_eq!(pairs, [(Split::Train, images.to_string(), labels.to_string())]);
        }
    }

    #[test]
    fn every_split_has_its_pair() {
        let medical = ["train", "val", "test"];
        let names = medical.map(|split| (format!("{split}_images"), format!("{split}_labels")));
        let mut arrays: Vec<(&str, &[i64])> = Vec::new();
        names.iter().for_each(|(images, labels)| {
            arrays.extend([(&**images, &[5, 4, 4][..]), (&**labels, &[5, 1][..])])
        });
        let splits: Vec<Split> = found(&arrays, None).unwrap().into_iter().map(|(split, ..)| split).collect();
        assert_eq!(splits, Split::ALL);
        let alone = found(&[("x_test", &[5, 4]), ("y_test", &[5])], None).unwrap();
        assert_eq!(alone, [(Split::Train, "x_test".to_string(), "y_test".to_string())]);
    }

    #[test]
    fn arrays_of_no_known_split_are_named() {
        let arrays =
            ["x_tr", "y_tr", "x_holdout", "y_holdout", "class_names"].map(|name| described(name, &[5]));
        let pairs = [Pair { split: Split::Train, images: "x_tr".to_string(), labels: "y_tr".to_string() }];
        assert_eq!(unused(&arrays, &pairs).unwrap(), "not used: x_holdout (5), y_holdout (5)");
        assert_eq!(unused(&arrays[..2], &pairs), None);
        let short = [
            ("X_tr", &[5, 4][..]),
            ("y_tr", &[5]),
            ("tr_mean", &[4]),
            ("te_x", &[3, 4]),
            ("te_y", &[3]),
            ("x_va", &[2, 4]),
            ("y_va", &[2]),
        ];
        let splits: Vec<Split> = found(&short, None).unwrap().into_iter().map(|(split, ..)| split).collect();
        assert_eq!(splits, Split::ALL);
    }

    #[test]
    fn the_likeliest_of_several_is_taken_unless_one_is_asked_for() {
        // As scikit-learn keeps its digits.
        let digits: [(&str, &[i64]); 5] = [
            ("data", &[5, 64]),
            ("target", &[5]),
            ("feature_names", &[64]),
            ("target_names", &[10]),
            ("images", &[5, 8, 8]),
        ];
        assert_eq!(
            found(&digits, None).unwrap(),
            [(Split::Train, "images".to_string(), "target".to_string())]
        );
        let two: [(&str, &[i64]); 3] =
            [("train_images", &[5, 4]), ("train_labels", &[5]), ("train_coarse", &[5])];
        assert_eq!(found(&two, None).unwrap()[0].2, "train_labels");
        assert_eq!(found(&two, Some("coarse")).unwrap()[0].2, "train_coarse");
        let fault = found(&two, Some("what")).unwrap_err();
        assert!(matches!(fault.downcast_ref(), Some(Fault::UnknownLabelColumn { .. })), "{fault}");
    }

    #[test]
    fn what_is_missing_is_named_with_what_there_is() {
        let fault = |arrays: &[(&str, &[i64])]| found(arrays, None).unwrap_err().to_string();
        assert!(
            fault(&[("x", &[5, 4])]).contains("no array x_train; there are x (5 x 4); images are wanted")
        );
        assert!(fault(&[]).contains("there are no arrays"));
        assert!(fault(&[("x_train", &[5, 4])]).contains("has x_train but no labels for it"));
        let torn: [(&str, &[i64]); 3] = [("x_train", &[5, 4]), ("y_train", &[5]), ("y_test", &[2])];
        assert!(fault(&torn).contains("has y_test but no images for it"));
        let unnamed: [(&str, &[i64]); 4] =
            [("arr_0", &[5, 4]), ("arr_1", &[5]), ("arr_2", &[2, 4]), ("arr_3", &[2])];
        assert!(fault(&unnamed).contains("arr_2 (2 x 4)"));
    }
}
