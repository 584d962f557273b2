//! The same images in every format: the same classes, the same split, the same model, and whatever is said of
//! one holds for the others.

use crate::place::{Place, idx};
use image::{GrayImage, Luma};
use parquet::data_type::{ByteArray, ByteArrayType, Int64Type};
use parquet::file::writer::SerializedFileWriter;
use parquet::schema::parser::parse_message_type;
use std::fs::{self, File};
use std::sync::Arc;
use tch::{Kind, Tensor};

const CLASSES: usize = 3;
const SIDE: usize = 6;
/// What each of them is written as.
const FORMATS: [&str; 6] = ["pictures", "rows", "bytes.npz", "floats.npz", "idx", "tables"];
/// Three classes that are learnt in part: every model makes mistakes, and must make the same ones.
const QUICK: [&str; 8] =
    ["--layers", "dense 12, relu", "--epochs", "6", "--batch-size", "16", "--learning-rate", "0.003"];

/// Images of a class, and the class.
pub struct Labelled {
    pub pixels: Vec<u8>,
    pub class: usize,
}

/// `count` of each class in turn, brighter in a third of the rows.
pub fn images(count: usize, seed: usize) -> Vec<Labelled> {
    let mut state = seed as u32;
    let mut noise = move || {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        (state >> 24) as u8
    };
    let mut image = |class: usize| {
        let pixels = (0..SIDE * SIDE).map(|place| {
            let is_bright = place / SIDE / 2 == class;
            noise() / 2 + if is_bright { 60 } else { 0 }
        });
        Labelled { pixels: pixels.collect(), class }
    };
    let mut images: Vec<Labelled> = (0..CLASSES * count).map(|row| image(row / count)).collect();
    // So that a float of 1.0 is there, too.
    images[0].pixels[0] = 255;
    images
}

pub fn png(image: &Labelled) -> Vec<u8> {
    let picture = GrayImage::from_fn(SIDE as u32, SIDE as u32, |x, y| {
        Luma([image.pixels[y as usize * SIDE + x as usize]])
    });
    let mut bytes = std::io::Cursor::new(Vec::new());
    picture.write_to(&mut bytes, image::ImageFormat::Png).unwrap();
    bytes.into_inner()
}

/// Writes them to the file of that name, with the folders above it.
pub fn write_parquet(place: &Place, name: &str, images: &[Labelled]) {
    let schema =
        "message schema { REQUIRED GROUP image { REQUIRED BYTE_ARRAY bytes; } REQUIRED INT64 label; }";
    fs::create_dir_all(place.path(name).parent().unwrap()).unwrap();
    let file = File::create(place.path(name)).unwrap();
    let schema = Arc::new(parse_message_type(schema).unwrap());
    let mut writer = SerializedFileWriter::new(file, schema, Arc::default()).unwrap();
    let mut group = writer.next_row_group().unwrap();
    let pictures: Vec<ByteArray> = images.iter().map(|image| ByteArray::from(png(image))).collect();
    let mut column = group.next_column().unwrap().unwrap();
    column.typed::<ByteArrayType>().write_batch(&pictures, None, None).unwrap();
    column.close().unwrap();
    let labels: Vec<i64> = images.iter().map(|image| image.class as i64).collect();
    let mut column = group.next_column().unwrap().unwrap();
    column.typed::<Int64Type>().write_batch(&labels, None, None).unwrap();
    column.close().unwrap();
    group.close().unwrap();
    writer.close().unwrap();
}

