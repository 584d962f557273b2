//! The drawings themselves. Those in tests/golden are compared byte for byte; after an intended change, look
//! at what `FITCH_BLESS=1 scripts/test golden` writes in their place.

use super::*;
use crate::metrics::ConfusionMatrix;
use crate::model::{Layers, Model};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

fn golden(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden").join(name)
}

#[track_caller]
fn assert_is_golden(name: &str, drawn: &str) {
    if std::env::var_os("FITCH_BLESS").is_some() {
        std::fs::write(golden(name), drawn).unwrap();
    }
    let known = std::fs::read_to_string(golden(name)).unwrap();
    assert!(known == drawn, "{name} is drawn differently; see the head of this file");
}

/// The history of a run on MNIST, as fitch wrote it, with the marks from its run.json.
fn mnist_run() -> HistoryCurves {
    let curves = read_curves(&golden("history.csv")).unwrap();
    HistoryCurves {
        name: "mnist".to_string(),
        best: Some((6.0, "val_loss".to_string())),
        stopped_early: Some(11.0),
        ..curves
    }
}

/// A run of that many epochs, its loss falling to `floor`.
fn run(name: &str, epochs: usize, floor: f64) -> HistoryCurves {
    let numbers = || (1..=epochs).map(|epoch| epoch as f64);
    let values = |scale: f64| numbers().map(|epoch| Some(floor + scale / epoch)).collect();
    let metrics = [("loss".to_string(), values(0.3)), ("val_loss".to_string(), values(0.1))];
    let learning_rates = vec![Some(0.001); epochs];
    HistoryCurves {
        name: name.to_string(),
        epochs: numbers().collect(),
        metrics: metrics.into(),
        learning_rates,
        ..HistoryCurves::default()
    }
}

fn loss(runs: &[HistoryCurves]) -> Drawing {
    chart(runs, &["loss".to_string()], ChartOptions::default())
}

#[test]
fn golden_curves() {
    assert_is_golden("loss.svg", &loss(&[mnist_run()]).to_svg());
    assert_is_golden(
        "accuracy.svg",
        &chart(&[mnist_run()], &["accuracy".to_string()], ChartOptions::default()).to_svg(),
    );
}

#[test]
fn golden_comparison_with_gaps_and_learning_rates() {
    let mut first = run("smaller", 30, 0.05);
    first.metrics.get_mut("val_loss").unwrap()[10..14].fill(None);
    first.learning_rates[15..].fill(Some(0.0001));
    assert_is_golden("comparison.svg", &loss(&[first, run("larger", 20, 0.02), run("one", 1, 0.2)]).to_svg());
}

#[test]
fn golden_diagram() {
    let layers = Layers::parse("dense 512, relu, dropout 0.2, dense 512, relu, dropout 0.2").unwrap();
    let model = Model::classifier(&[28, 28], layers, 10).unwrap();
    assert_is_golden("model.svg", &diagram(&model, DiagramOptions::default()).to_svg());
    assert_is_golden("model.dot", &dot(&model, DiagramOptions::default()));
    let only_types =
        DiagramOptions { names: false, shapes: false, parameters: false, direction: Orientation::Right };
    let drawn = diagram(&model, only_types).to_svg();
    assert!(drawn.contains(">Dense 512 + ReLU<") && !drawn.contains("dense_1") && !drawn.contains("784"));
    assert!(!drawn.contains("parameters"));
}

/// The size of a drawing.
fn size(drawn: &str) -> [f64; 2] {
    ["width", "height"].map(|side| attributes(drawn, side)[0])
}

