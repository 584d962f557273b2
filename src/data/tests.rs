use super::formats::idx::find_file;
use super::images::shape_of_row;
use super::*;
use anyhow::Result;
use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use tch::Kind;

/// An IDX file of uint8 values.
fn idx(sizes: &[u32], values: &[u8]) -> Vec<u8> {
    let mut bytes = vec![0, 0, 8, sizes.len() as u8];
    sizes.iter().for_each(|size| bytes.extend(size.to_be_bytes()));
    bytes.extend(values);
    bytes
}

/// A folder of four files: training images of 2 x 2 pixels, and two test images of the first classes.
fn folder(train_labels: &[u8], test_labels: &[u8]) -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    for (names, labels) in [(&IDX_FILES[..2], train_labels), (&IDX_FILES[2..], test_labels)] {
        let count = labels.len() as u32;
        let pixels: Vec<u8> = (0..4 * count).map(|value| value as u8).collect();
        fs::write(folder.path().join(names[0]), idx(&[count, 2, 2], &pixels)).unwrap();
        fs::write(folder.path().join(names[1]), idx(&[count], labels)).unwrap();
    }
    folder
}

fn load(folder: &Path) -> Result<Dataset> {
    Source::find(folder.to_str().unwrap())?.load()
}

fn fault(folder: &Path) -> String {
    format!("{:#}", load(folder).unwrap_err())
}

#[test]
fn a_folder_of_idx_files_is_a_data_set() {
    let folder = folder(&[0, 1, 2, 1], &[2, 0]);
    let set = load(folder.path()).unwrap();
    assert_eq!((set.train.len(), set.test.len()), (4, 2));
    assert_eq!(set.classes, ["0", "1", "2"]);
    assert_eq!(set.maximum, 15.0, "the pixels end at 15");
    assert_eq!(set.train.kind(), tch::Kind::Uint8);
    assert_eq!(set.name, folder.path().file_name().unwrap().to_str().unwrap());
    let source = Source::find(folder.path().to_str().unwrap()).unwrap();
    assert_eq!(source.shape_and_classes(&LoadOptions::default()).unwrap(), (vec![2, 2], 3));
}

#[test]
fn samples_are_pixels_over_the_maximum() {
    let scaled = |options: LoadOptions| {
        let folder = folder(&[0, 1, 0, 1, 0], &[0, 1]);
        let source = Source::find(folder.path().to_str().unwrap()).unwrap();
        let samples = source.load_with(&options, &mut |_| ()).unwrap().train_samples().unwrap();
        let batch = samples.batches(5).unwrap().next().unwrap().unwrap();
        assert_eq!(Vec::<i64>::try_from(&batch.targets).unwrap(), [0, 1, 0, 1, 0]);
        Vec::<f32>::try_from(batch.inputs.view([-1])).unwrap()
    };
    let over = |maximum: f32| (0..20).map(|value| value as f32 / maximum).collect::<Vec<_>>();
    assert_eq!(scaled(LoadOptions::default()), over(255.0));
    assert_eq!(scaled(LoadOptions::default().maximum(31.0)), over(31.0));
}

#[test]
fn missing_files_are_all_named() {
    let folder = folder(&[0, 1], &[0, 1]);
    fs::remove_file(folder.path().join(IDX_FILES[1])).unwrap();
    fs::remove_file(folder.path().join(IDX_FILES[2])).unwrap();
    let fault = fault(folder.path());
    assert!(fault.contains("has no train-labels-idx1-ubyte, no t10k-images-idx3-ubyte"), "{fault}");
}

#[test]
fn images_and_labels_of_different_counts_are_refused() {
    let folder = folder(&[0, 1, 1], &[0, 1]);
    fs::write(folder.path().join(IDX_FILES[1]), idx(&[2], &[0, 1])).unwrap();
    let fault = fault(folder.path());
    assert!(fault.contains("train-labels-idx1-ubyte: has 2 labels, but"), "{fault}");
    assert!(fault.contains("train-images-idx3-ubyte has 3 images"), "{fault}");
}

