//! Which files of a folder are one data set: the one place that decides it, whatever the format.

use super::passed_over;
use super::raw_dataset::{Split, words};
use anyhow::{Result, bail};
use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

/// Words that say nothing of which data set a file is part of.
const GENERIC: [&str; 24] = [
    "of", "set", "data", "dataset", "images", "image", "imgs", "img", "labels", "label", "file", "files",
    "rows", "table", "part", "shard", "fold", "batch", "chunk", "split", "csv", "x", "y", "labeled",
];
/// How many files are named.
const NAMED: usize = 5;

/// Keeps the files of one data set, which must be whole. Those of a split belong together if their names differ in numbers alone;
/// else those are taken whose names speak of nothing but their split. Says what is joined, and what is not
/// used.
///
/// # Errors
/// Files of several data sets; a shard that is missing, or is there twice.
pub(super) fn of_one_set(folder: &Path, files: &mut Vec<(Split, PathBuf)>) -> Result<Vec<String>> {
    check_shards(files)?;
    let mut notes = Vec::from_iter(unread(folder, files));
    let rest = |path: &Path| rest_of_name(&path.file_name().unwrap_or_default().to_string_lossy());
    for split in Split::ALL {
        let of_split = files.iter().filter(|(other, _)| *other == split).map(|(_, path)| path);
        let sets: BTreeSet<String> = of_split.clone().map(|path| rest(path)).collect();
        if sets.len() > 1 && !sets.contains("") {
            bail!(
                "{}: holds files of several data sets: {}; name one file, or keep those of one set in a folder",
                folder.display(),
                names(of_split)
            );
        }
        // `mnist_train_100.csv` is part of `mnist_train.csv`.
        let has_whole = of_split.clone().any(|path| !is_numbered(path));
        let is_other =
            |path: &Path| (sets.len() > 1 && !rest(path).is_empty()) || (has_whole && is_numbered(path));
        let others: Vec<&PathBuf> = of_split.clone().filter(|path| is_other(path)).collect();
        if !others.is_empty() {
            notes.push(format!(
                "not used beside the other {} files: {}",
                split.name(),
                names(others.into_iter())
            ));
        }
        let joined: Vec<&PathBuf> = of_split.filter(|path| !is_other(path)).collect();
        // The shards of a set say themselves that they belong together.
        let is_number = |path: &Path| {
            path.file_stem().is_some_and(|stem| stem.as_encoded_bytes().iter().all(u8::is_ascii_digit))
        };
        let are_shards = |path: &&PathBuf| path.to_string_lossy().contains("-of-") || is_number(path);
        if joined.len() > 1 && !joined.iter().all(are_shards) {
            let count = joined.len();
            notes.push(format!("{count} files hold {} rows: {}", split.name(), names(joined.into_iter())));
        }
        let is_kept: Vec<bool> =
            files.iter().map(|(other, path)| *other != split || !is_other(path)).collect();
        let mut is_kept = is_kept.into_iter();
        files.retain(|_| is_kept.next().unwrap_or(true));
    }
    Ok(notes)
}

/// Which shard of how many a file is, and its ending: `train-00000-of-00002-4f9e.parquet`.
fn shard(name: &str) -> Option<(String, usize, usize, String)> {
    let (before, behind) = name.rsplit_once("-of-")?;
    let (series, index) = before.rsplit_once('-')?;
    let digits: String = behind.chars().take_while(char::is_ascii_digit).collect();
    let ending = behind.find('.').map_or("", |dot| &behind[dot..]);
    Some((series.to_string(), index.parse().ok()?, digits.parse().ok()?, ending.to_string()))
}

/// Compares the shards that are there with the numbers in their names.
///
/// # Errors
/// A shard that is missing, or is there twice.
fn check_shards(files: &[(Split, PathBuf)]) -> Result<()> {
    let mut series: BTreeMap<(PathBuf, String, usize, String), Vec<usize>> = BTreeMap::new();
    for (_, path) in files {
        let name = path.file_name().unwrap_or_default().to_string_lossy().to_lowercase();
        if let Some((name, index, count, ending)) = shard(&name) {
            let folder = path.parent().unwrap_or(path).to_path_buf();
            series.entry((folder, name, count, ending)).or_default().push(index);
        }
    }
    for ((folder, name, count, ending), mut indices) in series {
        let folder = folder.display();
        indices.sort_unstable();
        if let Some(pair) = indices.windows(2).find(|pair| pair[0] == pair[1]) {
            bail!(
                "{folder}: there are two files {name}-{:05}-of-{count:05}, of different versions of the set; \
                 keep one",
                pair[0]
            );
        }
        let is_there = |index: usize| indices.binary_search(&index).is_ok();
        if let Some(index) = (0..count.min(indices.len() + 1)).find(|&index| !is_there(index)) {
            bail!(
                "{folder}: {name}-{index:05}-of-{count:05}{ending} is missing: {} of {count} files are there",
                indices.len()
            );
        }
    }
    Ok(())
}

