use crate::place::{Finished, IDX_FILES, Place, idx, real_mnist};
use fitch::data::Source;
use flate2::{Compression, write::GzEncoder};
use image::{GrayImage, Luma, RgbImage};
use std::fs;
use std::io::Write;
use std::path::Path;
use std::process::Command;

/// A place with a run that knows bright-left (class 0) from bright-right pictures (class 1) of 4 x 4.
fn with_run() -> Place {
    let place = Place::new();
    place.write_idx_set("set");
    let quick = ["--dataset", "set", "--layers", "dense 8, tanh", "--learning-rate", "0.05", "--out", "run"];
    place.train(&quick).well();
    assert_eq!(place.record("run")["test_accuracy"], 1.0);
    place
}

/// Bright ink on the left or right half of dark paper, with a dark border.
fn picture(side: u32, class: u32) -> GrayImage {
    let is_ink = |x: u32, y: u32| {
        let inside = x >= side / 16 && y >= side / 16 && x < side - side / 16 && y < side - side / 16;
        inside && u32::from(x >= side / 2) == class
    };
    GrayImage::from_fn(side, side, |x, y| Luma([if is_ink(x, y) { 200 } else { 0 }]))
}

/// The cells of CSV, its head aside.
fn rows(finished: &Finished) -> Vec<Vec<String>> {
    let mut reader = csv::Reader::from_reader(finished.stdout.as_bytes());
    reader.records().map(|row| row.unwrap().iter().map(str::to_string).collect()).collect()
}

/// File, row and class of each prediction.
fn told(finished: &Finished) -> Vec<[String; 3]> {
    rows(finished).into_iter().map(|row| [row[0].clone(), row[1].clone(), row[2].clone()]).collect()
}

#[test]
fn pictures_of_any_kind_and_size_and_their_folders_are_classified() {
    let place = with_run();
    fs::create_dir_all(place.path("scans/more")).unwrap();
    picture(64, 0).save(place.path("scans/b.png")).unwrap();
    picture(300, 1).save(place.path("scans/a.JPG")).unwrap();
    picture(4, 1).save(place.path("scans/more/c.bmp")).unwrap();
    place.write("scans", "notes.txt", b"no picture");
    let grey = picture(32, 0);
    let colour = RgbImage::from_fn(32, 32, |x, y| image::Rgb([grey.get_pixel(x, y).0[0], 40, 0]));
    colour.save(place.path("colour.png")).unwrap();
    let finished = place.run(&["predict", "run", "scans", "colour.png"]).well();
    assert!(finished.stdout.starts_with("input,row,class,probability\n"), "CSV, for this is no terminal");
    let expected = [
        ["scans/a.JPG", "", "1"],
        ["scans/b.png", "", "0"],
        ["scans/more/c.bmp", "", "1"],
        ["colour.png", "", "0"],
    ];
    assert_eq!(told(&finished), expected);
    assert!(finished.stderr.is_empty(), "{finished:?}");
}

#[test]
fn idx_and_csv_files_are_classified_row_by_row_the_same() {
    let place = with_run();
    let [_, _, images, _] = IDX_FILES;
    let raw = fs::read(place.path("set").join(images)).unwrap();
    let mut gzip = GzEncoder::new(Vec::new(), Compression::fast());
    gzip.write_all(&raw).unwrap();
    place.write(".", "images.gz", &gzip.finish().unwrap());
    let lines =
        raw[16..].chunks(16).map(|image| image.iter().map(u8::to_string).collect::<Vec<_>>().join(","));
    place.write(".", "images.csv", (lines.collect::<Vec<_>>().join("\n") + "\n").as_bytes());
    let raw_path = format!("set/{images}");
    let of_raw = place.run(&["predict", "run", &raw_path, "--probabilities"]).well();
    let expected: Vec<[String; 3]> =
        (0..20).map(|row| [raw_path.clone(), row.to_string(), (row % 2).to_string()]).collect();
    assert_eq!(told(&of_raw), expected);
    for file in ["images.gz", "images.csv"] {
        let finished = place.run(&["predict", "run/model.pt", file, "--probabilities"]).well();
        assert_eq!(finished.stdout, of_raw.stdout.replace(&raw_path, file));
    }
    for row in rows(&of_raw) {
        let [probability, first, second] = [3, 4, 5].map(|cell: usize| row[cell].parse::<f64>().unwrap());
        assert_eq!(probability, first.max(second));
        assert!((first + second - 1.0).abs() < 1e-6);
    }
}

