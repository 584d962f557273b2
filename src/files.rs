//! Files that are whole, the old or the new, whatever happens; files that one process holds; files that
//! change.

use anyhow::{Context, Result};
use same_file::Handle;
use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::{Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};
use std::thread;
use std::time::{Duration, UNIX_EPOCH};
use tempfile::NamedTempFile;

/// Writes a file whole or not at all: a temporary file in the same folder, flushed to the disk, renamed.
///
/// # Errors
/// A folder that cannot be written, or a full disk; what was there before is then still there.
pub fn write_whole(path: &Path, content: &[u8]) -> Result<()> {
    write_whole_with(path, |file| Ok(file.write_all(content)?))
}

/// The same, for content that is produced into the temporary file. A link stays, and what it leads to is written;
/// what is no file, such as a pipe or `/dev/stdout`, gets the content as it is.
///
/// # Errors
/// As [`write_whole`], and those of `produce`.
pub fn write_whole_with(path: &Path, produce: impl FnOnce(&mut NamedTempFile) -> Result<()>) -> Result<()> {
    let write = || -> Result<()> {
        let target = path_through_links(path);
        let is_stream = takes_streams(path);
        let folder = match is_stream {
            true => std::env::temp_dir(),
            false => folder_of(&target).to_path_buf(),
        };
        let mut builder = tempfile::Builder::new();
        builder.prefix(UNFINISHED);
        #[cfg(unix)]
        {
            // As any new file: the user's umask decides, not the privacy of temporary files.
            use std::os::unix::fs::PermissionsExt;
            builder.permissions(fs::Permissions::from_mode(0o666));
        }
        let mut file = builder.tempfile_in(folder).map_err(without_path)?;
        produce(&mut file)?;
        if is_stream {
            std::io::copy(&mut file.reopen()?, &mut open_stream(path)?)?;
            return Ok(());
        }
        if let Ok(before) = fs::metadata(&target) {
            file.as_file().set_permissions(before.permissions())?;
        }
        file.as_file().sync_all()?;
        file.persist(target).map_err(|fault| fault.error)?;
        Ok(())
    };
    write().with_context(|| format!("cannot write {}", path.display()))
}

/// The folder that a file lies in.
pub fn folder_of(file: &Path) -> &Path {
    file.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."))
}

/// Whether what is at a path is written to as it comes, because it is no file that another one could replace: a
/// pipe, a device, the standard output.
pub fn takes_streams(path: &Path) -> bool {
    let is_of_process =
        |path: &Path| folder_of(path).canonicalize().is_ok_and(|folder| folder.starts_with("/proc"));
    let is_other = fs::metadata(path).is_ok_and(|found| !found.is_file() && !found.is_dir());
    is_other || is_of_process(path) || fs::read_link(path).is_ok_and(|target| is_of_process(&target))
}

/// Where a file lies that a path leads to, also if it is not there yet.
pub fn path_through_links(path: &Path) -> PathBuf {
    path.canonicalize()
        .or_else(|_| fs::read_link(path).map(|to| folder_of(path).join(to)))
        .unwrap_or(path.into())
}

/// What is at a path, to be written to. The standard output is the one that this process has: opened anew, a file
/// behind it would be written from its beginning.
fn open_stream(path: &Path) -> std::io::Result<File> {
    #[cfg(unix)]
    {
        use std::os::fd::AsFd;
        let is_standard = |number: u8| {
            let names = [format!("/proc/self/fd/{number}"), format!("/dev/fd/{number}")];
            let is_named = |path: &Path| names.iter().any(|name| path == Path::new(name));
            is_named(path) || fs::read_link(path).is_ok_and(|target| is_named(&target))
        };
        if is_standard(1) {
            return Ok(std::io::stdout().as_fd().try_clone_to_owned()?.into());
        }
        if is_standard(2) {
            return Ok(std::io::stderr().as_fd().try_clone_to_owned()?.into());
        }
    }
    OpenOptions::new().append(true).open(path)
}

/// A fault of a temporary file without its name, which nobody has asked for.
pub fn without_path(fault: std::io::Error) -> std::io::Error {
    let inner = fault.get_ref().and_then(|inner| inner.source()?.downcast_ref::<std::io::Error>());
    let code = inner.and_then(std::io::Error::raw_os_error);
    code.map_or(fault, std::io::Error::from_raw_os_error)
}

