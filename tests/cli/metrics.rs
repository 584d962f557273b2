//! `--metrics`: what is recorded, watched and shown beside loss and accuracy.

use crate::place::Place;

#[test]
fn metrics_are_recorded_watched_drawn_and_evaluated() {
    let place = Place::new();
    let metrics = ["--metrics", "f1, auc,top4", "--monitor", "val_f1", "--learning-rate", "0.01"];
    let trained = place.train_quickly("run", &metrics).well();
    assert!(trained.stderr.contains("  val_auc 0."), "{trained:?}");
    assert!(trained.stdout.contains("\nval_top4 "), "{trained:?}");

    let rows = place.history("run");
    let columns: Vec<&str> = rows[0].iter().collect();
    let expected = "epoch,accuracy,f1,loss,top4,val_accuracy,val_auc,val_f1,val_loss,val_top4,learning_rate";
    assert_eq!(columns.join(","), expected, "auc is of validation only");
    let column = |name: &str| {
        let place = columns.iter().position(|column| *column == name).unwrap();
        rows[1..].iter().map(|row| row[place].parse().unwrap()).collect::<Vec<f64>>()
    };
    for prefix in ["", "val_"] {
        let of = |name: &str| column(&format!("{prefix}{name}"));
        assert!(of("top4").iter().zip(of("accuracy")).all(|(top, accuracy)| (accuracy..=1.0).contains(top)));
        assert!(of("f1").iter().all(|f1| (0.1..1.0).contains(f1)), "{rows:?}");
    }
    let (best, record) = (column("val_f1").into_iter().fold(0.0, f64::max), place.record("run"));
    assert_eq!((record["best_value"].as_f64(), &record["monitor"]), (Some(best), &"val_f1".into()));
    let files = place.names("run");
    for file in ["f1.svg", "f1.png", "auc.png", "top4.svg", "loss.svg"] {
        assert!(files.contains(&file.to_string()), "{file}: {files:?}");
    }
    let drawn = place.run(&["plot", "run"]).well();
    assert!(drawn.stdout.contains("accuracy.svg, accuracy.png, auc.svg, auc.png, f1.svg"), "{drawn:?}");
    assert!(place.read("run/report.html").contains("\"val_auc\""));

    let text = place.run(&["evaluate", "run", "--format", "json"]).well().stdout;
    let json: serde_json::Value = serde_json::from_str(&text).unwrap();
    let value = |name: &str| json[name].as_f64().unwrap_or_else(|| panic!("no {name} in {text}"));
    for name in ["precision", "recall", "f1"] {
        assert_eq!(json[name], json["macro_average"][name]);
    }
    for name in ["auc", "f1", "top4"] {
        assert_eq!(record["test_metrics"][name], json[name], "{name}");
        assert_eq!(record["test_metric_intervals"][name], json[format!("{name}_interval")], "{name}");
        assert!(trained.stdout.contains(&format!("test {name} {:.4}", value(name))), "{trained:?}");
    }
    assert!(place.read("run/f1.svg").contains("test 0."), "the test set is drawn");
    // All classes have test images, so that both are the same mean.
    assert!((value("balanced_accuracy") - value("recall")).abs() < 1e-12);
    let in_order = ["accuracy", "top3", "top4", "top5"].map(value);
    assert!(in_order.is_sorted() && in_order[3] < 1.0 + 1e-12, "{in_order:?}");
    assert!(
        value("auc") > 0.9 && value("kappa") > 0.5 && value("mcc") > 0.5 && value("brier") < 0.5,
        "{text}"
    );
    let table = place.run(&["evaluate", "run"]).well().stdout;
    let line =
        table.lines().find(|line| line.starts_with("auc ")).unwrap_or_else(|| panic!("no auc in {table}"));
    assert!(line.contains(&format!(" {:.4} ", value("auc"))), "{line}");
}

#[test]
fn what_data_cannot_give_is_refused_or_said_before_training() {
    let place = Place::new();
    place
        .train_quickly("run", &["--metrics", "top10"])
        .with_fault(2, &["--metrics top10: there are 10 classes"]);
    // The last rows are of one class of the three, the last half is of two.
    let row = |number: u32| format!("{},{number},1,2,3\n", ["a", "b", "c"][(number / 20) as usize]);
    let table = "label,p,q,r,s\n".to_string() + &(0..60).map(row).collect::<String>();
    place.write(".", "rows.csv", table.as_bytes());
    let sorted = ["--dataset", "rows.csv", "--data-dir", "kept", "--split", "last", "--monitor", "val_auc"];
    let one = place.train_quickly("run", &[&sorted[..], &["--validation-split", "0.1"]].concat());
    one.with_fault(1, &["--metrics auc: all validation images are of one class"]);
    let two = place.train_quickly("run", &[&sorted[..], &["--validation-split", "0.5"]].concat()).well();
    assert!(two.stderr.contains("val_auc leaves out classes without validation images: a\n"), "{two:?}");
}
