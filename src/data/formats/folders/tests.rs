use super::*;
use crate::data::prepared_image::{Preparation, read_image};
use crate::data::resizing::Resizing;
use crate::data::{Fault, ImageFit, Images, Inversion, Source};
use image::{DynamicImage, GrayImage, ImageBuffer, Luma, Rgb, RgbImage};
use std::fs;
use tempfile::TempDir;

mod layout;

/// A folder of images and one for the cache.
struct Place {
    data: TempDir,
    cache: TempDir,
}

impl Place {
    fn new() -> Place {
        Place { data: TempDir::new().unwrap(), cache: TempDir::new().unwrap() }
    }

    /// Images of one brightness each.
    fn add(&self, name: &str, size: [u32; 2], grey: u8) -> &Place {
        self.save(name, &GrayImage::from_pixel(size[1], size[0], Luma([grey])).into())
    }

    fn save(&self, name: &str, image: &DynamicImage) -> &Place {
        let path = self.data.path().join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        image.save(path).unwrap();
        self
    }

    fn options(&self) -> LoadOptions {
        LoadOptions::with_data_dir(self.cache.path())
    }

    fn load(&self, options: &LoadOptions) -> Result<crate::data::Dataset> {
        Source::find(self.data.path().to_str().unwrap())?.load_with(options, &mut |_| ())
    }

    fn fault(&self, options: &LoadOptions) -> String {
        format!("{:#}", self.load(options).unwrap_err())
    }

    fn typed_fault(&self, options: &LoadOptions) -> Fault {
        self.load(options).unwrap_err().downcast_ref::<Fault>().unwrap().clone()
    }
}

/// Two classes, with test images.
fn with_test() -> Place {
    let place = Place::new();
    place.add("train/dog/b.png", [2, 3], 20).add("train/cat/a.png", [2, 3], 10).add(
        "train/cat/c.bmp",
        [2, 3],
        30,
    );
    place.add("test/dog/x.png", [2, 3], 40);
    place
}

#[test]
fn classes_are_the_names_of_the_folders() {
    let place = with_test();
    for _ in 0..2 {
        let set = place.load(&place.options()).unwrap();
        assert_eq!(set.classes, ["cat", "dog"]);
        assert_eq!((set.train.labels(), set.test.labels()), (&[0, 0, 1][..], &[1][..]));
        assert_eq!(set.train.pixels().unwrap().size(), [3, 2, 3]);
        let first: Vec<u8> =
            Vec::try_from(set.train.pixels().unwrap().select(1, 0).select(1, 0).contiguous()).unwrap();
        assert_eq!((first, set.maximum, set.notes.len()), (vec![10, 30, 20], 255.0, 0));
    }
    let folders =
        |path: &Path| fs::read_dir(path).unwrap().flatten().filter(|entry| entry.path().is_dir()).count();
    let kept = |place: &Place| folders(&place.cache.path().join("decoded"));
    assert_eq!(kept(&place), 1, "the second time it comes from the cache");
    place.add("train/dog/b.png", [2, 3], 99);
    let set = place.load(&place.options()).unwrap();
    assert_eq!(
        set.train.pixels().unwrap().get(2).int64_value(&[0, 0]),
        99,
        "a image that was changed is decoded anew"
    );
    assert_eq!(kept(&place), 2);
}

#[test]
fn a_validation_folder_is_the_validation_set() {
    let place = with_test();
    place.add("val/cat/v.png", [2, 3], 77);
    let validation = place.load(&place.options()).unwrap().validation.unwrap();
    assert_eq!((validation.labels(), validation.pixels().unwrap().int64_value(&[0, 0, 0])), (&[0][..], 77));
    place.add("val/bird/v.png", [2, 3], 77);
    let fault = place.fault(&place.options());
    assert!(fault.contains("validation images of classes without a training image: bird"), "{fault}");
    fs::remove_dir_all(place.data.path().join("val/bird")).unwrap();
    fs::remove_file(place.data.path().join("val/cat/v.png")).unwrap();
    assert!(place.fault(&place.options()).contains("has no validation images"));
}

