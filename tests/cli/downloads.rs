//! Sets as they lie there once they are downloaded and unpacked: from the folder to a trained model with one
//! command.

use crate::formats::{Labelled, images, png, write_parquet};
use crate::place::{Finished, Place};
use std::fmt::Write as _;
use std::fs;
use std::io::{Cursor, Write as _};
use std::path::Path;

/// Trains on what lies there, which must be learnt.
fn train(place: &Place, dataset: &str) -> Finished {
    let quick = ["--layers", "dense 24, relu", "--epochs", "40", "--learning-rate", "0.02", "--out", "run"];
    let finished = place.train(&[&["--dataset", dataset, "--data-dir", "kept"], &quick[..]].concat()).well();
    assert!(place.record("run")["test_accuracy"].as_f64().unwrap() > 0.9, "{finished:?}");
    assert!(place.path("run/model.pt").exists());
    finished
}

fn write_image(place: &Place, folder: &str, number: usize, image: &Labelled) {
    fs::create_dir_all(place.path(folder)).unwrap();
    place.write(folder, &format!("{number}.png"), &png(image));
}

/// As Kaggle's archives of cats and dogs, or of landscapes: each split in a folder within a folder of its name,
/// and what systems leave in between.
#[test]
fn pictures_in_nested_archives_with_helper_files_are_trained_on() {
    let place = Place::new();
    for (split, count, seed) in [("training_set", 30, 1), ("test_set", 10, 2)] {
        for (number, image) in images(count, seed).iter().enumerate() {
            let folder = format!("download/{split}/{split}/{}", ["cats", "dogs", "owls"][image.class]);
            write_image(&place, &folder, number, image);
            place.write(&folder, "Thumbs.db", b"\xd0\xcf");
            place.write(&folder, "._0.png", b"\0\x05\x16\x07");
        }
        write_image(&place, "download/seg_pred/seg_pred", seed, &images(1, 3)[0]);
        fs::create_dir_all(place.path(&format!("download/__MACOSX/{split}"))).unwrap();
    }
    place.write("download", "README.txt", b"Cats, dogs and owls.");
    let said = train(&place, "download").stderr;
    for part in [
        "download: 81 train, 9 validation (stratified), 30 test",
        "3 classes (cats, dogs, owls), 27 training images each",
        "left by a system or archive",
        "hidden",
        "download/seg_pred holds images without folders of these classes and is not used",
    ] {
        assert!(said.contains(part), "no '{part}' in {said}");
    }
    // The same before anybody has unpacked it.
    for split in ["training_set", "test_set"] {
        let packed = zip(&place.path("download"), split);
        place.write("download", &format!("{split}.zip"), &packed);
        fs::remove_dir_all(place.path("download").join(split)).unwrap();
    }
    place.write(".", "cats.zip", &zip(&place.path("."), "download"));
    let quick = ["--layers", "dense 8, relu", "--epochs", "1", "--data-dir", "kept", "--out", "packed"];
    let said = place.train(&[&["--dataset", "cats.zip"], &quick[..]].concat()).well().stderr;
    assert!(said.contains("cats: 81 train, 9 validation (stratified), 30 test"), "{said}");
    assert!(said.contains("unpacking into"), "{said}");
    let evaluated = place.run(&["evaluate", "packed"]).well();
    assert!(evaluated.stdout.starts_with("test set of cats: 30 images"), "{evaluated:?}");
    assert!(!evaluated.stderr.contains("unpacking"), "{evaluated:?}");
    let accuracy = format!("accuracy {:.6}", place.record("packed")["test_accuracy"].as_f64().unwrap());
    assert!(evaluated.stdout.contains(&accuracy), "no '{accuracy}' in {evaluated:?}");
}

/// A folder below another one, as it is packed for a download.
fn zip(root: &Path, folder: &str) -> Vec<u8> {
    let mut writer = zip::ZipWriter::new(Cursor::new(Vec::new()));
    let mut folders = vec![root.join(folder)];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
                continue;
            }
            let name = path.strip_prefix(root).unwrap().to_str().unwrap();
            writer.start_file(name, zip::write::FileOptions::default()).unwrap();
            writer.write_all(&fs::read(&path).unwrap()).unwrap();
        }
    }
    writer.finish().unwrap().into_inner()
}

/// As Kaggle's Iris: row numbers, names of mixed case, the label last.
#[test]
fn a_table_with_an_index_and_the_label_last_is_trained_on() {
    let place = Place::new();
    let mut table = "Id,SepalLengthCm,PetalLengthCm,PetalWidthCm,Species\n".to_string();
    for row in 0..150 {
        let (kind, noise) = (row % 3, (row * 37 % 100) as f64 / 100.0);
        let name = ["Iris-setosa", "Iris-versicolor", "Iris-virginica"][kind];
        let [sepal, petal] = [5.0 + 0.8 * kind as f64 + 0.5 * noise, 1.5 + 2.0 * kind as f64 - 0.4 * noise];
        writeln!(table, "{},{sepal:.2},{petal:.2},{:.2},{name}", row + 1, 0.2 + 0.9 * kind as f64).unwrap();
    }
    place.write(".", "Iris.csv", table.as_bytes());
    let said = train(&place, "Iris.csv").stderr;
    for part in ["'Id'", "labels from the column Species", "3 classes (Iris-setosa", "standardised"] {
        assert!(said.contains(part), "no '{part}' in {said}");
    }
}

/// As Hugging Face has sets: shards, and a folder for each configuration.
#[test]
fn one_configuration_of_parquet_in_shards_is_trained_on() {
    let place = Place::new();
    for configuration in ["full", "small"] {
        let all = images(40, 1);
        let (first, second): (Vec<_>, Vec<_>) =
            all.into_iter().enumerate().partition(|(row, _)| row % 2 == 0);
        for (shard, part) in [first, second].into_iter().enumerate() {
            let part: Vec<Labelled> = part.into_iter().map(|(_, image)| image).collect();
            write_parquet(&place, &format!("set/{configuration}/train-{shard:05}-of-00002.parquet"), &part);
        }
        let name = format!("set/{configuration}/test-00000-of-00001.parquet");
        write_parquet(&place, &name, &images(10, 2));
    }
    place.write("set", "README.md", b"---\n---\n");
    place.write("set", ".gitattributes", b"");
    place.train(&["--dataset", "set"]).with_fault(1, &["holds 2 data sets", "set/full, set/small"]);
    let said = train(&place, "set/full").stderr;
    assert!(said.contains("full: 108 train, 12 validation (stratified), 30 test"), "{said}");
    fs::remove_file(place.path("set/full/train-00001-of-00002.parquet")).unwrap();
    let incomplete = place.train(&["--dataset", "set/full"]);
    incomplete.with_fault(1, &["train-00001-of-00002.parquet is missing: 1 of 2 files are there"]);
}