/// Writes the images in every format.
fn write_all(place: &Place) {
    let splits = [("train", images(40, 1)), ("test", images(20, 2))];
    let mut arrays = Vec::new();
    for folder in ["rows", "idx", "tables"] {
        fs::create_dir(place.path(folder)).unwrap();
    }
    for (split, images) in &splits {
        let (mut rows, mut all) = ("label".to_string(), Vec::new());
        (0..SIDE * SIDE).for_each(|place| rows += &format!(",pixel{place}"));
        for (number, image) in images.iter().enumerate() {
            let folder = format!("pictures/{split}/{}", image.class);
            fs::create_dir_all(place.path(&folder)).unwrap();
            place.write(&folder, &format!("{number:03}.png"), &png(image));
            rows += &format!("\n{}", image.class);
            image.pixels.iter().for_each(|value| rows += &format!(",{value}"));
            all.extend(&image.pixels);
        }
        place.write("rows", &format!("{split}.csv"), (rows + "\n").as_bytes());
        let labels: Vec<u8> = images.iter().map(|image| image.class as u8).collect();
        let (count, side) = (images.len() as u32, SIDE as u32);
        let of_idx = if *split == "test" { "t10k" } else { "train" };
        place.write("idx", &format!("{of_idx}-images-idx3-ubyte"), &idx(&[count, side, side], &all));
        place.write("idx", &format!("{of_idx}-labels-idx1-ubyte"), &idx(&[count], &labels));
        write_parquet(place, &format!("tables/{split}-00000-of-00001.parquet"), images);
        let pixels = Tensor::from_slice(&all).view([-1, SIDE as i64, SIDE as i64]);
        if *split == "test" {
            let floats = all.iter().flat_map(|value| (f32::from(*value) / 255.0).to_be_bytes());
            let header = [&[0, 0, 13, 3][..], &[count, side, side].map(u32::to_be_bytes).concat()].concat();
            place.write(".", "floats.idx", &header.into_iter().chain(floats).collect::<Vec<u8>>());
        }
        arrays.push((format!("x_{split}"), pixels));
        arrays.push((format!("y_{split}"), Tensor::from_slice(&labels)));
    }
    let named = |arrays: &[(String, Tensor)], name: &str| {
        let arrays: Vec<(&str, &Tensor)> =
            arrays.iter().map(|(name, array)| (name.as_str(), array)).collect();
        Tensor::write_npz(&arrays, place.path(name)).unwrap();
    };
    named(&arrays, "bytes.npz");
    for (_, pixels) in arrays.iter_mut().filter(|(name, _)| name.starts_with('x')) {
        *pixels = pixels.to_kind(Kind::Float) / 255.0;
    }
    named(&arrays, "floats.npz");
}

fn run_of(format: &str) -> String {
    format!("run-{}", format.replace('.', "-"))
}

#[test]
fn the_same_images_in_any_two_formats_are_the_same_data() {
    let place = Place::new();
    write_all(&place);
    for format in FORMATS {
        let arguments = ["--dataset", format, "--data-dir", "kept", "--out", &run_of(format)];
        place.train(&[&QUICK[..], &arguments].concat()).well();
    }
    let weights = |format: &str| fs::read(place.path(&run_of(format)).join("weights.safetensors")).unwrap();
    let first = place.record(&run_of(FORMATS[0]));
    let accuracy = first["test_accuracy"].as_f64().unwrap();
    assert!((0.5..1.0).contains(&accuracy), "the test needs a model that makes mistakes: {accuracy}");
    for format in FORMATS {
        let record = place.record(&run_of(format));
        for key in ["classes", "train", "validation", "test", "shape"] {
            assert_eq!(record["dataset"][key], first["dataset"][key], "{format}: {key}");
        }
        for key in ["test_accuracy", "test_loss", "best_value", "best_epoch"] {
            assert_eq!(record[key], first[key], "{format}: {key}");
        }
        assert!(weights(format) == weights(FORMATS[0]), "{format}: other weights");
    }
    for of_model in FORMATS {
        let run = run_of(of_model);
        let predicted = place.run(&["predict", &run, "pictures/test", "--invert=never"]).well().stdout;
        let class_of_folder = |cells: &str| cells.rsplit('/').nth(1).unwrap().to_string();
        let mut confusion = vec![vec![0u64; CLASSES]; CLASSES];
        for line in predicted.lines().skip(1) {
            let cells: Vec<&str> = line.split(',').collect();
            let (class, found) = (class_of_folder(cells[0]), cells[2]);
            confusion[class.parse::<usize>().unwrap()][found.parse::<usize>().unwrap()] += 1;
        }
        // Rows say nothing of their class, but come in the order in which they were written.
        let true_classes: Vec<usize> = images(20, 2).iter().map(|image| image.class).collect();
        for file in ["rows/test.csv", "idx/t10k-images-idx3-ubyte", "floats.idx"] {
            let predicted = place.run(&["predict", &run, file]).well().stdout;
            let mut found = vec![vec![0u64; CLASSES]; CLASSES];
            for (line, class) in predicted.lines().skip(1).zip(&true_classes) {
                found[*class][line.split(',').nth(2).unwrap().parse::<usize>().unwrap()] += 1;
            }
            assert_eq!(found, confusion, "{of_model} on {file}");
        }
        for of_data in FORMATS {
            let arguments =
                ["evaluate", &run, "--dataset", of_data, "--data-dir", "kept", "--format", "json"];
            let evaluated = place.run(&arguments).well().stdout;
            let evaluated: serde_json::Value = serde_json::from_str(&evaluated).unwrap();
            assert_eq!(evaluated["confusion"], serde_json::json!(confusion), "{of_model} on {of_data}");
            assert_eq!(evaluated["accuracy"], first["test_accuracy"], "{of_model} on {of_data}");
        }
    }
}

