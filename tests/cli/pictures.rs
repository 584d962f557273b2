//! Data of one's own: pictures in folders, rows in CSV files, NumPy archives.

use crate::place::{Finished, Place};
use image::{GrayImage, Luma, Rgb, RgbImage};
use std::fs;

impl Place {
    /// Pictures that are easy to learn: of `up`, the upper half is bright, of `down` the lower one.
    pub fn with_pictures(in_colour: bool) -> Place {
        let place = Place::new();
        for (side, count) in [("train", 60u8), ("test", 12)] {
            for class in ["down", "up"] {
                let folder = place.path(&format!("pictures/{side}/{class}"));
                fs::create_dir_all(&folder).unwrap();
                for number in 0..count {
                    let bright = |y: u32| if (y < 3) == (class == "up") { 150 + number } else { number };
                    let path = folder.join(format!("{number:02}.png"));
                    match in_colour {
                        true => {
                            RgbImage::from_fn(8, 6, |_, y| Rgb([bright(y), 9, number])).save(path).unwrap()
                        }
                        false => GrayImage::from_fn(8, 6, |_, y| Luma([bright(y)])).save(path).unwrap(),
                    }
                }
            }
        }
        place
    }
}

const QUICK: [&str; 6] = ["--epochs", "20", "--layers", "dense 8, relu", "--learning-rate", "0.01"];

#[test]
fn a_folder_of_pictures_is_trained_on_and_its_classes_keep_their_names() {
    for in_colour in [false, true] {
        let place = Place::with_pictures(in_colour);
        let arguments =
            [&QUICK[..], &["--dataset", "pictures", "--data-dir", "kept", "--out", "run"]].concat();
        place.train(&arguments).well();
        let record = place.record("run");
        assert_eq!(record["dataset"]["classes"], serde_json::json!(["down", "up"]));
        let shape = if in_colour { serde_json::json!([3, 6, 8]) } else { serde_json::json!([6, 8]) };
        assert_eq!(record["dataset"]["shape"], shape);
        assert_eq!(record["test_accuracy"], 1.0);
        assert!(place.read("run/confusion.csv").contains("down"), "{}", place.read("run/confusion.csv"));
        assert!(place.run(&["evaluate", "run"]).well().stdout.contains("accuracy 1.000000"));
        let file = ["evaluate", "run/model.pt", "--dataset", "pictures", "--data-dir", "kept"];
        assert!(place.run(&file).well().stdout.contains("accuracy 1.000000"));
        let predicted = place.run(&["predict", "run", "pictures/test/up/03.png", "--format", "csv"]).well();
        assert!(predicted.stdout.lines().nth(1).unwrap().contains(",up,"), "{predicted:?}");
        place.train(&["--resume", "run", "--epochs", "22"]).well();
    }
}

/// "image 41" of a folder could not be found.
#[test]
fn mistakes_are_told_by_the_names_of_their_files() {
    let place = Place::with_pictures(true);
    let copy = |from: &str, to: &str| fs::copy(place.path(from), place.path(to)).unwrap();
    // One picture in the wrong folder, behind one that cannot be read.
    fs::write(place.path("pictures/test/down/00a: broken.png"), "no picture").unwrap();
    copy("pictures/test/up/07.png", "pictures/test/down/09, in truth up.png");
    let told = ["file,true,predicted,probability", "\"test/down/09, in truth up.png\",down,up,0."];
    // Decoded at first, then from the cache.
    for run in ["one", "two"] {
        let arguments = ["--dataset", "pictures", "--data-dir", "kept", "--skip-bad", "--out", run];
        place.train(&[&QUICK[..], &arguments].concat()).well();
        let mistakes = place.read(&format!("{run}/mistakes.csv"));
        let lines: Vec<&str> = mistakes.lines().collect();
        assert_eq!(lines.len(), 2, "{mistakes}");
        assert!(lines[0] == told[0] && lines[1].starts_with(told[1]), "{mistakes}");
    }
    let mistakes = place.read("one/mistakes.csv");
    let sheet = fs::read(place.path("one/mistakes.png")).unwrap();
    for name in ["mistakes.csv", "mistakes.png"] {
        fs::remove_file(place.path("one").join(name)).unwrap();
    }
    place.run(&["report", "one"]).well();
    assert_eq!(place.read("one/mistakes.csv"), mistakes);
    assert!(fs::read(place.path("one/mistakes.png")).unwrap() == sheet);
    place.run(&["evaluate", "one", "--mistakes", "wrong.csv"]).well();
    assert_eq!(place.read("wrong.csv"), mistakes);
    // A model without a mistake has a table without rows.
    fs::remove_file(place.path("pictures/test/down/09, in truth up.png")).unwrap();
    place.run(&["evaluate", "one", "--mistakes", "wrong.csv"]).well();
    assert_eq!(place.read("wrong.csv"), "file,true,predicted,probability\n");
}

