//! Which folders of a folder hold the classes of which split. A name that stands for a split does so only if
//! the folder holds folders of images: else it is a class, or images without classes.

use super::listing::{Listing, folders_of_images};
use crate::data::conversion::by_table;
use crate::data::image_walk::{has_images_itself, holds_images};
use crate::data::raw_dataset::{Split, words};
use crate::data::split_files::{rest_of_name, unread};
use crate::data::{Fault, image_file, passed_over};
use crate::text::printable_file_name;
use anyhow::{Result, bail, ensure};
use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

/// The folders of the classes of each split, the training images first.
pub(super) struct Layout {
    pub splits: Vec<(Split, Vec<PathBuf>)>,
    /// What users should know.
    pub notes: Vec<String>,
}

/// Archives unpack into folders within folders of the same name; more of them than this are no layout.
const MAX_NESTED: usize = 3;

/// Whether a folder holds folders of classes, or of splits that do.
pub(super) fn is_there(folder: &Path) -> bool {
    let folders = folders_of_images(folder);
    if folders.iter().any(|path| has_splits(path)) {
        // Its folders are data sets of their own, unless it holds splits itself.
        return has_splits(folder);
    }
    match folders.as_slice() {
        [] => false,
        // A folder that only leads to others is no class.
        [only] => has_images_itself(only) || split_of(only).is_some() && !folders_of_images(only).is_empty(),
        _ => true,
    }
}

/// Whether a folder holds one whose name stands for a split and which holds folders of classes.
fn has_splits(folder: &Path) -> bool {
    let folders = passed_over::entries(folder).into_iter().filter(|path| path.is_dir());
    folders
        .into_iter()
        .any(|path| split_of(&path).is_some() && !folders_of_images(&innermost(&path)).is_empty())
}

fn split_of(folder: &Path) -> Option<Split> {
    Split::of_name(&name_of(folder))
}

/// Where a chain of folders ends that each hold nothing but the next, as archives are unpacked:
/// `seg_train/seg_train`. The end is not the folder of a class.
fn innermost(folder: &Path) -> PathBuf {
    let mut folder = folder.to_path_buf();
    for _ in 0..MAX_NESTED {
        let folders = folders_of_images(&folder);
        let [only] = folders.as_slice() else { break };
        let leads_on = split_of(only).is_some() || !folders_of_images(only).is_empty();
        if has_images_itself(&folder) || !leads_on {
            break;
        }
        folder = only.clone();
    }
    folder
}

impl Layout {
    /// Of a folder.
    ///
    /// # Errors
    /// Two folders of one split, no training images, a folder of the same classes whose name stands for no
    /// split; and those of a [`Listing`]. Classes that `are_chosen` are known to be no splits.
    pub fn of(folder: &Path, listing: &mut Listing, are_chosen: bool) -> Result<Layout> {
        let folders = listing.folders(folder)?;
        let (mut splits, mut others) = (Vec::new(), Vec::new());
        for path in folders {
            let place = innermost(&path);
            match split_of(&path) {
                Some(split) if !folders_of_images(&place).is_empty() => splits.push((split, path, place)),
                split => others.push((split, path)),
            }
        }
        for [(split, first, _), (other, second, _)] in pairs(&splits) {
            ensure!(
                split != other,
                "{} and {} both hold {} images; keep one of them there",
                name_of(first),
                name_of(second),
                split.name()
            );
        }
        let mut notes = stray_images(folder);
        notes.extend(unread(folder, &[]));
        let mut found: Vec<(Split, Vec<PathBuf>)> = Vec::new();
        for (split, path, place) in &splits {
            if *place != *path {
                notes.push(format!("{} images are taken from {}", split.name(), place.display()));
            }
            notes.extend(stray_images(place));
            found.push((*split, listing.folders(place)?));
        }
        if splits.is_empty() {
            let speaks_of_none = others.iter().any(|(split, path)| split.is_none() && holds_images(path));
            let flat: Vec<String> = others.iter().map(|(_, path)| name_of(path)).collect();
            ensure!(
                others.is_empty()
                    || speaks_of_none
                    || others.iter().all(|(_, path)| !holds_images(path))
                    || have_other_words(&flat)
                    || are_chosen,
                "{} hold{} images, but no folders of classes{}",
                flat.join(" and "),
                if flat.len() == 1 { "s" } else { "" },
                remedy(folder)
            );
            for (_, path) in others.iter().filter(|(split, path)| split.is_some() && holds_images(path)) {
                notes
                    .push(format!("{} is taken for a class: it holds no folders of classes", path.display()));
            }
            let classes: Vec<PathBuf> = others.into_iter().map(|(_, path)| path).collect();
            if !are_chosen && may_be_splits(&classes) {
                return Err(Fault::UnknownSplits { folders: flat, words: Split::all_words() }.into());
            }
            return Ok(Layout { splits: vec![(Split::Train, classes)], notes });
        }
        found.sort_by_key(|(split, _)| *split as usize);
        let mut unused = Vec::new();
        if !found.iter().any(|(split, _)| *split == Split::Train) {
            // Beside a test folder, the other folders are classes to train on.
            let (classes, flat): (Vec<_>, Vec<_>) =
                others.into_iter().partition(|(split, _)| split.is_none());
            let classes: Vec<PathBuf> =
                classes.into_iter().map(|(_, path)| path).filter(|path| holds_images(path)).collect();
            if classes.is_empty() {
                let there: Vec<&str> = found.iter().map(|(split, _)| split.name()).collect();
                bail!(
                    "has {} images, but none to train with; words that stand for splits are {}",
                    there.join(" and "),
                    Split::all_words()
                );
            }
            found.insert(0, (Split::Train, classes));
            others = flat;
        }
        let classes: Vec<String> = found[0].1.iter().map(|path| name_of(path)).collect();
        for (split, path) in others {
            let is_missing = split.is_some_and(|split| !found.iter().any(|(there, _)| *there == split));
            match split {
                _ if holds_images(&path) => {
                    let inner = folders_of_images(&innermost(&path));
                    if inner.iter().any(|path| classes.contains(&name_of(path))) {
                        return Err(Fault::UnknownSplit { folder: path, words: Split::all_words() }.into());
                    }
                    unused.push(path);
                }
                // One without any image, which was meant to hold some.
                Some(split) if is_missing => bail!("has no {} images", split.name()),
                _ => {}
            }
        }
        notes.extend(unused.iter().map(|path| {
            format!("{} holds images without folders of these classes and is not used", path.display())
        }));
        Ok(Layout { splits: found, notes })
    }
}

