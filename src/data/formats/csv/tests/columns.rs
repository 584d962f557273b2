//! What the columns and lines of tables are taken for.

use super::*;

/// The rows of a table of that many, whose classes are 0, 1 and 2 in turn.
fn table(head: &str, count: usize, row: impl Fn(usize) -> String) -> String {
    format!("{head}\n{}", (0..count).map(|i| row(i) + "\n").collect::<String>())
}

#[test]
fn names_and_numbers_of_columns_say_what_is_an_image_not_their_values() {
    let rows = |stem: &str, count: usize, value: &dyn Fn(usize, usize) -> String| {
        let head: String = (0..count).map(|column| format!(",{stem}{column}")).collect();
        table(&format!("label{head}"), 6, |row| {
            let cells: String = (0..count).map(|column| format!(",{}", value(row, column))).collect();
            format!("{}{cells}", row % 3)
        })
    };
    // The border is dark, as that of handwritten digits.
    let byte = |row: usize, column: usize| if column % 8 < 4 { 0 } else { (row * 31 + column) % 200 };
    let stray = |stray: &'static str| {
        move |row: usize, column: usize| match (row, column) {
            (2, 5) => stray.to_string(),
            _ => byte(row, column).to_string(),
        }
    };
    for (case, text, shape) in [
        ("bytes", rows("pixel", 784, &|row, column| byte(row, column).to_string()), vec![28, 28]),
        (
            "floats",
            rows("p", 784, &|row, column| (byte(row, column) as f64 / 255.0).to_string()),
            vec![28, 28],
        ),
        ("12 bits", rows("", 784, &|row, column| (16 * byte(row, column)).to_string()), vec![28, 28]),
        ("fraction", rows("pixel", 64, &stray("12.5")), vec![8, 8]),
        ("large", rows("x", 64, &stray("300")), vec![8, 8]),
        ("negative", rows("pixel", 64, &stray("-1")), vec![8, 8]),
        ("few bytes", rows("x", 16, &|row, column| byte(row, column).to_string()), vec![16]),
        ("features", rows("feature_", 64, &|row, column| byte(row, column).to_string()), vec![64]),
    ] {
        assert_eq!(load_text(&text, None).unwrap().train.shape(), shape, "{case}");
    }
    let heart =
        table("age,sex,cp,chol,target", 6, |i| format!("{},{},{},2{i}0,{}", 20 + i, i % 2, i % 4, i % 2));
    let loaded = load_text(&heart, None).unwrap();
    assert_eq!(loaded.train.shape(), [4]);
    assert!(loaded.notes[0].contains("taken as features, not as 2 x 2 pixels"), "{:?}", loaded.notes);
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("rows.csv");
    fs::write(&path, heart).unwrap();
    let options = LoadOptions::with_data_dir(folder.path().join("kept")).pixel_order(PixelOrder::Hwc);
    assert_eq!(load(&path, &options, &mut |_| ()).unwrap().train.shape(), [2, 2]);
}

