use crate::place::{Finished, Place, idx};
use std::fs;
use std::io::Read;
use std::process::{Command, Stdio};

#[test]
fn the_numbers_are_those_of_the_run_itself() {
    let place = Place::new();
    place.train_quickly("run", &[]).well();
    let finished = place.run(&["evaluate", "run"]).well();
    let record = place.record("run");
    for (name, key) in [("loss", "test_loss"), ("accuracy", "test_accuracy")] {
        let interval = &record[format!("{key}_interval")];
        let [low, high] = [0, 1].map(|end| interval[end].as_f64().unwrap());
        let value = record[key].as_f64().unwrap();
        let line = format!("\n{name} {value:.6} (95 % interval {low:.6} to {high:.6})\n");
        assert!(low < value && value < high, "{name}: {value} in {interval}");
        assert!(finished.stdout.contains(&line), "no {line:?} in {finished:?}");
    }
    assert!(finished.stdout.starts_with("test set of digits: 364 images\n"));

    // The table: a row a class, the images of all classes add up, recall is right / images.
    let lines = finished
        .stdout
        .lines()
        .skip_while(|line| !line.starts_with("class "))
        .skip(1)
        .take_while(|line| !line.is_empty());
    let rows: Vec<Vec<&str>> = lines.map(|line| line.split_whitespace().collect()).collect();
    assert_eq!(rows.len(), 10, "{finished:?}");
    let images = |row: &Vec<&str>| row[1].parse::<f64>().unwrap();
    assert_eq!(rows.iter().map(images).sum::<f64>(), 364.0);
    let right: f64 = rows.iter().map(|row| row[3].parse::<f64>().unwrap() * images(row)).sum();
    assert!((right / 364.0 - record["test_accuracy"].as_f64().unwrap()).abs() < 1e-3);
}

#[test]
fn every_form_tells_the_same_of_a_run_and_of_its_file() {
    let place = Place::new();
    place.train_quickly("run", &[]).well();
    let in_form = |model: &[&str], format: &str| {
        place.run(&[&["evaluate"], model, &["--format", format]].concat()).well().stdout
    };
    let file = ["run/model.pt", "--dataset", "digits", "--threads", "1"];
    for format in ["table", "csv", "json"] {
        assert_eq!(in_form(&["run"], format), in_form(&file, format));
    }
    let text = in_form(&["run"], "json");
    let json: serde_json::Value = serde_json::from_str(&text).unwrap();
    // A row of the matrix is a line, and so is a class.
    let row: Vec<String> = json["confusion"][3].as_array().unwrap().iter().map(ToString::to_string).collect();
    assert!(text.contains(&format!("\n    [{}],\n", row.join(", "))), "{text}");
    assert!(text.lines().count() < 70, "{text}");
    // Each metric has its interval, of both ends.
    for name in ["balanced_accuracy", "precision", "recall", "f1", "auc", "mcc", "kappa", "brier", "top3"] {
        let interval: [f64; 2] = serde_json::from_value(json[format!("{name}_interval")].clone()).unwrap();
        let value = json[name].as_f64().unwrap();
        assert!(
            interval[0] <= value && value <= interval[1] && interval[0] < interval[1],
            "{name}: {interval:?}"
        );
    }
    let record = place.record("run");
    for (name, key) in [("loss", "test_loss"), ("accuracy", "test_accuracy")] {
        assert_eq!(json[name], record[key]);
        assert_eq!(json[format!("{name}_interval")], record[format!("{key}_interval")]);
    }
    let ece = json["ece"].as_f64().unwrap();
    let line = format!("\nexpected calibration error {ece:.6}\n");
    assert!(ece > 0.0 && ece < 0.5 && in_form(&["run"], "table").contains(&line), "{ece}");

    // Rows are true classes; the right ones stand in the diagonal.
    let count = |row: usize, column: usize| json["confusion"][row][column].as_u64().unwrap();
    let right: u64 = (0..10).map(|class| count(class, class)).sum();
    assert_eq!(right as f64 / 364.0, json["accuracy"].as_f64().unwrap());
    let text = in_form(&["run"], "csv");
    let rows: Vec<csv::StringRecord> =
        csv::Reader::from_reader(text.as_bytes()).records().map(|row| row.unwrap()).collect();
    assert_eq!(rows.len(), 10);
    for (class, row) in rows.iter().enumerate() {
        let of_class: u64 = (0..10).map(|other| count(class, other)).sum();
        let taken_for: u64 = (0..10).map(|other| count(other, class)).sum();
        assert_eq!(row[1].parse::<u64>().unwrap(), of_class);
        // Empty where there is nothing to divide by.
        let close = |cell: &str, value: f64| match cell {
            "" => value.is_nan(),
            number => (number.parse::<f64>().unwrap() - value).abs() < 1e-12,
        };
        assert!(close(&row[2], count(class, class) as f64 / taken_for as f64), "precision {row:?}");
        assert!(close(&row[3], count(class, class) as f64 / of_class as f64), "recall {row:?}");
        assert!((0..10).all(|other| row[5 + other] == count(class, other).to_string()), "{row:?}");
    }
    let table = in_form(&["run"], "table");
    assert!(table.contains("\ntrue \\ predicted "));
    // The recall of all images is the accuracy.
    let line = |name: &str| table.lines().find(|line| line.starts_with(name)).unwrap();
    let recall = |name: &str| line(name).split_whitespace().nth(4).unwrap().to_string();
    assert_eq!(recall("weighted average"), format!("{:.4}", json["accuracy"].as_f64().unwrap()));
    assert_eq!(recall("macro average"), format!("{:.4}", json["macro_average"]["recall"].as_f64().unwrap()));
}

