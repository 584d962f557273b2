use crate::place::{Finished, IDX_FILES, Place, real_mnist, wait_until};
use flate2::read::GzDecoder;
use std::fs::{self, File};
use std::io::Read;
use std::process::{Child, Command, Stdio};

/// What a run folder holds when training has ended.
const FILES: [&str; 20] = [
    "accuracy.png",
    "accuracy.svg",
    "checkpoint",
    "confusion.csv",
    "confusion.png",
    "confusion.svg",
    "history.csv",
    "history.xlsx",
    "loss.png",
    "loss.svg",
    "mistakes.csv",
    "mistakes.png",
    "model.png",
    "model.pt",
    "model.svg",
    "report.html",
    "run.json",
    "summary.txt",
    "tensorboard",
    "weights.safetensors",
];

#[test]
fn without_options_the_digits_are_learnt_and_a_run_folder_is_written() {
    let place = Place::new();
    let finished = place.train(&[]).well();
    let runs = place.names("runs");
    assert_eq!(runs.len(), 1);
    assert!(runs[0].starts_with("digits-20") && runs[0].ends_with('Z'), "{runs:?}");
    let run = format!("runs/{}", runs[0]);
    assert_eq!(place.names(&run), FILES, "and nothing half-written");

    let record = place.record(&run);
    assert!(record["test_accuracy"].as_f64().unwrap() >= 0.965, "{record:#}");
    assert_eq!(record["stop_reason"], "early_stopping");
    assert_eq!(record["dataset"]["name"], "digits");
    assert_eq!(record["dataset"]["train"], 1_289);
    assert_eq!(record["dataset"]["validation"], 144);
    assert_eq!(record["dataset"]["test"], 364);
    assert_eq!(record["dataset"]["classes"].as_array().unwrap().len(), 10);
    assert_eq!(record["libtorch_version"], "2.11.0");
    assert_eq!((&record["seed"], &record["threads"]), (&0.into(), &1.into()));
    assert!(record["seconds"].as_f64().unwrap() > 0.0);

    let history = place.history(&run);
    let head = ["epoch", "accuracy", "loss", "val_accuracy", "val_loss", "learning_rate"];
    assert_eq!(history[0].iter().collect::<Vec<_>>(), head);
    let epochs = record["epochs_run"].as_u64().unwrap() as usize;
    assert_eq!(history.len(), 1 + epochs);
    // Patience 5: the best epoch is five before the last, and its value the least of its column.
    let best = record["best_epoch"].as_u64().unwrap() as usize;
    assert_eq!(best, epochs - 5);
    let val_loss = |row: usize| history[row][4].parse::<f64>().unwrap();
    let least = (1..=epochs).map(val_loss).fold(f64::INFINITY, f64::min);
    assert_eq!((val_loss(best), record["best_value"].as_f64().unwrap()), (least, least));

    assert!(place.read(&format!("{run}/summary.txt")).contains("Total params: 301,066"));
    assert!(finished.stderr.contains("digits: 1,289 train, 144 validation (stratified), 364 test\n"));
    assert!(finished.stderr.contains(&format!("\nearly stopping after epoch {epochs}: val_loss has not")));
    assert!(finished.stderr.contains(&format!("the weights of epoch {best} are restored\n")));
    assert!(finished.stdout.contains("test accuracy 0.9"));
    let ends = |key: &str| [0, 1].map(|end| record[key][end].as_f64().unwrap());
    let ([low, high], [low_loss, high_loss]) = (ends("test_accuracy_interval"), ends("test_loss_interval"));
    let intervals =
        format!("95 % intervals: accuracy {low:.4} to {high:.4}, loss {low_loss:.4} to {high_loss:.4}\n");
    assert!(finished.stdout.contains(&intervals), "no {intervals} in {finished:?}");
    assert!(record["test_loss"].as_f64().is_some_and(|loss| low_loss < loss && loss < high_loss));
    let right = record["test_accuracy"].as_f64().unwrap() * 364.0;
    assert!(
        place.read(&format!("{run}/confusion.svg")).contains(&format!("{right:.0} of 364 test images right"))
    );
    assert!(place.read(&format!("{run}/loss.svg")).contains(&format!("stopped early after epoch {epochs}")));
    assert!(finished.stdout.ends_with(&format!("written to {run} ({} files)\n", FILES.len())));
}

