//! Which Parquet files of a folder are the data, and of which split.

use crate::data::passed_over::Reason;
use crate::data::raw_dataset::Split;
use crate::data::split_files::of_one_set;
use crate::text::listed;
use anyhow::{Result, bail, ensure};
use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

/// Folders in folders are looked into so deep: `data/default/train/0000.parquet`.
const MAX_DEPTH: usize = 3;

/// The files of a data set by their splits, those to train with first.
pub type Files = Vec<(Split, PathBuf)>;

/// Whether there are files that could be a data set.
pub fn are_in(folder: &Path) -> bool {
    !all_in(folder).is_empty()
}

/// The files of a folder, and what users should know about it.
///
/// # Errors
/// Several data sets, each in a folder of its own; a shard that is missing.
pub fn find(folder: &Path) -> Result<(Files, Vec<String>)> {
    // Each folder that has files of its own or in folders called after a split is one configuration.
    let mut configurations: BTreeMap<PathBuf, Vec<(Option<Split>, PathBuf)>> = BTreeMap::new();
    for path in all_in(folder) {
        let parent = path.parent().unwrap_or(folder).to_path_buf();
        let of_file = Split::of_name(&name_of(&path));
        let of_parent = Split::of_name(&name_of(&parent)).filter(|_| parent != folder);
        let is_within_split = of_parent.is_some() && (of_file.is_none() || of_file == of_parent);
        let home = if is_within_split { parent.parent().unwrap_or(folder).to_path_buf() } else { parent };
        let split = of_file.or(if is_within_split { of_parent } else { None });
        configurations.entry(home).or_default().push((split, path));
    }
    if configurations.len() > 1 {
        // Files whose names say nothing are no data set of their own beside others.
        let named = |files: &[(Option<Split>, PathBuf)]| files.iter().any(|(split, _)| split.is_some());
        if configurations.values().any(|files| named(files)) {
            configurations.retain(|_, files| named(files));
        }
    }
    if configurations.len() > 1 {
        let homes: Vec<String> = configurations.keys().map(|home| home.display().to_string()).collect();
        bail!(
            "{}: holds {} data sets, one in each of {}; name one of these folders",
            folder.display(),
            homes.len(),
            homes.join(", ")
        );
    }
    let Some((home, files)) = configurations.pop_first() else {
        bail!("{}: has no train.parquet", folder.display())
    };
    let mut found: Files = files.iter().filter_map(|(split, path)| Some(((*split)?, path.clone()))).collect();
    let mut notes = Vec::new();
    if found.is_empty() {
        found = files.into_iter().map(|(_, path)| (Split::Train, path)).collect();
        ensure!(
            found.len() == 1 || found.iter().all(|(_, path)| is_numbered(path)),
            "{}: holds {} Parquet files whose names speak of no split (train, validation, test): {}",
            home.display(),
            found.len(),
            names(found.iter().map(|(_, path)| path))
        );
    } else {
        let unnamed: Vec<&PathBuf> =
            files.iter().filter(|(split, _)| split.is_none()).map(|(_, path)| path).collect();
        if !unnamed.is_empty() {
            let names = names(unnamed.into_iter());
            notes.push(format!("{names}: not used, its name speaks of no split (train, validation, test)"));
        }
    }
    check_numbers(&found)?;
    notes.extend(of_one_set(&home, &mut found)?);
    // A test set alone is one to evaluate with.
    if found.iter().all(|(split, _)| *split == found[0].0) {
        found.iter_mut().for_each(|(split, _)| *split = Split::Train);
    }
    found.sort_by_key(|(split, _)| *split as usize);
    ensure!(found[0].0 == Split::Train, "{}: has no train.parquet", home.display());
    Ok((found, notes))
}

/// Every file of a folder that is called `.parquet`, sorted; descriptions of other files aside.
fn all_in(folder: &Path) -> Vec<PathBuf> {
    fn collect(folder: &Path, depth: usize, found: &mut Vec<PathBuf>) {
        // Folders of a million images are looked into as well: only what could matter is looked at.
        for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
            let name = entry.file_name().to_string_lossy().to_lowercase();
            let is_named = name.ends_with(".parquet") && !name.starts_with("metadata");
            let is_file = entry.file_type().is_ok_and(|kind| kind.is_file());
            if is_file && !is_named {
                continue;
            }
            let path = entry.path();
            if Reason::of(&path).is_some() {
                continue;
            }
            match path.is_dir() {
                true if depth < MAX_DEPTH => collect(&path, depth + 1, found),
                false if is_named => found.push(path),
                _ => {}
            }
        }
    }
    let mut found = Vec::new();
    collect(folder, 0, &mut found);
    found.sort();
    found
}

/// In lower case.
fn name_of(path: &Path) -> String {
    path.file_name().unwrap_or_default().to_string_lossy().to_lowercase()
}

/// `0000.parquet`, `part-00001.parquet`
fn is_numbered(path: &Path) -> bool {
    let name = name_of(path);
    name.trim_end_matches(".parquet").ends_with(|letter: char| letter.is_ascii_digit())
}

