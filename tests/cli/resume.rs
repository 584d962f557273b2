//! A run that was stopped, in whatever way, goes on to the very bytes of one that never was.

use crate::place::{Finished, Place, idx, skipped, wait_until};
use rand::{Rng, SeedableRng};
use std::fs;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

/// A training of a second or two in which everything that has a state takes part.
const EVENTFUL: [&str; 16] = [
    "--layers",
    "dense 96, relu, dropout 0.3",
    "--epochs",
    "40",
    "--patience",
    "12",
    "--plateau-patience",
    "2",
    "--plateau-factor",
    "0.5",
    "--learning-rate",
    "0.01",
    "--batch-size",
    "64",
    "--checkpoint-every",
    "7",
];

/// Likewise, of what excludes those.
const SCHEDULED: [&str; 32] = [
    "--layers",
    "dense 96, relu, dropout 0.3",
    "--epochs",
    "30",
    "--patience",
    "30",
    "--schedule",
    "cosine",
    "--warm-up",
    "3",
    "--optimizer",
    "adamw",
    "--weight-decay",
    "0.01",
    "--clip-norm",
    "0.5",
    "--label-smoothing",
    "0.1",
    "--class-weights",
    "balanced",
    "--augment",
    "digits,photos,mixup,cutmix",
    "--ema",
    "0.98",
    "--accumulate",
    "2",
    "--metrics",
    "f1,auc,top3",
    "--monitor",
    "val_auc",
    "--checkpoint-every",
    "7",
];

/// A training that goes on until it is stopped; the limit is for a test that fails to.
const ENDLESS: [&str; 7] =
    ["--layers", "dense 8", "--epochs", "1000000", "--time-limit", "100s", "--no-early-stopping"];

/// Ends the test unless both runs left the same weights, model and history.
#[track_caller]
fn assert_same(place: &Place, run: &str, undisturbed: &str) {
    assert_eq!(place.history(run), place.history(undisturbed));
    for file in ["weights.safetensors", "model.pt", "confusion.csv"] {
        let bytes = |run: &str| fs::read(place.path(run).join(file)).unwrap();
        assert!(bytes(run) == bytes(undisturbed), "{file} differs");
    }
    let [record, other] = [place.record(run), place.record(undisturbed)];
    for key in
        ["stop_reason", "epochs_run", "best_epoch", "best_value", "weights_epoch", "test_loss", "config"]
    {
        // Where the run lies and what was shown of it is no part of it.
        let value = |record: &serde_json::Value| {
            let mut value = record[key].clone();
            if let Some(config) = value.as_object_mut() {
                config.retain(|name, _| name != "out" && name != "progress");
            }
            value
        };
        assert_eq!(value(&record), value(&other), "{key}");
    }
}

fn start(place: &Place, arguments: &[&str]) -> Child {
    let all = [&["train", "--threads", "1", "--progress", "none"], arguments].concat();
    place.command(&all).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap()
}

fn signal(child: &Child, name: &str) {
    assert!(Command::new("kill").args([name, &child.id().to_string()]).status().unwrap().success());
}

/// Waits until a run has a checkpoint.
fn wait_for_checkpoint(place: &Place, run: &str) {
    let names = || place.names(&format!("{run}/checkpoint"));
    wait_until("checkpoint", || names().iter().any(|name| name.starts_with('0')));
}

#[test]
fn a_run_that_was_interrupted_goes_on_to_the_same_bytes() {
    goes_on_when_interrupted(&EVENTFUL);
}

#[test]
fn an_interrupted_run_with_a_schedule_goes_on_to_the_same_bytes() {
    goes_on_when_interrupted(&SCHEDULED);
}

fn goes_on_when_interrupted(settings: &[&str]) {
    let place = Place::new();
    place.train(&[settings, &["--out", "undisturbed"]].concat()).well();
    for (number, name) in ["-INT", "-TERM", "-HUP"].into_iter().enumerate() {
        let run = format!("run{number}");
        let child = start(&place, &[settings, &["--out", &run]].concat());
        wait_for_checkpoint(&place, &run);
        sleep(Duration::from_millis(40 * number as u64));
        signal(&child, name);
        let interrupted: Finished = child.wait_with_output().unwrap().into();
        assert_eq!(interrupted.code, Some(130), "{interrupted:?}");
        assert_eq!(place.record(&run)["stop_reason"], "interrupted");
        let command = format!("fitch train --resume {run} continues from here");
        assert!(interrupted.stderr.contains(&command), "{interrupted:?}");
        let resumed = place.train(&["--resume", &run]).well();
        assert!(resumed.stderr.contains(&format!("resuming {run} in epoch ")), "{resumed:?}");
        assert_same(&place, &run, "undisturbed");
        assert!(!place.names(&run).contains(&"run.lock".to_string()));
    }
}

