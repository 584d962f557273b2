//! The files of a folder and of those below it, one by one, each with what it is for a reader of images.

use super::content::Content;
use super::foreign_kind::ForeignKind;
use super::image_file;
use super::passed_over::Reason;
use anyhow::{Error, anyhow};
use std::fs;
use std::path::{Path, PathBuf};
use walkdir::WalkDir;

/// A walk through a folder, sorted by name; folders that are passed over are not entered.
pub(super) struct ImageWalk {
    folder: PathBuf,
    /// The folder by its whole name, without links.
    whole: PathBuf,
    entries: walkdir::IntoIter,
}

/// What a walk comes upon. Files that are neither images nor like them are not among it.
#[derive(Debug)]
pub(super) enum Found {
    /// An image file by its name or, if that has no ending, by its content.
    Image(PathBuf),
    /// An image that cannot be read.
    Foreign(ForeignKind, PathBuf),
    /// An image by its content, whose name has another ending.
    Misnamed(PathBuf),
    PassedOver(Reason, PathBuf),
    /// A link or a folder that cannot be read, and why.
    Bad(PathBuf, Error),
}

impl ImageWalk {
    pub fn new(folder: &Path) -> ImageWalk {
        let entries = WalkDir::new(folder).follow_links(true).min_depth(1).sort_by_file_name().into_iter();
        let whole = folder.canonicalize().unwrap_or_else(|_| folder.to_path_buf());
        ImageWalk { folder: folder.to_path_buf(), whole, entries }
    }
}

impl Iterator for ImageWalk {
    type Item = Found;

    fn next(&mut self) -> Option<Found> {
        loop {
            let entry = match self.entries.next()? {
                Ok(entry) => entry,
                Err(fault) => {
                    let path = fault.path().unwrap_or(&self.folder).to_path_buf();
                    if Reason::of_name(&path).is_none() && may_be_data(&path) {
                        return Some(Found::Bad(path, reason(fault)));
                    }
                    continue;
                }
            };
            let is_folder = entry.file_type().is_dir();
            let path = entry.path();
            let passed_over =
                Reason::of_name(path).or_else(|| is_folder.then(|| Reason::of_folder(path)).flatten());
            if let Some(reason) = passed_over {
                if is_folder {
                    self.entries.skip_current_dir();
                }
                return Some(Found::PassedOver(reason, path.to_path_buf()));
            }
            let leads_back = || path.canonicalize().is_ok_and(|target| self.whole.starts_with(target));
            if is_folder && entry.path_is_symlink() && leads_back() {
                self.entries.skip_current_dir();
                return Some(Found::Bad(path.to_path_buf(), anyhow!(LOOP)));
            }
            if entry.file_type().is_file()
                && let Some(found) = of_file(path)
            {
                return Some(found);
            }
        }
    }
}

/// What a file is; none if it is nothing like an image.
fn of_file(path: &Path) -> Option<Found> {
    if image_file::is_named(path) {
        return Some(match image_file::has_png_copy(path) {
            true => Found::PassedOver(Reason::Copied, path.to_path_buf()),
            false => Found::Image(path.to_path_buf()),
        });
    }
    if let Some(kind) = ForeignKind::of_name(path) {
        return kind.is_image().then(|| match kind.is_converted(path) {
            true => Found::PassedOver(Reason::Copied, path.to_path_buf()),
            false => Found::Foreign(kind, path.to_path_buf()),
        });
    }
    let is_image = !is_text(path) && Content::of_file(path) == Some(Content::Image);
    // Copies that tools keep beside an image have an ending of their own: `1.png.bak`.
    is_image.then(|| match path.extension() {
        None => Found::Image(path.to_path_buf()),
        Some(_) => Found::Misnamed(path.to_path_buf()),
    })
}

/// Files that are looked at to find out what a folder is.
const MAX_LOOKED_AT: usize = 10_000;

/// Whether a folder, or one below it, holds an image, of a kind that can be read or not.
pub(super) fn holds_images(folder: &Path) -> bool {
    // Mostly it does itself, which takes no sorting.
    has_images_itself(folder) || ImageWalk::new(folder).take(MAX_LOOKED_AT).any(|found| found.is_image())
}

/// Whether a folder itself holds an image, of a kind that can be read or not.
pub(super) fn has_images_itself(folder: &Path) -> bool {
    let entries = fs::read_dir(folder).into_iter().flatten().flatten().take(MAX_LOOKED_AT);
    let is_image = |path: PathBuf| {
        Reason::of_name(&path).is_none()
            && path.is_file()
            && of_file(&path).is_some_and(|found| found.is_image())
    };
    entries.map(|entry| entry.path()).any(is_image)
}