#[test]
fn the_same_command_twice_gives_the_same_bytes() {
    let place = Place::new();
    for out in ["a", "b"] {
        place.train_quickly(out, &[]).well();
    }
    place.train_quickly("c", &["--seed", "1"]).well();
    assert_eq!(place.history("a"), place.history("b"));
    assert_ne!(place.history("a"), place.history("c"));
    for file in ["weights.safetensors", "model.pt"] {
        let bytes = |run: &str| fs::read(place.path(run).join(file)).unwrap();
        assert!(bytes("a") == bytes("b"), "{file}");
        assert!(bytes("a") != bytes("c"), "{file}");
    }
}

#[test]
fn a_folder_of_pictures_is_learnt() {
    let place = Place::new();
    place.write_idx_set("pictures");
    let finished = place.train(&[
        "--dataset",
        "pictures",
        "--layers",
        "dense 8, tanh",
        "--learning-rate",
        "0.05",
        "--out",
        "run",
    ]);
    assert!(finished.well().stderr.contains("pictures: 54 train, 6 validation (stratified), 20 test"));
    let record = place.record("run");
    assert_eq!(record["test_accuracy"], 1.0);
    assert_eq!(record["dataset"]["classes"], serde_json::json!(["0", "1"]));
}

/// The names of options in run.json and in files stay what they are.
#[test]
fn the_data_are_an_argument_and_options_have_short_and_other_names() {
    let place = Place::new();
    place.write_idx_set("pictures");
    let run = |words: &[&str]| {
        let whole = [&["train", "--threads", "1"], words].concat();
        place.run(&whole).well();
        let out = words.last().unwrap();
        let mut record = place.record(out)["config"].clone();
        record.as_object_mut().unwrap().remove("out");
        record
    };
    let long = "--dataset pictures --epochs 2 --batch-size 16 --learning-rate 0.01 --device cpu --out a";
    let short = "-e 2 pictures -b 16 -l 0.01 -d cpu -o b";
    let other = "--max_epochs 2 --data pictures --batch 16 --lr 0.01 --device cpu --output c";
    let [long, short, other] = [long, short, other].map(|line| line.split(' ').collect::<Vec<_>>());
    let record = run(&long);
    assert_eq!((&record["epochs"], &record["batch_size"]), (&2.into(), &16.into()));
    assert_eq!((run(&short), run(&other)), (record.clone(), record));
    assert_eq!(place.history("a"), place.history("b"));
    // A run that is resumed may name its data as well.
    place.run(&["train", "pictures", "--resume", "a", "-e", "3"]).well();
    assert_eq!(place.history("a").len(), 4);
    place.run(&["train", "digits", "--resume", "a", "-e", "4"]).with_fault(2, &["cannot change"]);
    // Flags win over a file.
    place.write(".", "options.toml", b"dataset = 'digits'\nepochs = 1\nout = 'd'\n");
    place.train(&["--config", "options.toml", "pictures"]).well();
    assert_eq!(place.record("d")["dataset"]["name"], "pictures");
    let finished = place.run(&["evaluate", "d", "pictures"]).well();
    assert!(finished.stdout.starts_with("test set of pictures: 20 images\n"), "{finished:?}");
    let finished = place.run(&["summary", "pictures", "--layers", "dense 3, gelu"]).well();
    assert!(finished.stdout.contains("Total params: 59 "), "{finished:?}");
}

#[test]
fn every_kind_of_split_says_its_name() {
    let place = Place::new();
    for method in ["stratified", "shuffled", "last"] {
        let finished = place.train_quickly(method, &["--split", method, "--validation-split", "0.25"]).well();
        assert!(
            finished.stderr.contains(&format!("1,074 train, 359 validation ({method}), 364 test")),
            "{finished:?}"
        );
    }
}