/// Kills runs at random moments, resumes them until they are done, and compares; gives the numbers of
/// runs and kills. `FITCH_TORTURE_KILLS` and `FITCH_TORTURE_SEED` ask for more, and for others.
#[test]
fn runs_killed_at_random_moments_go_on_to_the_same_bytes() {
    let number = |name: &str, default: u64| {
        std::env::var(name).map_or(default, |text| text.parse().expect("a whole number"))
    };
    let wanted = number("FITCH_TORTURE_KILLS", 25);
    let mut random = rand_chacha::ChaCha8Rng::seed_from_u64(number("FITCH_TORTURE_SEED", 1));
    let place = Place::new();
    place.train(&[&EVENTFUL[..], &["--out", "undisturbed"]].concat()).well();
    let (mut runs, mut kills, mut without_checkpoint) = (0, 0, 0);
    while kills < wanted {
        let run = format!("run{runs}");
        loop {
            let mut child =
                match place.names(&format!("{run}/checkpoint")).iter().any(|name| name.starts_with('0')) {
                    true => start(&place, &["--resume", &run]),
                    false => {
                        // Killed before its first checkpoint: there is nothing to go on from.
                        without_checkpoint += u64::from(place.path(&run).exists());
                        let _ = fs::remove_dir_all(place.path(&run));
                        start(&place, &[&EVENTFUL[..], &["--out", &run]].concat())
                    }
                };
            let patience = Duration::from_millis(random.gen_range(200..900));
            let began = Instant::now();
            while began.elapsed() < patience && child.try_wait().unwrap().is_none() {
                sleep(Duration::from_millis(1));
            }
            if child.try_wait().unwrap().is_some() {
                Finished::from(child.wait_with_output().unwrap()).well();
                break;
            }
            child.kill().unwrap();
            child.wait().unwrap();
            kills += 1;
            let ended = |text: String| {
                serde_json::from_str::<serde_json::Value>(&text).unwrap()["stop_reason"].is_string()
            };
            if fs::read_to_string(place.path(&run).join("run.json")).is_ok_and(ended) {
                break; // It had just written the last of its files.
            }
        }
        assert_same(&place, &run, "undisturbed");
        runs += 1;
        fs::remove_dir_all(place.path(&run)).unwrap();
    }
    use std::io::Write;
    let told = format!(
        "{kills} kills, {without_checkpoint} of them before a first checkpoint, over {runs} runs: the same bytes each time\n"
    );
    std::io::stderr().write_all(told.as_bytes()).unwrap();
}

#[test]
fn a_finished_run_goes_on_with_more_epochs_or_patience() {
    let place = Place::new();
    place.train_quickly("longer", &["--epochs", "6"]).well();
    place.train_quickly("run", &[]).well();
    place
        .train(&["--resume", "run"])
        .with_fault(1, &["run has run all of its 3 epochs", "a greater --epochs goes on"]);
    place.train(&["--resume", "run", "--epochs", "6"]).well();
    assert_same(&place, "run", "longer");

    let still = ["--epochs", "20", "--min-delta", "5"];
    place.train_quickly("patient", &[&still[..], &["--patience", "9"]].concat()).well();
    place.train_quickly("stopped", &[&still[..], &["--patience", "4"]].concat()).well();
    assert_eq!(place.record("stopped")["stop_reason"], "early_stopping");
    place
        .train(&["--resume", "stopped"])
        .with_fault(1, &["was ended by early stopping", "a greater --patience"]);
    place.train(&["--resume", "stopped", "--patience", "9"]).well();
    assert_same(&place, "stopped", "patient");
}

