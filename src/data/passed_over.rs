//! Which files and folders are no data, whatever the format: what systems, tools and earlier runs leave
//! behind. The one place that decides it.

use anyhow::{Context, Result};
use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

/// Names that operating systems, network storage and archives leave, in lower case. Hidden names, which begin
/// with a dot, need no list.
const SYSTEM_NAMES: [&str; 12] = [
    "__macosx",
    "thumbs.db",
    "ehthumbs.db",
    "desktop.ini",
    "icon\r",
    "@eadir",
    "#recycle",
    "#snapshot",
    "$recycle.bin",
    "system volume information",
    "lost+found",
    "__pycache__",
];

/// Why a file or folder is passed over.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Reason {
    Hidden,
    System,
    Run,
}

impl Reason {
    /// Why what lies at a path is no data; none if it may be some.
    pub fn of(path: &Path) -> Option<Reason> {
        let name = path.file_name()?.to_string_lossy().to_lowercase();
        if name.starts_with('.') {
            Some(Reason::Hidden)
        } else if SYSTEM_NAMES.contains(&name.as_str()) || name.starts_with("~$") {
            Some(Reason::System)
        } else if is_run(path) || holds_runs_alone(path) {
            Some(Reason::Run)
        } else {
            None
        }
    }

    fn name(self) -> &'static str {
        match self {
            Reason::Hidden => "hidden",
            Reason::System => "left by a system or archive",
            Reason::Run => "of fitch runs",
        }
    }
}

/// Whether a folder is that of a run, finished or not.
fn is_run(folder: &Path) -> bool {
    folder.join("run.json").is_file() || folder.join("run.lock").is_file()
}

/// Whether a folder holds folders of runs and no other folders, as `runs` does.
fn holds_runs_alone(folder: &Path) -> bool {
    let mut folders = fs::read_dir(folder).into_iter().flatten().flatten().map(|entry| entry.path());
    let mut found = false;
    let runs_alone = folders.all(|path| {
        found |= path.is_dir();
        !path.is_dir() || is_run(&path)
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
