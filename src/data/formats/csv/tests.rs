mod columns;

use super::*;
use crate::data::{Fault, Missing};
use std::fs;

fn load_text(text: &str, label_column: Option<&str>) -> Result<RawDataset> {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("rows.csv");
    fs::write(&path, text).unwrap();
    let options = LoadOptions::with_data_dir(folder.path().join("kept"));
    load(&path, &LoadOptions { label_column: label_column.map(str::to_string), ..options }, &mut |_| ())
}

#[test]
fn labels_are_found_in_the_common_layouts() {
    for (text, column) in [
        ("label,p0,p1,p2,p3\n7,1,2,3,4\n5,5,6,7,255\n", None),
        ("p0,p1,p2,p3,class\n1,2,3,4,7\n5,6,7,255,5\n", None),
        ("7,1,2,3,4\n5,5,6,7,255\n", None),
        ("label,0,1,2,3\n7,1,2,3,4\n5,5,6,7,255\n", None),
        ("0,1,2,3,what\n1,2,3,4,7\n5,6,7,255,5\n", Some("what")),
        ("1,2,7,3,4\n5,6,5,7,255\n", Some("2")),
        ("p0,p1,p2,p3,what\n1,2,3,4,7\n5,6,7,255,5\n", Some("what")),
    ] {
        let loaded = load_text(text, column).unwrap();
        assert_eq!(
            (loaded.train.labels(), &loaded.classes),
            (&[1, 0][..], &vec!["5".into(), "7".to_string()])
        );
        // Four values are an image if they are called pixels.
        let shape = if text.contains("p0") { vec![2, 2] } else { vec![4] };
        assert_eq!(loaded.train.shape(), shape, "{text}");
        assert_eq!(
            Vec::<u8>::try_from(loaded.train.pixels().unwrap().view([-1])).unwrap(),
            [1, 2, 3, 4, 5, 6, 7, 255]
        );
    }
}

/// The groups of the training images by their names.
fn group_names(loaded: &RawDataset) -> Vec<String> {
    let groups = loaded.train.groups().unwrap();
    groups.iter().map(|&group| loaded.train.group_name(group).unwrap().to_string()).collect()
}

#[test]
fn a_column_of_groups_is_neither_a_value_nor_a_label() {
    for (text, column) in [
        ("who,a,b,class\nx,1,2,7\ny,3,4,5\nx,5,6,7\n", "who"),
        ("class,a,b,who\n7,1,2,x\n5,3,4,y\n7,5,6,x\n", "WHO"),
        ("7,1,x,2\n5,3,y,4\n7,5,x,6\n", "2"),
        ("class,a,b,who\n7,1,2,7\n5,3,4,y\n7,5,6,7.0\n", "who"),
        // Without its role it would be the label.
        ("x,1,2,7\ny,3,4,5\nx,5,6,7\n", "0"),
    ] {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("rows.csv");
        fs::write(&path, text).unwrap();
        let options = LoadOptions::with_data_dir(folder.path().join("kept"));
        let options = options.group_by(GroupBy::Column(column.to_string()));
        // Read, and read from the cache.
        for _ in 0..2 {
            let loaded = load(&path, &options, &mut |_| ()).unwrap();
            let first = if text.contains("7.0") { "7" } else { "x" };
            assert_eq!(group_names(&loaded), [first, "y", first], "{text}");
            assert_eq!((loaded.train.labels(), loaded.train.shape()), (&[1, 0, 1][..], vec![2]), "{text}");
        }
    }
}

#[test]
fn labels_may_be_words_and_numbers_are_in_their_order() {
    assert_eq!(load_text("label,a\ndog,1\ncat,2\n", None).unwrap().classes, ["cat", "dog"]);
    assert_eq!(load_text("label,a\n10,1\n9,2\n", None).unwrap().classes, ["9", "10"]);
    // 12 pixels are 2 x 2 of three colours, 3 are a row.
    let pixels = |count: usize| format!("label{}\n1{}\n", ",p".repeat(count), ",0".repeat(count));
    assert_eq!(load_text(&pixels(12), None).unwrap().train.pixels().unwrap().size(), [1, 3, 2, 2]);
    assert_eq!(load_text(&pixels(5), None).unwrap().train.pixels().unwrap().size(), [1, 5]);
}

