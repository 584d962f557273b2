//! Zip and tar archives of data, as they are downloaded: unpacked below the data folder the first time that
//! they are loaded.

use super::content::Content;
use super::foreign_kind::ForeignKind;
use super::formats::Format;
use super::load_options::OnProgress;
use super::{Fault, Progress, gzip, passed_over};
use crate::files::{FileStamp, LockedFile};
use anyhow::{Context, Result, bail, ensure};
use flate2::read::MultiGzDecoder;
use sha2::{Digest as _, Sha256};
use std::fs::{self, File};
use std::io::{self, Read};
use std::path::{Component, Path, PathBuf};
use tar::EntryType;
use zip::ZipArchive;

/// What archives may hold in all, as a multiple of their own length; or in bytes, if that is more. Rows of
/// zeros stay far below it, archives that are made to fill a disk do not.
const MAX_GROWTH: u64 = 200;
const MIN_ALLOWED: u64 = 1 << 30;
/// What is said of links, whose files may be anywhere.
const LINK: &str = "is a link: unpack the archive yourself, and name the folder";
/// How deep archives lie in archives.
const MAX_DEPTH: usize = 3;

/// Whether a file is an archive of data, not itself of a format that is read.
pub(super) fn is_archive(path: &Path) -> bool {
    // A file that is called like a table, but is none, is more likely to be a mistake.
    path.is_file()
        && Format::of_file_name(path).is_none()
        && matches!(Content::of_file(path), Some(Content::Foreign(ForeignKind::Zip | ForeignKind::Tar)))
}

/// The name of an archive without its ending: `cats.tar.gz` is `cats`.
pub(super) fn stem(name: &str) -> &str {
    ForeignKind::Zip.stem(name).or_else(|| ForeignKind::Tar.stem(name)).unwrap_or(name)
}

/// The folder in which the files of an archive lie, called like it, and the files of those within it.
///
/// # Errors
/// A damaged archive, one with a password, of files outside of it, or far larger than its own length;
/// [`Fault::CacheNotWritable`].
pub(super) fn unpacked(archive: &Path, data_dir: &Path, progress: OnProgress) -> Result<PathBuf> {
    let whole = archive.canonicalize().context("cannot be opened")?;
    let digest = |text: String| format!("{:x}", Sha256::digest(text))[..16].to_string();
    let name = digest(whole.display().to_string());
    let folder = data_dir.join("unpacked").join(format!("{name}-{}", digest(FileStamp::of(&whole)?.text())));
    let place = folder.join(stem(&whole.file_name().unwrap_or_default().to_string_lossy()));
    if is_whole(&place) {
        return Ok(place);
    }
    let fault = || Fault::CacheNotWritable { folder: folder.clone() };
    let parent = folder.parent().unwrap_or(&folder);
    fs::create_dir_all(parent).with_context(fault)?;
    let lock = LockedFile::lock(&folder.with_extension("lock"), || progress(Progress::Waiting));
    let lock = lock.with_context(fault)?;
    let filled = match is_whole(&place) {
        true => Ok(()),
        false => {
            // What this archive held before, or what was left when a process was killed.
            for old in fs::read_dir(parent).into_iter().flatten().flatten() {
                if old.file_name().to_string_lossy().starts_with(&name) && old.path().is_dir() {
                    let _ = fs::remove_dir_all(old.path());
                }
            }
            fill(&place, &whole, progress).inspect_err(|_| _ = fs::remove_dir_all(&folder))
        }
    };
    lock.remove();
    filled.map(|()| place)
}

/// Unpacks an archive into a folder, which is there when it is whole.
fn fill(place: &Path, archive: &Path, progress: OnProgress) -> Result<()> {
    let fault = || Fault::CacheNotWritable { folder: place.to_path_buf() };
    let unfinished = place.with_file_name(".unfinished");
    fs::create_dir_all(&unfinished).with_context(fault)?;
    progress(Progress::Unpacking { folder: place.to_path_buf() });
    let left = fs::metadata(archive)?.len().saturating_mul(MAX_GROWTH).max(MIN_ALLOWED);
    let unpacked = Unpacking { left, written: 0, progress }.archive(archive, &unfinished, MAX_DEPTH);
    progress(Progress::Finished);
    unpacked?;
    fs::write(place.with_file_name(CONTENT), content_of(&unfinished)).with_context(fault)?;
    fs::rename(&unfinished, place).with_context(fault)
}

