//! The runs below a folder, looked at again only as far as they may have changed.

use crate::commands::epochs_so_far::EpochsSoFar;
use crate::commands::runs::find_runs;
use crate::config;
use anyhow::Result;
use fitch::run::{RunFolder, RunRecord};
use serde_json::{Map, Value, json};
use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

/// Looking for new runs takes at most one part in this many of the time.
const SHARE: u32 = 100;
const MIN_INTERVAL: Duration = Duration::from_millis(900);
/// A run of another machine, whose process cannot be seen from here, is at work if it has written lately.
const LATELY: Duration = Duration::from_secs(60);
/// Options that differ without meaning anything.
const PLACES: [&str; 4] = ["out", "data_dir", "progress", "config"];

/// What changes about a file when it does.
type Stamp = (u64, SystemTime);

pub struct Watched {
    root: PathBuf,
    runs: BTreeMap<String, Run>,
    /// Grows with every change, also from one start of this program to the next.
    version: u64,
    started: u64,
    removed: Vec<(u64, String)>,
    next_search: Instant,
}

struct Run {
    folder: RunFolder,
    record_stamp: Option<Stamp>,
    history_stamp: Option<Stamp>,
    record: Option<RunRecord>,
    so_far: EpochsSoFar,
    is_running: bool,
    /// Whether it may have another summary than before.
    has_changed: bool,
    /// What the page shows of the run.
    summary: Value,
    /// When that changed last.
    version: u64,
}

impl Watched {
    pub fn new(root: PathBuf) -> Watched {
        let started = SystemTime::now().duration_since(UNIX_EPOCH).map_or(1, |time| time.as_micros() as u64);
        Watched {
            root,
            runs: BTreeMap::new(),
            version: started,
            started,
            removed: Vec::new(),
            next_search: Instant::now(),
        }
    }

    /// What has changed since a version, which the last answer named, as JSON.
    pub fn changes(&mut self, since: u64) -> Value {
        self.look();
        let changed = self.runs.values().filter(|run| run.version > since).map(|run| &run.summary);
        let removed = self.removed.iter().filter(|(version, _)| *version > since).map(|(_, id)| id);
        json!({
            "version": self.version,
            // Whoever knows more than this program has seen begins anew.
            "all": since < self.started || since > self.version,
            "runs": changed.collect::<Vec<_>>(),
            "removed": removed.collect::<Vec<_>>(),
        })
    }

    /// The folder of a run that was found, and whether the run has ended.
    pub fn run(&mut self, id: &str) -> Option<(RunFolder, bool)> {
        if !self.runs.contains_key(id) {
            self.look();
        }
        let run = self.runs.get(id)?;
        Some((run.folder.clone(), run.record.as_ref().is_some_and(|record| record.stop_reason.is_some())))
    }

    fn look(&mut self) {
        let start = Instant::now();
        let searches = start >= self.next_search;
        if searches {
            self.search();
            self.next_search = Instant::now() + MIN_INTERVAL.max(start.elapsed() * SHARE);
        }
        let mut has_new_records = false;
        for run in self.runs.values_mut() {
            let has_ended = run.record.as_ref().is_some_and(|record| record.stop_reason.is_some());
            if searches || !has_ended {
                has_new_records |= run.look();
            }
        }
        self.tell(has_new_records);
    }

    /// Finds new runs, and forgets those that are gone.
    fn search(&mut self) {
        let mut found = Vec::new();
        // A folder that cannot be read now may be readable later.
        let _ = find_runs(&self.root, &mut found);
        let mut ids = HashSet::new();
        for folder in found {
            let below = folder.path().strip_prefix(&self.root).unwrap_or(folder.path());
            let id = match below.as_os_str().is_empty() {
                true => folder.name(),
                false => below.to_string_lossy().into_owned(),
            };
            ids.insert(id.clone());
            self.runs.entry(id).or_insert_with(|| Run::new(folder));
        }
        let gone: Vec<String> = self.runs.keys().filter(|id| !ids.contains(*id)).cloned().collect();
        for id in gone {
            self.runs.remove(&id);
            self.version += 1;
            self.removed.push((self.version, id));
        }
    }

    /// Gives every run whose summary is another one than before a new version.
    fn tell(&mut self, has_new_records: bool) {
        let mut varied: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
        if has_new_records {
            let mut groups: BTreeMap<&str, Vec<&Value>> = BTreeMap::new();
            for (id, run) in &self.runs {
                groups.entry(group(id)).or_default().extend(run.record.as_ref().map(|record| &record.config));
            }
            varied = groups
                .into_iter()
                .map(|(group, configs)| (group.to_string(), varied_options(&configs)))
                .collect();
        }
        for (id, run) in &mut self.runs {
            if !has_new_records && !std::mem::take(&mut run.has_changed) {
                continue;
            }
            let options = match varied.get(group(id)) {
                Some(names) => options_of(run.record.as_ref(), names),
                None => run.summary["options"].clone(),
            };
            let summary = run.summarize(id, options);
            if summary != run.summary {
                self.version += 1;
                (run.summary, run.version) = (summary, self.version);
            }
        }
    }
}

