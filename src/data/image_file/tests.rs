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