#[test]
fn dark_ink_on_bright_paper_is_inverted_and_said_to_be() {
    let place = Place::new();
    place.train_quickly("run", &[]).well();
    let digits = Source::find("digits").unwrap().load().unwrap();
    let pixels: Vec<u8> = Vec::try_from(digits.test.gather(&[3]).unwrap().view([-1])).unwrap();
    let bright = pixels.iter().map(|&pixel| pixel * 15).collect();
    let mut picture = GrayImage::from_raw(8, 8, bright).unwrap();
    picture.save(place.path("bright.png")).unwrap();
    image::imageops::invert(&mut picture);
    picture.save(place.path("dark.png")).unwrap();
    let predict = |invert: &[&str]| {
        place
            .run(&[&["predict", "run", "bright.png", "dark.png", "--format", "jsonl"], invert].concat())
            .well()
    };
    let parsed = |finished: &Finished| -> Vec<serde_json::Value> {
        finished.stdout.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    };
    let auto = predict(&[]);
    let [bright, dark] = &parsed(&auto)[..] else { panic!("{auto:?}") };
    assert_eq!(bright["probability"], dark["probability"]);
    assert_eq!((bright.get("inverted"), &dark["inverted"]), (None, &true.into()));
    assert!(auto.stderr.contains("1 image was inverted: its bright border is unlike"), "{auto:?}");
    let (never, always) = (predict(&["--invert=never"]), predict(&["--invert"]));
    assert_eq!(parsed(&never)[0], *bright);
    assert_ne!(parsed(&never)[1]["probability"], dark["probability"]);
    assert_eq!(parsed(&always)[1], *dark);
    assert_ne!(parsed(&always)[0]["probability"], bright["probability"]);
    assert!(never.stderr.is_empty() && always.stderr.is_empty());
}

#[test]
fn the_next_likely_classes_are_told_on_request() {
    let place = Place::new();
    place.train_quickly("run", &[]).well();
    place.write(".", "one.csv", (["3"; 64].join(",") + "\n").as_bytes());
    let finished = place.run(&["predict", "run", "one.csv", "--top", "3", "--format", "json"]).well();
    let json: serde_json::Value = serde_json::from_str(&finished.stdout).unwrap();
    let top = json[0]["top"].as_array().unwrap();
    let probabilities: Vec<f64> = top.iter().map(|entry| entry["probability"].as_f64().unwrap()).collect();
    assert!(top.len() == 3 && probabilities.is_sorted_by(|a, b| a >= b), "{json}");
    assert_eq!(top[0]["class"], json[0]["class"]);
    let table = place.run(&["predict", "run", "one.csv", "--top", "99", "--format", "table"]).well();
    assert_eq!(table.stdout.lines().next().unwrap().matches("probability").count(), 10);
    assert!(table.stdout.lines().nth(1).unwrap().ends_with("one.csv row 0"));
}