#[test]
fn what_cannot_change_is_refused_with_both_values() {
    let place = Place::new();
    place.train_quickly("run", &[]).well();
    let before = place.read("run/run.json");
    let finished = place.train(&[
        "--resume",
        "run",
        "--epochs",
        "9",
        "--layers",
        "dense 5",
        "--batch-size",
        "64",
        "--seed",
        "0",
        "--dataset",
        "mnist",
    ]);
    let finished = finished.with_fault(
        2,
        &[
            "--layers \"dense 5\": cannot change when a run is resumed; it was \"dense 32, relu, dropout 0.2\"",
            "--batch-size 64: cannot change when a run is resumed; it was 128",
            "--dataset \"mnist\": cannot change when a run is resumed; it was \"digits\"",
        ],
    );
    assert!(!finished.stderr.contains("--seed") && !finished.stderr.contains("--epochs"), "{finished:?}");
    assert_eq!(place.read("run/run.json"), before);
    place.train(&["--resume", "nowhere"]).with_fault(1, &["there is no folder nowhere"]);
}

#[test]
fn a_broken_checkpoint_is_named_and_the_one_before_it_taken() {
    let place = Place::new();
    // More steps than an epoch has: a checkpoint after each epoch, however short, and none within.
    let each = ["--checkpoint-every", "1000"];
    place.train_quickly("longer", &[&each[..], &["--epochs", "5"]].concat()).well();
    place.train_quickly("run", &each).well();
    let names = place.names("run/checkpoint");
    assert_eq!(names, ["00000002-0000000000", "00000003-0000000000", "history.tsv"]);
    let tensors = format!("run/checkpoint/{}", names[1]);
    let whole = fs::read(place.path(&tensors).join("tensors.safetensors")).unwrap();
    place.write(&tensors, "tensors.safetensors", &whole[..whole.len() - 1]);
    let finished = place.train(&["--resume", "run", "--epochs", "5"]).well();
    assert!(
        finished
            .stderr
            .contains("00000003-0000000000 is broken: tensors.safetensors is not as it was written")
    );
    assert!(finished.stderr.contains("resuming run in epoch 3\n"), "{finished:?}");
    assert_same(&place, "run", "longer");
    fs::remove_dir_all(place.path("run/checkpoint")).unwrap();
    place
        .train(&["--resume", "run", "--epochs", "9"])
        .with_fault(1, &["run has no whole checkpoint to go on from"]);
}

#[test]
fn bfloat16_goes_on_as_if_nothing_had_happened() {
    let place = Place::new();
    place.train_quickly("longer", &["--precision", "bf16", "--epochs", "6"]).well();
    place.train_quickly("run", &["--precision", "bf16"]).well();
    let other = place.train(&["--resume", "run", "--precision", "float32"]);
    other.with_fault(2, &["--precision \"float32\": cannot change when a run is resumed; it was \"bf16\""]);
    place.train(&["--resume", "run", "--epochs", "6"]).well();
    assert_same(&place, "run", "longer");
}

/// Version 0.1.0 had `--adam fused` and `--adam reference`.
#[test]
fn a_run_of_an_earlier_version_goes_on_unless_its_optimizer_is_gone() {
    let place = Place::new();
    place.train_quickly("run", &[]).well();
    let with_adam = |kind: &str| {
        let mut record = place.record("run");
        record["config"]["adam"] = kind.into();
        record["config"]["optimizer"] = serde_json::Value::Null;
        place.write("run", "run.json", record.to_string().as_bytes());
    };
    with_adam("reference");
    place.run(&["evaluate", "run"]).well();
    let finished = place.train(&["--resume", "run", "--epochs", "9"]);
    finished.with_fault(1, &["was trained with --adam reference", "cannot be resumed"]);
    with_adam("fused");
    place.run(&["evaluate", "run"]).well();
    place.train(&["--resume", "run", "--epochs", "4"]).well();
    let config = &place.record("run")["config"];
    assert!(config["optimizer"] == "adam" && config.get("adam").is_none(), "{config}");
}

#[test]
fn a_second_process_on_a_run_is_refused() {
    let place = Place::new();
    let mut first = start(&place, &[&ENDLESS[..], &["--out", "run"]].concat());
    wait_for_checkpoint(&place, "run");
    let named = format!("run is in use by process {}", first.id());
    place.train(&["--resume", "run"]).with_fault(1, &[&named]);
    first.kill().unwrap();
    first.wait().unwrap();
    assert!(place.names("run").contains(&"run.lock".to_string()), "a killed process cannot tidy up");
    place.train(&["--resume", "run", "--epochs", "1000000", "--time-limit", "1ms"]).well();
}

