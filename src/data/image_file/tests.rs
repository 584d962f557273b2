use super::*;
use crate::data::ImageFit;

#[test]
fn memory_counts_what_decoding_and_scaling_take() {
    let photo = || Need {
        bytes: 36,
        width: 4,
        height: 3,
        colour: ColorType::Rgb8,
        format: ImageFormat::Jpeg,
        passes: Passes::One,
        orientation: Orientation::NoTransforms,
    };
    assert_eq!(photo().peak(None), 36);
    assert_eq!(Need { passes: Passes::Progressive, ..photo() }.peak(None), 36 + 72);
    let to = |size, fit| Some(Resizing { size, fit });
    assert_eq!(photo().peak(to([2, 2], ImageFit::Stretch)), 36 + 4 * 2 * 16);
    assert_eq!(photo().peak(to([0, 0], ImageFit::Crop)), 72);
    assert_eq!(Need { orientation: Orientation::Rotate90, ..photo() }.peak(None), 72);
    assert_eq!(Need { format: ImageFormat::WebP, ..photo() }.peak(None), 36 + 48);
    assert_eq!(Need { format: ImageFormat::Tiff, ..photo() }.peak(None), 36 + 48);
}

fn decoded(bytes: &[u8]) -> Result<DynamicImage> {
    decode_bytes(bytes, None, &DecodingLimits::default(), |image| image)
}

#[test]
fn every_way_of_packing_a_picture_gives_its_size_and_kind() {
    // 3 pixels wide, 4 high; what has values of its own is not compared.
    for (bytes, is_grey) in [
        (&include_bytes!("../../../tests/fuzz/samples/lossy.webp")[..], false),
        (include_bytes!("../../../tests/fuzz/samples/alpha.webp"), false),
        (include_bytes!("../../../tests/fuzz/samples/animated.webp"), false),
        (include_bytes!("../../../tests/fuzz/samples/animated.gif"), false),
        (include_bytes!("../../../tests/fuzz/samples/wide.tif"), true),
        (include_bytes!("../../../tests/fuzz/samples/fax.tif"), true),
        (include_bytes!("../../../tests/fuzz/samples/cmyk.tif"), false),
    ] {
        let image = decoded(bytes).unwrap();
        assert_eq!((image.width(), image.height(), image.color().has_color()), (3, 4, !is_grey));
        assert!(decoded(&bytes[..bytes.len() / 3]).is_err());
    }
    // Three ways of packing the same values, of which nothing is lost.
    let [lzw, deflate] = [
        &include_bytes!("../../../tests/fuzz/samples/lzw.tif")[..],
        include_bytes!("../../../tests/fuzz/samples/deflate.tif"),
    ]
    .map(|bytes| decoded(bytes).unwrap().into_rgb8());
    assert_eq!(lzw, deflate);
    let mut again = Cursor::new(Vec::new());
    lzw.write_to(&mut again, ImageFormat::WebP).unwrap();
    assert_eq!(decoded(again.get_ref()).unwrap().into_rgb8(), lzw);
}

#[test]
fn a_picture_of_next_to_nothing_is_not_decoded() {
    let mut gif = include_bytes!("../../../tests/fuzz/samples/grey.gif").to_vec();
    assert!(decoded(&gif).is_ok());
    // The sizes in its head.
    gif[6..10].copy_from_slice(&[0xff, 0x7f, 0, 0x10]);
    let fault = decoded(&gif).unwrap_err().to_string();
    assert_eq!(fault, "is a damaged image: it states 32767 x 4096 pixels, but holds 91 bytes");
}

#[test]
fn pictures_are_turned_as_their_tiff_tag_says() {
    let mut tiff = include_bytes!("../../../tests/fuzz/samples/lzw.tif").to_vec();
    let upright = decoded(&tiff).unwrap();
    // Another tag, of one short number, becomes that of the orientation, 6: rows run from the right side on.
    let planar = [0x1c, 1, 3, 0, 1, 0, 0, 0];
    let place = tiff.windows(8).position(|bytes| bytes == planar).unwrap();
    tiff[place..place + 10].copy_from_slice(&[0x12, 1, 3, 0, 1, 0, 0, 0, 6, 0]);
    assert_eq!(decoded(&tiff).unwrap(), upright.rotate90());
}
