use super::*;
use tch::Device;

// Other tests draw from the same generator meanwhile: bounds are those that no one of many draws will leave.

const NOTHING: Augmentation = Augmentation::NONE;

fn pictures(count: i64) -> Tensor {
    Tensor::rand([count, 3, 8, 10], (Kind::Float, Device::Cpu))
}

fn batch(inputs: Tensor) -> Batch {
    let size = inputs.size()[0];
    Batch { inputs, targets: Tensor::arange(size, (Kind::Int64, Device::Cpu)), size: size as usize }
}

/// The share of images in which something differs.
fn changed(images: &Tensor, before: &Tensor) -> f64 {
    let differs = (images - before).abs().flatten(1, -1).amax([1].as_slice(), false).gt(1e-4);
    f64::try_from(differs.to_kind(Kind::Double).mean(Kind::Double)).unwrap()
}

#[test]
fn images_move_within_the_bounds_and_keep_their_shape() {
    // A bright column in the middle of 21.
    let image = Tensor::zeros([400, 3, 21], (Kind::Float, Device::Cpu));
    let _ = image.select(2, 10).fill_(1.0);
    let moved = Augmentation { shift: 0.2, ..NOTHING }.apply(&image).unwrap();
    assert_eq!(moved.size(), image.size());
    let places: Vec<i64> = Vec::try_from(moved.select(1, 1).argmax(-1, false)).unwrap();
    let (min, max) = (places.iter().min().unwrap(), places.iter().max().unwrap());
    // A fifth of 21 columns are 4.2.
    assert!((5..=7).contains(min) && (13..=15).contains(max), "{min} {max}");
    let all = Augmentation { shift: 0.1, rotate: 10.0, zoom: 0.1, ..Augmentation::PHOTOS };
    for shape in [&[2, 3, 5, 4][..], &[2, 5, 4], &[2, 1, 5, 4], &[1, 3, 1, 1]] {
        let images = Tensor::rand(shape, (Kind::Float, Device::Cpu));
        assert_eq!(all.apply(&images).unwrap().size(), shape);
        assert!(
            NOTHING.apply(&images).unwrap().equal(&images),
            "nothing is changed where nothing is asked for"
        );
    }
    assert!(all.apply(&Tensor::rand([2, 3], (Kind::Float, Device::Cpu))).is_err());
}

#[test]
fn a_quarter_turn_turns_images_that_are_not_square_too() {
    let turned = Augmentation { rotate: 180.0, ..NOTHING };
    let even = Tensor::ones([8, 4, 9], (Kind::Float, Device::Cpu));
    assert!(turned.apply(&even).unwrap().allclose(&even, 1e-5, 1e-5, false), "the border goes on beyond it");
}

#[test]
fn a_flip_mirrors_half_of_the_images_alone_and_with_others() {
    let images = pictures(400);
    let flip = Augmentation { flip: 0.5, ..NOTHING };
    let flipped = flip.apply(&images).unwrap();
    let is_mirrored = images.flip([3]).eq_tensor(&flipped).flatten(1, -1).all_dim(1, false);
    let share = f64::try_from(is_mirrored.to_kind(Kind::Double).mean(Kind::Double)).unwrap();
    assert!((0.35..0.65).contains(&share) && (changed(&flipped, &images) - share).abs() < 1e-9, "{share}");
    let always = Augmentation { flip: 1.0, ..NOTHING }.apply(&images).unwrap();
    assert!(always.equal(&images.flip([3])));
    // By way of the grid on which other changes are computed.
    let also = Augmentation { flip: 1.0, zoom: 1e-9, ..NOTHING }.apply(&images).unwrap();
    assert!(also.allclose(&always, 1e-4, 1e-4, false));
    let also = Augmentation { flip: 1.0, crop: 1e-9, ..NOTHING }.apply(&images).unwrap();
    assert!(also.allclose(&always, 1e-4, 1e-4, false));
}

#[test]
fn a_crop_is_a_part_of_the_image_of_no_less_than_its_share() {
    // Values are places: from 0 to 1, across and down.
    let across = ((Tensor::arange(200, (Kind::Float, Device::Cpu)) + 0.5) / 200.0).view([1, 1, 1, 200]);
    let down = ((Tensor::arange(100, (Kind::Float, Device::Cpu)) + 0.5) / 100.0).view([1, 1, 100, 1]);
    let image =
        Tensor::cat(&[across.expand([1, 1, 100, 200], false), down.expand([1, 1, 100, 200], false)], 1);
    let cut = Augmentation { crop: 0.6, ..NOTHING }.apply(&image.repeat([500, 1, 1, 1])).unwrap();
    // From one end to the other, of the middles of the outermost pixels.
    let side = |channel: i64, axis: i64, pixels: i64| {
        let values = cut.select(1, channel);
        let span = values.select(axis, pixels - 1).amax([1].as_slice(), false)
            - values.select(axis, 0).amin([1].as_slice(), false);
        span * pixels as f64 / (pixels - 1) as f64
    };
    let (width, height) = (side(0, 2, 200), side(1, 1, 100));
    let range =
        |values: &Tensor| [f64::try_from(values.min()).unwrap(), f64::try_from(values.max()).unwrap()];
    let [min, max] = range(&(&width * &height));
    assert!((0.39..0.45).contains(&min) && (0.97..1.01).contains(&max), "{min} {max}");
    let [min, max] = range(&(&width / &height));
    assert!((0.74..0.8).contains(&min) && (1.25..1.35).contains(&max), "{min} {max}");
    let [min, max] = range(&cut);
    assert!(min < 0.01 && max > 0.99, "every place has its turn");
}