/// Writes a folder of files whole or not at all, and flushes its name to the disk as well: a folder beside
/// it whose name begins with a dot, every file flushed, renamed.
///
/// # Errors
/// As [`write_whole`]. What was written by then is removed, where that is possible.
pub(crate) fn write_folder_whole(path: &Path, files: &[(&str, &[u8])]) -> Result<()> {
    let parent = path.parent().unwrap_or(Path::new("."));
    let write = || -> std::io::Result<()> {
        step()?;
        create_only(parent)?;
        let folder = tempfile::Builder::new().prefix(UNFINISHED).tempdir_in(parent)?;
        for (name, content) in files {
            let mut file = File::create(folder.path().join(name))?;
            step()?;
            file.write_all(content)?;
            step()?;
            file.sync_all()?;
        }
        step()?;
        flush_names(folder.path())?;
        if path.exists() {
            // Only what was found broken is written again under its name.
            step()?;
            fs::remove_dir_all(path)?;
        }
        step()?;
        fs::rename(folder.path(), path)?;
        // It has another name now, so there is nothing to clean up.
        let _ = folder.keep();
        step()?;
        flush_names(parent)
    };
    write().with_context(|| format!("cannot write {}", path.display()))
}

/// Makes a file hold `bytes` from `start` on, flushed to the disk; what is before stays as it is. Of a file
/// that is written anew (`start` is 0), the beginning that it has already is not written again.
///
/// # Errors
/// As [`write_whole`]. What is before `start` is still there then.
pub(crate) fn write_end(path: &Path, start: u64, bytes: &[u8]) -> std::io::Result<()> {
    step()?;
    path.parent().map_or(Ok(()), create_only)?;
    let mut options = OpenOptions::new();
    let mut file = options.read(true).write(true).create(start == 0).truncate(false).open(path)?;
    let mut known = 0;
    if start == 0 {
        let mut before = Vec::new();
        Read::by_ref(&mut file).take(bytes.len() as u64).read_to_end(&mut before)?;
        known = bytes.iter().zip(&before).take_while(|(new, old)| new == old).count();
    } else if file.metadata()?.len() < start {
        return Err(std::io::Error::other("another program has made it shorter"));
    }
    file.seek(SeekFrom::Start(start + known as u64))?;
    step()?;
    file.write_all(&bytes[known..])?;
    step()?;
    file.set_len(start + bytes.len() as u64)?;
    step()?;
    file.sync_all()
}

/// Appends to a file in a single write, so that a reader sees all of it or nothing. The file is there already.
///
/// # Errors
/// The file is gone, or the disk is full; the file is then as long as before.
pub(crate) fn append(path: &Path, bytes: &[u8]) -> std::io::Result<File> {
    let mut file = OpenOptions::new().append(true).open(path)?;
    let before = file.metadata()?.len();
    if let Err(fault) = file.write_all(bytes) {
        // Half a line is worse than none.
        let _ = file.set_len(before);
        return Err(fault);
    }
    Ok(file)
}

/// Creates a folder, but not those above it: a run folder that was moved away must not come to life again.
fn create_only(folder: &Path) -> std::io::Result<()> {
    match fs::create_dir(folder) {
        Err(fault) if fault.kind() != std::io::ErrorKind::AlreadyExists => Err(fault),
        _ => Ok(()),
    }
}

/// Removes the unfinished files and folders that a killed process has left in a folder. Only for a process
/// that holds its lock.
pub(crate) fn remove_unfinished(folder: &Path) {
    for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
        if is_unfinished(&entry.file_name().to_string_lossy()) {
            // Leftovers that cannot be removed do no harm.
            let _ = match entry.file_type() {
                Ok(kind) if kind.is_dir() => fs::remove_dir_all(entry.path()),
                _ => fs::remove_file(entry.path()),
            };
        }
    }
}

/// Whether a file or folder of that name is not finished.
pub(crate) fn is_unfinished(name: &str) -> bool {
    name.starts_with(UNFINISHED)
}

/// A file that this process has locked until this is dropped. The lock is the system's, so that it goes with
/// its process, however that ends.
#[derive(Debug)]
pub(crate) struct LockedFile {
    path: PathBuf,
    // Closing the file releases the lock.
    file: File,
    is_enforced: bool,
}

/// What came of an attempt to lock a file.
enum Attempt {
    Locked,
    Taken,
    /// The file system has no locks, as some network file systems.
    NoLocks,
}

