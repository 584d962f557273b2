//! The test images that were classified wrongly, with pictures of as many as a page has room for.

use super::html::text;
use crate::data::RgbImage;
use crate::text::counted;
use anyhow::Result;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use png::{BitDepth, ColorType, Encoder};
use std::collections::BTreeMap;
use std::fmt::Write;

const MAX_MISTAKES: usize = 400;
/// The bytes that all pictures of a page may have.
const MAX_PICTURE_BYTES: usize = 700_000;
/// Larger pictures are made smaller.
const MAX_SIDE: usize = 64;
/// So many are shown until a reader asks for more.
const FIRST: usize = 24;

/// A test image that was classified wrongly.
#[derive(Clone, Debug, PartialEq)]
pub struct Mistake {
    /// What readers know it by: the name of its file, or its place in the test set.
    pub name: String,
    /// Its class.
    pub truth: usize,
    /// The class that was predicted.
    pub predicted: usize,
    /// The probability that the model gave to that class.
    pub probability: f64,
}

/// Gives the picture of a mistake by its index, where there is one.
pub type Picture<'a> = dyn Fn(usize) -> Result<Option<RgbImage>> + 'a;

/// Which ones are listed: the most confident of each pair of classes, then the second most confident of each,
/// and so on, so that each cell of the matrix has something to show. In the order of their confidence.
fn listed(mistakes: &[Mistake]) -> Vec<usize> {
    let mut by_confidence: Vec<usize> = (0..mistakes.len()).collect();
    by_confidence.sort_by(|&one, &other| mistakes[other].probability.total_cmp(&mistakes[one].probability));
    let mut of_pair: BTreeMap<(usize, usize), usize> = BTreeMap::new();
    let rank = |index: &usize| {
        let rank = of_pair.entry((mistakes[*index].truth, mistakes[*index].predicted)).or_default();
        *rank += 1;
        *rank
    };
    let ranks: Vec<usize> = by_confidence.iter().map(rank).collect();
    let mut places: Vec<usize> = (0..mistakes.len()).collect();
    places.sort_by_key(|&place| ranks[place]);
    places.truncate(MAX_MISTAKES);
    places.sort_unstable();
    places.into_iter().map(|place| by_confidence[place]).collect()
}

/// The listed mistakes; nothing without any.
///
/// # Errors
/// Those of `picture`; too little memory.
pub(super) fn html(mistakes: &[Mistake], classes: &[String], picture: &Picture) -> Result<String> {
    let listed = listed(mistakes);
    let mut list = match mistakes.len() - listed.len() {
        0 => format!("<p>{}, the most confident ones first.</p>\n", counted(mistakes.len(), "mistake")),
        _ => format!(
            "<p>{} of {}: the most confident ones of each pair of classes.</p>\n",
            listed.len(),
            counted(mistakes.len(), "mistake")
        ),
    };
    let _ = writeln!(
        list,
        "<p class=\"controls\" hidden><span id=\"shown\" role=\"status\"></span> \
         <button id=\"all\" hidden>Show all</button></p>\n<ul class=\"mistakes\" data-first=\"{FIRST}\">"
    );
    let mut room = MAX_PICTURE_BYTES;
    for index in listed {
        let Mistake { name, truth, predicted, probability } = &mistakes[index];
        let (of_class, prediction) = (text(&classes[*truth]), text(&classes[*predicted]));
        let _ = write!(list, "<li data-cell=\"{truth},{predicted}\">");
        if room > 0
            && let Some(image) = picture(index)?
        {
            let encoded = STANDARD.encode(small_png(&image)?);
            let [height, width] = image.size;
            let (across, down) = shown_size(width, height);
            match encoded.len() <= room {
                true => {
                    room -= encoded.len();
                    let _ = write!(
                        list,
                        "<img alt=\"\" width=\"{across}\" height=\"{down}\" src=\"data:image/png;base64,{encoded}\">"
                    );
                }
                false => room = 0,
            }
        }
        let _ = writeln!(
            list,
            "<span><b>{of_class}</b> predicted as <b>{prediction}</b></span><small>{:.1} % sure, {}</small></li>",
            100.0 * probability,
            text(name)
        );
    }
    Ok(list + "</ul>\n")
}

/// The size of a picture on the page, its proportions kept.
fn shown_size(width: usize, height: usize) -> (usize, usize) {
    const SIDE: f64 = 96.0;
    let scale = SIDE / width.max(height).max(1) as f64;
    let shown = |side: usize| ((side as f64 * scale).round() as usize).max(1);
    (shown(width), shown(height))
}