#[test]
fn columns_of_splits_are_found_by_words_and_by_yes_and_no() {
    let counts = |loaded: &RawDataset| {
        let of = |images: &Option<crate::data::Images>| images.as_ref().map_or(0, crate::data::Images::len);
        (loaded.train.len(), of(&loaded.validation), of(&loaded.test))
    };
    for (head, row, expected) in [
        (
            "label,a,is_valid",
            (|i| format!("{},{i},{}", i % 3, i % 4 == 0)) as fn(usize) -> String,
            (15, 5, 0),
        ),
        ("is_test,label,a", |i| format!("{},{},{i}", usize::from(i % 4 == 0), i % 3), (15, 0, 5)),
        ("label,is_valid,a,is_test", |i| format!("{},{},{i},{}", i % 3, i % 4 == 0, i % 4 == 1), (10, 5, 5)),
        (
            "label,a,subset",
            |i| format!("{},{i},{}", i % 3, ["train", "val", "test", "train"][i % 4]),
            (10, 5, 5),
        ),
        ("label,a,fold", |i| format!("{},{i},{}", i % 3, i % 4), (20, 0, 0)),
    ] {
        let loaded = load_text(&table(head, 20, row), None).unwrap();
        assert_eq!(
            (counts(&loaded), loaded.train.shape()),
            (expected, vec![1]),
            "{head}: {:?}",
            loaded.notes
        );
    }
    let loaded = load_text(&table("label,a,fold", 20, |i| format!("{},{i},{}", i % 3, i % 4)), None).unwrap();
    assert_eq!(loaded.notes, ["the column 'fold' numbers parts of the rows, such as folds, and is left out"]);
    let fault = |word: &'static str| {
        let usage = move |i| if i == 7 { word } else { ["Training", "PrivateTest"][i % 2] };
        let text = table("emotion,pixels,Usage", 20, |i| format!("{},1 2 3 {i},{}", i % 2, usage(i)));
        format!("{:#}", load_text(&text, None).err().unwrap())
    };
    assert!(
        fault("Foo").contains("line 9, column 3 (Usage): 'Foo' is no split (train, "),
        "{}",
        fault("Foo")
    );
    assert!(fault("").contains("line 9, column 3 (Usage): is empty, and says no split"), "{}", fault(""));
    let text = table("label,a,is_valid", 20, |i| format!("{},{i},{}", i % 3, if i == 5 { "" } else { "0" }));
    assert!(
        format!("{:#}", load_text(&text, None).err().unwrap())
            .contains("line 7, column 3 (is_valid): is empty")
    );
}

#[test]
fn columns_that_say_the_same_as_the_label_or_number_the_rows_are_left_out() {
    let word = |i: usize| ["x", "y", "z"][i % 3];
    for (text, column, note) in [
        (
            table("a,b,target,species", 30, |i| format!("{i},{},{},{}", i % 7, i % 3, word(i))),
            None,
            Some("the column 'species' says the same as the labels and is left out"),
        ),
        (
            table("a,b,target,species", 30, |i| format!("{i},{},{},{}", i % 7, i % 3, word(i))),
            Some("species"),
            Some("the column 'target' says the same as the labels and is left out"),
        ),
        (
            table("label,label_id,a,b", 30, |i| format!("{},{},{i}.5,{}", word(i), 2 - i % 3, i % 7)),
            None,
            Some("the column 'label_id' says"),
        ),
        (
            table("a,Unnamed: 0.1,level_0,index.1,Unnamed: 0,b,label", 30, |i| {
                format!("{i}.5,9{i},{i},{i},{i},{},{}", i % 7, i % 3)
            }),
            None,
            None,
        ),
    ] {
        let loaded = load_text(&text, column).unwrap();
        assert_eq!(loaded.train.shape(), [2], "{text}{:?}", loaded.notes);
        assert!(
            note.is_none_or(|note| loaded.notes.iter().any(|own| own.starts_with(note))),
            "{:?}",
            loaded.notes
        );
    }
    // Not the same in one row: a feature.
    let almost =
        table("label,label_of,a,b", 30, |i| format!("{},{},{i},7", i % 3, if i == 29 { 0 } else { i % 3 }));
    assert_eq!(load_text(&almost, None).unwrap().train.shape(), [3]);
    let sorted = table("label,label_code,a", 3_000, |i| format!("{},{},{i}", i / 1_500, 7 + i / 1_500));
    assert_eq!(load_text(&sorted, None).unwrap().train.shape(), [1]);
    // A feature may well separate the classes.
    let legs = table("legs,weight,animal,class", 40, |i| format!("{},{i},{i},{}", 2 * (i % 3), word(i)));
    assert_eq!(load_text(&legs, None).unwrap().train.shape(), [3]);
    // Too few rows to say so; and words that are no labels.
    assert_eq!(
        load_text(&table("label,label_code,a", 6, |i| format!("{},{},{i}", i % 3, i % 3)), None)
            .unwrap()
            .train
            .shape(),
        [2]
    );
    let fault =
        load_text(&table("label,sort,a", 6, |i| format!("{},{},{i}", i % 3, word(i))), None).err().unwrap();
    assert!(format!("{fault:#}").contains("the column 'sort' holds words, such as 'x'"), "{fault:#}");
    // The same columns in a test file.
    let folder = tempfile::tempdir().unwrap();
    for (name, count) in [("train.csv", 30), ("test.csv", 6)] {
        let text = table("label,label_id,a,b", count, |i| format!("{},{},{i},{}", word(i), i % 3, i % 7));
        fs::write(folder.path().join(name), text).unwrap();
    }
    let kept = tempfile::tempdir().unwrap();
    let loaded = load(folder.path(), &LoadOptions::with_data_dir(kept.path()), &mut |_| ()).unwrap();
    assert_eq!((loaded.train.shape(), loaded.test.unwrap().shape()), (vec![2], vec![2]));
}