#[test]
fn mistakes_in_a_table_are_told_by_their_rows() {
    let place = Place::new();
    // Nothing can be learnt from these values.
    let labels: Vec<&str> = (0..200u32).map(|row| ["left", "right"][(row * row / 7 % 2) as usize]).collect();
    let rows: String =
        labels.iter().enumerate().map(|(row, label)| format!("{label},{},{}\n", row % 3, row % 5)).collect();
    fs::write(place.path("rows.csv"), format!("label,a,b\n{rows}")).unwrap();
    place.train_quickly("run", &["--dataset", "rows.csv", "--data-dir", "kept"]).well();
    let mistakes = place.read("run/mistakes.csv");
    let mut lines = mistakes.lines();
    assert_eq!(lines.next(), Some("row,true,predicted,probability"));
    let told: Vec<Vec<&str>> = lines.map(|line| line.split(',').collect()).collect();
    let record = place.record("run");
    let wrong =
        (1.0 - record["test_accuracy"].as_f64().unwrap()) * record["dataset"]["test"].as_f64().unwrap();
    assert_eq!(told.len(), wrong.round() as usize);
    assert!(told.len() > 2, "the test needs a model that makes mistakes");
    for mistake in &told {
        assert_eq!(labels[mistake[0].parse::<usize>().unwrap()], mistake[1], "{mistakes}");
        assert!(mistake[2] != mistake[1] && mistake[3].parse::<f64>().unwrap() >= 0.5, "{mistakes}");
    }
    assert!(told.is_sorted_by(|one, next| one[3].parse::<f64>().unwrap() >= next[3].parse().unwrap()));
}

#[test]
fn a_convolution_takes_colour() {
    let place = Place::with_pictures(true);
    let layers = ["--layers", "conv2d 4 3, relu, maxpool2d 2", "--epochs", "15", "--learning-rate", "0.01"];
    place
        .train(&[&layers[..], &["--dataset", "pictures", "--data-dir", "kept", "--out", "run"]].concat())
        .well();
    assert!(place.read("run/summary.txt").contains("(None, 4, 4, 6)"));
    // 4 filters of 3 x 3 pixels over 3 channels.
    assert!(place.read("run/summary.txt").contains("112"), "{}", place.read("run/summary.txt"));
    assert_eq!(place.record("run")["test_accuracy"], 1.0);
    place.run(&["export", "run", "--to", "model.onnx"]).well();
}