#[test]
fn a_test_set_must_fit_the_training_set() {
    let with_new_class = folder(&[0, 1, 2], &[0, 3]);
    let fault_of_class = fault(with_new_class.path());
    assert!(fault_of_class.contains("t10k-labels-idx1-ubyte"), "{fault_of_class}");
    assert!(fault_of_class.contains('3'), "{fault_of_class}");
    let with_other_shape = folder(&[0, 1], &[0]);
    fs::write(with_other_shape.path().join(IDX_FILES[2]), idx(&[1, 4, 1], &[0; 4])).unwrap();
    let fault_of_shape = fault(with_other_shape.path());
    assert!(fault_of_shape.contains("has images of [4, 1] pixels, but those of"), "{fault_of_shape}");
}

#[test]
fn labels_with_gaps_are_the_names_of_classes_and_are_noted() {
    let set = load(folder(&[0, 1, 200], &[200]).path()).unwrap();
    assert_eq!((set.classes, set.test.labels()), (["0", "1", "200"].map(str::to_string).to_vec(), &[2][..]));
    let note = "the labels have gaps: they are 3 different numbers from 0 to 200";
    assert!(set.notes.iter().any(|found| found == note), "{:?}", set.notes);
}

#[test]
fn a_single_class_cannot_be_learnt() {
    let fault = fault(folder(&[3, 3, 3], &[3]).path());
    assert!(fault.contains("has one class alone, 3"), "{fault}");
}

#[test]
fn labels_beyond_the_classes_of_a_known_set_are_refused() {
    let data = tempfile::tempdir().unwrap();
    let set = data.path().join("mnist");
    fs::rename(folder(&[0, 10], &[0, 1]).keep(), &set).unwrap();
    let fault = format!(
        "{:#}",
        Source::find("mnist")
            .unwrap()
            .load_with(&LoadOptions::with_data_dir(data.path()), &mut |_| ())
            .unwrap_err()
    );
    assert!(fault.contains("train-labels-idx1-ubyte") && fault.contains("10"), "{fault}");
}

#[test]
fn what_is_neither_a_name_nor_a_folder_is_refused() {
    let fault = |name: &str| Source::find(name).unwrap_err().to_string();
    assert!(fault("mnits").contains("(digits, mnist, fashion-mnist, kmnist)"));
}

#[test]
fn without_test_files_some_images_are_set_aside() {
    let labels: Vec<u8> = (0..40).map(|number| number % 2).collect();
    let folder = folder(&labels, &[0]);
    IDX_FILES[2..].iter().for_each(|name| fs::remove_file(folder.path().join(name)).unwrap());
    let set = load(folder.path()).unwrap();
    assert_eq!((set.train.len(), set.test.len(), set.test.class_counts(2)), (36, 4, vec![2, 2]));
    assert!(set.notes[0].contains("10 % of each class are set aside"), "{:?}", set.notes);
}

/// Trains on `main`, validates with `other`.
fn load_both(main: &Path, other: &Path) -> Result<Dataset> {
    let kept = tempfile::tempdir().unwrap();
    let reading = LoadOptions::with_data_dir(kept.path()).validation(other);
    Source::find(main.to_str().unwrap())?.load_with(&reading, &mut |_| ())
}

#[test]
fn validation_images_may_come_from_elsewhere_in_another_form() {
    let main = folder(&[1, 2, 3, 1], &[2, 3]);
    let place = tempfile::tempdir().unwrap();
    let rows = place.path().join("rows.csv");
    fs::write(&rows, "label,a,b,c,d\n3,1,2,3,4\n2,5,6,7,8\n").unwrap();
    let set = load_both(main.path(), &rows).unwrap();
    let validation = set.validation.as_ref().unwrap();
    assert_eq!((validation.labels(), validation.shape()), (&[2, 1][..], vec![2, 2]));
    let without = Source::find(main.path().to_str().unwrap()).unwrap().load().unwrap();
    assert_ne!(set.fingerprint().unwrap(), without.fingerprint().unwrap());
    let kept = set.keep_classes(&["3".to_string(), "1".to_string()]).unwrap();
    assert_eq!(kept.validation.unwrap().labels(), [0]);
    // Numbers are counted as those to train with are, a class may be missing.
    let idx_alone = folder(&[3, 1], &[0]);
    IDX_FILES[2..].iter().for_each(|name| fs::remove_file(idx_alone.path().join(name)).unwrap());
    assert_eq!(load_both(main.path(), idx_alone.path()).unwrap().validation.unwrap().labels(), [2, 0]);

    let fault = |other: &Path| format!("{:#}", load_both(main.path(), other).unwrap_err());
    assert!(fault(main.path()).contains("has images of several splits"));
    fs::write(&rows, "label,a,b,c,d\n3,1,2,3,4\nzebra,5,6,7,8\n").unwrap();
    assert!(fault(&rows).contains("rows.csv: class zebra is not one of the training set's"));
    fs::write(&rows, "label,a\n3,1\n").unwrap();
    assert!(fault(&rows).contains("has images of [1] pixels, but the training images have [2, 2]"));
}

