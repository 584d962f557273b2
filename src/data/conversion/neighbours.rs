//! Files that belong together and lie beside each other: images and labels, training and test data.

use std::path::{Path, PathBuf};

/// What images and labels are called, one file each.
const PAIRS: [[&str; 2]; 9] = [
    ["images", "labels"],
    ["image", "label"],
    ["features", "labels"],
    ["data", "targets"],
    ["data", "target"],
    ["data", "labels"],
    ["X", "y"],
    ["X", "Y"],
    ["x", "y"],
];

/// The files of images and of labels, one of which is at the path.
pub fn pair(path: &Path) -> Option<[PathBuf; 2]> {
    PAIRS.iter().find_map(|[images, labels]| {
        let path = || path.to_path_buf();
        let of_images = || Some([path(), renamed(&path(), images, labels)?]);
        let of_labels = || Some([renamed(&path(), labels, images)?, path()]);
        of_images().or_else(of_labels)
    })
}

/// The file of the test set beside one of the training set.
pub fn test_of(path: &Path) -> Option<PathBuf> {
    ["training", "train"].iter().find_map(|word| renamed(path, word, "test"))
}

/// The file of the training set beside one of the test set.
pub fn train_of(path: &Path) -> Option<PathBuf> {
    ["training", "train"].iter().find_map(|word| renamed(path, "test", word))
}

/// The file beside one whose name has another word in place of the last such one, if it is there.
fn renamed(path: &Path, from: &str, to: &str) -> Option<PathBuf> {
    let mut name = path.file_name()?.to_str()?.to_string();
    let stem = name.rfind('.').unwrap_or(name.len());
    let at = name[..stem].rfind(from)?;
    name.replace_range(at..at + from.len(), to);
    let other = path.with_file_name(name);
    (other != path && other.is_file()).then_some(other)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;

    #[test]
    fn names_say_what_belongs_together() {
        for [images, labels] in [
            ["x_train.npy", "y_train.npy"],
            ["X_train.npy", "Y_train.npy"],
            ["X.npy", "y.npy"],
            ["trainX.npy", "trainY.npy"],
            ["train_images.npy", "train_labels.npy"],
            ["train_data.npy", "train_targets.npy"],
            ["features.npy", "labels.npy"],
            ["pixels_x.npy", "pixels_y.npy"],
            ["X.pickle", "y.pickle"],
        ] {
            let folder = tempfile::tempdir().unwrap();
            let paths = [images, labels].map(|name| folder.path().join(name));
            assert_eq!(pair(&paths[0]), None);
            paths.iter().for_each(|path| fs::write(path, "").unwrap());
            assert_eq!([pair(&paths[0]), pair(&paths[1])], [Some(paths.clone()), Some(paths)]);
        }
        let folder = tempfile::tempdir().unwrap();
        let [train, test] = ["training.pt", "test.pt"].map(|name| folder.path().join(name));
        assert_eq!(test_of(&train), None);
        [&train, &test].iter().for_each(|path| fs::write(path, "").unwrap());
        assert_eq!([test_of(&train), train_of(&test)], [Some(test), Some(train)]);
    }
}