#[test]
fn without_validation_its_cells_are_empty() {
    let place = Place::new();
    let finished = place.train_quickly("run", &["--validation-split", "0"]).well();
    assert!(
        finished.stderr.contains("warning: early stopping is off: without validation images"),
        "{finished:?}"
    );
    assert!(finished.stderr.contains("1,433 train, no validation, 364 test"));
    let history = place.history("run");
    assert_eq!(history.len(), 4);
    for row in &history[1..] {
        assert!(!row[1].is_empty() && row[3].is_empty() && row[4].is_empty(), "{row:?}");
    }
    let record = place.record("run");
    assert_eq!((&record["stop_reason"], &record["monitor"]), (&"completed".into(), &"loss".into()));
}

#[test]
fn spreadsheets_with_decimal_commas_get_their_form() {
    let place = Place::new();
    place.train_quickly("plain", &[]).well();
    place.train_quickly("run", &["--csv-separator", ";", "--csv-decimal", ","]).well();
    let (plain, run) = (place.read("plain/history.csv"), place.read("run/history.csv"));
    let without_seconds = |text: &str, separator: char| -> Vec<String> {
        text.lines().map(|line| line.rsplit_once(separator).unwrap().0.to_string()).collect()
    };
    let expected = without_seconds(&plain, ',')
        .iter()
        .map(|line| line.replace(',', ";").replace('.', ","))
        .collect::<Vec<_>>();
    assert_eq!(without_seconds(&run, ';'), expected);
    place.run(&["plot", "run", "--to", "a.svg"]).well();
    place.run(&["plot", "plain", "--to", "b.svg"]).well();
    assert_eq!(place.read("a.svg").replace(">run<", ">plain<"), place.read("b.svg"));
    let finished = place.train_quickly("x", &["--csv-decimal", ","]);
    finished.with_fault(2, &["--csv-decimal ',': cannot be a comma if --csv-separator is one"]);
}

#[test]
fn a_limit_takes_that_many_training_images() {
    let place = Place::new();
    let finished = place.train_quickly("run", &["--limit", "100"]).well();
    assert!(finished.stderr.contains("100 train, 144 validation (stratified), 364 test"));
    assert_eq!(place.record("run")["dataset"]["train"], 100);
}

#[test]
fn bfloat16_trains_nearly_alike() {
    let place = Place::new();
    let accuracy = |run: &str| -> f64 { place.record(run)["test_accuracy"].as_f64().unwrap() };
    place.train(&["--epochs", "10", "--out", "float32"]).well();
    place.train(&["--epochs", "10", "--precision", "bf16", "--out", "bf16"]).well();
    assert_ne!(place.history("float32"), place.history("bf16"));
    let (single, half) = (accuracy("float32"), accuracy("bf16"));
    assert!(single > 0.9 && (single - half).abs() < 0.02, "{single} and {half}");
    assert_eq!(place.record("bf16")["config"]["precision"], "bf16");
}

/// Training relies on it where another program takes a core.
#[test]
fn the_number_of_threads_leaves_no_trace() {
    let place = Place::new();
    for (precision, batch_size) in [("float32", "128"), ("float32", "32"), ("float32", "7"), ("bf16", "128")]
    {
        let weights = ["1", "2", "3"].map(|threads| {
            let run = format!("{precision}-{batch_size}-{threads}");
            let arguments = ["train", "--epochs", "2", "--precision", precision, "--threads", threads];
            place.run(&[&arguments[..], &["--batch-size", batch_size, "--out", &run]].concat()).well();
            fs::read(place.path(&run).join("weights.safetensors")).unwrap()
        });
        assert!(weights[0] == weights[1] && weights[1] == weights[2], "{precision}, {batch_size}");
    }
}

#[test]
fn a_precision_that_the_device_does_not_have_is_an_error() {
    let place = Place::new();
    let on_cpu = place.train(&["--precision", "tf32", "--device", "cpu"]);
    on_cpu.with_fault(1, &["--precision tf32 works on CUDA devices only"]);
}

