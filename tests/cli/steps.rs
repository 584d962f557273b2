//! What a step is made of, and what comes after it: several batches, a mean of the weights, a learning rate that a test
//! has found.

use crate::place::Place;
use std::fs;

/// A training of a second with all kinds of randomness.
const NETWORK: [&str; 6] =
    ["--layers", "dense 24, batchnorm, relu, dropout 0.2", "--epochs", "3", "--batch-size", "64"];

fn bytes(place: &Place, file: &str) -> Vec<u8> {
    fs::read(place.path(file)).unwrap()
}

/// Whether two runs have come to the same. Their epochs take different times.
fn assert_same(place: &Place, run: &str, other: &str) {
    for file in ["weights.safetensors", "model.pt"] {
        let [one, two] = [run, other].map(|run| bytes(place, &format!("{run}/{file}")));
        assert!(one == two, "{file} of {run} and {other}");
    }
    assert_eq!(place.history(run), place.history(other));
}

#[test]
fn a_checkpoint_gives_the_mean_of_the_weights_and_a_run_goes_on_from_it() {
    let place = Place::new();
    let settings = [&NETWORK[..], &["--ema", "0.97", "--accumulate", "3", "--keep-last-weights"]].concat();
    place.train(&[&settings[..], &["--out", "whole"]].concat()).well();
    place.train(&[&settings[..], &["--out", "parts", "--epochs", "1"]].concat()).well();
    place.run(&["train", "--resume", "parts", "--epochs", "3"]).well();
    assert!(bytes(&place, "parts/weights.safetensors") == bytes(&place, "whole/weights.safetensors"));
    assert_eq!(place.history("parts"), place.history("whole"));

    fs::rename(place.path("whole/weights.safetensors"), place.path("kept")).unwrap();
    place.run(&["report", "whole"]).well();
    assert!(bytes(&place, "whole/weights.safetensors") == bytes(&place, "kept"));
    // What is evaluated is what was validated and tested.
    let evaluated = place.run(&["evaluate", "whole"]).well().stdout;
    let accuracy = place.record("whole")["test_accuracy"].as_f64().unwrap();
    assert!(evaluated.contains(&format!("{accuracy:.4}")), "{accuracy} {evaluated}");
    place
        .train(&[&NETWORK[..], &["--accumulate", "3", "--keep-last-weights", "--out", "raw"]].concat())
        .well();
    assert!(bytes(&place, "raw/weights.safetensors") != bytes(&place, "kept"));
    let columns = |run: &str| {
        place.history(run).iter().map(|row| [row[1].to_string(), row[2].to_string()]).collect::<Vec<_>>()
    };
    assert_eq!(columns("raw"), columns("whole"), "the weights that are trained are the same");
}

#[test]
fn a_learning_rate_that_is_found_trains_as_if_it_had_been_given() {
    let place = Place::new();
    let auto = [&NETWORK[..], &["--augment", "shift", "--learning-rate", "auto", "--out"]].concat();
    let finished = place.train(&[&auto[..], &["auto"]].concat()).well();
    let rate = place.record("auto")["config"]["learning_rate"].as_f64().unwrap();
    assert!((3e-4..0.1).contains(&rate), "{rate}");
    assert!(finished.stderr.contains(&format!("learning rate: {rate}, found by a test (")), "{finished:?}");
    let given = rate.to_string();
    place
        .train(&[&NETWORK[..], &["--augment", "shift", "--learning-rate", &given, "--out", "given"]].concat())
        .well();
    assert_same(&place, "auto", "given");
    let of_test = |run: &str| {
        let names = place.names(run).into_iter();
        names.filter(|name| name.starts_with("learning_rate_test")).collect::<Vec<_>>()
    };
    assert_eq!(of_test("auto"), ["csv", "png", "svg"].map(|end| format!("learning_rate_test.{end}")));
    assert!(of_test("given").is_empty());
    let table = place.read("auto/learning_rate_test.csv");
    assert!(table.starts_with("learning_rate,loss,smoothed_loss\n0.000001,"), "{table}");
    assert!(place.read("auto/learning_rate_test.svg").contains(&format!("chosen: {rate}")));

    // The same command line goes on without another test.
    let again = place.train(&[&auto[..], &["auto", "--resume-if-any", "--epochs", "4"]].concat()).well();
    assert!(!again.stderr.contains("found by a test"), "{again:?}");
    place.run(&["train", "--resume", "given", "--epochs", "4"]).well();
    assert_eq!(place.history("auto"), place.history("given"));
    place
        .run(&["train", "--resume", "given", "--epochs", "5", "--learning-rate", "auto"])
        .with_fault(2, &["--learning-rate \"auto\": cannot change when a run is resumed"]);
}

#[test]
fn processes_find_one_learning_rate() {
    let place = Place::new();
    let auto = [&NETWORK[..], &["--learning-rate", "auto", "--shards", "2", "--accumulate", "2"]].concat();
    for processes in ["1", "2"] {
        place.train(&[&auto[..], &["--processes", processes, "--out", processes]].concat()).well();
    }
    let rate = |run: &str| place.record(run)["config"]["learning_rate"].clone();
    assert_eq!(rate("1"), rate("2"));
    assert_eq!(place.history("1"), place.history("2"));
}

#[test]
fn what_makes_no_sense_is_refused() {
    let place = Place::new();
    place.train(&["--ema", "1", "--accumulate", "0"]).with_fault(
        2,
        &["--ema 1: must be above 0 and below 1", "--accumulate 0: must be a whole number of at least 1"],
    );
    place
        .train(&["--learning-rate", "-1"])
        .with_fault(2, &["--learning-rate -1: must be a number above 0", "or auto"]);
    place.train(&["--learning-rate", "fast"]).with_fault(2, &["'fast'", "must be a number or auto"]);
    let schedule =
        ["--schedule", "cosine", "--final-learning-rate", "9", "--learning-rate", "auto", "--out", "run"];
    place.train(&schedule).with_fault(2, &["--final-learning-rate 9: is above --learning-rate"]);
    assert!(place.names("run").is_empty());
}