#[test]
fn a_file_needs_a_data_set_that_fits_it() {
    let place = Place::new();
    place.train_quickly("run", &[]).well();
    place.write_idx_set("pictures");
    place.run(&["evaluate", "run/model.pt"]).with_fault(2, &["--dataset is needed"]);
    let finished = place.run(&["evaluate", "run/model.pt", "--dataset", "pictures"]);
    finished.with_fault(1, &["run/model.pt has 10 classes, but pictures has 2"]);
    let finished = place.run(&["evaluate", "run/model.pt", "--dataset", "mnist", "--data-dir", "none"]);
    finished.with_fault(1, &["cannot fetch mnist"]);
    place.run(&["evaluate", "run/history.csv", "--dataset", "digits"]).with_fault(1, &["is a text file"]);
}

#[test]
fn a_run_finds_its_folder_of_pictures_from_anywhere_and_takes_another_one() {
    let place = Place::new();
    place.write_idx_set("pictures");
    place.train_quickly("run", &["--dataset", "pictures", "--epochs", "20"]).well();
    fs::create_dir(place.path("elsewhere")).unwrap();
    let mut command = place.command(&["evaluate", "../run"]);
    let finished = command.current_dir(place.path("elsewhere")).output().unwrap();
    assert!(String::from_utf8(finished.stdout).unwrap().starts_with("test set of pictures: 20 images\n"));

    place.write_idx_set("others");
    place.write("others", "t10k-images-idx3-ubyte", &idx(&[2, 4, 4], &[9; 32]));
    place.write("others", "t10k-labels-idx1-ubyte", &idx(&[2], &[0, 1]));
    let finished = place.run(&["evaluate", "run", "--dataset", "others"]).well();
    assert!(finished.stdout.starts_with("test set of others: 2 images\n"), "{finished:?}");
}

#[test]
fn a_data_set_that_does_not_fit_the_run_is_refused() {
    let place = Place::new();
    place.train_quickly("run", &[]).well();
    place.write_idx_set("pictures");
    let finished = place.run(&["evaluate", "run", "--dataset", "pictures"]);
    finished.with_fault(1, &["the run has 10 classes, but pictures has 2"]);
}

#[test]
fn what_is_no_run_or_damaged_is_named() {
    let place = Place::new();
    place.run(&["evaluate", "nowhere"]).with_fault(1, &["there is no folder nowhere"]);
    place.run(&["evaluate", "."]).with_fault(1, &["is not a run: it has no run.json"]);
    place.run(&["evaluate"]).with_fault(2, &["<MODEL>"]);

    place.train_quickly("run", &[]).well();
    let whole = fs::read(place.path("run/weights.safetensors")).unwrap();
    place.write("run", "weights.safetensors", &whole[..whole.len() / 2]);
    place.run(&["evaluate", "run"]).with_fault(1, &["run/weights.safetensors"]);
    fs::remove_file(place.path("run/weights.safetensors")).unwrap();
    place.run(&["evaluate", "run"]).with_fault(1, &["run/weights.safetensors", "No such file"]);
    place.write("run", "run.json", b"{\"fitch_version\": 1");
    place.run(&["evaluate", "run"]).with_fault(1, &["run/run.json is not the record of a run"]);
}