/// One of 18 layers was more than 7,000 pixels long.
#[test]
fn a_deep_network_fits_a_page() {
    let mut layers = "conv2d 64 3 padding same, batchnorm, relu".to_string();
    for width in [64, 128, 256, 512] {
        for index in 0..4 {
            let kind = if index == 0 && width > 64 { "4 stride 2" } else { "3 padding same" };
            layers += &format!(", conv2d {width} {kind}, batchnorm, relu");
        }
    }
    let model = Model::classifier(&[64, 64], Layers::parse(&layers).unwrap(), 200).unwrap();
    for direction in Orientation::ALL {
        let drawn = diagram(&model, DiagramOptions { direction, ..DiagramOptions::default() }).to_svg();
        let [width, height] = size(&drawn);
        assert!(width < 1_700.0 && height < 1_300.0, "{width} x {height}");
        for part in [
            ">1 × 64 × 64<",
            ">Conv2D 64, 3 × 3, padding same<",
            ">Conv2D 128, 4 × 4, stride 2<",
            ">BatchNormalization + ReLU<",
            ">4 times, ",
            ">3 times, ",
        ] {
            assert!(drawn.contains(part), "no {part} in {drawn}");
        }
        // The first of a block that repeats stands for the others.
        assert!(drawn.contains(">conv2d_2<") && !drawn.contains(">conv2d_3<"));
        assert!(drawn.contains(">conv2d_6<"), "the next one is another");
    }
}

#[test]
fn golden_confusion_matrix() {
    let classes = ["cat", "a dog that barks", "owl & mouse"].map(str::to_string);
    let truths = [vec![0; 50], vec![1; 40], vec![2; 1_000]].concat();
    let predictions = [vec![0; 49], vec![1; 31], vec![0; 10], vec![2; 1_000]].concat();
    let matrix = ConfusionMatrix::count(&truths, &predictions, 3).unwrap();
    assert_is_golden("confusion.svg", &heat_map(&matrix, &classes).to_svg());
}

/// So many classes with names that differ in their middle, each of 20 images, of which those of the last classes
/// are taken for the first.
fn confused(classes: usize, wrong: usize) -> String {
    let names: Vec<String> = (0..classes)
        .map(|class| format!("Lesser black-backed gull {class:03}, adult, photographed in winter"))
        .collect();
    let truths: Vec<i64> = (0..classes as i64).flat_map(|class| [class; 20]).collect();
    let predictions: Vec<i64> = truths
        .iter()
        .enumerate()
        .map(|(index, &truth)| if truth as usize >= classes - wrong && index % 20 < 3 { 0 } else { truth })
        .collect();
    let matrix = ConfusionMatrix::count(&truths, &predictions, classes).unwrap();
    heat_map(&matrix, &names).to_svg()
}

/// They were cut at their end, and all looked the same; no cell had a number.
#[test]
fn the_matrix_of_47_classes_has_distinct_names_numbers_and_its_worst_pairs() {
    let drawn = confused(47, 2);
    for class in 0..47 {
        assert!(drawn.matches(&format!("{class:03}, adult")).count() >= 2, "no {class}: {drawn}");
    }
    assert_eq!(drawn.matches(">20</text>").count(), 45);
    assert_eq!(drawn.matches(">3</text>").count(), 4, "in two cells and in two rows of the list");
    for part in [">Most frequent mistakes<", ">15 %<", ">share of the true class<", ">right<", ">wrong<"] {
        assert!(drawn.contains(part), "no {part}");
    }
}

#[test]
fn of_200_classes_the_worst_alone_are_drawn() {
    let drawn = confused(200, 30);
    assert!(drawn.contains(">Confusion matrix: the 40 of 200 classes with the most mistakes<"));
    for (class, is_drawn) in [(0, true), (9, true), (10, false), (169, false), (170, true), (199, true)] {
        assert_eq!(drawn.contains(&format!("{class:03}, adult")), is_drawn, "{class}");
    }
    assert_eq!(drawn.matches(">17</text>").count(), 30);
}

/// Every number in an attribute of that name.
fn attributes(drawn: &str, name: &str) -> Vec<f64> {
    let start = format!(" {name}=\"");
    drawn.split(&start).skip(1).filter_map(|piece| piece.split('"').next()?.parse().ok()).collect()
}