#[test]
fn the_number_of_threads_leaves_no_trace_in_a_network_of_convolutions() {
    let place = Place::new();
    let layers = "conv2d 16 3, relu, maxpool2d 2, conv2d 12 3 padding same, batchnorm, relu, avgpool2d 2, \
                  layernorm, flatten, dropout 0.2, dense 24, relu";
    for precision in ["float32", "bf16"] {
        let weights = ["1", "2", "3"].map(|threads| {
            let run = format!("{precision}-{threads}");
            let arguments = ["train", "--layers", layers, "--epochs", "2", "--batch-size", "50"];
            let others = ["--precision", precision, "--threads", threads, "--out", &run];
            place.run(&[&arguments[..], &others].concat()).well();
            fs::read(place.path(&run).join("weights.safetensors")).unwrap()
        });
        assert!(weights[0] == weights[1] && weights[1] == weights[2], "{precision}");
    }
}

/// Unless libgomp's waiting was settled by the user.
#[cfg(target_os = "linux")]
#[test]
fn a_training_settles_how_threads_wait() {
    let place = Place::new();
    let arguments = ["train", "--threads", "1", "--epochs", "1000000", "--no-early-stopping", "--out", "run"];
    for (policy, settled) in [(None, true), (Some("passive"), false)] {
        let mut command = place.command(&arguments);
        command.env_remove("GOMP_SPINCOUNT").envs(policy.map(|policy| ("OMP_WAIT_POLICY", policy)));
        let mut child = command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
        wait_until("training", || place.path("run/history.csv").exists());
        let environment = fs::read(format!("/proc/{}/environ", child.id())).unwrap();
        let environment = String::from_utf8_lossy(&environment).into_owned();
        child.kill().unwrap();
        child.wait().unwrap();
        assert_eq!(environment.contains("GOMP_SPINCOUNT=2000"), settled, "{environment}");
        fs::remove_dir_all(place.path("run")).unwrap();
    }
}

#[test]
fn an_existing_run_is_never_overwritten() {
    let place = Place::new();
    place.train_quickly("run", &[]).well();
    let before = place.read("run/history.csv");
    place.train_quickly("run", &["--seed", "1"]).with_fault(1, &["run", "never overwritten"]);
    assert_eq!(place.read("run/history.csv"), before);
}

#[test]
fn progress_is_a_line_an_epoch_or_nothing_and_never_on_standard_output() {
    let place = Place::new();
    let lines = place.train_quickly("a", &[]).well();
    for epoch in ["epoch 1/3  ", "epoch 2/3  ", "epoch 3/3  "] {
        assert!(lines.stderr.contains(epoch), "{lines:?}");
    }
    assert!(lines.stderr.contains(" val_accuracy 0.") && lines.stderr.contains("/step"));
    let none = place.train_quickly("b", &["--progress", "none"]).well();
    for finished in [&lines, &none] {
        assert!(!finished.stdout.contains("epoch 1/3") && !finished.stdout.contains('\x1b'));
        assert!(
            !finished.stderr.contains('\x1b') && !finished.stderr.contains('\r'),
            "no terminal, no escapes"
        );
    }
    assert!(!none.stderr.contains("epoch 1/3"), "{none:?}");
}

#[test]
fn thresholds_and_time_end_a_training() {
    let place = Place::new();
    place.train_quickly("good", &["--monitor", "val_accuracy", "--stopping-threshold", "0.01"]).well();
    assert_eq!(place.record("good")["epochs_run"], 1);
    place.train_quickly("bad", &["--divergence-threshold", "0.001"]).well();
    assert_eq!(place.record("bad")["stop_reason"], "early_stopping");
    let timed = place
        .train_quickly("timed", &["--epochs", "1000000", "--no-early-stopping", "--time-limit", "500ms"])
        .well();
    assert_eq!(place.record("timed")["stop_reason"], "time_limit");
    assert!(timed.stderr.contains("the time limit of 500ms is reached"), "{timed:?}");
}

#[test]
fn the_growing_patience_is_a_rule_too() {
    let place = Place::new();
    let finished =
        place.train_quickly("run", &["--stopping", "theano", "--patience", "15", "--learning-rate", "1e-30"]);
    assert!(finished.well().stderr.contains("the patience of 15 steps is used up"));
    assert_eq!(place.record("run")["stop_reason"], "early_stopping");
}