/// A PNG file of an image, made smaller if it is large.
fn small_png(image: &RgbImage) -> Result<Vec<u8>> {
    let RgbImage { size: [height, width], pixels } = &smaller(image);
    let is_grey = pixels.iter().all(|[red, green, blue]| red == green && green == blue);
    let values: Vec<u8> = match is_grey {
        true => pixels.iter().map(|pixel| pixel[0]).collect(),
        false => pixels.as_flattened().to_vec(),
    };
    let mut bytes = Vec::new();
    let mut encoder = Encoder::new(&mut bytes, u32::try_from(*width)?, u32::try_from(*height)?);
    encoder.set_color(if is_grey { ColorType::Grayscale } else { ColorType::Rgb });
    encoder.set_depth(BitDepth::Eight);
    let mut writer = encoder.write_header()?;
    writer.write_image_data(&values)?;
    writer.finish()?;
    Ok(bytes)
}

/// The image with sides of at most [`MAX_SIDE`]; each pixel is the mean of those it covers.
fn smaller(image: &RgbImage) -> RgbImage {
    let [height, width] = image.size;
    let longest = height.max(width);
    if longest <= MAX_SIDE {
        return image.clone();
    }
    let shrunk = |side: usize| (side * MAX_SIDE / longest).max(1);
    let size = [shrunk(height), shrunk(width)];
    let covered = |place: usize, small: usize, large: usize| {
        let start = place * large / small;
        start..((place + 1) * large / small).max(start + 1)
    };
    let pixel = |row: usize, column: usize| {
        let (rows, columns) = (covered(row, size[0], height), covered(column, size[1], width));
        let area = (rows.len() * columns.len()) as u64;
        let mut sums = [0u64; 3];
        for y in rows {
            for pixel in &image.pixels[y * width + columns.start..y * width + columns.end] {
                sums.iter_mut().zip(pixel).for_each(|(sum, &part)| *sum += u64::from(part));
            }
        }
        sums.map(|sum| ((sum + area / 2) / area) as u8)
    };
    let places = (0..size[0]).flat_map(|row| (0..size[1]).map(move |column| (row, column)));
    RgbImage { size, pixels: places.map(|(row, column)| pixel(row, column)).collect() }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mistake(predicted: usize, probability: f64) -> Mistake {
        Mistake { name: String::new(), truth: 0, predicted, probability }
    }

    #[test]
    fn every_pair_of_classes_has_its_most_confident_mistakes() {
        let mut mistakes: Vec<Mistake> =
            (0..1_000).map(|index| mistake(1, 0.9 - f64::from(index) * 1e-4)).collect();
        mistakes.push(mistake(2, 0.1));
        mistakes.push(mistake(1, 0.99));
        let listed = listed(&mistakes);
        assert_eq!(listed.len(), MAX_MISTAKES);
        assert_eq!((listed[0], listed[1], listed[MAX_MISTAKES - 1]), (1_001, 0, 1_000));
    }

    #[test]
    fn large_pictures_shrink_to_their_means_and_small_ones_stay() {
        let pixels = (0..256 * 128).map(|index| [if index % 256 < 128 { 10 } else { 200 }, 0, 0]).collect();
        let small = smaller(&RgbImage { size: [128, 256], pixels });
        assert_eq!(small.size, [32, 64]);
        assert_eq!((small.pixels[0], small.pixels[63]), ([10, 0, 0], [200, 0, 0]));
        let tiny = RgbImage { size: [1, 2], pixels: vec![[1, 2, 3]; 2] };
        assert_eq!(smaller(&tiny), tiny);
    }

    #[test]
    fn pictures_have_a_limit_and_mistakes_do_not_need_any() {
        let mistakes = vec![mistake(1, 0.5); 300];
        let noise = |index: usize| {
            let value = |place: usize| {
                let mixed = ((place + 100_000 * index) as u64).wrapping_mul(0x9e37_79b9_7f4a_7c15);
                ((mixed ^ mixed >> 29).wrapping_mul(0xbf58_476d_1ce4_e5b9) >> 40) as u8
            };
            let pixels = (0..64 * 64).map(|place| [0, 1, 2].map(|part| value(3 * place + part))).collect();
            Ok(Some(RgbImage { size: [64, 64], pixels }))
        };
        let classes = ["a\"", "<b>"].map(String::from);
        let page = html(&mistakes, &classes, &noise).unwrap();
        let pictures = page.matches("<img ").count();
        assert!((30..60).contains(&pictures) && page.len() < 900_000, "{pictures} {}", page.len());
        assert_eq!(page.matches("<li ").count(), 300);
        assert!(!page.contains("<b><b>") && page.contains("<b>&lt;b&gt;</b>"));
        assert!(html(&mistakes, &classes, &|_| Ok(None)).unwrap().contains("300 mistakes"));
    }
}