#[test]
fn curves_stay_below_the_legend_whatever_they_do() {
    for curves in [mnist_run(), run("flat", 3, 1e9), run("a", 1, 0.0), run("b", 500, -3.0)] {
        let drawn = loss(&[curves]).to_svg();
        let legend: Vec<f64> = drawn
            .lines()
            .filter(|line| line.contains(">training<") || line.contains(">validation<"))
            .flat_map(|line| attributes(line, "y"))
            .collect();
        assert_eq!(legend.len(), 2);
        let points = drawn.lines().filter(|line| line.starts_with("<polyline"));
        let highest = points
            .flat_map(|line| line.split('"').nth(1).unwrap().split(' '))
            .map(|point| point.split_once(',').unwrap().1.parse::<f64>().unwrap())
            .fold(f64::INFINITY, f64::min);
        assert!(highest > legend[0] + 4.0, "{highest} {legend:?}");
    }
}

fn count(drawn: &str, start: &str) -> usize {
    drawn.lines().filter(|line| line.starts_with(start)).count()
}

#[test]
fn above_60_epochs_lines_are_solid_and_have_no_markers() {
    let drawn = |epochs| loss(&[run("a", epochs, 0.1)]).to_svg();
    // The legend has one.
    assert_eq!([1, 5, 60].map(|epochs| count(&drawn(epochs), "<circle")), [2, 6, 61]);
    for epochs in [62, 300] {
        let drawn = drawn(epochs);
        assert_eq!((count(&drawn, "<circle"), drawn.contains("dasharray")), (0, false));
        let widths: Vec<Vec<f64>> = drawn
            .lines()
            .filter(|line| line.starts_with("<polyline"))
            .map(|line| attributes(line, "stroke-width"))
            .collect();
        assert_eq!(widths, [[1.3], [2.0]], "they differ in more than colour");
    }
    // A short run beside a long one has no more markers than that.
    let both = loss(&[run("short", 30, 0.1), run("long", 300, 0.1)]).to_svg();
    assert_eq!(count(&both, "<circle"), 0);
}

#[test]
fn several_runs_are_compared_by_validation_with_one_line_each_in_the_legend() {
    let best = |name: &str, epochs: usize| HistoryCurves {
        best: Some((epochs as f64, "val_loss".to_string())),
        ..run(name, epochs, 0.25)
    };
    let mut runs = vec![best("a", 10), best("b", 20), best("c", 80)];
    runs[1].metrics.remove("val_loss");
    let drawn = |compares_training| {
        let options = ChartOptions { compares_training, ..ChartOptions::default() };
        chart(&runs, &["loss".to_string()], options).to_svg()
    };
    let usual = drawn(false);
    for part in [">validation<", ">a<", ">0.2600, epoch 10<", ">b (training)<", ">0.2650, epoch 20<"] {
        assert!(usual.contains(part), "no {part} in {usual}");
    }
    assert_eq!(count(&usual, "<polyline"), 3);
    let with_training = drawn(true);
    assert_eq!(count(&with_training, "<polyline"), 5, "{with_training}");
    assert!(with_training.contains(">validation (thin: training)<"));
    assert_eq!(with_training.matches(", epoch ").count(), 3);
}

#[test]
fn the_best_value_and_the_test_are_told_in_every_panel() {
    let test = [("loss".to_string(), 0.0701), ("accuracy".to_string(), 0.98)];
    let curves = HistoryCurves { test: test.into(), ..mnist_run() };
    let drawn = chart(&[curves], &["loss", "accuracy"].map(str::to_string), ChartOptions::default()).to_svg();
    for part in [
        ">best val_loss 0.",
        ", epoch 6<",
        " at the best val_loss, epoch 6<",
        ">test 0.0701<",
        ">test 0.9800<",
    ] {
        assert!(drawn.contains(part), "no {part}");
    }
}

#[test]
fn a_gap_divides_a_line_and_a_lone_point_is_marked() {
    let mut curves = run("a", 200, 0.1);
    let values = curves.metrics.get_mut("loss").unwrap();
    values[50..100].fill(None);
    values[101..150].fill(None);
    curves.metrics.remove("val_loss");
    let drawn = loss(&[curves]).to_svg();
    assert_eq!(count(&drawn, "<polyline"), 2);
    assert_eq!(count(&drawn, "<circle"), 1, "epoch 101 stands alone");
}