#[test]
fn without_a_test_set_one_is_split_off_always_the_same() {
    let place = Place::new();
    for number in 0..40 {
        place.add(&format!("a/{number:02}.png"), [2, 2], number).add(
            &format!("b/{number:02}.png"),
            [2, 2],
            100 + number,
        );
    }
    let set = place.load(&LoadOptions { test_share: Some(0.25), ..place.options() }).unwrap();
    assert_eq!((set.train.len(), set.test.len()), (60, 20));
    assert_eq!(set.test.labels().iter().filter(|label| **label == 0).count(), 10);
    assert!(set.notes[0].contains("25 % of each class are set aside"), "{:?}", set.notes);
    let all = |images: &Images| {
        Vec::<u8>::try_from(images.pixels().unwrap().select(1, 0).select(1, 0).contiguous()).unwrap()
    };
    let mut both = [all(&set.train), all(&set.test)].concat();
    both.sort();
    assert_eq!(both, (0..40).chain(100..140).collect::<Vec<u8>>());
    assert_eq!(place.load(&place.options()).unwrap().test.len(), 8, "a tenth by default");
    assert_eq!(place.typed_fault(&place.options().test_share(0.0)), Fault::NoTestShare);
    let too_large = place.typed_fault(&place.options().test_share(0.999));
    assert!(matches!(too_large, Fault::TestShare { share: 0.999, .. }), "{too_large:?}");
}

#[test]
fn one_image_in_colour_makes_all_of_it_and_grey_ones_stay_grey() {
    let place = with_test();
    place.save("train/dog/grey.png", &RgbImage::from_pixel(3, 2, Rgb([7, 7, 7])).into());
    assert_eq!(
        place.load(&place.options()).unwrap().train.pixels().unwrap().size(),
        [4, 2, 3],
        "red, green and blue are equal"
    );
    place.save("train/dog/red.png", &RgbImage::from_pixel(3, 2, Rgb([9, 0, 1])).into());
    let set = place.load(&place.options()).unwrap();
    assert_eq!(set.train.pixels().unwrap().size(), [5, 3, 2, 3]);
    let channels =
        |row: i64| [0, 1, 2].map(|channel| set.train.pixels().unwrap().int64_value(&[row, channel, 0, 0]));
    assert_eq!((channels(0), channels(4)), ([10, 10, 10], [9, 0, 1]));
    assert_eq!(set.rgb_image(&set.train, 4).unwrap().unwrap().pixels[0], [9, 0, 1]);
}

#[test]
fn sizes_must_be_equal_unless_all_are_scaled() {
    let place = with_test();
    place.add("train/dog/large.png", [8, 9], 50);
    let fault = place.fault(&place.options());
    assert!(fault.contains("a.png has 3 x 2 pixels") && fault.contains("large.png has 9 x 8"), "{fault}");
    let fault = place.typed_fault(&place.options());
    let Fault::SizesDiffer { first_size, other_size, .. } = fault else { panic!("{fault:?}") };
    assert_eq!((first_size, other_size), ([2, 3], [8, 9]));
    let set = place.load(&LoadOptions { image_size: Some([4, 5]), ..place.options() }).unwrap();
    assert_eq!(set.train.pixels().unwrap().size(), [4, 4, 5]);
}

#[test]
fn a_broken_image_is_named_or_left_out_and_counted() {
    let place = with_test();
    fs::write(place.data.path().join("train/cat/broken.png"), b"\x89PNG, once").unwrap();
    let fault = place.fault(&place.options());
    assert!(fault.contains("broken.png: cannot be used: is "), "{fault}");
    let set = place.load(&LoadOptions { skips_bad: true, ..place.options() }).unwrap();
    let broken = place.data.path().join("train/cat/broken.png").display().to_string();
    assert_eq!(
        (set.train.len(), set.notes[0].as_str()),
        (3, format!("1 of 5 images could not be read and are left out: {broken}").as_str())
    );
    assert!(set.left_out[0].starts_with(&format!("{broken}: is ")), "{:?}", set.left_out);
    for number in 0..9 {
        fs::write(place.data.path().join(format!("train/cat/{number}.png")), b"").unwrap();
    }
    let options = LoadOptions { skips_bad: true, ..place.options() };
    for _ in 0..2 {
        let set = place.load(&options).unwrap();
        assert!(
            set.notes[0].contains("10 of 14 images") && set.notes[0].ends_with("2.png, ..."),
            "{:?}",
            set.notes
        );
        assert_eq!(set.left_out.len(), 10, "from the cache, too");
    }
}

