//! Images in folders named by their classes: `train/cat/1.png`, `validation/cat/2.png` and `test/cat/3.png`,
//! or `cat/1.png` alone.

mod layout;
mod listing;

use super::reader::{FolderForm, Reader};
use crate::data::cache::{self, Key, Manifest};
use crate::data::decoding::{EncodedImage, Entry, decode_all};
use crate::data::groups::{GroupBy, GroupIndex, GroupPattern};
use crate::data::label_encoding::sort_names;
use crate::data::load_options::{LoadOptions, OnProgress};
use crate::data::raw_dataset::{RawDataset, Split};
use crate::data::{Fault, ImageOrigin, Images};
use crate::text::printable_file_name;
use anyhow::{Context, Result, bail, ensure};
use layout::{Layout, name_of};
use listing::{Listing, foreign_images};
use std::collections::{HashMap, HashSet};
use std::path::{Path, PathBuf};
use std::sync::Arc;

pub(super) const READER: Reader = Reader {
    name: "folders of images",
    keyword: "pictures",
    folder: Some(FolderForm { needs: "a folder of images for each class", is_there: layout::is_there }),
    endings: &[],
    can_group: |by| by.column().is_none(),
    load: |folder, options, _, progress| load(folder, options, progress),
    shape_and_classes: None,
};

/// Loads a folder, from the cache if it was decoded before.
///
/// # Errors
/// Images that cannot be read or differ in size, and test classes that cannot be learnt, each named.
fn load(folder: &Path, options: &LoadOptions, progress: OnProgress) -> Result<RawDataset> {
    let name = || folder.display().to_string();
    let Listed { files, classes, notes, left_out } = list(folder, options).with_context(name)?;
    let mut settings = options.decoding_key().to_vec();
    // Only images of chosen classes must be readable.
    settings.extend(options.classes.as_ref().map(|classes| ("classes", classes.join("\0"))));
    let mut key = Key::new(folder, "folders", &settings);
    for file in &files {
        key.add(&file.path)?;
    }
    let mut raw = cache::load(&options.folder()?, key, progress, |writer, progress| {
        let entries = || {
            files.iter().map(|ListedFile { path, class, split, is_needed }| {
                let image = EncodedImage::File(path.clone());
                Ok(Entry { image, label: *class, split: *split, group: None, is_needed: *is_needed })
            })
        };
        let notes =
            decode_all(files.len(), || Ok(entries()), options, writer, progress).with_context(name)?;
        Ok(Manifest { classes, notes: notes.into_iter().collect() })
    })?;
    let mut names = names(folder, &files, &raw.left_out);
    let mut named =
        |split: Split, images: Images| images.found_in(std::mem::take(&mut names[split as usize]));
    raw.train = named(Split::Train, raw.train);
    raw.validation = raw.validation.map(|images| named(Split::Validation, images));
    raw.test = raw.test.map(|images| named(Split::Test, images));
    if let Some(GroupBy::FileName(pattern)) = &options.group_by {
        raw = grouped(raw, pattern).with_context(name)?;
    }
    // What lies beside the images may change without them.
    raw.notes.splice(0..0, notes);
    raw.left_out.splice(0..0, left_out);
    Ok(raw)
}

/// The images with the groups that a pattern finds in the names of their files.
///
/// # Errors
/// Names without one.
fn grouped(raw: RawDataset, pattern: &GroupPattern) -> Result<RawDataset> {
    let splits = [Some(&raw.train), raw.validation.as_ref(), raw.test.as_ref()];
    let mut index = GroupIndex::default();
    let (mut total, mut unmatched) = (0, Vec::new());
    let mut number = |image: ImageOrigin| {
        let ImageOrigin::File(path) = image else {
            bail!("it is not certain which images were left out, and so which names they have")
        };
        total += 1;
        let group = pattern.group_of(path).map(|group| index.of(group));
        Ok(group.unwrap_or_else(|| {
            unmatched.push(path.to_string());
            0
        }))
    };
    let mut numbers_of = |images: &Images| {
        (0..images.len()).map(|row| number(images.origin(row))).collect::<Result<Vec<u32>>>()
    };
    let [train, validation, test] = splits.map(|images| images.map(&mut numbers_of).transpose());
    let (train, validation, test) = (train?, validation?, test?);
    if let Some(example) = unmatched.first() {
        let (count, of, example) = (unmatched.len(), total, example.clone());
        return Err(Fault::UngroupedNames { count, of, example }.into());
    }
    let names: Arc<[String]> = index.names.into();
    let with = |images: Images, numbers: Option<Vec<u32>>| match numbers {
        Some(numbers) => images.grouped(numbers, names.clone()),
        None => images,
    };
    Ok(RawDataset {
        train: with(raw.train, train),
        validation: raw.validation.map(|images| with(images, validation)),
        test: raw.test.map(|images| with(images, test)),
        ..raw
    })
}