#[test]
fn a_plateau_lowers_the_learning_rate_in_the_history() {
    let place = Place::new();
    let still = ["--plateau-patience", "1", "--plateau-factor", "0.5", "--plateau-min-delta", "100"];
    place.train_quickly("run", &still).well();
    let rates: Vec<String> = place.history("run")[1..].iter().map(|row| row[5].to_string()).collect();
    assert_eq!(rates, ["0.001", "0.001", "0.0005"]);
}

#[test]
fn a_training_that_diverges_fails_and_saves_no_bad_weights() {
    let place = Place::new();
    let finished = place.train_quickly(
        "run",
        &["--learning-rate", "1e6", "--no-early-stopping", "--layers", &["dense 8"; 8].join(", ")],
    );
    finished.with_fault(1, &["training diverged: the loss became", "hint: a smaller --learning-rate"]);
    assert_eq!(place.record("run")["stop_reason"], "non_finite");
    let names = place.names("run");
    assert!(
        !names.iter().any(|name| ["weights.safetensors", "model.pt"].contains(&name.as_str())),
        "{names:?}"
    );
}

#[test]
fn options_come_from_a_file_and_are_recorded() {
    let place = Place::new();
    place.write(".", "options.toml", b"epochs = 2\nbatch-size = 64\nlayers = \"dense 16, gelu\"\n");
    place.train(&["--config", "options.toml", "--batch-size", "32", "--out", "run"]).well();
    let config = place.record("run")["config"].clone();
    assert_eq!((&config["epochs"], &config["batch_size"]), (&2.into(), &32.into()));
    assert_eq!((&config["layers"], &config["patience"]), (&"dense 16, gelu".into(), &5.into()));
}

/// A training that would go on for ever, in its second epoch at least.
fn endless(place: &Place) -> Child {
    let arguments =
        ["train", "--threads", "1", "--layers", "dense 32, relu", "--epochs", "1000000", "--out", "run"];
    let mut command = place.command(
        &[&arguments[..], &["--no-early-stopping", "--limit", "200", "--time-limit", "100s"]].concat(),
    );
    let child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let rows = || fs::read_to_string(place.path("run/history.csv")).map_or(0, |text| text.lines().count());
    wait_until("second epoch", || rows() >= 3);
    child
}

#[cfg(unix)]
#[test]
fn an_interrupted_training_saves_what_was_trained() {
    for signal in ["-INT", "-TERM"] {
        let place = Place::new();
        let child = endless(&place);
        assert!(Command::new("kill").args([signal, &child.id().to_string()]).status().unwrap().success());
        let finished: crate::place::Finished = child.wait_with_output().unwrap().into();
        assert_eq!(finished.code, Some(130), "{finished:?}");
        assert!(finished.stderr.contains("\ninterrupted in epoch "));
        assert!(finished.stdout.contains("test accuracy"), "what was trained is evaluated");
        let record = place.record("run");
        assert_eq!(record["stop_reason"], "interrupted");
        assert_eq!(record["epochs_run"].as_u64().unwrap() as usize, place.history("run").len() - 1);
        assert_eq!(place.names("run"), FILES);
        place.run(&["evaluate", "run"]).well();
    }
}

#[cfg(unix)]
#[test]
fn a_killed_training_leaves_whole_files() {
    let place = Place::new();
    let mut child = endless(&place);
    child.kill().unwrap();
    child.wait().unwrap();
    assert!(place.record("run")["stop_reason"].is_null());
    let history = place.history("run");
    assert!(history.iter().all(|row| row.len() == 6), "{history:?}");
    let list = place.run(&["runs", "."]).well();
    assert!(list.stdout.contains("unfinished"), "{list:?}");
}

#[test]
fn a_reader_that_goes_away_is_no_fault() {
    let place = Place::new();
    let quick = ["train", "--threads", "1", "--layers", "dense 8", "--epochs", "1", "--out", "run"];
    let mut child = place.command(&quick).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    drop(child.stdout.take());
    let finished: crate::place::Finished = child.wait_with_output().unwrap().into();
    assert!(finished.well().stderr.lines().all(|line| !line.contains("error")));
}