impl Found {
    fn is_image(&self) -> bool {
        matches!(self, Found::Image(_) | Found::Foreign(..))
    }
}

/// Whether the name of what cannot be read is one that an image or a folder may have.
pub(super) fn may_be_data(path: &Path) -> bool {
    path.extension().is_none() || image_file::is_named(path)
}

/// Whether a name says that a file is text, which need not be looked into.
fn is_text(path: &Path) -> bool {
    const ENDINGS: [&str; 14] =
        ["txt", "xml", "csv", "tsv", "md", "html", "htm", "py", "log", "yaml", "yml", "ini", "cfg", "toml"];
    let ending = path.extension().unwrap_or_default().to_string_lossy().to_lowercase();
    ENDINGS.contains(&ending.as_str())
}

/// Whether a path is a link to nothing.
pub(super) fn is_broken_link(path: &Path) -> bool {
    path.is_symlink() && fs::metadata(path).is_err()
}

pub(super) const BROKEN_LINK: &str = "is a link to nothing";
pub(super) const LOOP: &str = "is a link to a folder that it lies in";

/// What is wrong with an entry, as a predicate.
fn reason(fault: walkdir::Error) -> Error {
    let is_broken = fault.path().is_some_and(is_broken_link);
    match fault.loop_ancestor() {
        Some(_) => anyhow!(LOOP),
        None if is_broken => anyhow!(BROKEN_LINK),
        None => match fault.into_io_error() {
            Some(fault) => Error::new(fault).context("cannot be read"),
            None => anyhow!("cannot be read"),
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_are_what_their_names_say_or_their_content() {
        let folder = tempfile::tempdir().unwrap();
        let add = |name: &str, bytes: &[u8]| {
            let path = folder.path().join(name);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, bytes).unwrap();
        };
        let png = b"\x89PNG\r\n\x1a\n";
        for name in [
            "a.png",
            "b.JFIF",
            "c.jpe",
            "d/e.jpeg",
            "f",
            "g.png.bak",
            "h.avif",
            "h.webp",
            ".i.png",
            "._j.png",
        ] {
            add(name, png);
        }
        add("k.txt", png);
        add("l", b"text");
        // From which a.png was made, it seems.
        add("a.tiff", png);
        add("a.heic", png);
        add("a.jpg", b"\0\0\0\x20ftypavif");
        add("a.bmp", b"BM");
        add(".ipynb_checkpoints/m.png", png);
        add("runs/n/run.json", b"");
        add("runs/n/accuracy.png", b"");
        let found = ImageWalk::new(folder.path()).map(|found| {
            let (what, path) = match found {
                Found::Image(path) => ("image", path),
                Found::Foreign(kind, path) => (kind.name(), path),
                Found::Misnamed(path) => ("misnamed", path),
                Found::PassedOver(_, path) => ("passed over", path),
                Found::Bad(path, _) => ("bad", path),
            };
            format!("{what}: {}", path.strip_prefix(folder.path()).unwrap().display())
        });
        let found: Vec<String> = found.collect();
        assert_eq!(
            found,
            [
                "passed over: ._j.png",
                "passed over: .i.png",
                "passed over: .ipynb_checkpoints",
                "image: a.bmp",
                "passed over: a.heic",
                "passed over: a.jpg",
                "image: a.png",
                "passed over: a.tiff",
                "image: b.JFIF",
                "image: c.jpe",
                "image: d/e.jpeg",
                "image: f",
                "misnamed: g.png.bak",
                "an AVIF image: h.avif",
                "image: h.webp",
                "passed over: runs",
            ]
        );
    }

    #[cfg(unix)]
    #[test]
    fn links_that_lead_nowhere_or_back_are_found() {
        use std::os::unix::fs::symlink;
        let folder = tempfile::tempdir().unwrap();
        fs::create_dir(folder.path().join("a")).unwrap();
        symlink("/nowhere", folder.path().join("a/b.png")).unwrap();
        symlink("/nowhere", folder.path().join("a/notes.txt")).unwrap();
        symlink(folder.path(), folder.path().join("a/back")).unwrap();
        let found = ImageWalk::new(folder.path()).map(|found| match found {
            Found::Bad(path, fault) => format!("{} {fault}", path.file_name().unwrap().display()),
            other => panic!("{other:?}"),
        });
        assert_eq!(found.collect::<Vec<_>>(), [format!("b.png {BROKEN_LINK}"), format!("back {LOOP}")]);
    }
}
