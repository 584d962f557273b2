//! Many trainings by one plan.

use crate::place::{Finished, Place, wait_until};
use std::fs;
use std::process::{Child, Stdio};

const PLAN: &str = "\
[options]
layers = 'dense 16, relu'
epochs = 2
threads = 1

[vary]
learning-rate = [0.0001, 0.01]
seed = [0, 1]
";

impl Place {
    fn with_plan(plan: &str) -> Place {
        let place = Place::new();
        fs::write(place.path("plan.toml"), plan).unwrap();
        place
    }

    fn sweep(&self, arguments: &[&str]) -> Finished {
        self.run(&[&["sweep", "plan.toml"], arguments].concat())
    }

    /// The rows of results.csv, the head first.
    fn results(&self, folder: &str) -> Vec<Vec<String>> {
        let path = self.path(folder).join("results.csv");
        let mut reader = csv::ReaderBuilder::new().has_headers(false).from_path(path).unwrap();
        reader.records().map(|row| row.unwrap().iter().map(str::to_string).collect()).collect()
    }
}

#[test]
fn every_combination_is_trained_and_the_best_by_validation_is_named() {
    let place = Place::with_plan(PLAN);
    let finished = place.sweep(&[]).well();
    let rows = place.results("sweeps/plan");
    assert_eq!(
        rows[0].join(","),
        "run,learning-rate,seed,stop_reason,epochs_run,monitor,best_epoch,best_value,test_accuracy,test_loss,seconds"
    );
    let varied: Vec<&[String]> = rows[1..].iter().map(|row| &row[..3]).collect();
    assert_eq!(
        varied,
        [["001", "0.0001", "0"], ["002", "0.0001", "1"], ["003", "0.01", "0"], ["004", "0.01", "1"]]
    );
    let losses = rows[1..].iter().map(|row| row[7].parse::<f64>().unwrap());
    let best = losses.enumerate().min_by(|a, b| a.1.total_cmp(&b.1)).unwrap().0;
    assert!(finished.stdout.contains(&format!("the best is sweeps/plan/00{}", best + 1)), "{finished:?}");
    // A run of a sweep is a run like any other.
    place.train(&["--config", "sweeps/plan/003.toml", "--out", "by-hand"]).well();
    assert_eq!(place.history("sweeps/plan/003"), place.history("by-hand"));
    let record = place.record("sweeps/plan/003");
    assert_eq!(record["test_accuracy"].to_string(), rows[3][8]);
    assert!(place.read("sweeps/plan/003.log").contains("test accuracy"));

    let again = place.sweep(&[]).well();
    assert!(!again.stderr.contains("run 001:"), "nothing is trained twice: {again:?}");
    assert_eq!(again.stdout, finished.stdout);
    assert_eq!(place.sweep(&["--table"]).well().stdout, finished.stdout);
}

fn start(place: &Place, arguments: &[&str]) -> Child {
    let mut command = place.command(&[&["sweep", "plan.toml"], arguments].concat());
    command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap()
}

#[cfg(target_os = "linux")]
#[test]
fn a_sweep_that_was_interrupted_or_killed_goes_on_to_the_same_end() {
    // Long enough to be met in the middle of a run.
    let plan = PLAN.replace("epochs = 2", "epochs = 60\npatience = 60");
    let undisturbed = Place::with_plan(&plan);
    undisturbed.sweep(&[]).well();
    let place = Place::with_plan(&plan);
    let has_checkpoint = |run: &str| !place.names(&format!("sweeps/plan/{run}/checkpoint")).is_empty();

    let child = start(&place, &["--processes", "1"]);
    wait_until("checkpoint of the first run", || has_checkpoint("001"));
    // SAFETY: the process was not waited for yet.
    unsafe { libc::kill(child.id() as libc::pid_t, libc::SIGTERM) };
    let finished = Finished::from(child.wait_with_output().unwrap());
    assert_eq!(finished.code, Some(130), "{finished:?}");
    assert!(finished.stderr.contains("the same command continues from here"), "{finished:?}");
    assert_eq!(place.record("sweeps/plan/001")["stop_reason"], "interrupted");
    assert!(!place.path("sweeps/plan/002").exists());

    let mut child = start(&place, &["--processes", "2"]);
    wait_until("checkpoint of a later run", || has_checkpoint("002"));
    child.kill().unwrap();
    child.wait().unwrap();

    // Its trainings end with it, in a moment that the next sweep waits for.
    place.sweep(&[]).well();
    for run in ["001", "002", "003", "004"] {
        let run = format!("sweeps/plan/{run}");
        assert_eq!(place.history(&run), undisturbed.history(&run), "{run}");
    }
}

