use crate::place::Place;
use std::fs;

#[test]
fn a_run_gets_its_pictures_again_and_several_are_compared() {
    let place = Place::new();
    place.train_quickly("a", &[]).well();
    place.train_quickly("b", &["--seed", "1"]).well();
    let drawn = place.read("a/loss.svg");
    fs::remove_file(place.path("a/loss.svg")).unwrap();
    place.run(&["plot", "a"]).well();
    assert_eq!(place.read("a/loss.svg"), drawn);
    for part in [">best val_loss ", ", epoch 3<", ">test "] {
        assert!(drawn.contains(part), "no {part} in {drawn}");
    }

    let finished = place.run(&["plot", "a", "b", "--to", "both.svg"]).well();
    assert_eq!(finished.stdout, "written to both.svg\n");
    let both = place.read("both.svg");
    for part in [">Loss<", ">Accuracy<", ">validation<", ">a<", ">b<", ", epoch 3<"] {
        assert!(both.contains(part), "no {part}");
    }
    let lines = |file: &str| place.read(file).matches("<polyline").count();
    let compare = |more: &[&str]| {
        place.run(&[&["plot", "a", "b", "--metric", "loss", "--to", "more.svg"], more].concat()).well();
    };
    compare(&["--training"]);
    assert_eq!((lines("both.svg"), lines("more.svg")), (4, 4), "two metrics; two curves a run");
    for (option, is_logarithmic) in [("--log", true), ("--linear", false)] {
        compare(&[option]);
        assert_eq!(place.read("more.svg").contains(">validation, logarithmic axis<"), is_logarithmic);
    }
    place.run(&["plot", "a", "--log"]).well();
    assert!(place.read("a/accuracy.svg").contains(">logarithmic axis<"));
    place.run(&["plot", "a", "--log", "--linear"]).with_fault(2, &["--linear"]);

    // Two of one name.
    fs::create_dir(place.path("more")).unwrap();
    fs::rename(place.path("b"), place.path("more/a")).unwrap();
    place.run(&["plot", "a", "more/a", "--to", "same.svg"]).well();
    assert!(place.read("same.svg").contains(">more/a<"));
    place.run(&["plot", "a", "--metric", "accuracy", "--to", "one.png"]).well();
    assert!(fs::read(place.path("one.png")).unwrap().starts_with(b"\x89PNG"));
}

#[test]
fn logs_of_keras_are_drawn_here_and_now() {
    let place = Place::new();
    place.write(
        ".",
        "training.csv",
        b"epoch,acc,loss,val_acc,val_loss\r\n0,0.5,1.0,0.5,1.5\r\n1,0.75,0.5,0.5,1.0\r\n",
    );
    let finished = place.run(&["plot", "training.csv", "--terminal"]).well();
    for part in
        ["• loss   ○ val_loss   ▲ best epoch 2\n", "• accuracy   ○ val_accuracy   ◉ both", "epoch 2\n"]
    {
        assert!(finished.stdout.contains(part), "no {part} in {finished:?}");
    }
    assert!(finished.stdout.lines().all(|line| line.chars().count() <= 80));
}

#[test]
fn what_cannot_be_drawn_is_told_and_leaves_nothing() {
    let place = Place::new();
    place.train_quickly("run", &[]).well();
    let good = place.read("run/history.csv");
    for (text, fault) in [
        ("", "bad.csv: is empty"),
        ("a,b\n1,2\n", "bad.csv: line 1: a history has a column epoch"),
        ("epoch,loss\n1,0.5\n2\n", "bad.csv: line 3: has 1 cells, but there are 2 columns"),
        ("epoch,loss\n1,low\n", "bad.csv: line 2, column loss: 'low' is not a number"),
        ("epoch,loss\n1,nan\n", "has no finite value of any metric"),
    ] {
        place.write(".", "bad.csv", text.as_bytes());
        place.run(&["plot", "bad.csv", "--to", "a.png"]).with_fault(1, &[fault]);
    }
    place.write(".", "good.csv", good.as_bytes());
    place.run(&["plot", "good.csv"]).with_fault(2, &["--to FILE or --terminal is needed"]);
    place.run(&["plot", "good.csv", "--to", "a.gif"]).with_fault(2, &["--to a.gif: the name must end in"]);
    place.run(&["plot", "nothing.csv", "--to", "no/a.svg"]).with_fault(1, &["cannot write no/a.svg"]);
    place
        .run(&["plot", "good.csv", "--to", "run/x.svg", "--metric", "f1"])
        .with_fault(2, &["--metric f1: must be"]);
    place.run(&["plot", "nothing.csv", "--terminal"]).with_fault(1, &["nothing.csv", "No such file"]);
    fs::remove_file(place.path("run/history.csv")).unwrap();
    place.run(&["plot", "run"]).with_fault(1, &["run has no history.csv"]);
    assert_eq!(place.names("."), ["bad.csv", "good.csv", "run"]);
}
