//! Which files and folders are no data, whatever the format: what systems, tools and earlier runs leave
//! behind. The one place that decides it.

use anyhow::{Context, Result};
use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

/// Names that operating systems, network storage and archives leave, in lower case. Hidden names, which begin
/// with a dot, need no list.
const SYSTEM_NAMES: [&str; 19] = [
    "__macosx",
    "_ds_store",
    "thumbs.db",
    "ehthumbs.db",
    "ehthumbs_vista.db",
    "desktop.ini",
    "icon\r",
    "@eadir",
    "@__thumb",
    "@recycle",
    "@tmp",
    "#recycle",
    "#snapshot",
    "$recycle.bin",
    "system volume information",
    "lost+found",
    "network trash folder",
    "temporary items",
    "__pycache__",
];

/// What fitch calls the folders of its runs by default.
const RUN_FOLDERS: [&str; 2] = ["runs", "sweeps"];

/// Why a file or folder is passed over.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Reason {
    Hidden,
    System,
    Run,
    /// An image beside a PNG file of its name, made from it.
    Copied,
}

impl Reason {
    /// Why what lies at a path is no data; none if it may be some.
    pub fn of(path: &Path) -> Option<Reason> {
        Reason::of_name(path).or_else(|| path.is_dir().then(|| Reason::of_folder(path)).flatten())
    }

    /// The same by the name alone: all that matters about files.
    pub fn of_name(path: &Path) -> Option<Reason> {
        let name = path.file_name()?.to_string_lossy().to_lowercase();
        let is_of_system = SYSTEM_NAMES.contains(&name.as_str())
            || name.starts_with("~$")
            || name.ends_with(":zone.identifier");
        match name.as_bytes() {
            [b'.', ..] => Some(Reason::Hidden),
            _ if is_of_system => Some(Reason::System),
            _ => None,
        }
    }

    /// The same by what a folder holds.
    pub fn of_folder(folder: &Path) -> Option<Reason> {
        (is_run(folder) || is_cache(folder) || holds_runs_alone(folder, MAX_RUN_DEPTH)).then_some(Reason::Run)
    }

    fn name(self) -> &'static str {
        match self {
            Reason::Hidden => "hidden",
            Reason::System => "left by a system or archive",
            Reason::Run => "of fitch runs",
            Reason::Copied => "beside a PNG file of the same name",
        }
    }
}

/// Whether a folder is that of a run, finished or not.
fn is_run(folder: &Path) -> bool {
    folder.join("run.json").is_file() || folder.join("run.lock").is_file()
}

/// Whether decoded images are kept in a folder, or in the one below it that is called so.
fn is_cache(folder: &Path) -> bool {
    let is_kept = |path: PathBuf| {
        let name = path.file_name().unwrap_or_default().as_encoded_bytes();
        name.len() == 64 && name.iter().all(u8::is_ascii_hexdigit) && path.join("manifest.json").is_file()
    };
    [folder.to_path_buf(), folder.join("decoded")].iter().any(|folder| {
        let entries = fs::read_dir(folder).into_iter().flatten().flatten();
        entries.take(100).any(|entry| is_kept(entry.path()))
    })
}

/// Sweeps hold folders of runs, and a folder may hold several sweeps.
const MAX_RUN_DEPTH: usize = 3;

/// Whether a folder holds folders of runs and no other data, as `runs` does: neither other folders nor, unless
/// its name is one of ours, images.
fn holds_runs_alone(folder: &Path, max_depth: usize) -> bool {
    let name = folder.file_name().unwrap_or_default().to_string_lossy().to_lowercase();
    let may_hold_images = RUN_FOLDERS.contains(&name.as_str());
    let is_image = |path: &Path| {
        let ending = path.extension().unwrap_or_default().to_string_lossy().to_lowercase();
        ["png", "jpg", "jpeg", "bmp", "webp", "gif", "tif", "tiff"].contains(&ending.as_str())
    };
    let mut found = false;
    let entries = fs::read_dir(folder).into_iter().flatten().flatten();
    let runs_alone = entries.filter(|entry| Reason::of_name(&entry.path()).is_none()).all(|entry| {
        let path = entry.path();
        // The type of an entry comes with its name, unless it is a link.
        let is_folder = match entry.file_type() {
            Ok(kind) if !kind.is_symlink() => kind.is_dir(),
            _ => path.is_dir(),
        };
        if !is_folder {
            return may_hold_images || !is_image(&path);
        }
        found = true;
        is_run(&path) || (max_depth > 0 && holds_runs_alone(&path, max_depth - 1))
    });
    found && runs_alone
}