impl LockedFile {
    /// Locks a file, which is made if it is not there; gives nothing if another process has it. Where the file
    /// system has no locks, the file [is not enforced](LockedFile::is_enforced).
    ///
    /// # Errors
    /// The file cannot be written.
    pub fn try_lock(path: &Path) -> Result<Option<LockedFile>> {
        LockedFile::take(path, |file| match file.try_lock().or_else(|_| after_onlookers(file)) {
            Ok(()) => Ok(Attempt::Locked),
            Err(TryLockError::WouldBlock) => Ok(Attempt::Taken),
            Err(TryLockError::Error(fault)) if has_no_locks(&fault) => Ok(Attempt::NoLocks),
            Err(TryLockError::Error(fault)) => Err(fault),
        })
    }

    /// The same, but waits for another process that has it, after a call of `waiting`.
    ///
    /// # Errors
    /// The file cannot be written.
    pub fn lock(path: &Path, mut waiting: impl FnMut()) -> Result<LockedFile> {
        let locked = LockedFile::take(path, |file| match file.try_lock() {
            Ok(()) => Ok(Attempt::Locked),
            Err(TryLockError::WouldBlock) => {
                waiting();
                file.lock().map(|()| Attempt::Locked)
            }
            Err(TryLockError::Error(fault)) if has_no_locks(&fault) => Ok(Attempt::NoLocks),
            Err(TryLockError::Error(fault)) => Err(fault),
        });
        locked?.with_context(|| format!("cannot lock {}", path.display()))
    }

    fn take(
        path: &Path,
        mut lock: impl FnMut(&File) -> std::io::Result<Attempt>,
    ) -> Result<Option<LockedFile>> {
        loop {
            let mut options = OpenOptions::new();
            let file = options.read(true).write(true).create(true).truncate(false).open(path);
            let file = file.with_context(|| format!("cannot write {}", path.display()))?;
            let is_enforced = match lock(&file) {
                Ok(Attempt::Locked) => true,
                Ok(Attempt::NoLocks) => false,
                Ok(Attempt::Taken) => return Ok(None),
                Err(fault) => {
                    // Nothing is left of an attempt that failed.
                    if file.metadata().is_ok_and(|metadata| metadata.len() == 0) {
                        let _ = fs::remove_file(path);
                    }
                    return Err(fault).with_context(|| format!("cannot lock {}", path.display()));
                }
            };
            // Whoever had the lock before may have removed or renamed the file: then ours has no name any
            // more.
            let ours = Handle::from_file(file.try_clone()?)?;
            if Handle::from_path(path).is_ok_and(|named| named == ours) {
                return Ok(Some(LockedFile { path: path.to_path_buf(), file, is_enforced }));
            }
        }
    }

    /// Whether other processes are kept out: not where the file system has no locks.
    pub fn is_enforced(&self) -> bool {
        self.is_enforced
    }

    /// The file, open for reading and writing.
    #[cfg_attr(not(feature = "download"), allow(dead_code))]
    pub fn file(&mut self) -> &mut File {
        &mut self.file
    }

    /// Makes the file hold that text. It is neither flushed nor whole at every moment.
    pub fn write(&self, text: &[u8]) -> std::io::Result<()> {
        let mut file = &self.file;
        file.rewind()?;
        file.write_all(text)?;
        // What is there is written over first, so that a reader finds the beginning at any moment.
        file.set_len(text.len() as u64)
    }

    /// Whether a process has locked a file; none where the file system has no locks. That is found out by a lock that
    /// this process shares for an instant; [`LockedFile::try_lock`] outwaits it.
    pub fn is_held(path: &Path) -> Option<bool> {
        let Ok(file) = File::open(path) else { return Some(false) };
        match file.try_lock_shared() {
            Ok(()) => Some(false),
            Err(TryLockError::WouldBlock) => Some(true),
            Err(TryLockError::Error(_)) => None,
        }
    }

    /// Removes the file while it is locked, where that is possible.
    pub fn remove(self) {
        let _ = fs::remove_file(&self.path);
    }
}

/// Tries to lock a file that another process has, perhaps only to look whether it is held.
fn after_onlookers(file: &File) -> Result<(), TryLockError> {
    const PAUSE: Duration = Duration::from_millis(10);
    thread::sleep(PAUSE);
    file.try_lock()
}

/// Whether a fault says that the file system has no locks: the system has no such call, or there is none for
/// this kind of file, or the server of a network file system gives none.
fn has_no_locks(fault: &std::io::Error) -> bool {
    // ENOLCK, which has no kind of its own.
    const NO_LOCKS: i32 = if cfg!(target_os = "linux") { 37 } else { 77 };
    fault.kind() == std::io::ErrorKind::Unsupported || fault.raw_os_error() == Some(NO_LOCKS)
}

