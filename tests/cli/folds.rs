//! Folds, groups, and what is said of classes that are on one side alone.

use crate::place::Place;
use serde_json::json;
use std::collections::BTreeSet;
use std::fmt::Write;
use std::fs;

const QUICK: [&str; 4] = ["--layers", "dense 8, relu", "--epochs", "1"];

/// Rows of three classes by 20 writers, each of whom wrote between 3 and 12; pixels are bright where the class
/// says, and the last column is as bright as the row is long.
fn letters() -> String {
    let mut text = "writer,p0,p1,p2,p3,p4,p5,p6,p7,p8,letter\n".to_string();
    for writer in 0..20 {
        for row in 0..3 + writer * 3 % 10 {
            let class = (writer + row * row) % 3;
            let pixel = |index: usize| if index / 3 == class { 200 + row } else { 10 * writer / 2 + row };
            let pixels: Vec<String> = (0..9).map(|index| pixel(index).to_string()).collect();
            writeln!(text, "w{writer:02},{},{}", pixels.join(","), ["a", "b", "c"][class]).unwrap();
        }
    }
    text
}

#[test]
fn one_fold_is_trained_resumed_and_evaluated_like_any_run() {
    let place = Place::new();
    let trained = place.train(&[&["--fold", "2/5", "--out", "run"], &QUICK[..]].concat()).well();
    assert!(
        trained.stderr.contains("1,146 train, 287 validation (fold 2 of 5, stratified), 364 test"),
        "{trained:?}"
    );
    let record = place.record("run");
    assert_eq!(
        (&record["config"]["fold"], &record["config"]["validation_split"]),
        (&json!("2/5"), &json!("none"))
    );
    assert_eq!(record["dataset"]["validation"], 287);
    place.train(&["--resume", "run", "--epochs", "2"]).well();
    place.train(&["--fold", "2/5", "--out", "whole", "--layers", "dense 8, relu", "--epochs", "2"]).well();
    assert_eq!(place.history("run"), place.history("whole"));
    let evaluated = place.run(&["evaluate", "run", "--format", "json"]).well();
    let evaluated: serde_json::Value = serde_json::from_str(&evaluated.stdout).unwrap();
    assert_eq!(evaluated["accuracy"], place.record("run")["test_accuracy"]);
    place
        .train(&["--resume", "run", "--fold", "1/5"])
        .with_fault(2, &["--fold \"1/5\": cannot change", "\"2/5\""]);
}

#[test]
fn folds_that_cannot_be_are_told() {
    let place = Place::new();
    for (arguments, code, parts) in [
        (&["--fold", "6/5"][..], 2, &["--fold 6/5: there is no fold 6 among 5"][..]),
        (&["--fold", "1/1"], 2, &["--fold 1/1: cross-validation needs at least 2 folds"]),
        (&["--fold", "2"], 2, &["--fold 2: must be the number of a fold and of all folds, such as 2/5"]),
        (&["--fold", "1/2", "--split", "last"], 2, &["--fold 1/2: cannot be used with --split last"]),
        (&["--fold", "1/2", "--validation-split", "0.2"], 2, &["cannot be used with --validation-split"]),
        (&["--fold", "1/2", "--validation", "there"], 2, &["--fold 1/2: cannot be used with --validation:"]),
        (&["--fold", "1/500"], 1, &["500 folds need at least 500 images of each class, but", "at most 1"]),
        (
            &["--group-column", "writer"],
            1,
            &["digits: is read as built in, which has no columns to take groups from"],
        ),
        (
            &["--group-column", "a", "--group-pattern", "b"],
            2,
            &["--group-pattern b: cannot be used with --group-column"],
        ),
        (
            &["--group-column", "a", "--split", "last"],
            2,
            &["--group-column a: cannot be used with --split last"],
        ),
        (&["--group-pattern", "(a"], 2, &["--group-pattern (a: is not a regular expression"]),
    ] {
        place.train(arguments).with_fault(code, parts);
    }
    assert!(!place.path("runs").exists());
}