/// The classes that were predicted.
fn predicted(place: &Place, arguments: &[&str]) -> Vec<String> {
    let finished = place.run(&[&["predict", "run"], arguments].concat()).well();
    finished.stdout.lines().skip(1).map(|line| line.split(',').nth(2).unwrap().to_string()).collect()
}

/// As EMNIST has them, also in rows of a table.
#[test]
fn images_with_rows_and_columns_exchanged_are_turned_by_every_command() {
    let place = Place::new();
    let csv = |turns: bool| -> String {
        let row = |image: &Labelled| {
            let value = |at: usize| image.pixels[if turns { at % SIDE * SIDE + at / SIDE } else { at }];
            let values: Vec<String> = (0..SIDE * SIDE).map(|at| value(at).to_string()).collect();
            format!("{},{}\n", image.class, values.join(","))
        };
        images(40, 1).iter().map(row).collect()
    };
    place.write(".", "upright.csv", csv(false).as_bytes());
    place.write(".", "emnist-toy.csv", csv(true).as_bytes());
    place.write(".", "turned.csv", csv(true).as_bytes());
    let train = |arguments: &[&str]| {
        let _ = fs::remove_dir_all(place.path("run"));
        let common = ["--data-dir", "kept", "--out", "run", "--label-column", "0"];
        place.train(&[arguments, &QUICK, &common].concat()).well();
    };
    train(&["--dataset", "emnist-toy.csv"]);
    let upright = predicted(&place, &["upright.csv"]);
    let right = upright.iter().zip(images(40, 1)).filter(|(found, image)| **found == image.class.to_string());
    assert!(right.count() > 80, "{upright:?}");
    assert_eq!(predicted(&place, &["emnist-toy.csv"]), upright);
    assert_eq!(predicted(&place, &["turned.csv", "--transpose"]), upright);
    assert_ne!(predicted(&place, &["turned.csv"]), upright);
    train(&["--dataset", "turned.csv", "--transpose"]);
    assert_eq!(predicted(&place, &["turned.csv"]), upright);
    assert_eq!(predicted(&place, &["upright.csv", "--transpose=false"]), upright);
    let accuracy = |arguments: &[&str]| {
        let finished = place.run(&[&["evaluate", "run", "--data-dir", "kept"], arguments].concat()).well();
        finished.stdout.lines().nth(2).unwrap().to_string()
    };
    let whole = accuracy(&["--dataset", "turned.csv", "--test-split", "0.5"]);
    assert_eq!(accuracy(&["--dataset", "upright.csv", "--test-split", "0.5", "--transpose=false"]), whole);
}

/// A picture of 16 bits is what the same picture of 8 bits is.
#[test]
fn pictures_of_16_bits_are_evaluated_as_they_are_predicted() {
    let place = Place::new();
    write_all(&place);
    for image in images(20, 2).iter().enumerate() {
        let (number, Labelled { pixels, class }) = image;
        let folder = format!("wide/{class}");
        fs::create_dir_all(place.path(&folder)).unwrap();
        let wide: image::ImageBuffer<Luma<u16>, Vec<u16>> =
            image::ImageBuffer::from_fn(SIDE as u32, SIDE as u32, |x, y| {
                Luma([u16::from(pixels[y as usize * SIDE + x as usize]) * 257])
            });
        wide.save(place.path(&format!("{folder}/{number:03}.png"))).unwrap();
    }
    let arguments = ["--dataset", "pictures", "--data-dir", "kept", "--out", "run"];
    place.train(&[&QUICK[..], &arguments].concat()).well();
    let evaluated = |dataset: &str| -> serde_json::Value {
        let arguments = ["evaluate", "run", "--dataset", dataset, "--data-dir", "kept", "--format", "json"];
        serde_json::from_str(&place.run(&arguments).well().stdout).unwrap()
    };
    let (narrow, wide) = (evaluated("pictures"), evaluated("wide"));
    assert_eq!([&narrow["confusion"], &narrow["loss"]], [&wide["confusion"], &wide["loss"]]);
    assert_eq!(predicted(&place, &["wide"]), predicted(&place, &["pictures/test"]));
}