#[test]
fn what_cannot_be_read_is_told_and_the_rest_goes_on() {
    let place = with_run();
    fs::create_dir(place.path("empty")).unwrap();
    picture(32, 0).save(place.path("good.png")).unwrap();
    let whole = fs::read(place.path("good.png")).unwrap();
    place.write(".", "cut.png", &whole[..whole.len() / 2]);
    place.write(".", "text.png", b"hello");
    place.write(".", "wide.csv", b"1,2,3\n");
    place.write(".", "large.idx", &idx(&[2, 8, 8], &[0; 128]));
    place.write(".", "labels.idx", &idx(&[4], &[0; 4]));
    place.write(".", "cut.idx", &idx(&[2, 4, 4], &[0; 20]));
    let inputs = [
        "good.png",
        "cut.png",
        "text.png",
        "nothing.png",
        "wide.csv",
        "large.idx",
        "labels.idx",
        "cut.idx",
        "empty",
        "good.png",
    ];
    let finished = place.run(&[&["predict", "run"], &inputs[..]].concat());
    let expected = [["good.png", "", "0"]; 2];
    assert_eq!(told(&finished), expected);
    let finished = finished.with_fault(1, &[]);
    for (line, (file, fault)) in finished.stderr.lines().zip([
        ("cut.png", "damaged image"),
        ("text.png", "is not an image that fitch can read"),
        ("nothing.png", "cannot be opened: No such file"),
        ("wide.csv", "line 1 has 3 values, but an image has 16 pixels"),
        ("large.idx", "has images of 8 x 8 pixels, but the model takes 4 x 4"),
        ("labels.idx", "has 1 dimensions; images have 2 to 4"),
        ("cut.idx", "is cut short"),
        ("empty", "holds no images"),
    ]) {
        assert!(line.starts_with(&format!("error: {file}: ")) && line.contains(fault), "{line}");
    }
    assert_eq!(finished.stderr.lines().count(), 8);
}

#[test]
fn standard_input_and_pipes_are_read_once() {
    let place = with_run();
    picture(32, 1).save(place.path("a.png")).unwrap();
    place.write(".", "rows.csv", ([["100"; 16].join(","), ["0"; 16].join(",")].join("\n") + "\n").as_bytes());
    place.write(".", "images.idx", &idx(&[3, 4, 4], &[9; 48]));
    for (file, count) in [("a.png", 1), ("rows.csv", 2), ("images.idx", 3)] {
        for (input, name) in [
            ("cat FILE | \"$0\" predict run -", "-"),
            ("\"$0\" predict run /dev/stdin < FILE", "/dev/stdin"),
            ("cat FILE | \"$0\" predict run /dev/stdin", "/dev/stdin"),
        ] {
            let mut shell = Command::new("sh");
            shell
                .args(["-c", &input.replace("FILE", file), env!("CARGO_BIN_EXE_fitch")])
                .current_dir(place.path("."));
            let finished = Finished::from(shell.output().unwrap()).well();
            let told = told(&finished);
            assert!(told.len() == count && told.iter().all(|row| row[0] == name), "{finished:?}");
            if file == "a.png" {
                assert_eq!(told[0][2], "1");
            }
        }
    }
    let mut shell = Command::new("sh");
    shell
        .args(["-c", "true | \"$0\" predict run -", env!("CARGO_BIN_EXE_fitch")])
        .current_dir(place.path("."));
    Finished::from(shell.output().unwrap()).with_fault(1, &["-: is empty"]);
}

#[test]
fn a_folder_is_classified_without_what_is_passed_over_and_nothing_is_a_fault() {
    let place = with_run();
    fs::create_dir_all(place.path("scans/.ipynb_checkpoints")).unwrap();
    picture(32, 1).save(place.path("scans/a.png")).unwrap();
    for copy in ["scans/.ipynb_checkpoints/a.png", "scans/._a.png"] {
        fs::copy(place.path("scans/a.png"), place.path(copy)).unwrap();
    }
    assert_eq!(told(&place.run(&["predict", "run", "scans"]).well()), [["scans/a.png", "", "1"]]);
    place.write("scans", "b.avif", b"avif");
    let finished = place.run(&["predict", "run", "scans"]);
    assert_eq!(told(&finished), [["scans/a.png", "", "1"]]);
    finished
        .with_fault(1, &["scans: holds 1 AVIF image, which fitch cannot read", "hint: this line of Python"]);
    place.write(
        ".",
        "head.csv",
        ((0..16).map(|pixel| format!("p{pixel}")).collect::<Vec<_>>().join(",") + "\n").as_bytes(),
    );
    place.run(&["predict", "run", "head.csv"]).with_fault(1, &["head.csv: holds no images"]);
}