/// How images become classes by a table that lies beside them; nothing if there is none.
pub(super) fn remedy(folder: &Path) -> String {
    let is_table = |path: &PathBuf| {
        let name = path.file_name().unwrap_or_default().to_string_lossy().to_lowercase();
        path.is_file() && [".csv", ".tsv"].iter().any(|ending| name.ends_with(ending))
    };
    // A list of what to submit has no labels.
    let is_sample = |path: &PathBuf| words(&name_of(path)).iter().any(|word| word == "submission");
    let mut tables =
        passed_over::entries(folder).into_iter().filter(|path| is_table(path) && !is_sample(path));
    tables.next().map_or(String::new(), |table| format!("; {}", by_table(folder, &table)))
}

/// Whether names say more than their split, each something else: `blood test` and `pH test` are classes.
fn have_other_words(names: &[String]) -> bool {
    let rests: BTreeSet<String> = names.iter().map(|name| rest_of_name(name)).collect();
    rests.len() == names.len() && !rests.contains("")
}

/// Whether folders that hold the same folders have names as people give them to splits, without a word that
/// says which: `fold1` and `fold2`, `learn` and `holdout`.
fn may_be_splits(folders: &[PathBuf]) -> bool {
    const WORDS: [&str; 12] = [
        "fold", "part", "split", "holdout", "heldout", "hold", "learn", "learning", "fit", "unseen",
        "gallery", "query",
    ];
    let speaks_of_one = |path: &PathBuf| words(&name_of(path)).iter().any(|word| WORDS.contains(&&**word));
    let inner = |path: &PathBuf| -> Vec<String> {
        folders_of_images(&innermost(path)).iter().map(|path| name_of(path)).collect()
    };
    let Some((first, others)) = folders.split_first() else { return false };
    if others.is_empty() || !folders.iter().any(speaks_of_one) {
        return false;
    }
    let of_first = inner(first);
    of_first.len() > 1 && others.iter().all(|path| inner(path) == of_first)
}

/// Every two of them.
fn pairs<T>(all: &[T]) -> impl Iterator<Item = [&T; 2]> {
    all.iter()
        .enumerate()
        .flat_map(move |(index, first)| all[index + 1..].iter().map(move |second| [first, second]))
}

/// What users should know of images that lie beside folders of classes.
fn stray_images(folder: &Path) -> Vec<String> {
    let entries = fs::read_dir(folder).into_iter().flatten().flatten().map(|entry| entry.path());
    let is_stray = |path: &PathBuf| {
        passed_over::Reason::of_name(path).is_none() && image_file::is_named(path) && path.is_file()
    };
    let mut stray: Vec<PathBuf> = entries.filter(is_stray).collect();
    stray.sort();
    let note = |first: &PathBuf| match stray.len() {
        1 => format!("{} lies in no folder of a class and is not used", first.display()),
        count => format!("{count} images lie in no folder of a class and are not used ({})", first.display()),
    };
    stray.first().map(note).into_iter().collect()
}

/// The name of a class, as it can be shown.
pub(super) fn name_of(path: &Path) -> String {
    printable_file_name(path.file_name().unwrap_or_default())
}
