//! Tables as people have them: what is trained on them, and what later tables are read as.

use super::place::{Finished, Place};
use std::fs;

/// Numbers with a bell-shaped distribution, the same in every run.
struct Bell(u64);

impl Bell {
    fn next(&mut self, mean: f64, deviation: f64) -> f64 {
        let mut uniform = || {
            self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            (self.0 >> 11) as f64 / (1u64 << 53) as f64
        };
        let sum: f64 = (0..12).map(|_| uniform()).sum();
        mean + deviation * (sum - 6.0)
    }
}

/// Means and deviations of the features of a class.
type Class = (&'static str, &'static [(f64, f64)]);

/// As the three species of Iris are.
const IRIS: [Class; 3] = [
    ("Iris-setosa", &[(5.0, 0.35), (3.42, 0.38), (1.46, 0.17), (0.24, 0.1)]),
    ("Iris-versicolor", &[(5.94, 0.51), (2.77, 0.31), (4.26, 0.47), (1.33, 0.2)]),
    ("Iris-virginica", &[(6.59, 0.63), (2.97, 0.32), (5.55, 0.55), (2.03, 0.27)]),
];

/// As some of the features of the three cultivars of Wine are, whose ranges differ by a factor of a thousand.
const WINE: [Class; 3] = [
    (
        "1",
        &[
            (13.74, 0.46),
            (2.01, 0.69),
            (106.3, 10.5),
            (2.98, 0.4),
            (0.29, 0.07),
            (5.53, 1.24),
            (1115.7, 221.5),
        ],
    ),
    (
        "2",
        &[
            (12.28, 0.54),
            (1.93, 1.02),
            (94.5, 16.8),
            (2.08, 0.71),
            (0.36, 0.12),
            (3.09, 0.92),
            (519.5, 157.2),
        ],
    ),
    (
        "3",
        &[(13.15, 0.53), (3.33, 1.09), (99.3, 10.9), (0.78, 0.29), (0.45, 0.12), (7.4, 2.31), (629.9, 115.1)],
    ),
];

/// The cells of that many rows, each with its class, whose classes come one after another.
fn rows(classes: &[Class], count: usize) -> Vec<(&'static str, Vec<String>)> {
    let mut bell = Bell(7);
    let mut rows = Vec::new();
    for (class, features) in classes {
        for _ in 0..count / classes.len() {
            let cells =
                features.iter().map(|&(mean, deviation)| format!("{:.2}", bell.next(mean, deviation)));
            rows.push((*class, cells.collect()));
        }
    }
    rows
}

fn iris() -> String {
    let rows = rows(&IRIS, 150).into_iter().enumerate();
    let lines = rows.map(|(index, (class, cells))| format!("{},{},{class}\n", index + 1, cells.join(",")));
    format!("Id,SepalLengthCm,SepalWidthCm,PetalLengthCm,PetalWidthCm,Species\n{}", lines.collect::<String>())
}

fn accuracy_of(place: &Place, run: &str) -> f64 {
    place.record(run)["test_accuracy"].as_f64().unwrap()
}

/// The classes that were predicted, in the order of the rows.
fn predicted(finished: &Finished) -> Vec<String> {
    let mut reader = csv::Reader::from_reader(finished.stdout.as_bytes());
    let class = reader.headers().unwrap().iter().position(|name| name == "class").unwrap();
    reader.records().map(|row| row.unwrap()[class].to_string()).collect()
}