/// A run could not go on with the same data in another place.
#[test]
fn data_that_were_moved_are_the_same_data() {
    let place = Place::new();
    place.write_idx_set("pictures");
    place.write_idx_set("more");
    for name in ["t10k-images-idx3-ubyte", "t10k-labels-idx1-ubyte"] {
        fs::remove_file(place.path("more").join(name)).unwrap();
    }
    let with_validation = ["--dataset", "pictures", "--validation", "more"];
    place.train_quickly("run", &with_validation).well();
    place.train_quickly("longer", &[&with_validation[..], &["--epochs", "6"]].concat()).well();
    fs::rename(place.path("pictures"), place.path("moved")).unwrap();
    let finished = place.train(&["--resume", "run", "--epochs", "6"]);
    finished.with_fault(
        1,
        &[
            "run was trained on ",
            "pictures, which is not there any more",
            "hint: fitch train --resume run --dataset PATH takes the same data from another place",
        ],
    );
    place
        .run(&["evaluate", "run"])
        .with_fault(1, &["pictures, which is not there any more", "fitch evaluate run --dataset PATH"]);
    fs::rename(place.path("more"), place.path("more-moved")).unwrap();
    let finished = place.train(&["--resume", "run", "--epochs", "6", "--dataset", "moved"]);
    finished.with_fault(1, &["run was validated on ", "more, which is not there", "--validation PATH"]);
    let moved = ["--dataset", "moved", "--validation", "more-moved"];
    place.train(&[&["--resume", "run", "--epochs", "4"], &moved[..]].concat()).well();
    let path = place.record("run")["config"]["dataset"].as_str().unwrap().to_string();
    assert!(path.ends_with("/moved"), "{path}");
    // From now on they lie there.
    place.train(&["--resume", "run", "--epochs", "6"]).well();
    for file in ["weights.safetensors", "confusion.csv"] {
        let bytes = |run: &str| fs::read(place.path(run).join(file)).unwrap();
        assert!(bytes("run") == bytes("longer"), "{file} differs");
    }
    place.write("moved", "train-labels-idx1-ubyte", &idx(&[60], &[[1, 0]; 30].concat()));
    let finished = place.train(&["--resume", "run", "--epochs", "7"]);
    finished.with_fault(1, &["run was trained on other images than those of moved and ", "more-moved now"]);
}

/// Such a folder could neither be resumed nor used again.
#[test]
fn a_run_that_was_killed_before_its_first_checkpoint_begins_anew() {
    let place = Place::new();
    place.train_quickly("undisturbed", &[]).well();
    place.train_quickly("run", &["--epochs", "2"]).well();
    // What such a kill leaves.
    let mut record = place.record("run");
    record["stop_reason"] = serde_json::Value::Null;
    record["config"]["epochs"] = 3.into();
    place.write("run", "run.json", record.to_string().as_bytes());
    fs::remove_dir_all(place.path("run/checkpoint")).unwrap();
    for name in place.names("run") {
        if !["run.json", "history.csv", "tensorboard"].contains(&name.as_str()) {
            fs::remove_file(place.path("run").join(name)).unwrap();
        }
    }
    place.write("run", ".writing-abc", b"half");
    place
        .run(&["evaluate", "run"])
        .with_fault(1, &["is not finished", "fitch train --resume run begins it anew"]);
    let finished = place.train_quickly("run", &[]);
    finished.with_fault(1, &["run holds files already", "hint: fitch train --resume run goes on"]);
    let finished = place.train(&["--resume", "run"]).well();
    assert!(
        finished.stderr.contains("run was ended before its first checkpoint: it begins anew"),
        "{finished:?}"
    );
    assert!(!finished.stdout.contains(".writing"), "{finished:?}");
    assert_same(&place, "run", "undisturbed");
    assert!(!place.path("run/.writing-abc").exists());

    // Killed before its record was written, it is no run yet.
    fs::create_dir(place.path("early")).unwrap();
    place.write("early", "run.lock", b"process 1\n");
    place.write("early", ".writing-abc", b"{");
    place.train_quickly("early", &[]).well();
    assert!(!place.names("early").iter().any(|name| name.starts_with('.') || name == "run.lock"));
}