#[test]
fn errors_name_the_file_and_the_line_of_a_wrong_row() {
    let fault = |text: &str, column| format!("{:#}", load_text(text, column).err().unwrap());
    for (text, expected) in [
        ("", "rows.csv: is empty"),
        ("label,a,b\n", "has no images"),
        ("label,a,b\n1,2\n", "line 2 has 2 values, not 3"),
        ("label,a,b\n1,2,3\n1,2,3\n1,2,x\n", "line 4, column 3 (b): 'x' is not a number"),
        ("label,a,b\n1,2,3\n1,2,1e99\n", "line 3, column 3 (b): '1e99' is too large a number"),
        (
            "label,a,name\n1,2,Ann\n",
            "the column 'name' holds words, such as 'Ann', neither numbers nor labels",
        ),
        ("label,a,b\n1,,3\n1,4,NA\n1,?,5\n", "3 values are missing, the first in "),
        ("label,a,b\n,2,3\n", "line 2 has no label"),
        ("what,a,b\n1,2,3\n", "has no column called label or class"),
        ("1\n2\n", "line 1 has 1 value"),
        ("label,a,b\r\n1,2\r\n", "line 2 has 2 values, not 3"),
        ("label,a,b\r\n1,2,3\r\n1,2,3\r\n1,2,x\r\n", "line 4, column 3 (b): 'x' is not a number"),
    ] {
        let fault = fault(text, None);
        assert!(fault.contains(expected), "{fault}");
    }
    assert!(fault("1,2,3\n", Some("3")).contains("has no label column '3': that is neither"));
}

#[test]
fn a_folder_has_a_file_for_training_and_one_for_the_test() {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("mnist_train.csv"), "label,a\nx,1\ny,2\n").unwrap();
    let write_test = |text: &str| fs::write(folder.path().join("mnist_test.csv"), text).unwrap();
    write_test("label,a\ny,3\n");
    let kept = tempfile::tempdir().unwrap();
    let load = || load(folder.path(), &LoadOptions::with_data_dir(kept.path()), &mut |_| ());
    let loaded = load().unwrap();
    assert_eq!(loaded.test.unwrap().labels(), [1]);
    let fault = || format!("{:#}", load().err().unwrap());
    write_test("label,a\nzz,3\n");
    assert!(
        fault().contains("mnist_test.csv: image 0 (from 0) has the label 'zz', which no training image has")
    );
    write_test("a\n3\n4\n");
    let loaded = load().unwrap();
    assert!(loaded.test.is_none() && loaded.notes[0].contains("has no labels and is not used"));
    write_test("label,a,b\nx,3,4\n");
    assert!(fault().contains("has 2 pixels an image, but"));
}

fn values(images: &crate::data::Images) -> Vec<f32> {
    Vec::try_from(images.pixels().unwrap().to_kind(tch::Kind::Float).view([-1])).unwrap()
}

/// Rows of tables as people have them.
#[test]
fn tables_are_read_as_programs_write_them() {
    let table = |head: &str, row: &dyn Fn(usize) -> String| {
        let rows: Vec<String> = (0..40).map(row).collect();
        format!("{head}{}\n", rows.join("\n"))
    };
    let mangled: String = (1..17).map(|mark| format!(",0.{mark}")).collect();
    let mangled = table(&format!("0{mangled}\n"), &|i| format!("{}{}", i % 3, ",0".repeat(16)));
    for (case, text, column, width) in [
        // UCI's optdigits: no head, the label last, the first pixel always 0.
        ("label last", table("", &|i| format!("0,{},9,{}", i % 17, i % 3)), None, 3),
        ("few labels last", table("", &|i| format!("{},5,{},9,{}", i % 13, i % 7, i % 3)), None, 4),
        ("index", table(",label,a,b\n", &|i| format!("{i},{},{},9", i % 3, i % 200)), None, 2),
        ("unnamed", table("Unnamed: 0,a,label\n", &|i| format!("{i},{},{}", i % 200, i % 3)), None, 1),
        ("id", table("a,ID,Species\n", &|i| format!("{}.5,{i},s{}", i % 7, i % 3)), None, 1),
        ("counter", table("no,a,b,class\n", &|i| format!("{},{},1.5,{}", i + 1, i % 9, i % 3)), None, 2),
        ("numbers as head", table("0,1,2,3\n", &|i| format!("{},7,7,{}", i % 3, i % 30)), None, 3),
        (
            "index and numbers",
            table(",0,1,2,3\n", &|i| format!("{i},{},7,7,{}", i % 3, i % 30)),
            Some("0"),
            3,
        ),
        ("semicolons", table("a;b;quality\n", &|i| format!("1,{i};2,5;{}", i % 3)), None, 2),
        ("tabs", table("a\tb\ttarget\n", &|i| format!("{i}.5\t2\t{}", i % 3)), None, 2),
        ("blanks", table("", &|i| format!("  {i}.5   2 {}", i % 3)), None, 2),
        ("words last", table("", &|i| format!("{i}.5,3,Iris-{}", i % 3)), None, 2),
        ("words within", table("", &|i| format!("{},s{},{i}.5,3.5", 842_300 + 7 * i, i % 3)), None, 2),
        (
            "sorted",
            table("", &|i| format!("{i}.5,{},{}", i % 7, i / 40)) + &table("", &|_| "3.5,1,1".into()),
            None,
            2,
        ),
        ("mangled head", mangled.clone(), None, 16),
        (
            "large ids",
            table("", &|i| format!("{},5,{},{}", 1_000_025 + 9 * i, i % 10, 2 + 2 * (i % 3))),
            None,
            2,
        ),
        ("unusual name", table("a,b,kind of thing\n", &|i| format!("{i}.5,3,s{}", i % 3)), None, 2),
        ("two words", table("a,b,Wine Class\n", &|i| format!("{i},3,{}", i % 3)), None, 2),
        ("trailing comma", table("a,label,\n", &|i| format!("{i},{}", i % 3)), None, 1),
        ("row names", table("a label\n", &|i| format!("\"{i}\" {i}.5 {}", i % 3)), None, 1),
        ("floats as labels", table("label,a\n", &|i| format!("{}.0,{i}", i % 3)), None, 1),
        ("truth", table("a,b,y\n", &|i| format!("True,{i},{}", i % 3)), None, 2),
    ] {
        let loaded = load_text(&text, column).unwrap_or_else(|fault| panic!("{case}: {fault:#}"));
        let expected = |row: i64| if case == "sorted" { row / 40 } else { row % 3 };
        let expected: Vec<i64> = (0..loaded.train.len() as i64).map(expected).collect();
        assert_eq!(loaded.train.labels(), expected, "{case}: {:?} {:?}", loaded.classes, loaded.notes);
        assert_eq!(loaded.train.shape().iter().product::<i64>(), width, "{case}: {:?}", loaded.notes);
    }
}