#[test]
fn a_table_of_features_is_standardised_and_its_model_takes_tables_of_the_same_columns() {
    let place = Place::new();
    place.write(".", "Iris.csv", iris().as_bytes());
    let finished = place.train(&["--dataset", "Iris.csv", "--out", "run"]).well();
    for part in ["the column 'Id' names the rows and is left out", "they are standardised"] {
        assert!(finished.stderr.contains(part), "no '{part}' in {finished:?}");
    }
    assert!(accuracy_of(&place, "run") > 0.9, "{finished:?}");
    let record = place.record("run");
    assert_eq!(record["dataset"]["shape"], serde_json::json!([4]));
    assert!(record["config"]["layers"].as_str().unwrap().starts_with("standardize, dense 512"), "{record}");
    assert!(place.read("run/summary.txt").contains("Standardization"));

    // The table itself, its columns in another order and with another separator, and without a head.
    let of_all = place.run(&["predict", "run", "Iris.csv"]).well();
    assert!(of_all.stderr.contains("(Species) holds labels and is left out"), "{of_all:?}");
    let true_classes: Vec<String> =
        rows(&IRIS, 150).into_iter().map(|(class, _)| class.to_string()).collect();
    let predicted_classes = predicted(&of_all);
    let right = predicted_classes.iter().zip(&true_classes).filter(|(found, class)| found == class).count();
    assert!(right > 135, "{right} of 150");
    let turned = rows(&IRIS, 150).into_iter().map(|(class, mut cells)| {
        cells.reverse();
        format!("{class};{}\n", cells.join(";").replace('.', ","))
    });
    let head = "class;PetalWidthCm;PetalLengthCm;SepalWidthCm;SepalLengthCm\n";
    place.write(".", "turned.csv", format!("{head}{}", turned.collect::<String>()).as_bytes());
    assert_eq!(predicted(&place.run(&["predict", "run/model.pt", "turned.csv"]).well()), predicted_classes);
    let plain: String = rows(&IRIS, 150).into_iter().map(|(_, cells)| cells.join(",") + "\n").collect();
    place.write(".", "plain.csv", plain.as_bytes());
    assert_eq!(predicted(&place.run(&["predict", "run", "plain.csv"]).well()), predicted_classes);

    let lines = |file: &str| place.run(&["evaluate", "run", "--dataset", file]).well().stdout;
    let accuracy = |text: String| text.lines().find(|line| line.starts_with("accuracy")).unwrap().to_string();
    assert_eq!(accuracy(lines("Iris.csv")), accuracy(lines("turned.csv")));
    place.run(&["evaluate", "run"]).well();

    // Text is a table, whatever its name; the same layers go on, though fitch has put one before them.
    let layers = ["--layers", "dense 8,relu"];
    for name in ["iris.data", "iris.tsv", "iris.txt", "iris"] {
        place.write(".", name, iris().replace(',', "\t").as_bytes());
        let out = format!("run-of-{}", name.replace('.', "-"));
        place.train(&[&["--dataset", name, "--epochs", "1", "--out", &out], &layers[..]].concat()).well();
        place.train(&[&["--resume", &out, "--epochs", "2"], &layers[..]].concat()).well();
        assert_eq!(predicted(&place.run(&["predict", "run", name]).well()), predicted_classes, "{name}");
    }
    place.run(&["data", "inspect", "run/weights.safetensors"]).with_fault(2, &["a safetensors file"]);

    let narrow = iris().replace("PetalWidthCm", "Width");
    place.write(".", "narrow.csv", narrow.as_bytes());
    place.run(&["predict", "run", "narrow.csv"]).with_fault(1, &["narrow.csv: has no column 'PetalWidthCm'"]);
    place
        .train(&["--dataset", "Iris.csv", "--layers", "dense 3, standardize"])
        .with_fault(2, &["must be the first"]);
}

#[test]
fn resuming_and_exports_know_the_means_of_the_training_rows() {
    let place = Place::new();
    place.write(".", "Iris.csv", iris().as_bytes());
    let train = |out: &str, epochs: &str| {
        let options = ["--dataset", "Iris.csv", "--epochs", epochs, "--no-early-stopping", "--out", out];
        place.train(&options).well()
    };
    train("whole", "4");
    train("part", "2");
    place.train(&["--resume", "part", "--epochs", "4"]).well();
    for file in ["weights.safetensors", "model.pt"] {
        let read = |run: &str| fs::read(place.path(run).join(file)).unwrap();
        assert_eq!(read("whole").len(), read("part").len(), "{file}");
    }
    assert_eq!(place.history("whole"), place.history("part"));
    let weights = |run: &str| fs::read(place.path(run).join("weights.safetensors")).unwrap();
    assert_eq!(weights("whole"), weights("part"));
    place.run(&["export", "whole", "--to", "model.onnx"]).well();
    place.run(&["export", "whole", "--to", "again.pt"]).well();
    let of_run = predicted(&place.run(&["predict", "whole", "Iris.csv"]).well());
    assert_eq!(predicted(&place.run(&["predict", "again.pt", "Iris.csv"]).well()), of_run);
}