/// The files of a folder whose names speak of a split and that are none of those that are read.
pub(super) fn unread(folder: &Path, read: &[(Split, PathBuf)]) -> Option<String> {
    let is_read = |path: &PathBuf| read.iter().any(|(_, other)| other == path);
    let name = |path: &PathBuf| path.file_name().unwrap_or_default().to_string_lossy().into_owned();
    let speaks_of_split = |path: &PathBuf| Split::of_name(&name(path)).is_some();
    let files = passed_over::entries(folder).into_iter().filter(|path| path.is_file());
    let unread: Vec<PathBuf> = files.filter(|path| speaks_of_split(path) && !is_read(path)).collect();
    (!unread.is_empty()).then(|| format!("not read: {}", names(unread.iter())))
}

/// What a name says beside its split and numbers: `emnist balanced` of `emnist-balanced-train-1.csv`, and
/// `copy` of what systems call copies.
pub(super) fn rest_of_name(name: &str) -> String {
    let name = name.to_lowercase();
    let stem = [".gz", ".csv", ".tsv", ".data", ".parquet"]
        .iter()
        .fold(name.as_str(), |name, ending| name.strip_suffix(ending).unwrap_or(name));
    // What follows is a hash.
    let stem = stem.rsplit_once("-of-").map_or(stem, |(before, _)| before);
    let is_download = stem.ends_with(')') && stem.contains(" (");
    let says = |word: &String| Split::of_name(word).is_none() && !GENERIC.contains(&word.as_str());
    let mut rest: Vec<String> = words(stem).into_iter().filter(says).collect();
    rest.extend(is_download.then(|| "copy".to_string()));
    rest.join(" ")
}

/// Whether a name holds a number.
fn is_numbered(path: &Path) -> bool {
    path.file_stem()
        .is_some_and(|stem| stem.to_string_lossy().contains(|letter: char| letter.is_ascii_digit()))
}

fn names<'a>(paths: impl Iterator<Item = &'a PathBuf>) -> String {
    let names: Vec<String> =
        paths.map(|path| path.file_name().unwrap_or_default().to_string_lossy().into_owned()).collect();
    let more = if names.len() > NAMED { ", ..." } else { "" };
    names[..names.len().min(NAMED)].join(", ") + more
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of_one(names: &[&str]) -> Result<(Vec<String>, Vec<String>)> {
        let split = |name: &str| Split::of_name(name).unwrap();
        let mut files = names.iter().map(|name| (split(name), PathBuf::from(name))).collect();
        let notes = of_one_set(Path::new("D"), &mut files)?;
        Ok((files.into_iter().map(|(_, path)| path.display().to_string()).collect(), notes))
    }

    #[test]
    fn files_that_differ_in_numbers_are_one_set() {
        for names in [
            &["train.csv", "test.csv"][..],
            &["mnist_train.csv", "mnist_test.csv"],
            &["train_1.csv", "train_2.csv", "train_labels_3.csv.gz"],
        ] {
            let (kept, notes) = of_one(names).unwrap();
            assert!(kept == names && notes.len() == usize::from(names.len() > 2), "{names:?}: {notes:?}");
        }
        let shards = ["train-00000-of-00002-a1b2.parquet", "train-00001-of-00002-c3d4.parquet"];
        assert_eq!(of_one(&shards).unwrap(), (shards.map(str::to_string).to_vec(), Vec::new()));
        assert_eq!(
            of_one(&["train_1.csv", "train_2.csv"]).unwrap().1,
            ["2 files hold train rows: train_1.csv, train_2.csv"]
        );
    }

    #[test]
    fn shards_are_counted_and_what_is_not_read_is_named() {
        let fault = |names: &[&str]| {
            let files: Vec<_> = names.iter().map(|name| (Split::Train, Path::new("D").join(name))).collect();
            check_shards(&files).unwrap_err().to_string()
        };
        let missing = fault(&["train-00000-of-00003.csv", "train-00002-of-00003.csv"]);
        assert_eq!(missing, "D: train-00001-of-00003.csv is missing: 2 of 3 files are there");
        let folder = tempfile::tempdir().unwrap();
        for name in ["train.csv", "test.csv.bz2", "sample_submission.csv", "._test.csv"] {
            std::fs::write(folder.path().join(name), "").unwrap();
        }
        let read = [(Split::Train, folder.path().join("train.csv"))];
        assert_eq!(unread(folder.path(), &read).unwrap(), "not read: test.csv.bz2");
        let (kept, notes) = of_one(&["mnist_train.csv", "mnist_train_100.csv"]).unwrap();
        assert_eq!(
            (kept.len(), notes[0].as_str()),
            (1, "not used beside the other train files: mnist_train_100.csv")
        );
    }

    #[test]
    fn copies_and_samples_beside_a_file_are_not_used_and_other_sets_are_refused() {
        for other in ["train (1).csv", "train - Copy.csv", "train_sample.csv", "Copy of train.csv"] {
            let (kept, notes) = of_one(&["train.csv", other]).unwrap();
            assert_eq!(
                (kept, notes),
                (
                    vec!["train.csv".to_string()],
                    vec![format!("not used beside the other train files: {other}")]
                )
            );
        }
        let fault = of_one(&["emnist-digits-train.csv", "emnist-letters-train.csv"]).unwrap_err().to_string();
        assert!(
            fault.starts_with("D: holds files of several data sets: emnist-digits-train.csv, emnist-"),
            "{fault}"
        );
    }
}