fn names<'a>(paths: impl Iterator<Item = &'a PathBuf>) -> String {
    const MOST: usize = 4;
    listed(&paths.map(|path| name_of(path)).collect::<Vec<_>>(), MOST)
}

/// The number of a file as Hugging Face converts sets: `0000.parquet`.
fn number(name: &str) -> Option<usize> {
    let digits = name.strip_suffix(".parquet").filter(|digits| digits.len() == 4)?;
    digits.bytes().all(|byte| byte.is_ascii_digit()).then(|| digits.parse().ok())?
}

/// Compares the files that are there with the numbers that are their names.
fn check_numbers(files: &Files) -> Result<()> {
    let mut numbers: BTreeMap<PathBuf, BTreeSet<usize>> = BTreeMap::new();
    for (_, path) in files {
        if let Some(number) = number(&name_of(path)) {
            numbers.entry(path.parent().unwrap_or(path).to_path_buf()).or_default().insert(number);
        }
    }
    for (folder, numbers) in numbers {
        if let Some(missing) = (0..numbers.len()).find(|number| !numbers.contains(number)) {
            bail!("{}: {missing:04}.parquet is missing", folder.display());
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;

    /// What is found among files of those names, relative to their folder.
    #[allow(clippy::type_complexity)]
    fn found(names: &[&str]) -> Result<(Vec<(Split, String)>, Vec<String>)> {
        let folder = tempfile::tempdir().unwrap();
        for name in names {
            let path = folder.path().join(name);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, "").unwrap();
        }
        let (files, notes) = find(folder.path())?;
        let relative = |path: &Path| path.strip_prefix(folder.path()).unwrap().display().to_string();
        Ok((files.iter().map(|(split, path)| (*split, relative(path))).collect(), notes))
    }

    #[test]
    fn layouts_that_people_have_are_understood() {
        use Split::{Test, Train, Validation};
        for (names, expected) in [
            (&["train.parquet", "test.parquet"][..], &[(Train, "train.parquet"), (Test, "test.parquet")][..]),
            (
                &["data/train-00000-of-00002.parquet", "data/train-00001-of-00002-af3.parquet"],
                &[
                    (Train, "data/train-00000-of-00002.parquet"),
                    (Train, "data/train-00001-of-00002-af3.parquet"),
                ],
            ),
            (
                &["default/test/0000.parquet", "default/train/0000.parquet", "default/train/0001.parquet"],
                &[
                    (Train, "default/train/0000.parquet"),
                    (Train, "default/train/0001.parquet"),
                    (Test, "default/test/0000.parquet"),
                ],
            ),
            (
                &["valid/a.parquet", "train/a.parquet"],
                &[(Train, "train/a.parquet"), (Validation, "valid/a.parquet")],
            ),
            (&["mine.parquet"], &[(Train, "mine.parquet")]),
            (&["0000.parquet", "0001.parquet"], &[(Train, "0000.parquet"), (Train, "0001.parquet")]),
            (&["test.parquet"], &[(Train, "test.parquet")]),
            (
                &[
                    "train.parquet",
                    "metadata.parquet",
                    ".ipynb_checkpoints/train.parquet",
                    "__MACOSX/._train.parquet",
                ],
                &[(Train, "train.parquet")],
            ),
        ] {
            let expected: Vec<(Split, String)> =
                expected.iter().map(|(split, name)| (*split, name.to_string())).collect();
            assert_eq!(found(names).unwrap(), (expected, Vec::new()), "{names:?}");
        }
        let (files, notes) = found(&["train.parquet", "pretrain-0.parquet"]).unwrap();
        assert_eq!(files, [(Train, "train.parquet".to_string())]);
        assert!(notes[0].contains("pretrain-0.parquet: not used"), "{notes:?}");
    }

    #[test]
    fn several_data_sets_and_missing_shards_are_told() {
        let fault = |names: &[&str]| found(names).unwrap_err().to_string();
        let two = fault(&["a/train-00000-of-00001.parquet", "b/train-00000-of-00001.parquet"]);
        assert!(
            two.contains("holds 2 data sets, one in each of ") && two.contains("name one of these"),
            "{two}"
        );
        let missing = fault(&["train-00000-of-00003.parquet", "train-00002-of-00003.parquet"]);
        assert!(
            missing.contains("train-00001-of-00003.parquet is missing: 2 of 3 files are there"),
            "{missing}"
        );
        assert!(
            fault(&["data/train-00000-of-00002.parquet"]).contains("train-00001-of-00002.parquet is missing")
        );
        assert!(fault(&["train-00000-of-99999999999999.parquet"]).contains("is missing"));
        let twice = ["train-00000-of-00001-abc.parquet", "train-00000-of-00001-def.parquet"];
        assert!(fault(&twice).contains("there are two files train-00000-of-00001"));
        assert!(fault(&["train/0001.parquet"]).contains("train: 0000.parquet is missing"));
        assert!(fault(&["mnist_train.parquet", "fashion_train.parquet"]).contains("of several data sets"));
        assert!(fault(&["a.parquet", "b.parquet"]).contains("whose names speak of no split"));
        assert!(fault(&["val.parquet", "test.parquet"]).contains("has no train.parquet"));
        assert!(fault(&[]).contains("has no train.parquet"));
    }
}