#[test]
fn a_copy_of_the_program_runs_anywhere_without_library_paths() {
    let place = Place::new();
    fs::copy(env!("CARGO_BIN_EXE_fitch"), place.path("copied")).unwrap();
    let mut command = Command::new(place.path("copied"));
    let quick = ["train", "--threads", "1", "--layers", "dense 8", "--epochs", "1"];
    let output = command.args(quick).current_dir(place.path(".")).env_clear().output().unwrap();
    crate::place::Finished::from(output).well();
}

#[test]
fn a_device_that_is_not_there_is_an_error() {
    let place = Place::new();
    place.train_quickly("run", &["--device", "cuda:200"]).with_fault(1, &["cuda:200"]);
    let mut hidden = place.command(&["train", "--device", "cuda", "--out", "run"]);
    let hidden = Finished::from(hidden.env("CUDA_VISIBLE_DEVICES", "").output().unwrap());
    hidden.with_fault(1, &["error: cannot use cuda: "]);
    assert!(!place.path("run").exists());
    let auto = place.train_quickly("run", &["--device", "cpu"]).well();
    assert!(auto.stderr.contains("device: cpu (asked for), 1 thread\n"), "{auto:?}");
}

#[test]
fn mnist_is_trained_on_the_same_from_raw_and_from_gzipped_files() {
    let Some(folder) = real_mnist("mnist_is_trained_on_the_same_from_raw_and_from_gzipped_files") else {
        return;
    };
    let place = Place::new();
    fs::create_dir(place.path("raw")).unwrap();
    for name in IDX_FILES {
        let path = folder.join("mnist").join(name);
        let mut bytes = Vec::new();
        match File::open(&path) {
            Ok(mut raw) => raw.read_to_end(&mut bytes).unwrap(),
            Err(_) => GzDecoder::new(File::open(path.with_extension("gz")).unwrap())
                .read_to_end(&mut bytes)
                .unwrap(),
        };
        place.write("raw", name, &bytes);
    }
    let data_dir = folder.to_str().unwrap();
    let quick = ["--split", "last", "--limit", "6000", "--learning-rate", "0.003"];
    let known =
        place.train_quickly("known", &[&quick[..], &["--dataset", "mnist", "--data-dir", data_dir]].concat());
    assert!(known.well().stderr.contains("mnist: 6,000 train, 6,000 validation (last), 10,000 test"));
    place.train_quickly("own", &[&quick[..], &["--dataset", "raw"]].concat()).well();
    assert_eq!(place.history("known"), place.history("own"));
    assert!(place.record("known")["test_accuracy"].as_f64().unwrap() > 0.85);
}