#[test]
fn labels_are_found_first_or_last_with_and_without_a_head() {
    let place = Place::new();
    let cells = rows(&WINE, 178);
    let first: String = cells.iter().map(|(class, cells)| format!("{class},{}\n", cells.join(","))).collect();
    let last: String = cells.iter().map(|(class, cells)| format!("{} {class}\n", cells.join(" "))).collect();
    let head = "Wine,Alcohol,Malic,Mg,Flavanoids,Phenols,Color,Proline\n";
    let numbered = cells.iter().enumerate();
    let numbered = numbered
        .map(|(index, (class, cells))| format!("{index};{};{class}.0\n", cells.join(";").replace('.', ",")));
    let numbered = format!(";a;b;c;d;e;f;g;quality\n{}", numbered.collect::<String>());
    for (name, text, note) in [
        ("first", first.clone(), Some("labels are taken from the first column: 3 classes")),
        ("last", last, Some("labels are taken from the last column: 3 classes")),
        ("named", format!("{head}{first}"), None),
        ("numbered", numbered, Some("semicolons separate its values")),
    ] {
        let file = format!("{name}.csv");
        let text: Vec<u8> = match name {
            // As Excel's "Unicode text" is.
            "numbered" => {
                [0xfeff].into_iter().chain(text.encode_utf16()).flat_map(u16::to_le_bytes).collect()
            }
            _ => text.into_bytes(),
        };
        place.write(".", &file, &text);
        let finished = place.train(&["--dataset", &file, "--epochs", "40", "--out", name]).well();
        assert!(finished.stderr.contains(note.unwrap_or_default()), "{finished:?}");
        assert!(accuracy_of(&place, name) > 0.9, "{name}: {finished:?}");
        assert_eq!(place.record(name)["dataset"]["classes"], serde_json::json!(["1", "2", "3"]), "{name}");
    }
}

#[test]
fn missing_values_are_an_error_or_replaced_in_every_command() {
    let place = Place::new();
    let lines = iris();
    let holes: Vec<String> = lines
        .lines()
        .enumerate()
        .map(|(index, line)| {
            let mut cells: Vec<&str> = line.split(',').collect();
            if index > 0 && index % 30 == 5 {
                cells[2] = "";
            }
            cells.join(",") + "\n"
        })
        .collect();
    place.write(".", "holes.csv", holes.concat().as_bytes());
    place.train(&["--dataset", "holes.csv"]).with_fault(
        1,
        &[
            "5 values are missing, the first in holes.csv, line 6, column 3 (SepalWidthCm)",
            "hint: --missing mean",
        ],
    );
    let finished = place.train(&["--dataset", "holes.csv", "--missing", "mean", "--out", "run"]).well();
    assert!(finished.stderr.contains("5 missing values are replaced by the mean"), "{finished:?}");
    assert!(accuracy_of(&place, "run") > 0.9, "{finished:?}");
    assert_eq!(predicted(&place.run(&["predict", "run", "holes.csv"]).well()).len(), 150);
    place.run(&["evaluate", "run", "--dataset", "holes.csv"]).well();
    place.train_quickly("strict", &["--dataset", "Iris.csv"]).with_fault(2, &["--dataset Iris.csv"]);
    place.write(".", "Iris.csv", iris().as_bytes());
    place.train_quickly("strict", &["--dataset", "Iris.csv"]).well();
    place
        .run(&["predict", "strict", "holes.csv"])
        .with_fault(1, &["holes.csv: line 6, column 3 (SepalWidthCm): has no value"]);
}