#[test]
fn a_rectangle_of_the_mean_colour_is_erased() {
    let images = Tensor::rand([400, 3, 40, 40], (Kind::Float, Device::Cpu));
    let erased = Augmentation { erase: 0.25, ..NOTHING }.apply(&images).unwrap();
    let share = changed(&erased, &images);
    assert!((0.12..0.38).contains(&share), "{share}");
    let erased = Augmentation { erase: 1.0, ..NOTHING }.apply(&images).unwrap();
    let is_erased = erased.ne_tensor(&images);
    let area: Vec<f64> =
        Vec::try_from(is_erased.to_kind(Kind::Double).mean_dim([1, 2, 3].as_slice(), false, Kind::Double))
            .unwrap();
    let (min, max) =
        area.iter().fold((1.0, 0.0), |(min, max), &area| (f64::min(min, area), f64::max(max, area)));
    assert!((0.01..0.05).contains(&min) && (0.28..0.4).contains(&max), "{min} {max}");
    let mean = images.mean_dim([2, 3].as_slice(), true, Kind::Float).expand_as(&images);
    assert!(bool::try_from(erased.eq_tensor(&images).logical_or(&erased.eq_tensor(&mean)).all()).unwrap());
}

#[test]
fn batches_are_mixed_by_one_share_and_their_targets_with_them() {
    let batch = batch(pictures(6));
    let before = batch.inputs.roll([1], [0]);
    let mut shares = Vec::new();
    for round in 0..60 {
        let both = Augmentation { mixup: 1.0, cutmix: 1.0, ..NOTHING };
        let changes =
            [Augmentation { cutmix: 0.0, ..both }, Augmentation { mixup: 0.0, ..both }, both][round % 3];
        let mixed = changes.apply_to_batch(&batch).unwrap();
        let (others, share) = mixed.others.as_ref().unwrap();
        assert!(others.equal(&batch.targets.roll([1], [0])) && mixed.targets.equal(&batch.targets));
        assert_eq!(mixed.main_targets().equal(others), *share > 0.5);
        let is_other = mixed.inputs.eq_tensor(&before);
        let replaced = f64::try_from(is_other.to_kind(Kind::Double).mean(Kind::Double)).unwrap();
        let is_cut =
            bool::try_from(is_other.logical_or(&mixed.inputs.eq_tensor(&batch.inputs)).all()).unwrap();
        assert!(round % 3 == 2 || is_cut == (round % 3 == 1), "{changes}");
        if is_cut {
            assert!((replaced - share).abs() < 1e-9, "{replaced} {share}");
        } else {
            let blended = &batch.inputs * (1.0 - share) + &before * *share;
            assert!(mixed.inputs.allclose(&blended, 1e-5, 1e-5, false));
        }
        shares.push(*share);
    }
    assert!(shares.iter().any(|share| *share < 0.1) && shares.iter().any(|share| *share > 0.6), "{shares:?}");
    // Rows of values can be blended but not cut, and a row alone with itself.
    let rows = Batch { inputs: Tensor::rand([1, 7], (Kind::Float, Device::Cpu)), ..batch };
    let mixed = Augmentation { mixup: 1.0, ..NOTHING }.apply_to_batch(&rows).unwrap();
    assert!(mixed.inputs.allclose(&rows.inputs, 1e-6, 1e-6, false));
    assert!(Augmentation { cutmix: 1.0, ..NOTHING }.apply_to_batch(&rows).is_err());
}

#[test]
fn what_cannot_be_changed_is_told() {
    let unit = [0.0, 1.0];
    Augmentation::PHOTOS.check(&[3, 8, 8], unit).unwrap();
    Augmentation { mixup: 0.2, ..NOTHING }.check(&[7], [-3.0, 9.0]).unwrap();
    let fault =
        |changes: Augmentation, shape: &[i64], range| changes.check(shape, range).unwrap_err().to_string();
    let cutmix = Augmentation { cutmix: 1.0, ..NOTHING };
    assert_eq!(fault(cutmix, &[7], unit), "only images can be changed so, not samples of [7]");
    let fault = fault(Augmentation::PHOTOS, &[3, 8, 8], [-1.0, 1.0]);
    assert_eq!(fault, "colour is for images with values from 0 to 1; these have some from -1 to 1");
}