#[test]
fn schedules_optimizers_and_losses_are_heeded() {
    let place = Place::new();
    let quick = |name: &str, arguments: &[&str]| {
        place.train_quickly(name, arguments).well();
        place.history(name)
    };
    let plain = quick("plain", &[]);
    let of_columns = |rows: &[csv::StringRecord], name: &str| -> Vec<f64> {
        let column = rows[0].iter().position(|column| column == name).unwrap();
        rows[1..].iter().map(|row| row[column].parse().unwrap()).collect()
    };
    let rates = of_columns(&quick("cosine", &["--schedule", "cosine", "--warm-up", "1"]), "learning_rate");
    // 11 steps an epoch: the last of the first epoch has the whole rate, the last of all none.
    assert!(
        rates[0] == 0.001 && rates[1] < 0.00055 && rates[1] > 0.0005 && rates[2].abs() < 1e-12,
        "{rates:?}"
    );
    let rates = of_columns(&quick("steps", &["--schedule", "step", "--schedule-step", "2"]), "learning_rate");
    assert!(rates[..2] == [0.001, 0.001] && (rates[2] - 0.0001).abs() < 1e-12, "{rates:?}");
    for (name, arguments) in [
        ("adamw", &["--optimizer", "adamw", "--weight-decay", "0.1"][..]),
        ("decay", &["--weight-decay", "0.1"]),
        ("sgd", &["--optimizer", "sgd", "--momentum", "0.9", "--learning-rate", "0.1"]),
        ("rmsprop", &["--optimizer", "rmsprop"]),
        ("clipped", &["--clip-norm", "0.01"]),
        ("augmented", &["--augment", "shift 0.1,zoom"]),
        ("cropped", &["--augment", "crop 0.2,erase 0.1"]),
        ("mixed", &["--augment", "mixup 0.1", "--class-weights", "balanced", "--label-smoothing", "0.01"]),
        ("smoothed", &["--label-smoothing", "0.9", "--learning-rate", "0.01"]),
        ("weighted", &["--class-weights", "1,1,1,1,1,1,1,1,1,9"]),
        ("by-name", &["--class-weights", "9=9, 1=1"]),
        ("one-cycle", &["--schedule", "one-cycle", "--learning-rate", "0.01"]),
    ] {
        let history = quick(name, arguments);
        let losses = of_columns(&history, "loss");
        assert_ne!(history, plain, "{name}");
        assert!(losses[2] < losses[0], "{name}: {losses:?}");
    }
    assert_eq!(place.history("weighted"), place.history("by-name"));
    // Every class of the digits has about as many images.
    assert_ne!(quick("balanced", &["--class-weights", "balanced"]), plain);
    let smoothed = place.history("smoothed");
    let last = |name: &str| of_columns(&smoothed, name)[2];
    // With a share of 0.19 at the label and 0.09 at every other class, no model comes below their entropy.
    assert!(last("loss") > 2.26 && last("val_loss") < 2.2, "{} {}", last("loss"), last("val_loss"));
    // Every optimizer goes on as if it had never stopped.
    for (name, arguments) in [
        ("sgd", &["--optimizer", "sgd", "--momentum", "0.9", "--learning-rate", "0.1"][..]),
        ("rmsprop", &["--optimizer", "rmsprop"]),
    ] {
        place.train(&["--resume", name, "--epochs", "4"]).well();
        let whole = format!("{name}-whole");
        place.train_quickly(&whole, &[arguments, &["--epochs", "4"]].concat()).well();
        assert_eq!(place.history(name), place.history(&whole));
        let weights = |run: &str| fs::read(place.path(run).join("weights.safetensors")).unwrap();
        assert!(weights(name) == weights(&whole), "{name}");
    }
}

#[test]
fn settings_of_the_optimization_that_make_no_sense_are_errors() {
    let place = Place::new();
    for (arguments, fault) in [
        (&["--weight-decay", "-1"][..], "--weight-decay -1: must be a finite number of at least 0"),
        (&["--momentum", "0.9"], "--momentum 0.9: is for --optimizer sgd and rmsprop"),
        (&["--clip-norm", "0"], "--clip-norm 0: must be a finite number above 0"),
        (&["--augment", "mirror"], "--augment mirror: 'mirror' is none of shift, rotate, zoom, flip, crop"),
        (&["--augment", "flip 2"], "--augment flip 2: flip must be from 0 to 1"),
        (&["--label-smoothing", "1"], "--label-smoothing 1: must be a share"),
        (&["--class-weights", "1,x"], "--class-weights 1,x: must be balanced, or numbers"),
        (&["--class-weights", "one=2"], "--class-weights: there is no class 'one'"),
        (&["--class-weights", "1=2,1=3"], "--class-weights: the class '1' is given twice"),
        (&["--class-weights", "1=2,3"], "--class-weights 1=2,3: must be balanced, or numbers"),
        (&["--class-weights", "1,2"], "--class-weights: 2 numbers were given for 10 classes"),
        (&["--schedule", "one-cycle", "--warm-up", "1"], "--warm-up 1: --schedule one-cycle has"),
        (&["--schedule", "cosine", "--final-learning-rate", "1"], "--final-learning-rate 1: is above"),
        (&["--schedule", "cosine", "--plateau-patience", "3"], "--plateau-patience 3: does not work with"),
        (&["--adam", "fused"], "unexpected argument '--adam'"),
    ] {
        place.train(arguments).with_fault(2, &[fault]);
    }
}