#[test]
fn a_run_that_fails_is_named_and_stops_no_other() {
    let place = Place::with_plan(&PLAN.replace("seed = [0, 1]", "dataset = ['broken', 'digits']"));
    fs::create_dir(place.path("broken")).unwrap();
    let finished = place.sweep(&[]).with_fault(1, &["error: sweeps/plan/001: ended with", "broken: has no"]);
    assert!(finished.stdout.contains("the best is sweeps/plan/004"), "{finished:?}");
    let ends: Vec<String> = place.results("sweeps/plan").into_iter().map(|row| row[3].clone()).collect();
    assert_eq!(ends, ["stop_reason", "", "completed", "", "completed"]);
}

#[test]
fn gpus_that_do_not_work_leave_the_runs_to_the_cpu() {
    let place = Place::with_plan(PLAN);
    let Some(folder) = place.fake_driver("sweep") else { return };
    let finished = place.command(&["sweep", "plan.toml"]).env("LD_LIBRARY_PATH", folder).output().unwrap();
    let finished = Finished::from(finished).well();
    assert!(finished.stderr.contains("run 001: learning-rate 0.0001, seed 0\n"), "{finished:?}");
    assert!(place.read("sweeps/plan/001.log").contains("device: cpu ("));
    assert_eq!(place.results("sweeps/plan").len(), 5);
}

#[test]
fn slurm_gives_a_gpu_to_runs_that_ask_for_one() {
    for (device, asks) in [("cuda", true), ("cuda:0", true), ("auto", false), ("cpu", false)] {
        let place = Place::with_plan(&PLAN.replace("threads = 1", &format!("device = '{device}'")));
        let script = place.sweep(&["--slurm"]).well().stdout;
        assert_eq!(script.contains("#SBATCH --gres=gpu:1\n"), asks, "{device}: {script}");
    }
}

#[test]
fn a_run_alone_and_a_job_array_of_them() {
    let place = Place::with_plan(PLAN);
    let script =
        place.sweep(&["--slurm", "--out", "it's here", "--processes", "3", "--threads", "4"]).well().stdout;
    assert!(script.starts_with("#!/bin/sh\n"), "{script}");
    for line in [
        "#SBATCH --signal=B:TERM@60\n",
        "#SBATCH --array=1-4%3\n",
        "#SBATCH --cpus-per-task=4\n",
        "#SBATCH --job-name=fitch-it-s-here\n",
    ] {
        assert!(script.contains(line), "no {line} in {script}");
    }
    assert!(!script.contains("gres") && !place.path("it's here").exists());
    // What Slurm does with it, for one task.
    fs::write(place.path("job.sh"), &script).unwrap();
    let mut shell = std::process::Command::new("sh");
    shell.arg("job.sh").current_dir(place.path("")).env_clear().env("GOMP_SPINCOUNT", "2000");
    shell.env("HOME", place.path("")).env("SLURM_ARRAY_TASK_ID", "3");
    Finished::from(shell.output().unwrap()).well();
    assert_eq!(
        place.names("it's here").iter().filter(|name| !name.contains('.')).collect::<Vec<_>>(),
        ["003"]
    );
    let table = place.sweep(&["--table", "--out", "it's here"]).well().stdout;
    assert!(table.contains("the best is it's here/003"), "{table}");
}