/// What changes about a file when it does: its length and its times, and which file has the name. Cheap to
/// ask for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct FileStamp {
    length: u64,
    /// Nanoseconds since 1970.
    modified: u128,
    /// Seconds, nanoseconds and inode. Unlike the time of modification, the time of change cannot be set, so
    /// that a file that takes the place of another is noticed.
    changed: (i64, i64, u64),
}

impl FileStamp {
    /// Of the file as it is now.
    ///
    /// # Errors
    /// There is no such file, or it cannot be asked about.
    pub fn of(path: &Path) -> Result<FileStamp> {
        let metadata = fs::metadata(path).with_context(|| path.display().to_string())?;
        let modified = metadata.modified().ok().and_then(|time| time.duration_since(UNIX_EPOCH).ok());
        #[cfg(unix)]
        let changed = {
            use std::os::unix::fs::MetadataExt;
            (metadata.ctime(), metadata.ctime_nsec(), metadata.ino())
        };
        #[cfg(not(unix))]
        let changed = (0, 0, 0);
        let modified = modified.unwrap_or_default().as_nanos();
        Ok(FileStamp { length: metadata.len(), modified, changed })
    }

    /// The stamp as one line of text.
    pub fn text(&self) -> String {
        let FileStamp { length, modified, changed: (seconds, nanoseconds, inode) } = self;
        format!("{length} {modified} {seconds}.{nanoseconds} {inode}")
    }
}

/// What the names of unfinished files and folders begin with.
const UNFINISHED: &str = ".writing-";

/// Flushes the names in a folder to the disk. Elsewhere than on Unix, a folder cannot be opened for that.
fn flush_names(folder: &Path) -> std::io::Result<()> {
    if cfg!(unix) { File::open(folder)?.sync_all() } else { Ok(()) }
}

/// The kind of a file by its first bytes, for messages.
pub(crate) fn kind_of_file(start: &[u8]) -> &'static str {
    match start {
        [] => "empty",
        [0x80, 2..=5, ..] => "a Python pickle",
        [0x89, b'H', b'D', b'F', ..] => "an HDF5 file",
        [_, _, _, 0, 0, 0, 0, 0, b'{', ..] => "a safetensors file",
        [0x08, _, 0x12, ..] => "an ONNX file",
        _ if start.iter().all(|byte| byte.is_ascii_graphic() || byte.is_ascii_whitespace()) => "a text file",
        _ => "a file of an unknown kind",
    }
}

/// Called before each write, flush and rename: where tests let them fail.
#[cfg(not(test))]
fn step() -> std::io::Result<()> {
    Ok(())
}

#[cfg(test)]
pub(crate) use failing::{fail_at, step};

#[cfg(test)]
mod failing {
    use std::cell::Cell;

    thread_local! {
        static LEFT: Cell<Option<usize>> = const { Cell::new(None) };
    }

    /// Lets the step of that number (from 0) of this thread fail, and every one after it; none ends that.
    pub fn fail_at(step: Option<usize>) {
        LEFT.set(step);
    }