#[test]
fn folders_that_cannot_be_learnt_from_are_told() {
    let place = with_test();
    place.add("test/bird/x.png", [2, 3], 1);
    assert!(place.fault(&place.options()).contains("test images of classes without a training image: bird"));
    let place = with_test();
    fs::create_dir(place.data.path().join("train/fish")).unwrap();
    assert!(place.fault(&place.options()).contains("class fish has no images"));
    let place = Place::new();
    place.add("only/a.png", [2, 2], 1);
    assert!(place.fault(&place.options()).contains("there is only only"));
    let place = Place::new();
    place.add("a/1.png", [2, 2], 1).add("b/1.png", [2, 2], 1);
    let fault = place.fault(&LoadOptions { test_share: Some(0.5), ..place.options() });
    assert!(fault.contains("class") && fault.contains("has no image to train on"), "{fault}");
}

#[test]
fn what_is_trained_on_is_what_would_be_classified() {
    let place = Place::new();
    let pixel = |x: u32, y: u32| image::Rgba([(40 * x) as u8, (30 * y) as u8, 7, (50 * (x + y)) as u8]);
    let grey = |x: u32, y: u32| image::LumaA([(40 * x) as u8, (60 * y) as u8]);
    for class in ["a", "b"] {
        place.save(&format!("colour/train/{class}/1.png"), &image::RgbaImage::from_fn(5, 4, pixel).into());
        place.save(&format!("colour/test/{class}/1.png"), &image::RgbaImage::from_fn(5, 4, pixel).into());
        place.save(&format!("grey/train/{class}/1.png"), &image::GrayAlphaImage::from_fn(5, 4, grey).into());
        place.save(&format!("grey/test/{class}/1.png"), &image::GrayAlphaImage::from_fn(5, 4, grey).into());
    }
    let forms = [("colour", true), ("grey", false)];
    for ((name, in_colour), fit) in ImageFit::ALL.into_iter().flat_map(|fit| forms.map(|form| (form, fit))) {
        let reading = place.options().image_size(3, 2).image_fit(fit);
        let folder = place.data.path().join(name);
        let set = Source::find(folder.to_str().unwrap()).unwrap().load_with(&reading, &mut |_| ()).unwrap();
        let trained: Vec<u8> =
            Vec::try_from(set.train.pixels().unwrap().get(0).contiguous().view([-1])).unwrap();
        let resizing = Resizing { size: [3, 2], fit };
        let preparation = Preparation { resizing, in_colour, inversion: Inversion::Never, maximum: 255.0 };
        let wanted = read_image(&folder.join("train/a/1.png"), &preparation);
        let classified = wanted.unwrap().values;
        assert_eq!(
            trained.iter().map(|&byte| f32::from(byte) / 255.0).collect::<Vec<_>>(),
            classified,
            "{name} {fit:?}"
        );
    }
}

impl Place {
    /// A file of any content.
    fn write(&self, name: &str, bytes: &[u8]) -> &Place {
        let path = self.data.path().join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, bytes).unwrap();
        self
    }

    /// Two images of each of these classes below a folder.
    fn classes(&self, folder: &str, classes: &[&str]) -> &Place {
        for (index, class) in classes.iter().enumerate() {
            for number in 0..2 {
                let name = format!("{folder}/{class}/{number}.png");
                self.add(&name, [2, 2], (20 * index + number) as u8);
            }
        }
        self
    }

    /// Loads all with half of each class as the test set, unless it has one.
    fn load_all(&self) -> Result<crate::data::Dataset> {
        self.load(&self.options().test_share(0.5))
    }

    /// The numbers of training, validation and test images.
    fn counts(&self) -> [usize; 3] {
        let set = self.load_all().unwrap();
        [set.train.len(), set.validation.map_or(0, |images| images.len()), set.test.len()]
    }

    fn notes(&self) -> String {
        self.load_all().unwrap().notes.join("\n")
    }
}

