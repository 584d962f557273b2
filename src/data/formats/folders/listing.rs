//! What is in a folder of images: folders and image files, and what is passed over, left out or unreadable.

use crate::data::Fault;
use crate::data::foreign_kind::ForeignKind;
use crate::data::image_walk::{
    BROKEN_LINK, Found, ImageWalk, LOOP, holds_images, is_broken_link, may_be_data,
};
use crate::data::passed_over::{self, PassedOver};
use anyhow::{Error, Result, anyhow};
use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

/// Files and folders as they are found, with what users should know about them.
pub(super) struct Listing {
    root: PathBuf,
    skips_bad: bool,
    passed: PassedOver,
    foreign: BTreeMap<ForeignKind, (usize, PathBuf)>,
    misnamed: Option<(usize, PathBuf)>,
    /// Links and folders that could not be read.
    pub left_out: Vec<String>,
}

impl Listing {
    /// Of what lies below a folder. What cannot be read is an error, unless it is to be left out.
    pub fn new(root: &Path, skips_bad: bool) -> Listing {
        let root = root.canonicalize().unwrap_or_else(|_| root.to_path_buf());
        Listing {
            root,
            skips_bad,
            passed: PassedOver::default(),
            foreign: BTreeMap::new(),
            misnamed: None,
            left_out: Vec::new(),
        }
    }

    /// The folders in a folder, sorted by name.
    ///
    /// # Errors
    /// One that cannot be read, or a link that leads nowhere or back.
    pub fn folders(&mut self, folder: &Path) -> Result<Vec<PathBuf>> {
        let mut folders = Vec::new();
        for path in self.passed.entries(folder)? {
            if !path.is_dir() {
                if is_broken_link(&path) && may_be_data(&path) {
                    self.bad(&path, anyhow!(BROKEN_LINK))?;
                }
            } else if path.canonicalize().is_ok_and(|whole| self.root.starts_with(whole)) {
                self.bad(&path, anyhow!(LOOP))?;
            } else if let Err(fault) = fs::read_dir(&path) {
                self.bad(&path, Error::new(fault).context("cannot be read"))?;
            } else {
                folders.push(path);
            }
        }
        Ok(folders)
    }

    /// The image files in a folder and in those below it, sorted by name.
    ///
    /// # Errors
    /// As [`folders`](Listing::folders).
    pub fn images(&mut self, folder: &Path) -> Result<Vec<PathBuf>> {
        let mut images = Vec::new();
        for found in ImageWalk::new(folder) {
            match found {
                Found::Image(path) => images.push(path),
                Found::Foreign(kind, path) => self.foreign.entry(kind).or_insert((0, path)).0 += 1,
                Found::Misnamed(path) => self.misnamed.get_or_insert((0, path)).0 += 1,
                Found::PassedOver(reason, path) => self.passed.add(&path, reason),
                Found::Bad(path, fault) => self.bad(&path, fault)?,
            }
        }
        Ok(images)
    }

    /// Notes what cannot be read.
    fn bad(&mut self, path: &Path, fault: Error) -> Result<()> {
        if self.skips_bad {
            self.left_out.push(format!("{}: {fault:#}", path.display()));
            return Ok(());
        }
        Err(fault.context(Fault::UnreadableImage { place: path.display().to_string(), remedy: None }))
    }

    /// What users should know.
    pub fn notes(&self) -> Vec<String> {
        let mut notes: Vec<String> = self.passed.note().into_iter().collect();
        if !self.foreign.is_empty() {
            let of_kind = |(kind, (count, first)): (&ForeignKind, &(usize, PathBuf))| {
                format!("{} ({})", kind.count_text(*count), first.display())
            };
            let kinds: Vec<String> = self.foreign.iter().map(of_kind).collect();
            let first = self.foreign.keys().next().map_or(String::new(), |kind| kind.short_remedy());
            notes.push(format!("left out, as fitch cannot read them: {}; {first}", kinds.join(", ")));
        }
        notes.extend(self.misnamed.as_ref().map(|(count, path)| match count {
            1 => format!("{} is left out: it is an image by its content alone", path.display()),
            _ => format!(
                "{count} files are left out that are images by their content alone ({})",
                path.display()
            ),
        }));
        notes
    }
}

/// The images in a folder that fitch cannot read, if there are any, of the most frequent kind: `20 AVIF images`.
pub(super) fn foreign_images(folder: &Path) -> Option<(ForeignKind, String)> {
    let mut listing = Listing::new(folder, true);
    listing.images(folder).ok()?;
    let (kind, (count, _)) = listing.foreign.iter().max_by_key(|(_, (count, _))| *count)?;
    Some((*kind, kind.count_text(*count)))
}

/// The folders in a folder that hold images.
pub(super) fn folders_of_images(folder: &Path) -> Vec<PathBuf> {
    passed_over::entries(folder).into_iter().filter(|path| path.is_dir() && holds_images(path)).collect()
}