impl Run {
    fn new(folder: RunFolder) -> Run {
        Run {
            folder,
            record_stamp: None,
            history_stamp: None,
            record: None,
            so_far: EpochsSoFar::default(),
            is_running: false,
            has_changed: true,
            summary: Value::Null,
            version: 0,
        }
    }

    /// Reads what has changed. Returns whether there is a new record.
    fn look(&mut self) -> bool {
        let record_stamp = stamp(&self.folder.record_file());
        let is_new = record_stamp != self.record_stamp;
        if is_new {
            self.record_stamp = record_stamp;
            let record = RunRecord::load(&self.folder).ok().filter(|_| record_stamp.is_some());
            // Runs are compared by what was asked for.
            self.record = record.map(|record| RunRecord { config: record.asked_config(), ..record });
            self.so_far = EpochsSoFar::default();
            self.history_stamp = None;
            self.has_changed = true;
        }
        let Some(record) = &self.record else { return is_new };
        let history = self.folder.history_file();
        let history_stamp = stamp(&history);
        if history_stamp.is_some() && history_stamp != self.history_stamp {
            self.history_stamp = history_stamp;
            self.has_changed = true;
            let direction = config::direction_of(&record.monitor);
            // What cannot be read now is read when it changes.
            let _ = self.so_far.look(&history, &record.monitor, direction);
        }
        let is_running = record.stop_reason.is_none() && self.has_process();
        self.has_changed |= is_running != self.is_running;
        self.is_running = is_running;
        is_new
    }

    /// Whether a process is at work on it: that of its lock or, on another machine, one that writes.
    fn has_process(&self) -> bool {
        let Ok(holder) = fs::read_to_string(self.folder.file("run.lock")) else { return false };
        let process = holder.trim().strip_prefix("process ").and_then(|number| number.parse::<u32>().ok());
        let is_here = process.is_some_and(|number| Path::new("/proc").join(number.to_string()).exists());
        let is_recent = |stamp: &Option<Stamp>| {
            stamp.is_some_and(|(_, time)| time.elapsed().map_or(true, |elapsed| elapsed < LATELY))
        };
        is_here || is_recent(&self.history_stamp) || is_recent(&self.record_stamp)
    }

    fn summarize(&self, id: &str, options: Value) -> Value {
        let Some(record) = &self.record else {
            return json!({ "id": id, "group": group(id), "state": "unreadable record", "options": {} });
        };
        let state = match &record.stop_reason {
            Some(reason) => reason.replace('_', " "),
            None if self.is_running => "running".to_string(),
            None => "unfinished".to_string(),
        };
        let (epoch_so_far, best_so_far) = self.so_far.best.unzip();
        json!({
            "id": id,
            "group": group(id),
            "state": state,
            "data": record.dataset.name,
            "epochs": self.so_far.epochs,
            "of": record.config["epochs"],
            "monitor": record.monitor,
            "best": record.best_value.filter(|_| !self.is_running).or(best_so_far),
            "best_epoch": record.best_epoch.filter(|_| !self.is_running).or(epoch_so_far),
            "test_accuracy": record.test_accuracy,
            "test_accuracy_interval": record.test_accuracy_interval,
            "test_loss": record.test_loss,
            "seconds": record.seconds,
            "started": record.started,
            "options": options,
        })
    }
}

/// The folder that a run lies in, with its neighbours.
fn group(id: &str) -> &str {
    id.rsplit_once('/').map_or("", |(group, _)| group)
}

/// The stamp of a file that is one, and no link to another.
fn stamp(path: &Path) -> Option<Stamp> {
    let metadata = path.symlink_metadata().ok().filter(fs::Metadata::is_file)?;
    Some((metadata.len(), metadata.modified().ok()?))
}

/// The options that differ from run to run.
fn varied_options(configs: &[&Value]) -> BTreeSet<String> {
    let names: BTreeSet<&String> =
        configs.iter().filter_map(|config| config.as_object()).flat_map(Map::keys).collect();
    let differs = |name: &&String| {
        !PLACES.contains(&name.as_str())
            && configs.iter().any(|config| config[name.as_str()] != configs[0][name.as_str()])
    };
    names.into_iter().filter(differs).cloned().collect()
}

fn options_of(record: Option<&RunRecord>, names: &BTreeSet<String>) -> Value {
    let value = |name: &String| Some((name.clone(), record?.config[name.as_str()].clone()));
    Value::Object(names.iter().filter_map(value).collect())
}

/// The files of a run that a page is made from, if none of them leads elsewhere.
pub fn check_plain(folder: &RunFolder) -> Result<()> {
    for name in ["run.json", "history.csv", "summary.txt", "confusion.csv", "report.html", "mistakes.csv"] {
        let metadata = folder.file(name).symlink_metadata();
        anyhow::ensure!(
            metadata.map_or(true, |metadata| metadata.is_file()),
            "{name} is not a file of the run's own"
        );
    }
    Ok(())
}
