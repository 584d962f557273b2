use super::*;
use crate::data::{Fault, Images, Source};
use image::{DynamicImage, GrayImage, Luma, Rgb, RgbImage};
use tempfile::TempDir;

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
    assert_eq!(
        (set.train.len(), set.notes[0].as_str()),
        (3, "1 of 5 images could not be read and are left out")
    );
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
    for (name, in_colour) in [("colour", true), ("grey", false)] {
        let reading = LoadOptions { image_size: Some([3, 2]), ..place.options() };
        let folder = place.data.path().join(name);
        let set = Source::find(folder.to_str().unwrap()).unwrap().load_with(&reading, &mut |_| ()).unwrap();
        let trained: Vec<u8> =
            Vec::try_from(set.train.pixels().unwrap().get(0).contiguous().view([-1])).unwrap();
        let wanted = image_file::read_image(
            &folder.join("train/a/1.png"),
            [3, 2],
            in_colour,
            crate::data::Inversion::Never,
        );
        let classified = wanted.unwrap().values;
        assert_eq!(
            trained.iter().map(|&byte| f32::from(byte) / 255.0).collect::<Vec<_>>(),
            classified,
            "{name}"
        );
    }
}