/// The file beside the unpacked ones that says how many there are.
const CONTENT: &str = ".content";

/// Whether the files of an archive are there, all of them.
fn is_whole(place: &Path) -> bool {
    place.is_dir()
        && fs::read_to_string(place.with_file_name(CONTENT)).is_ok_and(|text| text == content_of(place))
}

/// The number of files below a folder and of their bytes.
fn content_of(folder: &Path) -> String {
    let (mut files, mut bytes, mut folders) = (0u64, 0u64, vec![folder.to_path_buf()]);
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
            match entry.metadata() {
                Ok(metadata) if metadata.is_dir() => folders.push(entry.path()),
                metadata => {
                    files += 1;
                    bytes += metadata.map_or(0, |file| file.len());
                }
            }
        }
    }
    format!("{files} files of {bytes} bytes")
}

/// Unpacks archives one after the other.
struct Unpacking<'a> {
    /// The bytes that may still be written.
    left: u64,
    /// The bytes that were written.
    written: u64,
    progress: OnProgress<'a>,
}

impl Unpacking<'_> {
    /// The files of an archive, and those of the archives in it.
    fn archive(&mut self, archive: &Path, folder: &Path, depth: usize) -> Result<()> {
        let file = File::open(archive).context("cannot be opened")?;
        match Content::of_file(archive) {
            Some(Content::Foreign(ForeignKind::Zip)) => self.zip(file, folder)?,
            _ => self.tar(file, folder)?,
        }
        if depth > 0 {
            self.archives_in(folder, depth - 1)?;
        }
        Ok(())
    }

    fn zip(&mut self, file: File, folder: &Path) -> Result<()> {
        /// The type of a file and that of links, as Unix has them.
        const TYPE: u32 = 0o170_000;
        const LINK_TYPE: u32 = 0o120_000;
        let mut archive = ZipArchive::new(io::BufReader::new(file)).context("is a damaged archive")?;
        for index in 0..archive.len() {
            let mut member = match archive.by_index(index) {
                Ok(member) => member,
                Err(zip::result::ZipError::UnsupportedArchive(fault)) => {
                    bail!(
                        "cannot be unpacked ({}): unpack it yourself, and name the folder",
                        fault.to_lowercase()
                    )
                }
                Err(fault) => return Err(fault).context("is a damaged archive"),
            };
            // Some programs for Windows separate names as Windows does.
            let name = member.name().replace('\\', "/");
            let is_link = member.unix_mode().is_some_and(|mode| mode & TYPE == LINK_TYPE);
            ensure!(!is_link, "member {name:?}: {LINK}");
            if !member.is_dir() {
                self.member(Path::new(&name), &mut member, folder)
                    .with_context(|| format!("member {name:?}"))?;
            }
        }
        Ok(())
    }

    fn tar(&mut self, mut file: File, folder: &Path) -> Result<()> {
        let is_gzip = gzip::is_gzip(&mut file).context("cannot be read")?;
        let bytes: Box<dyn Read> = match is_gzip {
            true => Box::new(MultiGzDecoder::new(io::BufReader::new(file))),
            false => Box::new(io::BufReader::new(file)),
        };
        let mut archive = tar::Archive::new(bytes);
        for member in archive.entries().context("is a damaged archive")? {
            let mut member = member.context("is a damaged archive")?;
            let name = member.path().context("is a damaged archive")?.into_owned();
            let fault = || format!("member {name:?}");
            match member.header().entry_type() {
                EntryType::Regular | EntryType::Continuous => {
                    self.member(&name, &mut member, folder).with_context(fault)?;
                }
                // Another name of a file that came before.
                EntryType::Link => {
                    let target = member.link_name().with_context(fault)?.unwrap_or_default().into_owned();
                    let mut target = File::open(folder.join(within(&target)?)).with_context(fault)?;
                    self.member(&name, &mut target, folder).with_context(fault)?;
                }
                EntryType::Symlink => bail!("member {name:?}: {LINK}"),
                _ => {}
            }
        }
        // Reading to the end checks the CRC of a gzipped file.
        io::copy(&mut archive.into_inner().take(self.left), &mut io::sink())
            .context("is a damaged archive")?;
        Ok(())
    }

    /// A file of an archive.
    fn member(&mut self, name: &Path, content: &mut dyn Read, folder: &Path) -> Result<()> {
        let path = folder.join(within(name)?);
        let parent = path.parent().unwrap_or(folder);
        fs::create_dir_all(parent).with_context(|| format!("cannot create {}", parent.display()))?;
        let mut file = File::create(&path).with_context(|| format!("cannot create {}", path.display()))?;
        let written = io::copy(&mut content.take(self.left + 1), &mut file).context("cannot be unpacked")?;
        ensure!(
            written <= self.left,
            "is too large: the archive holds more than {MAX_GROWTH} times its own length; unpack it yourself, \
             and name the folder"
        );
        self.left -= written;
        self.written += written;
        (self.progress)(Progress::Unpacked { bytes: self.written });
        Ok(())
    }

    /// The archives in a folder, in whose place their files come: the only one beside it, several in a folder
    /// called like the archive.
    fn archives_in(&mut self, folder: &Path, depth: usize) -> Result<()> {
        for path in passed_over::entries(folder) {
            if path.is_dir() {
                self.archives_in(&path, depth)?;
            } else if ForeignKind::of_name(&path).is_some() && is_archive(&path) {
                let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
                let unfinished = folder.join(format!(".unpacking {name}"));
                fs::create_dir_all(&unfinished)?;
                self.archive(&path, &unfinished, depth).with_context(|| format!("archive {name:?} in it"))?;
                fs::remove_file(&path)?;
                let entries = passed_over::entries(&unfinished);
                let beside = |entry: &PathBuf| folder.join(entry.file_name().unwrap_or_default());
                match entries.as_slice() {
                    [only] if !beside(only).exists() => {
                        fs::rename(only, beside(only))?;
                        fs::remove_dir_all(&unfinished)?;
                    }
                    _ => fs::rename(&unfinished, free(&folder.join(stem(&name))))?,
                }
            }
        }
        Ok(())
    }
}