/// It went on with the other options without a word.
#[test]
fn a_record_that_was_edited_is_noticed() {
    let place = Place::new();
    place.train_quickly("run", &[]).well();
    let whole = place.read("run/run.json");
    for (option, value, told) in [
        ("optimizer", serde_json::json!("sgd"), "optimizer was \"adam\" and is \"sgd\" there"),
        ("seed", serde_json::json!(5), "seed was 0 and is 5 there"),
        ("augment", serde_json::json!("shift"), "augment was not given and is \"shift\" there"),
        ("learning_rate", serde_json::json!(0.5), "learning-rate was 0.001 and is 0.5 there"),
    ] {
        let mut record: serde_json::Value = serde_json::from_str(&whole).unwrap();
        record["config"][option] = value;
        place.write("run", "run.json", record.to_string().as_bytes());
        let finished = place.train(&["--resume", "run", "--epochs", "9"]);
        finished
            .with_fault(1, &["run/run.json was edited after the run had begun: ", told, "hint: put back"]);
    }
    place.write("run", "run.json", whole.as_bytes());
    place.train(&["--resume", "run", "--epochs", "4"]).well();
}

/// A library that refuses locks, as some network file systems do, or nothing if it cannot be built here.
#[cfg(target_os = "linux")]
fn without_locks(place: &Place, fault: &str) -> Option<std::path::PathBuf> {
    let code =
        format!("#include <errno.h>\nint flock(int file, int what) {{ errno = {fault}; return -1; }}\n");
    place.write(".", "nolocks.c", code.as_bytes());
    let library = place.path("nolocks.so");
    let built = Command::new("cc")
        .args(["-shared", "-fPIC", "-o"])
        .args([&library, &place.path("nolocks.c")])
        .output();
    built.is_ok_and(|output| output.status.success()).then_some(library)
}

/// There was no training at all on such file systems, and the start that was refused left a file behind.
#[cfg(target_os = "linux")]
#[test]
fn a_file_system_without_locks_is_a_warning() {
    for fault in ["ENOSYS", "ENOLCK", "EOPNOTSUPP"] {
        let place = Place::new();
        let Some(library) = without_locks(&place, fault) else {
            return skipped("a_file_system_without_locks_is_a_warning", "there is no C compiler");
        };
        let run = |arguments: &[&str]| -> Finished {
            let mut command = place.command(arguments);
            command.env("LD_PRELOAD", &library).output().unwrap().into()
        };
        let train = ["train", "--threads", "1", "--layers", "dense 8", "--epochs", "1", "--out", "run"];
        let finished = run(&train).well();
        assert!(finished.stderr.contains("warning: the file system of run has no locks"), "{finished:?}");
        run(&["train", "--resume", "run", "--epochs", "2"]).well();
        assert!(!place.names("run").contains(&"run.lock".to_string()));
    }
}

/// TensorBoard had the epochs between the last checkpoint and a kill twice.
#[cfg(target_os = "linux")]
#[test]
fn an_event_that_is_there_already_is_not_written_again() {
    let place = Place::new();
    place.train_quickly("run", &["--epochs", "6"]).well();
    let bytes = |part: &str| -> usize {
        let folder = format!("run/tensorboard/{part}");
        place.names(&folder).iter().map(|name| fs::read(place.path(&folder).join(name)).unwrap().len()).sum()
    };
    let before = [bytes("train"), bytes("validation")];
    // As if it had been killed in its last epoch.
    fs::remove_dir_all(place.path("run/checkpoint/00000006-0000000000")).unwrap();
    let mut record = place.record("run");
    record["stop_reason"] = serde_json::Value::Null;
    place.write("run", "run.json", record.to_string().as_bytes());
    let resumed = place.train(&["--resume", "run"]).well();
    assert!(resumed.stderr.contains("resuming run in epoch 2"), "{resumed:?}");
    // The new file has its first record, which says what it is.
    const FIRST: usize = 40;
    assert_eq!([bytes("train"), bytes("validation")], before.map(|length| length + FIRST));
    place.train(&["--resume", "run", "--epochs", "7"]).well();
    assert!(bytes("train") > before[0] + 2 * FIRST);
}

#[test]
fn other_data_than_the_runs_are_refused() {
    let place = Place::new();
    place.write_idx_set("pictures");
    place.train_quickly("run", &["--dataset", "pictures"]).well();
    place.train(&["--resume", "run", "--dataset", "pictures", "--epochs", "4"]).well();
    let images = "train-images-idx3-ubyte";
    let mut bytes = fs::read(place.path("pictures").join(images)).unwrap();
    bytes[100] ^= 1;
    place.write("pictures", images, &bytes);
    let finished = place.train(&["--resume", "run", "--epochs", "5"]);
    finished.with_fault(1, &["run was trained on other images than those of pictures now (fingerprint "]);
}