#[test]
fn numbers_may_have_thousands_and_labels_decimal_commas() {
    let loaded =
        load_text("gehalt;alter;label\n825;45,5;0,0\n1.255;30,5;1,0\n1.029,5;21,5;2,0\n", None).unwrap();
    assert_eq!(values(&loaded.train), [825.0, 45.5, 1255.0, 30.5, 1029.5, 21.5]);
    assert_eq!(
        (loaded.classes, loaded.train.labels()),
        (["0", "1", "2"].map(str::to_string).to_vec(), &[0, 1, 2][..])
    );
    let loaded = load_text("pay,age,label\n\"1,255.5\",2.5,0\n\"1,255\",3.5,1\n", None).unwrap();
    assert_eq!(values(&loaded.train), [1255.5, 2.5, 1255.0, 3.5]);
}

#[test]
fn what_is_no_row_or_no_label_is_said() {
    let loaded = load_text("# by A. Author\n# 2020\nlabel,a,b\n0,1,2\n# more\n1,3,4\n", None).unwrap();
    assert_eq!(values(&loaded.train), [1.0, 2.0, 3.0, 4.0]);
    assert_eq!(loaded.notes[0], "lines that begin with # are comments and are passed over");
    let loaded = load_text("# label a b\n0 1 2\n1 3 4\n", None).unwrap();
    assert_eq!(
        (values(&loaded.train), loaded.table.unwrap().label.unwrap()),
        (vec![1.0, 2.0, 3.0, 4.0], "label".into())
    );
    let fault = |text: &str, column| format!("{:#}", load_text(text, column).err().unwrap());
    let house = table("chas,rm,target", 60, |i| format!("{},{i},{}.25", i % 2, 20 + i));
    for column in [None, Some("target")] {
        let fault = fault(&house, column);
        assert!(
            fault.contains("the column 'target' holds numbers such as 20.25, which are no classes"),
            "{fault}"
        );
    }
    let pixels = table("emotion,pixels", 6, |i| format!("{},{}", i % 2, if i == 3 { "" } else { "1 2 3 4" }));
    assert!(fault(&pixels, None).contains("line 5, column 2 (pixels): is empty"), "{}", fault(&pixels, None));
}

#[test]
fn a_test_file_without_a_single_label_is_not_used() {
    let folder = tempfile::tempdir().unwrap();
    let write = |name: &str, text: &str| fs::write(folder.path().join(name), text).unwrap();
    let kept = tempfile::tempdir().unwrap();
    let load = || load(folder.path(), &LoadOptions::with_data_dir(kept.path()), &mut |_| ()).unwrap();
    write("train.csv", "label,a\n0,1\n1,2\n");
    for (test, note) in
        [("label,a\n,1\n,2\n", "has no labels"), ("label,a\n-1,1\n-1,2\n", "has -1 for labels")]
    {
        write("test.csv", test);
        let loaded = load();
        assert!(loaded.test.is_none() && loaded.notes[0].contains(note), "{:?}", loaded.notes);
    }
    write("train.csv", "label,a\n-1,1\n1,2\n");
    assert_eq!(load().test.unwrap().len(), 2);
}