/// Each of its runs printed an error.
#[test]
fn another_sweep_in_the_same_folder_is_told_of_the_first() {
    let place = Place::with_plan(&PLAN.replace("epochs = 2", "epochs = 100000\nno-early-stopping = true"));
    let mut first = start(&place, &["--processes", "1"]);
    wait_until("run", || place.path("sweeps/plan/001/history.csv").exists());
    let told = format!("sweeps/plan: another sweep is at work here (process {})", first.id());
    let finished = place.sweep(&[]).with_fault(1, &[&told]);
    assert_eq!(finished.stderr.matches("error:").count(), 1, "{finished:?}");
    assert!(place.sweep(&["--table"]).well().stdout.contains("no run has finished yet"));
    first.kill().unwrap();
    first.wait().unwrap();
}

/// A process group is signalled as a whole: the training got the signal from the system and from the sweep.
#[cfg(target_os = "linux")]
#[test]
fn a_signal_to_a_sweep_and_its_training_together_leaves_both_whole() {
    let place = Place::with_plan(
        "[options]\nlayers = 'dense 300, dense 300'\nbatch-size = 1\nepochs = 1000\n[vary]\nseed = [0]\n",
    );
    let mut sweep = start(&place, &["--processes", "1"]);
    wait_until("training", || place.path("sweeps/plan/001/history.csv").exists());
    let children =
        std::process::Command::new("pgrep").args(["-P", &sweep.id().to_string()]).output().unwrap();
    let child: i32 = String::from_utf8(children.stdout).unwrap().trim().parse().unwrap();
    for process in [child, sweep.id() as i32, child] {
        // SAFETY: neither was waited for yet.
        unsafe { libc::kill(process, libc::SIGTERM) };
    }
    assert_eq!(sweep.wait().unwrap().code(), Some(130));
    assert_eq!(place.record("sweeps/plan/001")["stop_reason"], "interrupted");
    assert!(place.path("sweeps/plan/001/model.pt").exists());
}

#[test]
fn wrong_plans_and_numbers_are_told() {
    let place = Place::with_plan("[vary]\nseed = [0, -1]\n");
    place.sweep(&[]).with_fault(2, &["plan.toml: run 2: --seed -1"]);
    place.run(&["sweep", "missing.toml"]).with_fault(1, &["cannot read missing.toml"]);
    let place = Place::with_plan(PLAN);
    place.sweep(&["--run", "5"]).with_fault(2, &["--run 5: the plan has runs 1 to 4"]);
    place.sweep(&["--processes", "0"]).with_fault(2, &["--processes 0: must be"]);
    place.sweep(&["--per-gpu", "-1"]).with_fault(2, &["--per-gpu -1: must be"]);
    place.sweep(&["--run", "1"]).well();
    fs::write(place.path("plan.toml"), PLAN.replace("epochs = 2", "epochs = 3")).unwrap();
    place.sweep(&[]).with_fault(1, &["sweeps/plan/001.toml differs from the plan", "another --out"]);
}

#[test]
fn one_combination_is_trained_in_folds_and_data_that_change_are_noticed() {
    let place =
        Place::with_plan("folds = 2\n[options]\nepochs = 1\ndataset = 'rows.csv'\nlayers = 'dense 4'\n");
    let rows = |count: usize| {
        (0..count).map(|row| format!("{},{},{}\n", row % 2, row % 2 * 9, row)).collect::<String>()
    };
    place.write("", "rows.csv", format!("label,a,b\n{}", rows(60)).as_bytes());
    let told = place.sweep(&["--run", "1"]).well();
    assert!(!told.stderr.contains("the data have changed"), "{told:?}");
    place.write("", "rows.csv", format!("label,a,b\n{}", rows(80)).as_bytes());
    let told = place.sweep(&[]).well();
    assert!(told.stdout.contains("\n2 folds have a mean val_loss of "), "{told:?}");
    let changed =
        "the data have changed: 002 found other images than 001, so that their results cannot be compared";
    assert!(told.stderr.contains(changed), "{told:?}");
    for (plan, expected) in [
        ("[options]\nepochs = 1\n", "there is nothing to compare: [vary] lists values of options"),
        ("[options]\nfolds = 3\n[vary]\nseed = [1]\n", "folds: is a line above [options]"),
        ("folds = 'x'\n[vary]\nseed = [1]\n", "expected a whole number"),
    ] {
        place.write("", "plan.toml", plan.as_bytes());
        place.sweep(&[]).with_fault(2, &[expected]);
    }
}