#[test]
fn grey_validation_images_are_taken_in_colour_where_the_others_are() {
    let place = tempfile::tempdir().unwrap();
    let save = |name: &str, pixel: [u8; 3]| {
        let path = place.path().join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        image::RgbImage::from_pixel(2, 2, image::Rgb(pixel)).save(path).unwrap();
    };
    for number in 0..12 {
        save(&format!("main/a/{number}.png"), [number, 2, 3]);
        save(&format!("main/b/{number}.png"), [number, 9, 9]);
    }
    save("other/b/1.png", [5; 3]);
    save("other/a/1.png", [7; 3]);
    let (main, other) = (place.path().join("main"), place.path().join("other"));
    let validation = load_both(&main, &other).unwrap().validation.unwrap();
    assert_eq!((validation.pixels().unwrap().size(), validation.labels()), (vec![2, 3, 2, 2], &[0, 1][..]));
    assert_eq!(
        [0, 1, 2].map(|channel| validation.pixels().unwrap().int64_value(&[1, channel, 0, 0])),
        [5; 3]
    );
}

#[test]
fn borders_that_differ_much_say_nothing() {
    let border = |values: [u8; 4]| {
        let pixels: Vec<u8> = values.iter().flat_map(|&value| [value; 4]).collect();
        let folder = folder(&[0, 1, 0, 1], &[0]);
        fs::write(folder.path().join(IDX_FILES[0]), idx(&[4, 2, 2], &pixels)).unwrap();
        load(folder.path()).unwrap().border().unwrap()
    };
    assert_eq!(border([0, 0, 0, 0]), 0.0);
    assert!((border([255, 255, 204, 255]) - 0.95).abs() < 1e-9);
    assert_eq!(border([255, 0, 255, 0]), 0.5);
    assert_eq!(border([255, 255, 0, 255]), 0.5, "their mean is 0.75");
}

/// The real files, where `FITCH_DATA_DIR` has them.
fn real_mnist() -> Option<PathBuf> {
    let folder = std::env::var_os("FITCH_DATA_DIR").map(PathBuf::from)?;
    IDX_FILES.iter().all(|name| find_file(&folder.join("mnist"), name).is_some()).then_some(folder)
}

#[test]
fn mnist_is_read_whole() {
    let Some(folder) = real_mnist() else {
        // Not by eprintln!, which the test harness keeps to itself when all is well.
        writeln!(std::io::stderr(), "SKIPPED mnist_is_read_whole: FITCH_DATA_DIR has no mnist").unwrap();
        return;
    };
    let mnist =
        Source::find("mnist").unwrap().load_with(&LoadOptions::with_data_dir(folder), &mut |_| ()).unwrap();
    assert_eq!(mnist.train.pixels().unwrap().size(), [60_000, 28, 28]);
    assert_eq!(mnist.test.pixels().unwrap().size(), [10_000, 28, 28]);
    // The counts of each class and the first labels as published; sums computed with numpy.
    assert_eq!(mnist.train.labels()[..5], [5, 0, 4, 1, 9]);
    assert_eq!(mnist.test.labels()[..5], [7, 2, 1, 0, 4]);
    assert_eq!(mnist.train.labels().iter().filter(|&&label| label == 5).count(), 5_421);
    let sum = |images: &Images| i64::try_from(images.pixels().unwrap().sum(tch::Kind::Int64)).unwrap();
    assert_eq!((sum(&mnist.train), sum(&mnist.test)), (1_567_298_545, 264_923_200));
}

#[test]
fn other_names_and_labels_from_one_are_taken() {
    let folder = folder(&[1, 2, 3, 2], &[3, 1]);
    for name in IDX_FILES {
        let other = format!("emnist-letters-{}", name.replace("t10k", "test"));
        fs::rename(folder.path().join(name), folder.path().join(other)).unwrap();
    }
    let set = load(folder.path()).unwrap();
    assert_eq!(
        (set.classes, set.train.labels(), set.test.labels()),
        (vec!["1".to_string(), "2".to_string(), "3".to_string()], &[0, 1, 2, 1][..], &[2, 0][..])
    );
    fs::write(folder.path().join("other-train-labels-idx1-ubyte"), "").unwrap();
    assert!(fault(folder.path()).contains("has both emnist-letters-train-labels-idx1-ubyte and other-train"));
}