/// The names of the files of each split from the folder on, in the order in which they are decoded, without those
/// that were left out then; none if it is not certain which those are.
fn names(folder: &Path, files: &[ListedFile], left_out: &[String]) -> [Vec<String>; 3] {
    let name = |file: &ListedFile| file.path.strip_prefix(folder).unwrap_or(&file.path).to_path_buf();
    let mut missing: HashSet<PathBuf> = HashSet::new();
    if !left_out.is_empty() {
        let known: HashSet<PathBuf> = files.iter().map(name).collect();
        for line in left_out {
            // `PATH: REASON`, and either may have a colon. The path is as the folder was named at that time.
            let paths = line.match_indices(": ").map(|(end, _)| Path::new(&line[..end]));
            let mut found = paths.flat_map(|path| {
                let parts: Vec<_> = path.components().collect();
                let ends = (0..parts.len()).map(|start| parts[start..].iter().collect::<PathBuf>());
                ends.filter(|end| known.contains(end)).collect::<Vec<PathBuf>>()
            });
            let first = found.next();
            if found.next().is_some() {
                return Default::default();
            }
            missing.extend(first);
        }
    }
    let mut names: [Vec<String>; 3] = Default::default();
    for file in files {
        let name = name(file);
        if !missing.contains(&name) {
            names[file.split as usize].push(printable_file_name(name.as_os_str()));
        }
    }
    names
}

/// What there is to load.
struct Listed {
    files: Vec<ListedFile>,
    classes: Vec<String>,
    notes: Vec<String>,
    left_out: Vec<String>,
}

struct ListedFile {
    path: PathBuf,
    class: i64,
    split: Split,
    /// Whether its class is one to be used.
    is_needed: bool,
}

/// The images of a folder, and the names of their classes.
fn list(whole: &Path, options: &LoadOptions) -> Result<Listed> {
    let mut listing = Listing::new(whole, options.skips_bad);
    let chosen = options.classes.as_deref();
    let Layout { splits, mut notes } = Layout::of(whole, &mut listing, chosen.is_some())?;
    let is_chosen = |name: &String| chosen.is_none_or(|chosen| chosen.contains(name));
    let classes = classes_of(&splits[0].1)?;
    ensure!(
        classes.len() > 1,
        "needs a folder of images for each class; there {}{}",
        match classes.as_slice() {
            [only] => format!("is only {only}"),
            _ => "is none".to_string(),
        },
        layout::remedy(whole)
    );
    let class_of: HashMap<&str, i64> = classes.iter().map(String::as_str).zip(0..).collect();
    let mut files = Vec::new();
    for (split, folders) in &splits {
        let named = || folders.iter().map(|path| (path, name_of(path)));
        let unknown = named().map(|(_, name)| name);
        let unknown = unknown.filter(|name| !class_of.contains_key(name.as_str()) && is_chosen(name));
        let unknown: Vec<String> = unknown.filter(|_| chosen.is_none()).collect();
        ensure!(
            unknown.is_empty(),
            "has {} images of classes without a training image: {}",
            split.name(),
            unknown.join(", ")
        );
        let before_split = files.len();
        for (folder, name) in named() {
            let Some(&class) = class_of.get(name.as_str()) else { continue };
            let is_needed = is_chosen(&name);
            let images = listing.images(folder)?;
            if *split == Split::Train && images.is_empty() && is_needed {
                let foreign = foreign_images(folder);
                let (instead, remedy) =
                    foreign.map(|(kind, text)| (text, kind.remedy_of_folder(whole))).unzip();
                return Err(Fault::EmptyClass { class: name, instead, remedy }.into());
            }
            files.extend(images.into_iter().map(|path| ListedFile { path, class, split: *split, is_needed }));
        }
        ensure!(files.len() > before_split, "has no {} images", split.name());
    }
    notes.splice(0..0, listing.notes());
    if let Some(first) = listing.left_out.first() {
        notes.push(match listing.left_out.len() {
            1 => format!("1 link or folder could not be read and is left out ({first})"),
            count => format!("{count} links or folders could not be read and are left out ({first})"),
        });
    }
    Ok(Listed { files, classes, notes, left_out: listing.left_out })
}

/// The names of the classes in their order.
fn classes_of(folders: &[PathBuf]) -> Result<Vec<String>> {
    let mut names: Vec<String> = folders.iter().map(|folder| name_of(folder)).collect();
    sort_names(&mut names);
    if let Some(pair) = names.windows(2).find(|pair| pair[0] == pair[1]) {
        bail!("has two folders whose names are shown as {}", pair[0]);
    }
    Ok(names)
}

#[cfg(test)]
mod tests;