    pub fn step() -> std::io::Result<()> {
        match LEFT.get() {
            Some(0) => Err(std::io::Error::from(std::io::ErrorKind::StorageFull)),
            Some(left) => {
                LEFT.set(Some(left - 1));
                Ok(())
            }
            None => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use anyhow::bail;

    #[test]
    #[cfg(unix)]
    fn links_stay_and_what_they_lead_to_is_written() {
        let folder = tempfile::tempdir().unwrap();
        let [file, link, lost] = ["file", "link", "lost"].map(|name| folder.path().join(name));
        fs::write(&file, "old").unwrap();
        std::os::unix::fs::symlink("file", &link).unwrap();
        std::os::unix::fs::symlink("nowhere", &lost).unwrap();
        write_whole(&link, b"new").unwrap();
        assert!(link.is_symlink() && fs::read(&file).unwrap() == b"new");
        write_whole(&lost, b"new").unwrap();
        assert!(lost.is_symlink() && fs::read(folder.path().join("nowhere")).unwrap() == b"new");
        // Who may read a file stays as it is.
        use std::os::unix::fs::PermissionsExt;
        fs::set_permissions(&file, fs::Permissions::from_mode(0o600)).unwrap();
        write_whole(&file, b"newer").unwrap();
        assert_eq!(fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o600);
        assert!(!takes_streams(&file) && !takes_streams(&link) && !takes_streams(Path::new("/dev/shm/file")));
        assert!(takes_streams(Path::new("/dev/stdout")) && takes_streams(Path::new("/dev/null")));
        assert!(takes_streams(Path::new("/dev/fd/1")));
    }

    #[test]
    fn a_failed_write_leaves_the_old_file_and_nothing_else() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("file");
        write_whole(&path, b"old").unwrap();
        let fault = write_whole_with(&path, |file| {
            file.write_all(b"half")?;
            bail!("the disk is full")
        });
        let fault = format!("{:#}", fault.unwrap_err());
        assert!(fault.contains("cannot write") && fault.contains("the disk is full"), "{fault}");
        assert_eq!(fs::read(&path).unwrap(), b"old");
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
    }

    #[test]
    fn a_file_is_locked_once_and_whoever_waits_gets_the_file_of_that_name() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("lock");
        let first = LockedFile::try_lock(&path).unwrap().unwrap();
        assert!(LockedFile::try_lock(&path).unwrap().is_none());
        let (send, receive) = std::sync::mpsc::channel();
        let waiting = {
            let path = path.clone();
            std::thread::spawn(move || LockedFile::lock(&path, || send.send(()).unwrap()).unwrap())
        };
        receive.recv().unwrap();
        // The other thread waits for the lock of this file, which loses its name.
        first.remove();
        let second = waiting.join().unwrap();
        assert!(path.exists() && LockedFile::try_lock(&path).unwrap().is_none());
        second.remove();
        assert!(!path.exists());
    }

    #[test]
    fn only_the_end_of_a_file_is_written_and_a_known_beginning_is_not() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("below").join("log");
        write_end(&path, 0, b"one\n").unwrap();
        write_end(&path, 4, b"two\n").unwrap();
        assert_eq!(fs::read(&path).unwrap(), b"one\ntwo\n");
        write_end(&path, 0, b"one\nthree").unwrap();
        assert_eq!(fs::read(&path).unwrap(), b"one\nthree");
        write_end(&path, 4, b"").unwrap();
        assert_eq!(fs::read(&path).unwrap(), b"one\n");
        assert!(write_end(&path, 5, b"x").is_err(), "another program has cut it");
        let gone = folder.path().join("no").join("folder").join("log");
        assert!(write_end(&gone, 0, b"x").is_err() && !folder.path().join("no").exists());
    }

    #[test]
    fn what_is_appended_is_all_there_and_nothing_is_made_anew() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("file");
        assert_eq!(append(&path, b"x").unwrap_err().kind(), std::io::ErrorKind::NotFound);
        fs::write(&path, "one\n").unwrap();
        append(&path, b"two\n").unwrap();
        assert_eq!(fs::read(&path).unwrap(), b"one\ntwo\n");
    }

    #[test]
    fn what_a_killed_process_left_is_removed_and_nothing_else() {
        let folder = tempfile::tempdir().unwrap();
        fs::create_dir(folder.path().join(".writing-a")).unwrap();
        fs::write(folder.path().join(".writing-a").join("x"), "half").unwrap();
        fs::write(folder.path().join(".writing-b"), "half").unwrap();
        fs::write(folder.path().join("whole"), "whole").unwrap();
        remove_unfinished(folder.path());
        let left = fs::read_dir(folder.path()).unwrap().map(|entry| entry.unwrap().file_name());
        assert_eq!(left.collect::<Vec<_>>(), ["whole"]);
    }

    #[test]
    fn a_file_system_without_locks_is_known_by_its_faults() {
        for (code, expected) in [(38, true), (37, true), (95, true), (5, false), (28, false)] {
            let fault = std::io::Error::from_raw_os_error(code);
            assert_eq!(has_no_locks(&fault), expected && cfg!(target_os = "linux"), "{fault}");
        }
    }

    #[test]
    fn a_stamp_changes_with_its_file() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("file");
        fs::write(&path, b"old").unwrap();
        let before = FileStamp::of(&path).unwrap();
        assert_eq!(FileStamp::of(&path).unwrap(), before);
        fs::write(&path, b"older").unwrap();
        let after = FileStamp::of(&path).unwrap();
        assert!(after != before && after.text() != before.text());
        assert!(FileStamp::of(&folder.path().join("none")).is_err());
    }
}