/// A training on raw, mapped files that would go on for ever.
fn endless_on_pictures(place: &Place) -> Child {
    place.write_idx_set("pictures");
    let count = 4_000u32;
    let pixels: Vec<u8> = (0..count * 16).map(|number| (number % 7) as u8).collect();
    let labels: Vec<u8> = (0..count).map(|number| (number % 2) as u8).collect();
    place.write("pictures", "train-images-idx3-ubyte", &idx(&[count, 4, 4], &pixels));
    place.write("pictures", "train-labels-idx1-ubyte", &idx(&[count], &labels));
    let child = start(place, &[&ENDLESS[..], &["--out", "run", "--dataset", "pictures"]].concat());
    wait_for_checkpoint(place, "run");
    child
}

#[cfg(target_os = "linux")]
#[test]
fn data_files_that_change_or_shrink_while_they_are_used_are_noticed() {
    let images = Path::new("pictures").join("train-images-idx3-ubyte");
    let place = Place::new();
    let child = endless_on_pictures(&place);
    let file = fs::OpenOptions::new().write(true).open(place.path(images.to_str().unwrap())).unwrap();
    std::os::unix::fs::FileExt::write_all_at(&file, &[99; 5_000], 16).unwrap();
    let finished = Finished::from(child.wait_with_output().unwrap());
    let parts =
        ["the image files of pictures were changed while training ran", "fitch train --resume run goes on"];
    finished.with_fault(1, &parts);

    let place = Place::new();
    let child = endless_on_pictures(&place);
    let file = fs::OpenOptions::new().write(true).open(place.path(images.to_str().unwrap())).unwrap();
    file.set_len(0).unwrap();
    let finished = Finished::from(child.wait_with_output().unwrap());
    finished
        .with_fault(1, &["error: a data file became shorter while it was in use", "hint: restore the file"]);
    assert!(place.names("run/checkpoint").iter().any(|name| name.starts_with('0')));
}

#[cfg(unix)]
#[test]
fn a_run_folder_that_goes_away_ends_the_training_with_a_word() {
    let place = Place::new();
    let child = start(&place, &[&ENDLESS[..], &["--out", "run"]].concat());
    wait_for_checkpoint(&place, "run");
    fs::rename(place.path("run"), place.path("moved")).unwrap();
    let finished = Finished::from(child.wait_with_output().unwrap());
    finished.with_fault(1, &["training ended with a fault: cannot write run/", "No such file"]);
    // What was there still is, and goes on.
    fs::rename(place.path("moved"), place.path("run")).unwrap();
    place.train(&["--resume", "run", "--time-limit", "1ms"]).well();
}

#[cfg(target_os = "linux")]
#[test]
fn a_full_disk_ends_the_training_and_leaves_a_whole_checkpoint() {
    let test = "a_full_disk_ends_the_training_and_leaves_a_whole_checkpoint";
    let place = Place::new();
    let disk = place.path("disk");
    fs::create_dir(&disk).unwrap();
    let mounted = Command::new("mount").args(["-t", "tmpfs", "-o", "size=4m", "tmpfs"]).arg(&disk).output();
    if !mounted.is_ok_and(|output| output.status.success()) {
        return skipped(test, "a small file system cannot be mounted here");
    }
    let endless = [
        "--layers",
        "dense 64",
        "--epochs",
        "1000000",
        "--time-limit",
        "100s",
        "--no-early-stopping",
        "--out",
        "disk/run",
    ];
    let child = start(&place, &endless);
    wait_for_checkpoint(&place, "disk/run");
    let filled = fs::write(disk.join("filler"), vec![0; 8_000_000]);
    let finished = Finished::from(child.wait_with_output().unwrap());
    fs::remove_file(disk.join("filler")).unwrap();
    let resumed = place.train(&["--resume", "disk/run", "--time-limit", "1ms"]);
    let unmounted = Command::new("umount").arg("--lazy").arg(&disk).status().unwrap();
    assert!(filled.is_err() && unmounted.success());
    finished
        .with_fault(1, &["cannot write disk/run/", "No space left", "fitch train --resume disk/run goes on"]);
    resumed.well();
}
