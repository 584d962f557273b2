//! Which folders are taken for which split.

use super::*;

#[test]
fn the_words_of_a_folders_name_say_which_split_it_is() {
    for [train, validation, test] in [
        ["training_set", "dev", "test_set"],
        ["seg_train", "eval", "seg_test"],
        ["Train_data", "validation_set", "Testing"],
        ["trainset", "MNIST_val", "TestImages"],
    ] {
        let place = Place::new();
        place.classes(train, &["cat", "dog"]).classes(validation, &["cat"]).classes(test, &["dog"]);
        assert_eq!(place.counts(), [4, 2, 2], "{train}");
    }
    let place = with_test();
    place.classes("training", &["cat", "dog"]);
    let fault = place.fault(&place.options());
    assert!(fault.contains("train and training both hold train images"), "{fault}");
    let place = with_test();
    place.classes("holdout", &["cat", "dog"]);
    let fault = place.typed_fault(&place.options());
    assert!(matches!(&fault, Fault::UnknownSplit { folder, .. } if folder.ends_with("holdout")), "{fault:?}");
    assert!(fault.to_string().contains("words that do are train, training,"), "{fault}");
}

#[test]
fn a_folder_of_a_splits_name_that_holds_images_itself_is_a_class_or_not_used() {
    let place = Place::new();
    place.classes(".", &["train", "dog"]);
    assert_eq!(place.load_all().unwrap().classes, ["dog", "train"]);
    assert!(place.notes().contains("train is taken for a class"), "{}", place.notes());
    // A flat folder beside one of classes has no labels.
    let place = Place::new();
    place.classes("train", &["cat", "dog"]).add("test/1.png", [2, 2], 1).add("unlabelled/1.png", [2, 2], 1);
    assert_eq!(place.counts(), [2, 0, 2]);
    let notes = place.notes();
    for name in ["test", "unlabelled"] {
        assert!(notes.contains(&format!("{name} holds images without folders of these classes")), "{notes}");
    }
    let place = Place::new();
    place.add("train/1.png", [2, 2], 1).add("test/1.png", [2, 2], 1);
    let fault = place.fault(&place.options());
    assert!(fault.contains("test and train hold images, but no folders of classes"), "{fault}");
    // Classes beside a test folder are there to train with.
    let place = Place::new();
    place.classes(".", &["cat", "dog"]).classes("test", &["dog", "cat"]);
    assert_eq!(place.counts(), [4, 0, 4]);
    place.add("1.png", [2, 2], 1);
    assert!(place.notes().contains("1.png lies in no folder of a class"), "{}", place.notes());
    let place = Place::new();
    place.classes("val", &["cat", "dog"]).classes("test", &["dog", "cat"]);
    let fault = place.fault(&place.options());
    assert!(fault.contains("has validation and test images, but none to train with"), "{fault}");
}

#[test]
fn folders_that_only_lead_to_others_are_gone_through() {
    let place = Place::new();
    place.classes("data/data", &["cat", "dog"]);
    assert_eq!(place.load_all().unwrap().classes, ["cat", "dog"]);
    assert!(place.notes().contains("the data are taken from ") && place.notes().contains("data/data"));
    let place = Place::new();
    place.classes("a/seg_train/seg_train", &["cat", "dog"]).classes("a/seg_test/seg_test", &["cat", "dog"]);
    place.add("a/seg_pred/seg_pred/1.png", [2, 2], 1).write("a/readme.txt", b"text");
    assert_eq!(place.counts(), [4, 0, 4]);
    assert!(place.notes().contains("train images are taken from"), "{}", place.notes());
    let place = Place::new();
    for set in ["first", "second"] {
        place
            .classes(&format!("{set}/train"), &["cat", "dog"])
            .classes(&format!("{set}/test"), &["cat", "dog"]);
    }
    let fault = place.fault(&place.options());
    assert!(
        fault.contains("holds several data sets; name one of them:") && fault.contains("second"),
        "{fault}"
    );
    // As Kaggle has chest X-rays: everything twice.
    let place = Place::new();
    for folder in ["x/x", "x"] {
        place
            .classes(&format!("{folder}/train"), &["ill", "well"])
            .classes(&format!("{folder}/test"), &["ill", "well"]);
    }
    assert_eq!(place.counts(), [4, 0, 4]);
    let place = Place::new();
    place.add("1.png", [2, 2], 1);
    let fault = place.fault(&place.options());
    assert!(fault.contains("holds images, but no folder of images for each class"), "{fault}");
}

#[cfg(unix)]
#[test]
fn classes_whose_names_hold_the_word_of_a_split_are_classes() {
    let place = Place::new();
    place.add("blood test/1.png", [2, 2], 1).add("pH test/1.png", [2, 2], 2);
    place.add("blood test/2.png", [2, 2], 3).add("pH test/2.png", [2, 2], 4);
    let set = place.load(&place.options().test_share(0.5)).unwrap();
    assert_eq!(set.classes, ["blood test", "pH test"]);
    let flat = Place::new();
    flat.add("my_train/1.png", [2, 2], 1).add("my_test/1.png", [2, 2], 2);
    assert!(
        flat.fault(&flat.options()).contains("my_test and my_train hold images, but no folders of classes")
    );
}

/// As Kaggle has breeds of dogs.
#[test]
fn images_whose_classes_stand_in_a_table_are_refused_with_a_remedy() {
    let place = Place::new();
    place.add("images/1.png", [2, 2], 1).add("images/2.png", [2, 2], 2);
    fs::write(place.data.path().join("labels.csv"), "id,breed\n1,cat\n2,dog\n").unwrap();
    let fault = place.fault(&place.options());
    for part in
        ["there is only images; if its first two columns are names", "labels.csv\")))[1:]", "by-class"]
    {
        assert!(fault.contains(part), "no '{part}' in {fault}");
    }
    let flat = Place::new();
    flat.add("train/1.png", [2, 2], 1).add("test/2.png", [2, 2], 2);
    fs::write(flat.data.path().join("labels.csv"), "id,breed\n1,cat\n").unwrap();
    fs::write(flat.data.path().join("a_submission.csv"), "id,breed\n1,cat\n").unwrap();
    let fault = flat.fault(&flat.options());
    assert!(fault.contains("hold images, but no folders of classes; if its first"), "{fault}");
}

#[test]
fn folders_of_the_same_classes_without_the_word_of_a_split_are_refused() {
    let place = Place::new();
    for folder in ["fold1", "fold2"] {
        place.add(&format!("{folder}/cat/1.png"), [2, 2], 1).add(&format!("{folder}/dog/1.png"), [2, 2], 2);
        place.add(&format!("{folder}/cat/2.png"), [2, 2], 3).add(&format!("{folder}/dog/2.png"), [2, 2], 4);
    }
    let Fault::UnknownSplits { folders, words } = place.typed_fault(&place.options()) else {
        panic!("another fault")
    };
    assert!(folders == ["fold1", "fold2"] && words.contains("train, training"), "{folders:?} {words}");
    assert_eq!(place.load(&place.options().classes(["fold1", "fold2"])).unwrap().classes, ["fold1", "fold2"]);
    // What people photograph from two sides is no split.
    let sides = Place::new();
    for class in ["cup", "can"] {
        sides.add(&format!("{class}/left/1.png"), [2, 2], 1).add(&format!("{class}/right/2.png"), [2, 2], 2);
    }
    assert_eq!(sides.load(&sides.options().test_share(0.5)).unwrap().classes, ["can", "cup"]);
}