#[test]
fn values_of_other_types_are_scaled_by_their_maximum() {
    let folder = folder(&[0, 1], &[0, 1]);
    for (name, count) in [(IDX_FILES[0], 2u32), (IDX_FILES[2], 2)] {
        let mut file = idx(&[count, 1, 2], &[]);
        file[2] = 0x0d;
        [0.5f32, -8.0, 1.0, 2.0].iter().for_each(|value| file.extend(value.to_be_bytes()));
        fs::write(folder.path().join(name), file).unwrap();
    }
    let set = load(folder.path()).unwrap();
    assert_eq!((set.maximum, set.train.kind()), (8.0, Kind::Float));
    let batch = set.train_samples().unwrap().batches(2).unwrap().next().unwrap().unwrap();
    assert_eq!(Vec::<f32>::try_from(batch.inputs.view([-1])).unwrap(), [0.0625, -1.0, 0.125, 0.25]);
    assert!(set.fingerprint().is_ok() && set.border().is_ok());
}

#[test]
fn what_is_no_finite_number_is_refused_in_every_split_with_its_file() {
    for (name, index) in [(IDX_FILES[0], 1), (IDX_FILES[2], 0)] {
        let folder = folder(&[0, 1], &[0, 1]);
        for other in [IDX_FILES[0], IDX_FILES[2]] {
            let mut file = idx(&[2, 1, 2], &[]);
            file[2] = 0x0d;
            let bad = |row| if other == name && row == index { f32::NAN } else { 0.5 };
            (0..4).for_each(|value| file.extend(bad(value / 2).to_be_bytes()));
            fs::write(folder.path().join(other), file).unwrap();
        }
        let fault = fault(folder.path());
        let expected = format!("{name}: image {index} (from 0) has a value that is not a finite number");
        assert!(fault.contains(&expected), "{fault}");
    }
}

/// A folder as `folder`, whose files lie elsewhere or are called otherwise: `name` gives the new paths.
fn renamed(name: impl Fn(&str) -> String) -> tempfile::TempDir {
    let folder = folder(&[0, 1, 2, 1], &[2, 0]);
    for file in IDX_FILES {
        let whole = fs::read(folder.path().join(file)).unwrap();
        fs::remove_file(folder.path().join(file)).unwrap();
        let path = folder.path().join(name(file));
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, whole).unwrap();
    }
    folder
}

#[test]
fn archives_of_idx_files_are_taken_as_they_are_unpacked() {
    let dotted = |name: &str| name.replace("-idx", ".idx");
    for folder in [
        renamed(dotted),
        renamed(|name| format!("{name}/{name}")),
        renamed(|name| format!("{}/{name}", dotted(name))),
        renamed(|name| format!("{name}/{}", dotted(name))),
        renamed(|name| format!("my-{name}/my-{name}")),
    ] {
        assert_eq!(load(folder.path()).unwrap().train.labels(), [0, 1, 2, 1]);
    }
    // Kaggle's has each file twice, and what a system left.
    let folder = renamed(|name| format!("{name}/{name}"));
    for name in IDX_FILES {
        fs::copy(folder.path().join(name).join(name), folder.path().join(dotted(name))).unwrap();
        fs::write(folder.path().join(format!("._{name}")), "").unwrap();
    }
    assert_eq!(load(folder.path()).unwrap().test.labels(), [2, 0]);
    assert!(IDX_FILES.iter().all(|name| find_file(folder.path(), name).is_some()), "as mnist is looked for");
    // Names that speak of no split, and a validation set.
    let labels: Vec<u8> = (0..40).map(|number| number % 2).collect();
    let one = self::folder(&labels, &[0, 1]);
    let rename = |from: &str, to: &str| fs::rename(one.path().join(from), one.path().join(to)).unwrap();
    rename(IDX_FILES[2], "val-images-idx3-ubyte");
    rename(IDX_FILES[3], "val-labels-idx1-ubyte");
    assert_eq!(load(one.path()).unwrap().validation.unwrap().labels(), [0, 1]);
    fs::remove_file(one.path().join("val-images-idx3-ubyte")).unwrap();
    fs::remove_file(one.path().join("val-labels-idx1-ubyte")).unwrap();
    rename(IDX_FILES[0], "b-images-idx3-ubyte");
    rename(IDX_FILES[1], "b-labels-idx1-ubyte");
    assert_eq!(load(one.path()).unwrap().train.len(), 36);
}