#[test]
fn classes_in_another_order_are_known_by_their_names_and_others_refused() {
    let place = Place::new();
    let rows = |classes: [&str; 2]| {
        let row = |number: u8| format!("{},{number},{number},0,0\n", classes[usize::from(number % 2)]);
        "label,a,b,c,d\n".to_string() + &(0..60).map(row).collect::<String>()
    };
    place.write(".", "rows.csv", rows(["cat", "dog"]).as_bytes());
    place.train_quickly("run", &["--dataset", "rows.csv", "--data-dir", "kept"]).well();
    let evaluate = |classes: &[&str]| {
        let file = ["evaluate", "run/model.pt", "--dataset", "rows.csv", "--data-dir", "kept"];
        place.run(&[&file, classes].concat())
    };
    let result = |finished: Finished| finished.well().stdout.lines().next().map(str::to_string);
    assert_eq!(result(evaluate(&["--classes", "dog,cat"])), result(evaluate(&[])));
    place.write(".", "rows.csv", rows(["cat", "owl"]).as_bytes());
    evaluate(&[]).with_fault(1, &["has the classes cat, dog, but rows has cat, owl"]);
}

#[test]
fn files_that_are_read_or_lead_elsewhere_are_not_replaced() {
    let place = Place::new();
    let rows: String = (0..60).map(|row| format!("{},{},{}\n", row % 2, row % 2 * 9, row)).collect();
    place.write("", "rows.csv", format!("label,a,b\n{rows}").as_bytes());
    place.train_quickly("run", &["--dataset", "rows.csv", "--data-dir", "kept"]).well();
    let before = place.read("rows.csv");
    for (arguments, expected) in [
        (&["--mistakes", "rows.csv"][..], "rows.csv is read: it would be overwritten"),
        (&["--mistakes", "wrong.png"], "--mistakes wrong.png: the name must end in .csv"),
        (&["--suspects", "a.csv", "--mistakes", "./a.csv"], "a.csv would be written twice"),
        (&["--mistakes", "run/history.csv"], "run/history.csv belongs to a run"),
        (&["--suspects", "run/model.pt"], "--suspects run/model.pt: the name must end in .csv"),
        (&["--suspects", "a.csv", "--mistakes", "a.csv"], "a.csv would be written twice"),
        (&["--suspects", "a.csv", "--reliability", "a.png"], "a.png would be written twice"),
    ] {
        place.run(&[&["evaluate", "run"], arguments].concat()).with_fault(2, &[expected]);
    }
    place
        .run(&["report", "run", "--to", "rows.csv"])
        .with_fault(2, &["--to rows.csv: the name must end in .html"]);
    let sheet = place.run(&["data", "inspect", "rows.csv", "--to", "a.png", "--near-copies", "./a.png"]);
    sheet.with_fault(2, &["a.png would be written twice"]);
    assert_eq!(place.read("rows.csv"), before);
    place.write("", "kept.csv", b"old");
    std::os::unix::fs::symlink("kept.csv", place.path("link.csv")).unwrap();
    place.run(&["evaluate", "run", "--mistakes", "link.csv"]).well();
    assert!(place.path("link.csv").is_symlink() && place.read("kept.csv").starts_with("row,true,"));
    assert!(Command::new("mkfifo").arg(place.path("pipe.csv")).status().unwrap().success());
    let mut reader = Command::new("cat").arg(place.path("pipe.csv")).stdout(Stdio::piped()).spawn().unwrap();
    place.run(&["evaluate", "run", "--mistakes", "pipe.csv"]).well();
    let mut read = String::new();
    reader.stdout.take().unwrap().read_to_string(&mut read).unwrap();
    reader.wait().unwrap();
    assert_eq!(read, place.read("kept.csv"));
    let file = fs::File::create(place.path("all.txt")).unwrap();
    let mut into_file = place.command(&["evaluate", "run", "--mistakes", "/dev/stdout"]);
    assert!(into_file.stdout(file).stderr(Stdio::null()).status().unwrap().success());
    let streamed = place.run(&["evaluate", "run", "--mistakes", "/dev/stdout"]).well();
    assert!(streamed.stdout.starts_with(&place.read("kept.csv")), "{streamed:?}");
    assert_eq!(streamed.stdout, place.read("all.txt"));
}