#[test]
fn what_systems_tools_and_runs_leave_is_passed_over_at_every_level_and_said() {
    let place = Place::new();
    place.classes(".", &["cat", "dog"]);
    for name in [
        ".ipynb_checkpoints/a.png",
        "cat/.ipynb_checkpoints/0.png",
        "cat/@eaDir/0.png",
        "cat/._0.png",
        "__MACOSX/cat/._0.png",
        "dog/Thumbs.db",
        "dog/more/__MACOSX/0.png",
    ] {
        place.write(name, b"\0\x05\x16\x07");
    }
    place.write("runs/first/run.json", b"{}").add("runs/first/accuracy.png", [9, 9], 0);
    place.add("runs/comparison.png", [9, 9], 0);
    let set = place.load_all().unwrap();
    assert_eq!(
        (set.classes.as_slice(), set.train.len() + set.test.len()),
        (&["cat".into(), "dog".into()][..], 4)
    );
    let note = &set.notes[0];
    for part in ["passed over: 3 hidden (", "4 left by a system or archive (", "1 of fitch runs (", "runs)"] {
        assert!(note.contains(part), "no {part} in {note}");
    }
}

#[test]
fn links_that_lead_nowhere_or_back_are_named_or_left_out_and_counted() {
    use std::os::unix::fs::symlink;
    for (from, name, fault) in [
        ("/nowhere", "cat/x.png", "cat/x.png: cannot be used: is a link to nothing"),
        ("/nowhere", "emu", "emu: cannot be used: is a link to nothing"),
        ("..", "cat/more", "cat/more: cannot be used: is a link to a folder that it lies in"),
        (".", "emu", "emu: cannot be used: is a link to a folder that it lies in"),
    ] {
        let place = Place::new();
        place.classes(".", &["cat", "dog"]);
        symlink(from, place.data.path().join(name)).unwrap();
        symlink("/nowhere", place.data.path().join("cat/notes.txt")).unwrap();
        let found = place.fault(&place.options());
        assert!(found.contains(fault), "{found}");
        let set = place.load(&place.options().skip_bad().test_share(0.5)).unwrap();
        assert_eq!((set.classes.len(), set.train.len() + set.test.len()), (2, 4));
        assert!(set.left_out[0].contains("is a link to"), "{:?}", set.left_out);
        assert!(
            set.notes.iter().any(|note| note.contains("1 link or folder could not be read")),
            "{:?}",
            set.notes
        );
    }
}

#[test]
fn classes_are_chosen_first_and_checked_then() {
    let place = Place::new();
    place.classes(".", &["cat", "dog"]);
    fs::create_dir(place.data.path().join("emu")).unwrap();
    assert!(matches!(place.typed_fault(&place.options()), Fault::EmptyClass { class, .. } if class == "emu"));
    place.write("fox/broken.png", b"no image").add("fox/large.png", [9, 9], 9);
    let chosen = place.options().classes(["dog", "cat"]).test_share(0.5);
    let set = place.load(&chosen).unwrap();
    assert_eq!((set.classes, set.left_out.len()), (vec!["dog".to_string(), "cat".to_string()], 0));
    let fault = place.typed_fault(&place.options().classes(["cat", "cow"]).test_share(0.5));
    assert!(matches!(fault, Fault::UnknownClass { class, .. } if class == "cow"));
}

/// Once they are converted, they were counted still.
#[test]
fn images_that_cannot_be_read_are_told_with_what_converts_them() {
    let place = Place::new();
    place.classes(".", &["cat", "dog"]).write("cat/a.avif", b"avif").write("cat/b.avif", b"avif");
    let set = place.load(&place.options().test_share(0.5)).unwrap();
    let note = set.notes.iter().find(|note| note.starts_with("left out, as fitch cannot read them"));
    let note = note.unwrap();
    assert!(note.contains(": 2 AVIF images (") && note.contains("Pillow can make them PNG files"), "{note}");
    place.add("cat/a.png", [2, 2], 9).add("cat/b.png", [2, 2], 9);
    let set = place.load(&place.options().test_share(0.5).image_size(2, 2)).unwrap();
    assert!(!set.notes.iter().any(|note| note.contains("AVIF")), "{:?}", set.notes);
    place.write("emu/a.ppm", b"P6\n");
    let Fault::EmptyClass { instead, remedy, .. } = place.typed_fault(&place.options()) else {
        panic!("another fault")
    };
    assert_eq!(instead.as_deref(), Some("1 Netpbm image (PGM, PPM, PBM)"));
    let root = place.data.path().display();
    assert!(remedy.unwrap().contains(&format!("pathlib.Path(\"{root}\").rglob")));
}