#[test]
fn heads_of_numbers_name_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let write = |name: &str, text: &str| fs::write(folder.path().join(name), text).unwrap();
    write("train.csv", "0,1,2,3,4\n0,7,7,7,7\n1,9,9,9,9\n0,7,7,7,7\n1,9,9,9,9\n");
    let kept = tempfile::tempdir().unwrap();
    let load = || load(folder.path(), &LoadOptions::with_data_dir(kept.path()), &mut |_| ()).unwrap();
    write("test.csv", "1,1,2,3,4\n");
    assert_eq!(values(&load().test.unwrap()), [1.0, 2.0, 3.0, 4.0]);
    write("test.csv", "0,1,2,3\n1,2,3,4\n");
    let loaded = load();
    assert_eq!((loaded.train.len(), loaded.table.unwrap().names()), (4, None));
    assert!(loaded.test.is_none() && loaded.notes[0].contains("has no labels"), "{:?}", loaded.notes);
}

#[test]
fn guesses_and_what_is_left_out_are_noted() {
    let rows: String = (0..20).map(|row| format!("{row},{},{}\n", row % 2, row % 7)).collect();
    let notes = load_text(&format!(",label,a\n{rows}"), None).unwrap().notes;
    assert_eq!(notes, ["the column number 1 has no name and is left out"]);
    let rows: String = (0..20).map(|row| format!("9,{},{}\n", row % 7, row % 2)).collect();
    assert_eq!(load_text(&rows, None).unwrap().notes, ["labels are taken from the last column: 2 classes"]);
    // A head that names no label, and no end that looks like labels.
    let rows: String = (0..20).map(|row| format!("{},{},{}\n", row % 3, row % 7, row % 2)).collect();
    let fault = format!("{:#}", load_text(&format!("a,b,c\n{rows}"), None).err().unwrap());
    assert!(fault.contains("has no column called label or class, only a, b, c"), "{fault}");
}

#[test]
fn values_beyond_a_byte_keep_their_type() {
    for (cells, kind, expected) in [
        (["12.0", "255"], tch::Kind::Uint8, [12.0, 255.0]),
        (["256", "-3"], tch::Kind::Int, [256.0, -3.0]),
        (["0.5", "1e3"], tch::Kind::Float, [0.5, 1000.0]),
    ] {
        let loaded = load_text(&format!("label,a,b\n1,{},{}\n", cells[0], cells[1]), None).unwrap();
        assert_eq!((loaded.train.kind(), values(&loaded.train)), (kind, expected.to_vec()));
        assert_eq!(loaded.train.shape(), [2]);
    }
    // Four floats are features, 64 of one range are an image.
    let row = |count: usize| (0..count).map(|index| format!(",{}", index as f64 / 64.0)).collect::<String>();
    assert_eq!(load_text(&format!("1{}\n", row(4)), Some("0")).unwrap().train.shape(), [4]);
    let rows = format!("1{}\n1{}\n", ",0".repeat(64), ",0.5".repeat(64));
    assert_eq!(load_text(&rows, Some("0")).unwrap().train.shape(), [8, 8]);
}