#[test]
fn a_sweep_over_folds_chooses_by_the_mean() {
    let place = Place::new();
    let plan = "folds = 3\n[options]\nlayers = 'dense 8, relu'\nepochs = 1\nthreads = 1\n\
                [vary]\nlearning-rate = [0.0001, 0.01]\n";
    fs::write(place.path("plan.toml"), plan).unwrap();
    let sweep = |arguments: &[&str]| place.run(&[&["sweep", "plan.toml"], arguments].concat()).well();
    sweep(&["--run", "5"]);
    let table = sweep(&["--table"]).stdout;
    assert!(
        table.contains("1 of 3") && table.contains("no combination has finished all of its folds yet"),
        "{table}"
    );
    let finished = sweep(&[]);
    assert!(!finished.stderr.contains("run 005:"), "nothing is trained twice: {finished:?}");

    let rows = |name: &str| -> Vec<Vec<String>> {
        let path = place.path("sweeps/plan").join(name);
        let mut reader = csv::ReaderBuilder::new().has_headers(false).from_path(path).unwrap();
        reader.records().map(|row| row.unwrap().iter().map(str::to_string).collect()).collect()
    };
    let runs = rows("results.csv");
    assert_eq!(runs[0][..3], ["run", "learning-rate", "fold"]);
    assert_eq!(runs[5][..3], ["005", "0.01", "2/3"]);
    let validation: u64 = (1..4)
        .map(|run| place.record(&format!("sweeps/plan/00{run}"))["dataset"]["validation"].as_u64().unwrap())
        .sum();
    assert_eq!(validation, 1_433, "every training image is held out once");
    let of_runs: Vec<f64> = runs[1..].iter().map(|row| row[7].parse().unwrap()).collect();
    let combinations = rows("combinations.csv");
    assert_eq!(
        combinations[0].join(","),
        "first_run,learning-rate,folds,folds_finished,monitor,mean,standard_deviation,interval_low,interval_high,\
         mean_test_accuracy,mean_test_loss,seconds"
    );
    for (row, values) in combinations[1..].iter().zip(of_runs.chunks(3)) {
        let number = |column: usize| row[column].parse::<f64>().unwrap();
        let mean = values.iter().sum::<f64>() / 3.0;
        let deviation = (values.iter().map(|value| (value - mean).powi(2)).sum::<f64>() / 2.0).sqrt();
        // Student's t of two degrees of freedom at 0.975.
        let reach = 4.302_652_729_749_462 * deviation / 3f64.sqrt();
        for (found, expected) in
            [(number(5), mean), (number(6), deviation), (number(7), mean - reach), (number(8), mean + reach)]
        {
            assert!((found - expected).abs() < 1e-9, "{row:?}: {found} for {expected}");
        }
    }
    let mean = |row: usize| combinations[row][5].parse::<f64>().unwrap();
    assert!(mean(2) < mean(1));
    let best = format!(
        "the best combination, in 3 folds, is learning-rate 0.01 with a mean val_loss of {:.6}",
        mean(2)
    );
    assert!(finished.stdout.contains(&best), "{finished:?}");
}

#[test]
fn a_column_of_groups_is_no_input_and_no_group_is_on_two_sides() {
    let place = Place::new();
    fs::write(place.path("letters.csv"), letters()).unwrap();
    let groups = ["letters.csv", "--group-column", "writer", "--label-column", "letter"];
    let trained = place.train(&[&groups[..], &QUICK, &["--fold", "1/4", "--out", "run"]].concat()).well();
    assert!(trained.stderr.contains(" groups to train on, "), "{trained:?}");
    assert!(trained.stderr.contains("class shares differ by at most "), "{trained:?}");
    assert!(trained.stderr.contains("validation (fold 1 of 4, stratified by groups)"), "{trained:?}");
    let record = place.record("run");
    assert_eq!(record["dataset"]["shape"], json!([3, 3]));
    let counts =
        ["train", "validation", "test"].map(|split| record["dataset"]["groups"][split].as_u64().unwrap());
    assert!(counts.iter().sum::<u64>() == 20 && counts.iter().all(|&count| count > 0), "{counts:?}");
    let evaluated = place.run(&["evaluate", "run", "--format", "json"]).well();
    let evaluated: serde_json::Value = serde_json::from_str(&evaluated.stdout).unwrap();
    assert_eq!(evaluated["accuracy"], record["test_accuracy"], "the same test set");
    // The table to classify has the column, too.
    let predicted = place.run(&["predict", "run", "letters.csv", "--format", "csv"]).well();
    assert_eq!(predicted.stdout.lines().count(), letters().lines().count());
    let classes: BTreeSet<&str> =
        predicted.stdout.lines().skip(1).map(|row| row.split(',').nth(2).unwrap()).collect();
    assert!(classes.iter().all(|class| ["a", "b", "c"].contains(class)), "{classes:?}");

    let with =
        |column: &str| place.train(&["letters.csv", "--label-column", "letter", "--group-column", column]);
    with("writr").with_fault(
        1,
        &["has no column of groups 'writr'; there are writer, p0", "hint: did you mean writer?"],
    );
    with("letter")
        .with_fault(1, &["the column 'letter' holds the labels: it cannot be the one of the groups, too"]);
    fs::write(place.path("letters.csv"), letters().replacen("w07,", ",", 1)).unwrap();
    with("writer").with_fault(1, &["column 1 (writer): is empty, and names no group"]);
    let one: String = letters().lines().take(4).map(|line| format!("{line}\n")).collect();
    fs::write(place.path("letters.csv"), one).unwrap();
    with("writer").with_fault(1, &["all training images are of one group, w00"]);
}