#[test]
fn classes_that_are_numbers_come_by_value() {
    let place = Place::new();
    place.classes("train", &["1", "2", "10", "9"]).classes("test", &["10"]);
    let set = place.load(&place.options()).unwrap();
    assert_eq!(set.classes, ["1", "2", "9", "10"]);
    assert_eq!(set.test.labels(), [3, 3]);
}

#[cfg(unix)]
#[test]
fn names_of_classes_are_kept_apart_and_can_be_shown() {
    use std::ffi::OsStr;
    use std::os::unix::ffi::OsStrExt;
    let place = Place::new();
    place.classes(".", &["c\u{1b}at", "dog"]);
    for name in [&b"caf\xe9"[..], b"caf\xe8"] {
        let folder = place.data.path().join(OsStr::from_bytes(name));
        fs::create_dir(&folder).unwrap();
        for number in 0..2 {
            fs::copy(place.data.path().join("dog/0.png"), folder.join(format!("{number}.png"))).unwrap();
        }
    }
    assert_eq!(place.load_all().unwrap().classes, ["c\\u{1b}at", "caf\\xe8", "caf\\xe9", "dog"]);
}

#[test]
fn images_of_other_kinds_are_counted_and_said() {
    let place = Place::new();
    place
        .classes(".", &["cat", "dog"])
        .write("cat/a.avif", b"avif")
        .write("cat/b.AVIF", b"")
        .write("dog/c.heic", b"");
    let jpeg = place.data.path().join("dog/jpeg.jpg");
    GrayImage::from_pixel(2, 2, Luma([7])).save(&jpeg).unwrap();
    fs::rename(&jpeg, place.data.path().join("dog/jpeg.jfif")).unwrap();
    let set = place.load_all().unwrap();
    assert_eq!(set.train.len() + set.test.len(), 5);
    let note = &set.notes[0];
    assert!(
        note.contains("left out, as fitch cannot read them: 2 AVIF images (")
            && note.contains("1 HEIC image ("),
        "{note}"
    );
    place.write("emu/a.avif", b"");
    let fault = place.fault(&place.options());
    assert!(fault.contains("class emu has no images that fitch can read, only 1 AVIF image"), "{fault}");
}

/// Grey images of 16 bits, of one value each.
fn save_wide(place: &Place, name: &str, value: u16) {
    let image: ImageBuffer<Luma<u16>, Vec<u16>> = ImageBuffer::from_pixel(2, 2, Luma([value]));
    place.save(name, &image.into());
}

#[test]
fn every_bit_of_16_counts() {
    let place = Place::new();
    for (class, values) in [("a", [17, 3001]), ("b", [17, 4000])] {
        values.iter().for_each(|value| save_wide(&place, &format!("train/{class}/{value}.png"), *value));
        save_wide(&place, &format!("test/{class}/1.png"), 1);
    }
    let set = place.load(&place.options()).unwrap();
    let values = set.train.pixels().unwrap().select(1, 0).select(1, 0);
    assert_eq!(Vec::<i32>::try_from(values.contiguous()).unwrap(), [17, 3001, 17, 4000]);
    // Values of 8 bits cannot be compared with those of 12.
    place.add("train/b/narrow.png", [2, 2], 9);
    let fault = place.fault(&place.options());
    assert!(
        fault.contains("narrow.png has values of 8 bits, but") && fault.contains("end at 4000"),
        "{fault}"
    );
    save_wide(&place, "train/a/white.png", 65_535);
    let set = place.load(&place.options()).unwrap();
    let values = set.train.pixels().unwrap().select(1, 0).select(1, 0);
    assert_eq!(Vec::<i32>::try_from(values.contiguous()).unwrap(), [17, 3001, 65_535, 17, 4000, 9 * 257]);
    // In colour, all have 8 bits.
    place.save("train/b/red.png", &RgbImage::from_pixel(2, 2, Rgb([9, 0, 1])).into());
    let set = place.load(&place.options()).unwrap();
    assert_eq!(
        (set.train.shape(), set.train.pixels().unwrap().int64_value(&[2, 2, 0, 0])),
        (vec![3, 2, 2], 255)
    );
}