#[test]
fn what_is_wrong_with_pictures_is_told() {
    let place = Place::with_pictures(false);
    let train = |more: &[&str]| {
        place.train(&[&QUICK[..], &["--dataset", "pictures", "--data-dir", "kept"], more].concat())
    };
    fs::write(place.path("pictures/train/up/broken.png"), "no picture").unwrap();
    train(&[]).with_fault(1, &["train/up/broken.png: cannot be used: is not an image", "hint: --skip-bad"]);
    let other = place.path("other");
    for (class, content) in [("up", "no picture"), ("down", "nor this")] {
        fs::create_dir_all(other.join(class)).unwrap();
        let picture = place.path(&format!("pictures/test/{class}/00.png"));
        fs::copy(picture, other.join(class).join("00.png")).unwrap();
        fs::write(other.join(class).join("worse.png"), content).unwrap();
    }
    let finished = train(&["--skip-bad", "--out", "run", "--validation", "other"]).well();
    let note = "1 of 145 images could not be read and are left out: ";
    assert!(finished.stderr.contains(note) && finished.stderr.contains("up/broken.png"), "{finished:?}");
    let note = "validation images of other: 2 of 4 images could not be read and are left out: ";
    assert!(finished.stderr.contains(note), "{finished:?}");
    let left_out = place.read("run/left-out.txt");
    for name in ["up/broken.png: is not an image", "up/worse.png: is not an image", "down/worse.png: is"] {
        assert!(left_out.contains(name), "{left_out}");
    }
    GrayImage::new(5, 5).save(place.path("pictures/train/up/broken.png")).unwrap();
    train(&[]).with_fault(1, &["has 8 x 6 pixels", "has 5 x 5", "hint: --image-size 6x8"]);
    train(&["--image-size", "6x"]).with_fault(2, &["--image-size 6x: must be a height and a width"]);
    train(&["--image-size", "4", "--out", "small"]).well();
    assert_eq!(place.record("small")["dataset"]["shape"], serde_json::json!([4, 4]));
}

/// Of `down` and `up` only the middle differs: at its sides, every picture is half bright, half dark.
#[test]
fn pictures_of_other_proportions_are_stretched_padded_or_cropped_everywhere() {
    let place = Place::new();
    let picture = |class: &str, [height, width]: [u32; 2], number: u32| {
        let is_up = class == "up";
        RgbImage::from_fn(width, height, |x, y| {
            let is_middle = if width > height { x.abs_diff(width / 2) < height / 2 } else { true };
            let bright = if is_middle { (y < height / 2) == is_up } else { (x + y) % 2 == 0 };
            Rgb([if bright { 200 + number as u8 } else { number as u8 }, 9, 60])
        })
    };
    for class in ["down", "up"] {
        fs::create_dir_all(place.path(&format!("pictures/{class}"))).unwrap();
        for number in 0..20 {
            let format = ["png", "webp", "gif", "tif"][number as usize % 4];
            let size = [[8, 40], [12, 30], [8, 8]][number as usize % 3];
            picture(class, size, number)
                .save(place.path(&format!("pictures/{class}/{number}.{format}")))
                .unwrap();
        }
    }
    fs::create_dir_all(place.path("odd")).unwrap();
    for (name, size) in [("1.png", [1, 5000]), ("2.webp", [5000, 1]), ("3.tif", [10_000, 3])] {
        picture("up", size, 0).save(place.path(&format!("odd/{name}"))).unwrap();
    }
    let data = ["--dataset", "pictures", "--data-dir", "kept", "--image-size", "8x8"];
    let train = |out: &str, more: &[&str]| {
        place.train(&[&QUICK[..], &data, &["--out", out], more].concat()).well();
        place.record(out)["test_loss"].as_f64().unwrap()
    };
    let stretched = train("stretched", &[]);
    let losses = ["pad", "crop"].map(|fit| {
        let loss = train(fit, &["--fit", fit]);
        assert_eq!(place.record(fit)["config"]["fit"], fit);
        // What was trained on is what is evaluated and classified.
        let file = ["evaluate", &format!("{fit}/model.pt"), "--dataset", "pictures", "--data-dir", "kept"];
        let told = place.run(&[&file[..], &["--test-split", "0.1"]].concat()).well().stdout;
        assert!(told.contains(&format!("loss {loss:.6}")), "{told}");
        place.run(&["predict", fit, "odd"]).well();
        loss
    });
    assert!(
        losses[0] != stretched && losses[0] != losses[1] && losses[1] < stretched,
        "{losses:?} {stretched}"
    );
    let told = place.run(&["evaluate", "crop"]).well().stdout;
    assert!(told.contains(&format!("loss {:.6}", losses[1])), "{told}");
    // A model that stretches says nothing of it, as those of earlier versions.
    let says = |run: &str| {
        let model = fs::read(place.path(run).join("model.pt")).unwrap();
        String::from_utf8_lossy(&model).contains("\"fit\"")
    };
    assert!(!says("stretched") && says("crop"));
    place.train(&["--fit", "squeeze"]).with_fault(2, &["'squeeze'", "stretch, pad, crop"]);
}