#[test]
fn missing_values_are_counted_or_replaced_by_means() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("rows.csv");
    fs::write(&path, "label,a,b\n1,1,\n0,nan,4\n1,3,5\n").unwrap();
    let options = LoadOptions::with_data_dir(folder.path().join("kept"));
    let fault = load(&path, &options, &mut |_| ()).err().unwrap();
    let fault: &Fault = fault.downcast_ref().unwrap();
    let first = format!("{}, line 2, column 3 (b)", path.display());
    assert_eq!(*fault, Fault::MissingValues { count: 2, first });
    let loaded = load(&path, &options.missing(Missing::Mean), &mut |_| ()).unwrap();
    assert_eq!(values(&loaded.train), [1.0, 4.5, 2.0, 4.0, 3.0, 5.0]);
    assert_eq!(loaded.table.unwrap().means, Some(vec![2.0, 4.5]));
    assert!(loaded.notes[0].starts_with("2 missing values are replaced"), "{:?}", loaded.notes);
}

#[test]
fn pixels_in_one_column_and_a_column_of_splits_are_read() {
    let rows = ["Training", "PublicTest", "PrivateTest"]
        .map(|usage| format!("0,1 2 3 4,{usage}\n1,9 9 9 255,{usage}\n"));
    let loaded = load_text(&format!("emotion,pixels,Usage\n{}", rows.concat()), None).unwrap();
    assert_eq!(
        (loaded.train.shape(), values(&loaded.train)),
        (vec![2, 2], vec![1.0, 2.0, 3.0, 4.0, 9.0, 9.0, 9.0, 255.0])
    );
    assert_eq!((loaded.validation.unwrap().len(), loaded.test.unwrap().labels()), (2, &[0, 1][..]));
    let short = load_text("emotion,pixels\n0,1 2 3 4\n1,1 2 3 4 5\n", None).err().unwrap();
    assert!(format!("{short:#}").contains("line 3 has 5 pixels, not 4"), "{short:#}");
    let unknown =
        load_text(&format!("emotion,pixels,Usage\n{}0,1 2 3 4,Spare\n", rows.concat().repeat(200)), None);
    let unknown = format!("{:#}", unknown.err().unwrap());
    assert!(unknown.contains("line 1202, column 3 (Usage): 'Spare' is no split (train, "), "{unknown}");
}

#[test]
fn colour_is_pixel_by_pixel_unless_asked_otherwise() {
    let text = "label,r,g,b,r2,g2,b2,r3,g3,b3,r4,g4,b4\n0,1,2,3,4,5,6,7,8,9,10,11,12\n";
    let loaded = load_text(text, None).unwrap();
    assert_eq!(values(&loaded.train), [1.0, 4.0, 7.0, 10.0, 2.0, 5.0, 8.0, 11.0, 3.0, 6.0, 9.0, 12.0]);
    assert!(
        loaded.notes[0].contains("2 x 2 pixels in colour, red, green and blue of each"),
        "{:?}",
        loaded.notes
    );
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("rows.csv");
    fs::write(&path, text).unwrap();
    let options = LoadOptions::with_data_dir(folder.path().join("kept")).pixel_order(PixelOrder::Chw);
    let loaded = load(&path, &options, &mut |_| ()).unwrap();
    assert_eq!((values(&loaded.train)[1], loaded.notes.len()), (2.0, 0));
}

#[test]
fn files_of_a_split_are_joined_and_columns_matched_by_name() {
    let folder = tempfile::tempdir().unwrap();
    let write = |name: &str, text: &str| fs::write(folder.path().join(name), text).unwrap();
    write("train_1.csv", "label,a,b\nx,1,2\ny,3,4\n");
    write("train_2.csv", "b,label,a\n6,x,5\n");
    write("test.csv", "Id,B,A,LABEL\n1,8,7,y\n2,10,9,x\n");
    write("strain.csv", "label,a,b\nz,0,0\n");
    write("._train.csv", "\0\u{5}");
    let kept = tempfile::tempdir().unwrap();
    let load = || load(folder.path(), &LoadOptions::with_data_dir(kept.path()), &mut |_| ());
    let loaded = load().unwrap();
    assert_eq!(values(&loaded.train), [1.0, 2.0, 3.0, 4.0, 5.0, 6.0]);
    let test = loaded.test.unwrap();
    assert_eq!((values(&test), test.labels()), (vec![7.0, 8.0, 9.0, 10.0], &[1, 0][..]));
    assert!(
        loaded.notes.iter().any(|note| note.contains("speak of no split: strain.csv")),
        "{:?}",
        loaded.notes
    );
    write("train_2.csv", "label,a,c\nx,1,2\n");
    assert!(format!("{:#}", load().err().unwrap()).contains("train_2.csv: has no column 'b'"));
}