/// The name of a member as a path that stays below the folder of its archive.
fn within(name: &Path) -> Result<PathBuf> {
    let mut path = PathBuf::new();
    for component in name.components() {
        match component {
            Component::Normal(name) => path.push(name),
            Component::ParentDir => bail!("lies outside the archive"),
            // As other programs unpack whole paths.
            Component::CurDir | Component::RootDir | Component::Prefix(_) => {}
        }
    }
    ensure!(path.file_name().is_some(), "has no name");
    Ok(path)
}

/// The path, or the first with a number behind it that is free.
fn free(path: &Path) -> PathBuf {
    let numbered = (2..).map(|number| PathBuf::from(format!("{}-{number}", path.display())));
    std::iter::once(path.to_path_buf()).chain(numbered).find(|path| !path.exists()).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::data::LoadOptions;
    use crate::data::Source;
    use std::io::{Cursor, Write};
    use zip::write::FileOptions;

    fn zip(members: &[(&str, &[u8])]) -> Vec<u8> {
        let mut writer = zip::ZipWriter::new(Cursor::new(Vec::new()));
        for (name, content) in members {
            writer.start_file(*name, FileOptions::default()).unwrap();
            writer.write_all(content).unwrap();
        }
        writer.finish().unwrap().into_inner()
    }

    fn tar_gz(members: &[(&str, &[u8])]) -> Vec<u8> {
        let mut builder =
            tar::Builder::new(flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast()));
        for (name, content) in members {
            let mut header = tar::Header::new_gnu();
            header.set_size(content.len() as u64);
            header.as_gnu_mut().unwrap().name[..name.len()].copy_from_slice(name.as_bytes());
            header.set_cksum();
            builder.append(&header, *content).unwrap();
        }
        builder.into_inner().unwrap().finish().unwrap()
    }

    struct Kept(tempfile::TempDir);

    impl Kept {
        fn new() -> Kept {
            Kept(tempfile::tempdir().unwrap())
        }

        fn archive(&self, name: &str, bytes: &[u8]) -> PathBuf {
            let path = self.0.path().join(name);
            fs::write(&path, bytes).unwrap();
            path
        }

        /// The names of the unpacked files, and whether anything was unpacked for it.
        fn unpacked(&self, archive: &Path) -> Result<(Vec<String>, bool)> {
            let mut events = Vec::new();
            let folder = unpacked(archive, &self.0.path().join("kept"), &mut |event| events.push(event))?;
            let mut names = Vec::new();
            let mut folders = vec![folder.clone()];
            while let Some(inner) = folders.pop() {
                for entry in fs::read_dir(inner).unwrap() {
                    let path = entry.unwrap().path();
                    match path.is_dir() {
                        true => folders.push(path),
                        false => names.push(path.strip_prefix(&folder).unwrap().display().to_string()),
                    }
                }
            }
            names.sort();
            Ok((names, events.contains(&Progress::Unpacking { folder })))
        }
    }

    #[test]
    fn archives_are_unpacked_once_and_those_in_them_too() {
        let kept = Kept::new();
        let train = zip(&[("train/cat/1.png", b"1"), ("__MACOSX/x", b"")]);
        let test = tar_gz(&[("cat/1.png", b"2"), ("dog/1.png", b"3")]);
        let members = [("a/train.zip", &train[..]), ("a/test.tar.gz", &test), ("a/read.me", b"4")];
        for archive in
            [kept.archive("cats.v2.zip", &zip(&members)), kept.archive("cats.tgz", &tar_gz(&members))]
        {
            let (names, was_unpacked) = kept.unpacked(&archive).unwrap();
            assert_eq!(names, ["a/read.me", "a/test/cat/1.png", "a/test/dog/1.png", "a/train/cat/1.png"]);
            assert!(was_unpacked && !kept.unpacked(&archive).unwrap().1);
            // Somebody tidies up.
            let place = unpacked(&archive, &kept.0.path().join("kept"), &mut |_| ()).unwrap();
            fs::remove_file(place.join("a/read.me")).unwrap();
            assert_eq!(kept.unpacked(&archive).unwrap(), (names, true));
        }
        // What an archive held before goes with it.
        let archive = kept.archive("cats.v2.zip", &zip(&[("dir\\b.csv", b"1")]));
        assert_eq!(kept.unpacked(&archive).unwrap(), (vec!["dir/b.csv".to_string()], true));
        assert_eq!(fs::read_dir(kept.0.path().join("kept/unpacked")).unwrap().count(), 2);
        assert_eq!(["cats.v2.zip", "a.tar.gz", "b.TGZ", ".zip"].map(stem), ["cats.v2", "a", "b", ".zip"]);
    }

    #[test]
    fn a_table_in_an_archive_is_read_and_has_its_name() {
        let kept = Kept::new();
        let rows: String = (0..40).map(|row| format!("{},{},{row}\n", row % 2, row % 2 * 200)).collect();
        let table = format!("label,a,b\n{rows}");
        let archive = kept.archive("measured.csv.zip", &zip(&[("measured.csv", table.as_bytes())]));
        let source = Source::find(archive.to_str().unwrap()).unwrap();
        let options = LoadOptions::with_data_dir(kept.0.path().join("kept"));
        let dataset = source.load_with(&options, &mut |_| ()).unwrap();
        assert_eq!((dataset.train.len(), dataset.test.len(), dataset.name.as_str()), (36, 4, "measured"));
        let shape = source.shape_and_classes(&options).unwrap();
        assert_eq!(shape, (vec![2], 2));
    }

    #[test]
    fn what_is_no_whole_archive_or_leaves_its_folder_is_refused() {
        let kept = Kept::new();
        let fault = |bytes: &[u8]| {
            let fault = kept.unpacked(&kept.archive("a.zip", bytes)).unwrap_err();
            assert_eq!(fs::read_dir(kept.0.path().join("kept/unpacked")).unwrap().count(), 0);
            format!("{fault:#}")
        };
        assert_eq!(fault(&zip(&[("../b", b"1")])), "member \"../b\": lies outside the archive");
        assert_eq!(fault(&tar_gz(&[("a/../../b", b"1")])), "member \"a/../../b\": lies outside the archive");
        let whole = zip(&[("a.csv", b"1,2\n"), ("b.csv", b"3,4\n")]);
        assert!(fault(&whole[..whole.len() - 9]).starts_with("is a damaged archive"));
        let whole = tar_gz(&[("a.csv", b"1,2\n")]);
        assert!(fault(&whole[..whole.len() - 9]).contains("damaged archive"));
    }

    #[test]
    fn an_archive_that_would_fill_the_disk_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let mut unpacking = Unpacking { left: 5, written: 0, progress: &mut |_| () };
        let mut member = |name: &str| unpacking.member(Path::new(name), &mut &b"1234"[..], folder.path());
        member("a").unwrap();
        let fault = member("b").unwrap_err().to_string();
        assert!(fault.contains("is too large: the archive holds more than 200 times"), "{fault}");
    }
}