#[test]
fn what_is_no_table_of_numbers_is_told() {
    let place = Place::new();
    let passengers =
        "Survived,Name,Age\n0,\"Braund, Mr. Owen\",22\n1,\"Heikkinen, Miss. Laina\",26\n".repeat(2);
    for (text, parts) in [
        ("label,a\n1,2\n1,3\n".to_string(), &["rows.csv", "one class alone, 1", "at least two"][..]),
        (
            passengers,
            &["rows.csv: the column 'Name' holds words, such as 'Braund, Mr. Owen'", "hint: write the table"],
        ),
        ("a,b,c\n1,2,3\n3,4,5\n5,1,2\n".to_string(), &["only a, b, c", "hint: --label-column NAME says"]),
    ] {
        place.write(".", "rows.csv", text.as_bytes());
        let parts: Vec<&str> =
            parts.iter().map(|part| if *part == "rows.csv" { "rows" } else { *part }).collect();
        place.train_quickly("run", &["--dataset", "rows.csv"]).with_fault(1, &parts);
    }
}

#[test]
fn colour_rows_are_read_pixel_by_pixel_in_every_command() {
    let place = Place::new();
    let mut bell = Bell(3);
    // One of three colours is bright; pixel by pixel, as arrays of pictures are flattened.
    let rows: String = (0..120)
        .map(|row| {
            let value = |place: usize, bell: &mut Bell| {
                let level = if place % 3 == row % 3 { 150.0 } else { 60.0 };
                format!(",{}", bell.next(level, 20.0).clamp(0.0, 255.0) as u8)
            };
            format!("{}{}\n", row % 3, (0..48).map(|place| value(place, &mut bell)).collect::<String>())
        })
        .collect();
    let head: String = (0..48).map(|place| format!(",p{place}")).collect();
    place.write(".", "rows.csv", format!("label{head}\n{rows}").as_bytes());
    for order in ["hwc", "chw"] {
        let given: &[&str] = if order == "hwc" { &[] } else { &["--pixel-order", "chw"] };
        let options = ["--dataset", "rows.csv", "--epochs", "30", "--out", order];
        let finished = place.train(&[&options, given].concat()).well();
        let note = "rows of 48 values are taken as 4 x 4 pixels in colour, red, green and blue of each pixel in turn";
        assert_eq!(finished.stderr.contains(note), order == "hwc", "{finished:?}");
        assert_eq!(place.record(order)["dataset"]["shape"], serde_json::json!([3, 4, 4]));
        let predicted = predicted(&place.run(&["predict", order, "rows.csv"]).well());
        let right =
            predicted.iter().enumerate().filter(|(row, class)| **class == (row % 3).to_string()).count();
        assert!(right > 110, "{order}: {right} of 120");
        let accuracy = place.run(&["evaluate", order, "--dataset", "rows.csv"]).well().stdout;
        assert!(accuracy.contains("accuracy 1.0") || accuracy.contains("accuracy 0.9"), "{accuracy}");
    }
}

/// As they lie in a table of handwritten digits: bytes, in rows of 28, with a dark border.
fn drawn(row: usize) -> Vec<u32> {
    let is_lit =
        |y: usize, x: usize| (4 + 6 * (row % 3)..10 + 6 * (row % 3)).contains(&y) && (6..22).contains(&x);
    let value = |place: usize| match is_lit(place / 28, place % 28) {
        true => 200 + (row * 7 + place) as u32 % 50,
        false => 0,
    };
    (0..784).map(value).collect()
}

