//! `fitch train --repeat`, and the record that it goes by.

use crate::place::Place;
use serde_json::Value;
use std::fs;

impl Place {
    /// Changes the record of a run.
    fn edit(&self, run: &str, change: impl FnOnce(&mut Value)) {
        let mut record = self.record(run);
        change(&mut record);
        self.write(run, "run.json", record.to_string().as_bytes());
    }
}

#[test]
fn a_repeated_run_is_the_same_byte_for_byte() {
    let place = Place::new();
    let options =
        ["--seed", "3", "--augment", "shift", "--plateau-patience", "1", "--shards", "2", "--learning-rate"];
    place.train_quickly("first", &[&options[..], &["auto"]].concat()).well();
    let record = place.record("first");
    let repeated = place.run(&["train", "--repeat", "first", "--out", "again"]).well();
    assert!(repeated.stderr.contains("repeating first\n"), "{repeated:?}");
    assert!(!repeated.stderr.contains("can differ"), "{repeated:?}");
    assert_eq!(place.history("again"), place.history("first"));
    for file in ["weights.safetensors", "model.pt"] {
        let bytes = |run: &str| fs::read(place.path(run).join(file)).unwrap();
        assert!(bytes("again") == bytes("first"), "{file} differs");
    }
    let config = |run: &str| {
        let mut record = place.record(run);
        let config = record["config"].as_object_mut().unwrap();
        config.remove("out");
        record["config"].take()
    };
    assert_eq!(config("again"), config("first"));

    // Every option has its value, also those that were not given.
    let config = record["config"].as_object().unwrap();
    assert!(config.values().all(|value| !value.is_null()), "{record}");
    for (name, value) in [
        ("limit", "all".into()),
        ("clip_norm", "none".into()),
        ("accumulate", 1.into()),
        ("threads", 1.into()),
        ("maximum", 16.0.into()),
        ("image_size", "none".into()),
        ("out", "first".into()),
        ("augment", Value::from("shift")),
    ] {
        assert_eq!(config[name], value, "{name}");
        assert_eq!(
            record["resolved"].get(name).is_some(),
            !["augment", "threads", "out"].contains(&name),
            "{name}"
        );
    }
    assert!(config["learning_rate"].is_number() && config["device"] == record["device"], "{record}");

    // What is given wins, and is named; what else is not as it was is said.
    place.edit("first", |record| {
        record["fitch_version"] = "0.0.9".into();
        record["device"] = "cuda:7".into();
        record["dataset"]["fingerprint"] = "other".into();
    });
    let arguments =
        ["train", "--repeat", "first", "--epochs", "1", "--seed", "3", "--threads", "2", "--device", "cpu"];
    let changed = place.run(&[&arguments[..], &["--layers", "dense 8", "--out", "changed"]].concat()).well();
    for part in [
        "repeating first with --layers \"dense 8\" (it had \"dense 32, relu, dropout 0.2\"), --epochs 1 (it had 3), ",
        "--threads 2 (it had 1)",
        "the results can differ from those of first: the version of fitch is 0.1.0, it was 0.0.9; ",
        "the device is cpu, it was cuda:7; the number of threads is 2, it was 1; the fingerprint of the data is ",
    ] {
        assert!(changed.stderr.contains(part), "no {part:?} in {changed:?}");
    }
    assert!(!changed.stderr.contains("--seed"), "{changed:?}");
    assert_eq!(place.record("changed")["epochs_run"], 1);
}

#[test]
fn what_cannot_be_repeated_is_refused() {
    let place = Place::new();
    place.write_idx_set("pictures");
    place.train_quickly("run", &["--dataset", "pictures", "--epochs", "1"]).well();
    let config = place.record("run")["config"].clone();
    assert_eq!((&config["data_format"], &config["transpose"]), (&"idx".into(), &false.into()));
    for other in [&["--resume", "run"][..], &["--resume-if-any"], &["--config", "options.toml"]] {
        let finished = place.run(&[&["train", "--repeat", "run"], other].concat());
        finished.with_fault(2, &["cannot be used with", "--repeat", other[0]]);
    }
    place.run(&["train", "--repeat", "nowhere"]).with_fault(1, &["there is no folder nowhere"]);

    fs::rename(place.path("pictures"), place.path("moved")).unwrap();
    let gone =
        ["which is not there any more", "hint: fitch train --repeat run --dataset PATH takes the same data"];
    place.run(&["train", "--repeat", "run"]).with_fault(1, &gone);
    let moved = place.run(&["train", "--repeat", "run", "--dataset", "moved", "--out", "again"]).well();
    assert!(
        moved.stderr.contains("repeating run with --dataset ") && !moved.stderr.contains("can differ"),
        "{moved:?}"
    );
    assert_eq!(place.history("again"), place.history("run"));

    let whole = place.record("run");
    place.edit("run", |record| record["config"]["novelty"] = 1.into());
    let unknown =
        ["run/run.json, of fitch 0.1.0: config has 'novelty', which is not an option of this version"];
    place.run(&["train", "--repeat", "run"]).with_fault(1, &unknown);
    place.write("run", "run.json", whole.to_string().as_bytes());
    place.edit("run", |record| record["config"]["optimizer"] = "lion".into());
    let unknown = ["config has a value of 'optimizer' that this version does not take", "lion"];
    place.run(&["train", "--repeat", "run"]).with_fault(1, &unknown);
}

#[test]
fn none_switches_an_option_off_wherever_it_is_on() {
    let place = Place::new();
    place.write("", "options.toml", b"ema = 0.9\nclip-norm = 2\naugment = 'shift'\nfreeze = 'none'\n");
    place.train_quickly("first", &["--config", "options.toml", "--ema", "none", "--augment=none"]).well();
    let config = |run: &str, name: &str| place.record(run)["config"][name].take();
    for (name, value) in
        [("ema", Value::from("none")), ("augment", Value::from("none")), ("clip_norm", Value::from(2.0))]
    {
        assert_eq!(config("first", name), value, "{name}");
    }
    let resumed = place.run(&["train", "--resume", "first", "--clip-norm", "none"]);
    resumed.with_fault(2, &["--clip-norm \"none\": cannot change when a run is resumed; it was 2.0"]);
    let repeated = place
        .run(&["train", "--repeat", "first", "--clip-norm", "none", "--out", "again", "--ema", "none"])
        .well();
    assert!(repeated.stderr.contains("repeating first with --clip-norm none (it had 2.0)\n"), "{repeated:?}");
    assert_eq!(config("again", "clip_norm"), "none");

    let plan = b"[options]\nepochs = 1\nlimit = 100\n[vary]\naugment = ['none', 'shift']\n";
    place.write("", "sweep.toml", plan);
    place.run(&["sweep", "sweep.toml"]).well();
    let augment = |run: &str| config(&format!("sweeps/sweep/{run}"), "augment");
    assert_eq!([augment("001"), augment("002")], ["none", "shift"]);
}
