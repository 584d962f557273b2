use crate::place::Place;
use std::fs;

#[test]
fn known_sets_are_listed_and_only_they_can_be_fetched() {
    let place = Place::new();
    let listed = place.run(&["data", "list", "--data-dir", "kept"]).well().stdout;
    assert!(listed.contains("digits") && listed.contains("built in"), "{listed}");
    assert_eq!(listed.matches("not fetched yet").count(), 3, "{listed}");
    place.write_idx_set("set");
    fs::create_dir(place.path("kept")).unwrap();
    fs::rename(place.path("set"), place.path("kept/mnist")).unwrap();
    let listed = place.run(&["data", "list", "--data-dir", "kept"]).well().stdout;
    assert!(listed.contains("kept/mnist") && listed.matches("not fetched yet").count() == 2, "{listed}");
    place
        .run(&["data", "fetch", "emnist"])
        .with_fault(2, &["emnist: is not a data set that can be fetched", "kmnist"]);
    // Here it is what a user put there; nothing is fetched.
    let fetched = place.run(&["data", "fetch", "mnist", "--data-dir", "kept"]).well();
    assert_eq!(fetched.stdout, "kept/mnist\n");
}

#[test]
fn a_set_is_described_and_drawn() {
    let place = Place::new();
    place.write_idx_set("set");
    let told = place.run(&["data", "inspect", "set", "--to", "sheet.png"]).well().stdout;
    for part in [
        "set: IDX files\n60 training images, 20 test images\n4 x 4 grey pixels of type Uint8, from 0 to 209; 255 becomes 1\n",
        // The test images are made as the first 20 training images.
        "20 of 20 test images are also training images, with the same labels (test row 0 = training row 0)\n",
        "0         30  50.0 %    10  50.0 %",
        "written to sheet.png",
    ] {
        assert!(told.contains(part), "no {part} in {told}");
    }
    assert!(fs::read(place.path("sheet.png")).unwrap().starts_with(b"\x89PNG"));
    // All pictures of a class differ in brightness alone.
    let told = place.run(&["data", "inspect", "set", "--format", "json", "--near-copies", "near.png"]).well();
    let json: serde_json::Value = serde_json::from_str(&told.stdout).unwrap();
    assert_eq!(json["images"], serde_json::json!({ "train": 60, "test": 20 }));
    assert_eq!(json["classes"][1], serde_json::json!({ "class": "1", "train": 30, "test": 10 }));
    assert_eq!(
        (&json["copies"]["test_in_train"]["same_label"], &json["maximum"]),
        (&20.into(), &255.0.into())
    );
    let near = &json["near_copies"];
    assert_eq!((&near["count"], near["pairs"].as_array().unwrap().len()), (&870.into(), 870));
    let rows = [0, 1].map(|image| near["pairs"][0]["images"][image]["row"].as_u64().unwrap());
    assert!(rows[0] < rows[1] && (rows[1] - rows[0]) % 2 == 0, "{rows:?}");
    assert!(told.stderr.contains("written to near.png"), "{told:?}");
    assert!(fs::read(place.path("near.png")).unwrap().starts_with(b"\x89PNG"));
    let augmented = |more: &[&str]| {
        place.run(&[&["data", "inspect", "set", "--to", "augmented.png", "--augment"], more].concat()).well();
        fs::read(place.path("augmented.png")).unwrap()
    };
    let first = augmented(&["photos,mixup"]);
    assert!(first.starts_with(b"\x89PNG") && first == augmented(&["photos,mixup"]));
    assert!(first != augmented(&["photos,mixup", "--seed", "1"]) && first != augmented(&["photos"]));
    let wrong = |changes| place.run(&["data", "inspect", "set", "--augment", changes, "--to", "sheet.png"]);
    wrong("flip,mirror").with_fault(2, &["--augment flip,mirror: 'mirror' is none of shift, rotate"]);
    let to_jpeg = place.run(&["data", "inspect", "set", "--to", "sheet.jpg"]);
    to_jpeg.with_fault(2, &["--to sheet.jpg: the name must end in .png"]);
    place.run(&["data", "inspect", "set", "--augment", "flip"]).with_fault(2, &["--to <FILE>"]);
    let digits = place.run(&["data", "inspect", "digits"]).well().stdout;
    assert!(
        digits.contains("\nno two images are identical\n")
            && digits
                .starts_with("digits: built in\n1,433 training images, 364 test images\n8 x 8 grey pixels"),
        "{digits}"
    );
    place.run(&["data", "inspect", "nothing"]).with_fault(2, &["'nothing' is neither a data set"]);
    fs::write(place.path("rows.csv"), format!("label,a\n{}", "0,3\n1,4\n".repeat(20))).unwrap();
    place
        .run(&["data", "inspect", "rows.csv", "--to", "sheet.png"])
        .with_fault(2, &["--to: rows holds no images"]);
    place
        .run(&["data", "inspect", "rows.csv", "--near-copies", "near.png"])
        .with_fault(2, &["--near-copies: rows holds rows of values, and only images look alike"]);
    place
        .run(&["data", "inspect", "rows.csv", "--to", "sheet.png", "--augment", "mixup"])
        .with_fault(2, &["--to: rows holds no images"]);
    place
        .train(&["--dataset", "rows.csv", "--augment", "photos"])
        .with_fault(1, &["--augment: only images can be changed so, not samples of [1]"]);
    place.train_quickly("mixed", &["--dataset", "rows.csv", "--augment", "mixup"]).well();
}