#[test]
fn emnist_is_turned_upright_unless_asked_otherwise() {
    let [folder, below] = ["", "raw/"].map(|place| renamed(|name| format!("{place}emnist-digits-{name}")));
    let first_of = |folder: &Path, options: LoadOptions| {
        let source = Source::find(folder.to_str().unwrap()).unwrap();
        let set = source.load_with(&options, &mut |_| ()).unwrap();
        let pixels = Vec::<u8>::try_from(set.train.slice(0, 1).unwrap().reshape([-1])).unwrap();
        (pixels, set.notes.iter().any(|note| note.contains("EMNIST")))
    };
    let first = |options| first_of(folder.path(), options);
    assert_eq!(first(LoadOptions::default()), (vec![0, 2, 1, 3], true));
    assert_eq!(first_of(below.path(), LoadOptions::default()), (vec![0, 2, 1, 3], true));
    let asked = |transposes| LoadOptions { transposes: Some(transposes), ..LoadOptions::default() };
    assert_eq!(first(asked(false)), (vec![0, 1, 2, 3], false));
    assert_eq!(first(asked(true)), (vec![0, 2, 1, 3], false));
}

#[test]
fn a_set_to_evaluate_is_taken_whole() {
    let labels: Vec<u8> = (0..40).map(|number| number % 2).collect();
    let folder = folder(&labels, &[0]);
    IDX_FILES[2..].iter().for_each(|name| fs::remove_file(folder.path().join(name)).unwrap());
    let source = Source::find(folder.path().to_str().unwrap()).unwrap();
    let options = LoadOptions { tests_all: true, model_maximum: Some(100.0), ..LoadOptions::default() };
    let set = source.load_with(&options, &mut |_| ()).unwrap();
    assert_eq!((set.test.len(), set.test_origin, set.maximum), (40, TestOrigin::All, 100.0));
    assert!(set.notes.iter().any(|note| note.contains("all 40 images")), "{:?}", set.notes);
    let beyond = "15 of 40 train images have values up to 159, but 100 becomes 1.0";
    assert!(set.notes.iter().any(|note| note == beyond), "{:?}", set.notes);
    let names = ["2", "1", "0"].map(str::to_string);
    let set = set.with_classes_of(&names);
    assert_eq!(set.test.labels()[..3], [2, 1, 2]);
    // All of them in another order.
    let names = ["0", "2", "1"].map(str::to_string);
    assert_eq!(set.with_classes_of(&names).test.labels()[..3], [0, 2, 0]);
}

#[test]
fn grey_becomes_colour_and_colour_grey_as_a_model_takes_them() {
    let images =
        |values: &[u8], shape: &[i64]| Images::new(tch::Tensor::from_slice(values).view(shape), vec![0]);
    let grey = images(&[7, 9], &[1, 1, 2]).unwrap().in_colour().unwrap();
    assert_eq!((grey.shape(), grey.labels()), (vec![3, 1, 2], &[0][..]));
    let colour = images(&[255, 0, 0, 255, 0, 0], &[1, 3, 1, 2]).unwrap().in_grey().unwrap();
    let found = Vec::<u8>::try_from(colour.pixels().unwrap().view([-1])).unwrap();
    let expected = [[255, 0, 0], [0, 255, 0]].map(|pixel| {
        image::DynamicImage::ImageRgb8(image::RgbImage::from_pixel(1, 1, image::Rgb(pixel))).to_luma8()
            [(0, 0)]
            .0[0]
    });
    assert_eq!(found, expected);
}

#[test]
fn rows_of_values_that_make_a_square_are_images() {
    assert_eq!(shape_of_row(784), [28, 28]);
    assert_eq!(shape_of_row(3 * 32 * 32), [3, 32, 32]);
    assert_eq!((shape_of_row(5), shape_of_row(1), shape_of_row(3)), (vec![5], vec![1], vec![3]));
}