/// What was passed over: how many files and folders for each reason, and the first of them.
#[derive(Debug, Default)]
pub(super) struct PassedOver {
    counts: BTreeMap<Reason, (usize, PathBuf)>,
}

impl PassedOver {
    /// Whether a file or folder is no data; if so, it is counted.
    pub fn takes(&mut self, path: &Path) -> bool {
        let reason = Reason::of(path);
        self.count(path, reason)
    }

    /// Counts what was passed over for a reason.
    #[cfg_attr(not(feature = "images"), allow(dead_code))]
    pub fn add(&mut self, path: &Path, reason: Reason) {
        self.count(path, Some(reason));
    }

    fn count(&mut self, path: &Path, reason: Option<Reason>) -> bool {
        if let Some(reason) = reason {
            self.counts.entry(reason).or_insert((0, path.to_path_buf())).0 += 1;
        }
        reason.is_some()
    }

    /// The entries of a folder that may be data, sorted by name.
    ///
    /// # Errors
    /// The folder cannot be read.
    pub fn entries(&mut self, folder: &Path) -> Result<Vec<PathBuf>> {
        let unreadable = || format!("cannot read {}", folder.display());
        let mut entries = Vec::new();
        for entry in fs::read_dir(folder).with_context(unreadable)? {
            let path = entry.with_context(unreadable)?.path();
            if !self.takes(&path) {
                entries.push(path);
            }
        }
        entries.sort();
        Ok(entries)
    }

    /// What users should know: `passed over: 3 hidden (cat/.1.png)`.
    pub fn note(&self) -> Option<String> {
        let of_reason = |(reason, (count, first)): (&Reason, &(usize, PathBuf))| {
            format!("{count} {} ({})", reason.name(), first.display())
        };
        let reasons: Vec<String> = self.counts.iter().map(of_reason).collect();
        (!reasons.is_empty()).then(|| format!("passed over: {}", reasons.join(", ")))
    }
}

/// The entries of a folder that may be data, sorted by name; none if it cannot be read.
pub(super) fn entries(folder: &Path) -> Vec<PathBuf> {
    PassedOver::default().entries(folder).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_systems_tools_and_runs_leave_is_passed_over_and_counted() {
        let folder = tempfile::tempdir().unwrap();
        let add = |name: &str| {
            let path = folder.path().join(name);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, "").unwrap();
        };
        for name in [
            "cat/1.png",
            ".ipynb_checkpoints/1.png",
            "._1.png",
            "__MACOSX/1.png",
            "Thumbs.db",
            "@eaDir/1.png",
            "runs/a/run.json",
            "runs/b/run.lock",
            "one/run.json",
            "train.csv",
            "~$train.csv",
        ] {
            add(name);
        }
        let mut passed = PassedOver::default();
        let names = passed.entries(folder.path()).unwrap();
        let names: Vec<_> = names.iter().map(|path| path.file_name().unwrap().to_str().unwrap()).collect();
        assert_eq!(names, ["cat", "train.csv"]);
        let note = passed.note().unwrap();
        for part in ["passed over: 2 hidden (", "4 left by a system or archive (", "2 of fitch runs ("] {
            assert!(note.contains(part), "{note}");
        }
        // A class that is called so, beside a run that was written into it.
        add("runs/cat.png");
        add("runs/tabby/1.png");
        assert!(entries(folder.path()).iter().any(|path| path.ends_with("runs")));
        assert!(passed.entries(&folder.path().join("none")).is_err());
        assert!(PassedOver::default().note().is_none());
    }
}