#[test]
fn file_names_say_groups_and_a_test_set_that_shares_them_is_told() {
    // Pictures 00.png to 59.png of each class, and a test set of 00.png to 11.png.
    let place = Place::with_pictures(false);
    let train = |pattern: &str, more: &[&str]| {
        place.train(&[&["pictures", "--group-pattern", pattern], &QUICK[..], more].concat())
    };
    let trained = train("^([0-9])", &["--out", "run", "--validation-split", "0.2"]).well();
    assert!(
        trained.stderr.contains("2 of 2 groups of the test images have training images, too, such as 0:")
            || trained.stderr.contains("1 of 2 groups of the test images have training images, too"),
        "{trained:?}"
    );
    assert_eq!(place.record("run")["dataset"]["groups"], json!({"train": 5, "validation": 1, "test": 2}));
    assert_eq!(place.record("run")["dataset"]["validation"], 20);
    train("^x", &[]).with_fault(1, &["the pattern of groups matches none of 144 file names, such as "]);
    train("^[0-4]", &[]).with_fault(1, &["does not match 20 of 144 file names, such as train/down/50.png"]);
    train("^([0-9])", &["--fold", "1/7"]).with_fault(1, &["there are 6 groups to be split into 7 parts"]);
    place.train(&["pictures", "--group-column", "x"]).with_fault(
        1,
        &[
            "pictures: is read as folders of images, which has no columns to take groups from",
            "--group-pattern",
        ],
    );
}

#[test]
fn a_model_file_in_its_run_is_tested_on_the_test_set_of_the_run() {
    let place = Place::new();
    place.write("", "letters.csv", letters().as_bytes());
    let grouped = ["--dataset", "letters.csv", "--group-column", "writer", "--out", "grouped"];
    place.train(&[&grouped, &QUICK[..]].concat()).well();
    let validation: String = letters().lines().take(40).map(|line| format!("{line}\n")).collect();
    place.write("", "validation.csv", validation.as_bytes());
    let split = ["--dataset", "letters.csv", "--test-split", "0.3", "--out", "split"];
    place
        .train(
            &[&split[..], &["--validation", "validation.csv", "--group-column", "writer"], &QUICK[..]]
                .concat(),
        )
        .well();
    for run in ["grouped", "split"] {
        let of_run = place.run(&["evaluate", run]).well();
        let of_file = place.run(&["evaluate", &format!("{run}/model.pt"), "letters.csv"]).well();
        assert_eq!(of_run.stdout, of_file.stdout);
        assert!(!format!("{of_run:?}{of_file:?}").contains("warning"), "{of_run:?}{of_file:?}");
    }
}

#[test]
fn what_is_held_out_is_another_thing_in_a_repeated_run_and_named() {
    let place = Place::new();
    place.train(&[&["--out", "run"], &QUICK[..]].concat()).well();
    let repeat = |run: &str, more: &[&str]| {
        let out = format!("again-{}", place.names("").len());
        let arguments = [&["train", "--repeat", run, "--out", &out], more].concat();
        (place.run(&arguments), out)
    };
    let (folded, fold) = repeat("run", &["--fold", "2/5"]);
    assert!(folded.well().stderr.contains("repeating run with --fold \"2/5\" (it had none)\n"));
    let (split, out) = repeat(&fold, &["--validation-split", "0.2"]);
    let told = split.well().stderr;
    assert!(told.contains("--validation-split 0.2 (it had 0.1), --fold none (it had \"2/5\")"), "{told}");
    assert_eq!(place.record(&out)["config"]["fold"], "none");
    let (both, _) = repeat("run", &["--fold", "2/5", "--validation-split", "0.2"]);
    both.with_fault(2, &["--fold 2/5: cannot be used with --validation-split"]);
    let (without, out) = repeat("run", &["--validation-split", "0", "--stopping", "theano"]);
    let told = without.well().stderr;
    assert!(told.contains("--patience 10000 (it had 5)") && told.contains("--monitor \"loss\""), "{told}");
    assert_eq!(place.record(&out)["dataset"]["validation"], 0);
    let (two, _) = repeat("run", &["--processes", "2"]);
    assert!(two.well().stderr.contains("--processes 2 (it had 1), --shards none (it had 1)"));
}