#[test]
fn rows_with_labels_are_a_data_set_and_a_test_set_is_split_off() {
    let place = Place::new();
    let row = |number: u32| {
        let class = if number.is_multiple_of(2) { "left" } else { "right" };
        let pixel = |x: u32| if (x < 2) == number.is_multiple_of(2) { 150 + number } else { number };
        let pixels: Vec<String> = (0..16).map(|place| pixel(place % 4).to_string()).collect();
        format!("{class},{}\n", pixels.join(","))
    };
    let head: String = (0..16).map(|pixel| format!(",p{pixel}")).collect();
    let rows: String = (0..100).map(row).collect();
    fs::write(place.path("rows.csv"), format!("label{head}\n{rows}")).unwrap();
    let finished = place.train(&[&QUICK[..], &["--dataset", "rows.csv", "--out", "run"]].concat()).well();
    assert!(finished.stderr.contains("10 % of each class are set aside"), "{finished:?}");
    let record = place.record("run");
    assert_eq!(record["dataset"]["name"], "rows");
    assert_eq!(record["dataset"]["classes"], serde_json::json!(["left", "right"]));
    assert_eq!((&record["dataset"]["test"], &record["test_accuracy"]), (&10.into(), &1.0.into()));
    assert!(place.run(&["evaluate", "run"]).well().stdout.contains("accuracy 1.000000"));
    place.train(&["--classes", "3,x"]).with_fault(1, &["digits: has no class x; there are 0, 1, 2"]);
    place.train_quickly("two", &["--classes", "3,8"]).well();
    assert_eq!(place.record("two")["dataset"]["classes"], serde_json::json!(["3", "8"]));
    place.run(&["evaluate", "two"]).well();
    let wrong = [&QUICK[..], &["--dataset", "rows.csv", "--label-column", "what"]].concat();
    place.train(&wrong).with_fault(1, &["rows.csv: has no label column 'what'", "hint: --label-column"]);
    place.train(&["--test-split", "1"]).with_fault(2, &["--test-split 1: must be a share"]);
}

#[test]
fn validation_images_are_those_that_are_named_or_those_in_a_folder_for_them() {
    let place = Place::with_pictures(false);
    let train = |out: &str, more: &[&str]| {
        place.train(
            &[&QUICK[..], &["--dataset", "pictures", "--data-dir", "kept", "--out", out], more].concat(),
        )
    };
    fs::create_dir(place.path("more")).unwrap();
    fs::rename(place.path("pictures/test"), place.path("more/held-out")).unwrap();
    let told = train("named", &["--validation", "more/held-out"]).well().stderr;
    assert!(told.contains("pictures: 108 train, 24 validation (its own), 12 test"), "{told}");
    assert_eq!(place.record("named")["dataset"]["validation"], 24);
    assert!(place.record("named")["config"]["validation"].as_str().unwrap().ends_with("/more/held-out"));
    place.train(&["--resume", "named", "--epochs", "21", "--validation", "more/held-out"]).well();
    place.run(&["evaluate", "named"]).well();
    train("split", &["--validation", "more/held-out", "--validation-split", "0.2"])
        .with_fault(2, &["--validation more/held-out: cannot be used with --validation-split"]);
    train("nowhere", &["--validation", "nowhere"]).with_fault(2, &["--validation nowhere: there is no such"]);

    fs::rename(place.path("more/held-out"), place.path("pictures/val")).unwrap();
    let told = train("folder", &[]).well().stderr;
    assert!(told.contains("108 train, 24 validation (its own), 12 test"), "{told}");
    let told = train("none", &["--validation-split", "0", "--epochs", "2"]).well().stderr;
    assert!(told.contains("108 train, no validation, 12 test"), "{told}");
    let told = place.run(&["data", "inspect", "pictures", "--data-dir", "kept"]).well().stdout;
    assert!(told.contains("108 training images, 24 validation images, 12 test images"), "{told}");
}