#[test]
fn a_learning_rate_is_shown_only_where_it_changes() {
    assert!(!loss(&[mnist_run()]).to_svg().contains("learning rate"));
    let mut curves = mnist_run();
    curves.learning_rates[5] = Some(0.0005);
    assert!(loss(&[curves]).to_svg().contains("learning rate"));
}

#[test]
fn training_and_validation_differ_in_more_than_colour() {
    let drawn = loss(&[mnist_run()]).to_svg();
    let lines: Vec<&str> = drawn.lines().filter(|line| line.starts_with("<polyline")).collect();
    assert_eq!(lines.len(), 2);
    assert!(!lines[0].contains("dasharray") && lines[1].contains("dasharray"));
}

#[test]
fn every_drawing_becomes_pixels() {
    let classes: Vec<String> = (0..40).map(|class| format!("class {class}")).collect();
    let numbers: Vec<i64> = (0..40).collect();
    let matrix = ConfusionMatrix::count(&numbers, &numbers, 40).unwrap();
    for drawing in [loss(&[mnist_run()]), heat_map(&matrix, &classes)] {
        assert!(drawing.to_png().unwrap().len() > 10_000);
    }
    let color = [112, 3, 90];
    let lines = ["a".to_string(), "b".repeat(100), "c".to_string()].map(SheetLine::from).to_vec();
    let image = SheetImage { image: crate::data::RgbImage { size: [3, 2], pixels: vec![color; 6] }, lines };
    let row = SheetRow { heading: "a".repeat(90), images: vec![image.clone()] };
    for sheet in [
        image_sheet("Title", "note", &[image.clone(), image.clone()], 1).unwrap(),
        class_sheet("Title", "note", &[row.clone(), row]).unwrap(),
    ] {
        let sheet = image::load_from_memory(&sheet).unwrap().to_rgb8();
        assert!(sheet.pixels().filter(|pixel| pixel.0 == color).count() > 10_000, "the image is there");
    }
}

#[test]
fn the_workbook_is_the_same_every_time() {
    let content = WorkbookContent {
        columns: ["epoch", "loss", "val_loss", "learning_rate"].map(str::to_string).to_vec(),
        rows: vec![
            vec![Some(1.0), Some(0.5), None, Some(0.001)],
            vec![Some(2.0), Some(0.25), Some(0.5), None],
        ],
        facts: vec![
            ("seed".to_string(), Fact::Number(0.0)),
            ("device".to_string(), Fact::Text("cpu".to_string())),
            ("skips".to_string(), Fact::Truth(false)),
        ],
    };
    let bytes = workbook(&content).unwrap();
    assert!(bytes == workbook(&content).unwrap());
    let mut archive = zip::ZipArchive::new(std::io::Cursor::new(bytes)).unwrap();
    let mut parts: BTreeMap<String, String> = BTreeMap::new();
    for index in 0..archive.len() {
        let mut part = archive.by_index(index).unwrap();
        let name = part.name().to_string();
        std::io::Read::read_to_string(&mut part, parts.entry(name).or_default()).unwrap();
    }
    let sheet = &parts["xl/worksheets/sheet1.xml"];
    assert!(sheet.contains("><v>0.25</v></c>"), "numbers are numbers: {sheet}");
    let chart = &parts["xl/charts/chart1.xml"];
    assert!(!parts.contains_key("xl/charts/chart2.xml"), "the learning rate does not change");
    let styles = &parts["xl/styles.xml"];
    for format in ["0.0000", "0.000000"] {
        assert!(styles.contains(&format!("formatCode=\"{format}\"")), "no {format} in {styles}");
    }
    assert!(parts["xl/worksheets/sheet2.xml"].contains(" t=\"b\"><v>0</v></c>"), "truths are truths");
    for sheet in ["xl/worksheets/sheet1.xml", "xl/worksheets/sheet2.xml"] {
        assert!(
            parts[sheet].contains("ySplit=\"1\"") && parts[sheet].contains("state=\"frozen\""),
            "{sheet}"
        );
    }
    assert!(chart.contains("History!$B$2:$B$3") && chart.contains("History!$C$2:$C$3"), "{chart}");
}