#[test]
fn a_model_that_cannot_be_used_is_told_with_what_it_is() {
    let place = with_run();
    picture(32, 0).save(place.path("a.png")).unwrap();
    let predict = |model: &str| place.run(&["predict", model, "a.png"]);
    predict("nowhere.pt").with_fault(1, &["nowhere.pt: cannot be opened"]);
    predict("set").with_fault(1, &["set is not a run: it has no run.json"]);
    predict("run/weights.safetensors").with_fault(1, &["is a safetensors file, not TorchScript"]);
    let whole = fs::read(place.path("run/model.pt")).unwrap();
    place.write(".", "cut.pt", &whole[..whole.len() / 2]);
    predict("cut.pt").with_fault(1, &["cut.pt: is a cut or damaged zip archive"]);
    fs::remove_file(place.path("run/model.pt")).unwrap();
    predict("run").with_fault(1, &["run has no model.pt; `fitch export run` writes it"]);
    place.run(&["predict", "run"]).with_fault(2, &["<INPUT>"]);
    place.run(&["predict", "cut.pt", "a.png", "--top", "0"]).with_fault(2, &["--top 0: must be"]);
    let both = place.run(&["predict", "cut.pt", "a.png", "--device", "gpu", "--threads", "0"]);
    both.with_fault(2, &["--device gpu: must be", "--threads 0: must be"]);
}

#[cfg(target_os = "linux")]
#[test]
fn memory_does_not_grow_with_the_number_of_images() {
    let place = with_run();
    let greatest_kilobytes = |images: u32| {
        let values = vec![100; images as usize * 16];
        place.write(".", "many.idx", &idx(&[images, 4, 4], &values));
        // The shell's own peak is below that of the program that it becomes.
        let script = "\"$0\" predict run many.idx --threads 1 >out.csv & while kill -0 $! 2>/dev/null; do \
                      grep VmHWM /proc/$!/status 2>/dev/null; sleep 0.01; done; wait $!";
        let mut shell = Command::new("sh");
        shell.args(["-c", script, env!("CARGO_BIN_EXE_fitch")]).current_dir(place.path("."));
        let finished = Finished::from(shell.output().unwrap()).well();
        assert_eq!(fs::read_to_string(place.path("out.csv")).unwrap().lines().count(), images as usize + 1);
        let last = finished.stdout.lines().last().unwrap();
        last.split_whitespace().nth(1).unwrap().parse::<u64>().unwrap()
    };
    let (few, many) = (greatest_kilobytes(20_000), greatest_kilobytes(600_000));
    // The file alone is 9 MB larger, its values as floats 37 MB.
    assert!(many < few + 8_000, "{few} kB for 20,000 images, {many} kB for 600,000");
}

#[test]
fn mnist_is_classified_as_evaluation_says() {
    let Some(data) = real_mnist("mnist_is_classified_as_evaluation_says") else { return };
    let place = Place::new();
    let quick = ["--dataset", "mnist", "--limit", "6000", "--data-dir", data.to_str().unwrap()];
    place.train_quickly("run", &quick).well();
    let folder = data.join("mnist");
    let file = |name: &str| -> String {
        let there = |path: &Path| path.exists().then(|| path.display().to_string());
        there(&folder.join(name)).or_else(|| there(&folder.join(format!("{name}.gz")))).unwrap()
    };
    let finished = place.run(&["predict", "run", &file(IDX_FILES[2])]).well();
    let mut labels = Vec::new();
    let packed = fs::File::open(file(IDX_FILES[3])).unwrap();
    std::io::Read::read_to_end(&mut flate2::read::GzDecoder::new(packed), &mut labels).unwrap();
    let rows = rows(&finished);
    let right = rows.iter().zip(&labels[8..]).filter(|(row, label)| row[2] == label.to_string()).count();
    assert_eq!(rows.len(), 10_000);
    assert_eq!(right as f64 / 10_000.0, place.record("run")["test_accuracy"].as_f64().unwrap());
}