#[test]
fn some_classes_may_be_taken_alone() {
    let folder = folder(&[0, 1, 2, 1], &[2, 0]);
    let keep = |names: &[&str]| {
        load(folder.path())
            .unwrap()
            .keep_classes(&names.iter().map(|name| name.to_string()).collect::<Vec<_>>())
    };
    let set = keep(&["2", "1"]).unwrap();
    assert_eq!(
        (set.classes, set.train.labels(), set.test.labels()),
        (vec!["2".into(), "1".to_string()], &[1, 0, 1][..], &[0][..])
    );
    assert_eq!(set.train.slice(0, 1).unwrap().int64_value(&[0, 0, 0]), 4, "the second image");
    for (names, fault) in [
        (&["2", "x"][..], "has no class x; there are 0, 1, 2"),
        (&["1", "1"], "named twice"),
        (&["1"], "two classes"),
    ] {
        assert!(format!("{:#}", keep(names).unwrap_err()).contains(fault), "{fault}");
    }
}

/// Once, a set was copied out of its mapping to set a test set aside.
#[cfg(unix)]
#[test]
fn what_is_mapped_stays_mapped_when_images_are_set_aside_or_classes_kept() {
    let labels: Vec<u8> = (0..40).map(|index| index % 4).collect();
    let folder = folder(&labels, &[0]);
    IDX_FILES[2..].iter().for_each(|name| fs::remove_file(folder.path().join(name)).unwrap());
    let set = load(folder.path()).unwrap().keep_classes(&["3".to_string(), "1".to_string()]).unwrap();
    assert_eq!((set.train.len(), set.test.len()), (18, 2));
    // Pixels of image i are 4 i to 4 i + 3; its label is i % 4.
    for (_, images) in set.splits() {
        let pixels = images.pixels().unwrap();
        for (index, label) in images.labels().iter().enumerate() {
            let image = pixels.int64_value(&[index as i64, 0, 0]) / 4;
            assert_eq!(image % 4, if *label == 0 { 3 } else { 1 });
            assert_eq!(images.slice(index, 1).unwrap(), images.gather(&[index as i64]).unwrap());
        }
    }
    let samples = set.train_samples().unwrap();
    let batch = samples.batches(18).unwrap().next().unwrap().unwrap();
    assert_eq!(batch.inputs, set.train.pixels().unwrap().to_kind(Kind::Float) / 255.0);
    assert_eq!(Vec::<i64>::try_from(batch.targets).unwrap(), set.train.labels());
    // A change of the file shows in what is mapped from it.
    assert!(set.changed_files().is_empty());
    let before = (set.fingerprint().unwrap(), i64::try_from(set.test.pixels().unwrap().sum(Kind::Int64)));
    let file = fs::OpenOptions::new().write(true).open(folder.path().join(IDX_FILES[0])).unwrap();
    std::os::unix::fs::FileExt::write_all_at(&file, &[7; 160], 16).unwrap();
    assert!(set.changed_files()[0].contains(IDX_FILES[0]), "{:?}", set.changed_files());
    assert_ne!(set.fingerprint().unwrap(), before.0);
    assert_eq!(i64::try_from(set.test.pixels().unwrap().sum(Kind::Int64)).unwrap(), 2 * 4 * 7);
}

/// Once, without a folder, decoded images went into the working directory.
#[test]
fn by_default_decoded_images_are_kept_in_the_default_folder() {
    let options = LoadOptions::default();
    match default_folder() {
        Some(folder) => assert_eq!(options.folder().unwrap(), folder),
        None => assert!(options.folder().unwrap_err().downcast_ref() == Some(&Fault::NoCacheFolder)),
    }
    assert_ne!(options.folder().unwrap_or("/".into()), PathBuf::new());
    assert_eq!(LoadOptions::with_data_dir("here").folder().unwrap(), Path::new("here"));
}

#[test]
fn a_folder_is_looked_into_once() {
    let folder = folder(&[0, 1], &[0]);
    let source = Source::find(folder.path().to_str().unwrap()).unwrap();
    assert_eq!(source.format_name(), None);
    let located = source.located(&LoadOptions::default(), &mut |_| ()).unwrap();
    assert_eq!(located.format_name(), Some("IDX files"));
    // What else comes into the folder does not matter any more.
    fs::write(folder.path().join("train.csv"), "").unwrap();
    assert!(located.load().is_ok() && load(folder.path()).is_err());
}