#[test]
fn what_could_be_two_things_is_asked_for() {
    let place = Place::with_pictures(false);
    place.write("pictures", "train.csv", b"label,a\n0,1\n1,2\n");
    let inspect =
        |more: &[&str]| place.run(&[&["data", "inspect", "pictures", "--data-dir", "kept"], more].concat());
    inspect(&[]).with_fault(
        1,
        &[
            "holds both folders of images and CSV",
            "hint: choose with --data-format pictures or --data-format csv",
        ],
    );
    assert!(
        inspect(&["--data-format", "pictures"])
            .well()
            .stdout
            .starts_with("pictures: folders of images\n120 training")
    );
    let file = place.path("pictures/train.txt");
    fs::write(&file, format!("label,a\n{}", "0,3\n1,4\n".repeat(20))).unwrap();
    let file = file.to_str().unwrap();
    for format in [&[][..], &["--data-format", "csv"]] {
        let arguments = [&["data", "inspect", file, "--data-dir", "kept"], format].concat();
        let told = place.run(&arguments).well().stdout;
        assert!(told.starts_with("train.txt: CSV\n36 training images, 4 test images"), "{told}");
    }
    place.write(".", "train.bin", b"label\0a\0");
    place.run(&["data", "inspect", "train.bin"]).with_fault(2, &["is a file that is neither .csv, .csv.gz"]);
    let summary = [
        "summary",
        "--dataset",
        "pictures",
        "--data-format",
        "pictures",
        "--image-size",
        "4x4",
        "--data-dir",
        "kept",
    ];
    assert!(place.run(&summary).well().stdout.contains("8,704"), "16 inputs of 512 outputs");
}

#[test]
fn runs_beside_the_data_and_helper_files_are_no_classes() {
    let place = Place::with_pictures(false);
    let here = place.path("pictures");
    for folder in ["__MACOSX/up", "train/up/.ipynb_checkpoints"] {
        fs::create_dir_all(here.join(folder)).unwrap();
        fs::copy(here.join("train/up/00.png"), here.join(folder).join("00.png")).unwrap();
    }
    for _ in 0..2 {
        let mut command = place.command(&["train", "--epochs", "1", "--dataset", ".", "--data-dir", "kept"]);
        let finished = Finished::from(command.current_dir(here.join("train")).output().unwrap()).well();
        assert!(!finished.stderr.contains("3 classes"), "{finished:?}");
    }
    let inspect = ["data", "inspect", "pictures/train", "--data-dir", "kept"];
    let finished = place.run(&inspect).well();
    assert!(finished.stdout.contains("108 training images, 12 test images"), "{finished:?}");
    for part in ["passed over: 1 hidden (", " of fitch runs ("] {
        assert!(finished.stderr.contains(part), "{finished:?}");
    }
}

#[test]
fn a_class_with_a_control_character_is_shown_escaped() {
    let place = Place::with_pictures(false);
    for split in ["train", "test"] {
        let folder = place.path("pictures").join(split);
        fs::rename(folder.join("up"), folder.join("u\u{1b}[31mp")).unwrap();
    }
    let arguments = [&QUICK[..], &["--dataset", "pictures", "--data-dir", "kept", "--out", "run"]].concat();
    let finished = place.train(&arguments).well();
    let shown =
        [finished.stdout, finished.stderr, place.read("run/confusion.svg"), place.read("run/confusion.csv")];
    assert!(shown.iter().all(|text| !text.contains("\u{1b}[31mp")), "{shown:?}");
    assert!(place.read("run/confusion.svg").contains("u\\u{1b}[31mp"));
    fs::write(place.path("pictures/train/down/a\u{1b}b.png"), "no picture").unwrap();
    let arguments = &arguments[..arguments.len() - 2];
    let finished = place.train(arguments).with_fault(1, &["a\\u{1b}b.png: cannot be used"]);
    assert!(!finished.stderr.contains('\u{1b}'), "{finished:?}");
}