#[test]
fn pixels_are_images_whatever_numbers_they_are_and_features_are_not() {
    let place = Place::new();
    let head: String = (0..784).map(|place| format!(",pixel{place}")).collect();
    for (name, of) in [
        ("bytes", (|value| value.to_string()) as fn(u32) -> String),
        ("floats", |value| format!("{}", f64::from(value) / 255.0)),
        ("bits12", |value| (16 * value).to_string()),
    ] {
        let row = |row| {
            format!(
                "{}{}\n",
                row % 3,
                drawn(row).into_iter().map(|value| format!(",{}", of(value))).collect::<String>()
            )
        };
        let rows: String = (0..60).map(row).collect();
        place.write(".", &format!("{name}.csv"), format!("label{head}\n{rows}").as_bytes());
        let options = [
            "--dataset",
            &format!("{name}.csv"),
            "--layers",
            "conv2d 2 5, relu, maxpool2d 2, flatten, dense 8, relu",
        ];
        let finished = place
            .train(&[&options[..], &["--epochs", "4", "--batch-size", "8", "--out", name]].concat())
            .well();
        assert!(finished.stderr.contains("28 x 28 grey pixels"), "{finished:?}");
        assert!(!finished.stderr.contains("standardised"), "{finished:?}");
    }
    // As the symptoms of diabetes: an age, and fifteen columns of yes and no.
    let names: String = ('B'..='P').map(|letter| format!(",Sign{letter}")).collect();
    let row = |row: usize| {
        let signs = (0..15).map(|bit| ((row * 2_654_435_761) >> (8 + bit)) & 1).collect::<Vec<usize>>();
        let class = if signs[..3].iter().sum::<usize>() > 1 { "Positive" } else { "Negative" };
        format!(
            "{}{},{class}\n",
            16 + row % 70,
            signs.iter().map(|sign| format!(",{sign}")).collect::<String>()
        )
    };
    let rows: String = (0..300).map(row).collect();
    place.write(".", "diabetes.csv", format!("Age{names},class\n{rows}").as_bytes());
    let options = ["--dataset", "diabetes.csv", "--epochs", "15", "--out", "features"];
    let finished = place.train(&options).well();
    for part in [
        "rows of 16 values are taken as features, not as 4 x 4 pixels: the columns have names of their own",
        "--pixel-order",
        "they are standardised",
    ] {
        assert!(finished.stderr.contains(part), "no '{part}' in {finished:?}");
    }
    assert!(accuracy_of(&place, "features") > 0.9, "{finished:?}");
    assert_eq!(predicted(&place.run(&["predict", "features", "diabetes.csv"]).well()).len(), 300);
    let options = ["--dataset", "diabetes.csv", "--pixel-order", "hwc", "--epochs", "1", "--out", "pixels"];
    assert!(place.train(&options).well().stderr.contains("4 x 4 grey pixels"));
}

#[test]
fn evaluating_names_the_classes_that_the_model_does_not_have() {
    let place = Place::new();
    place.write(".", "Iris.csv", iris().as_bytes());
    place.train(&["--dataset", "Iris.csv", "--epochs", "1", "--out", "run"]).well();
    let with_rose = iris() + "151,5.0,3.4,1.4,0.2,Rosa-canina\n";
    place.write(".", "more.csv", with_rose.as_bytes());
    place
        .run(&["evaluate", "run", "--dataset", "more.csv"])
        .with_fault(1, &["the run has 3 classes, but more has 4 (unknown to the model: Rosa-canina)"]);
}

#[test]
fn a_column_that_may_name_groups_is_pointed_out() {
    let place = Place::new();
    let rows: String =
        (0..60).map(|row| format!("{},{},{}\n", row % 2, row / 3, row % 2 * 9 + row % 5)).collect();
    place.write("", "rows.csv", format!("label,patient_id,a\n{rows}").as_bytes());
    let train = |out: &str, more: &[&str]| {
        place
            .train_quickly(out, &[&["--dataset", "rows.csv", "--data-dir", "kept"], more].concat())
            .well()
            .stderr
    };
    let warning = "--group-column patient_id keeps those of one together";
    assert!(train("without", &[]).contains(warning));
    assert!(!train("with", &["--group-column", "patient_id"]).contains(warning));
}