#[test]
fn files_of_other_kinds_are_named_with_what_converts_them() {
    let place = Place::new();
    let inspect = |name: &str| place.run(&["data", "inspect", name]);
    place.write(".", "svhn.mat", b"MATLAB 5.0 MAT-file, Platform: PCWIN64");
    inspect("svhn.mat")
        .with_fault(2, &["svhn.mat: is a MATLAB file", "line of Python", "loadmat(\"svhn.mat\")"]);
    place.write(".", "train.csv", b"version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 9\n");
    inspect("train.csv").with_fault(2, &["is a Git LFS pointer", "`git lfs pull`"]);
    fs::create_dir_all(place.path("lfs")).unwrap();
    place.write("lfs", "train.csv", b"version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 9\n");
    inspect("lfs").with_fault(1, &["lfs/train.csv: is a Git LFS pointer", "hint: `git lfs pull`"]);
    fs::create_dir_all(place.path("cifar")).unwrap();
    for (name, length) in
        [("readme.html", 0), ("batches.meta", 9), ("data_batch_1", 999), ("test_batch", 999)]
    {
        let bytes = [&b"\x80\x02}(U\x0bbatch_labelU\x06labelsU\x04data"[..], &vec![0; length]].concat();
        place.write("cifar", name, &bytes);
    }
    inspect("cifar").with_fault(
        1,
        &["cifar/data_batch_1: is a Python pickle of CIFAR", "hint: this line", "data_batch_*"],
    );
    fs::create_dir_all(place.path("photos")).unwrap();
    place.write("photos", "a.avif", b"\0\0\0\x20ftypavif");
    inspect("photos")
        .with_fault(1, &["photos: holds an AVIF image (photos/a.avif)", "hint: this line", ".avif"]);
    for class in ["cat", "dog"] {
        fs::create_dir_all(place.path("classes/train").join(class)).unwrap();
        place.write(&format!("classes/train/{class}"), "a.avif", b"\0\0\0\x20ftypavif");
    }
    let line = "hint: this line of Python converts them: import pathlib; from PIL import Image; \
                [Image.open(p).save(o) for p in pathlib.Path(\"classes\").rglob(\"*\") if p.suffix.lower() in \
                [\".avif\"] for o in [p.with_suffix(\".png\")] if not o.exists()]";
    let only = "class cat has no images that fitch can read, only 1 AVIF image";
    let finished = inspect("classes").with_fault(1, &[only, line]);
    assert!(!finished.stderr.contains("--classes"), "{finished:?}");
}

#[test]
fn pictures_in_colour_are_taken_in_grey_where_the_others_are_grey() {
    let place = Place::with_pictures(false);
    let colour = Place::with_pictures(true);
    fs::rename(colour.path("pictures/test"), place.path("colour")).unwrap();
    let trained = place
        .train(&[&QUICK[..], &["--dataset", "pictures", "--validation", "colour", "--out", "run"]].concat())
        .well();
    assert!(
        trained.stderr.contains("its images are taken in grey, as the training images are"),
        "{trained:?}"
    );
    let all = ["--suspects", "suspects.csv", "--on", "all"];
    let searched = place.run(&[&["evaluate", "run", "colour"], &all[..]].concat()).well();
    assert!(searched.stderr.contains("of 24 labels"), "{searched:?}");
    let image = "pictures/train/up/00.png";
    for command in
        [&["data", "inspect", "pictures", "--to", image][..], &["evaluate", "run", "--reliability", image]]
    {
        place.run(command).with_fault(2, &["00.png is read: it would be overwritten"]);
    }
}
