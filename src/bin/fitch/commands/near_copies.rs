//! Images that look alike: counted, listed and drawn side by side.

use super::copies::spoken;
use super::mistakes::caption;
use crate::failure::UsageError;
use anyhow::Result;
use fitch::data::{Dataset, ImageOrigin, ImagePlace, NearCopies, NearPair};
use fitch::report::{SheetImage, SheetLine, pair_sheet};
use fitch::text::{counted, with_separators};
use serde_json::{Value, json};

/// A sheet shows at most this many pairs.
const MAX_SHOWN: usize = 24;
/// Pairs in a row.
const COLUMNS: usize = 3;
/// In JSON.
const MAX_LISTED: usize = 100_000;

/// Refuses rows of values, which do not look like anything.
pub fn check(dataset: &Dataset) -> Result<()> {
    match dataset.shape().len() {
        2 | 3 => Ok(()),
        _ => {
            let fault = format!(
                "--near-copies: {} holds rows of values, and only images look alike; identical rows are counted in any \
                 case",
                dataset.name
            );
            Err(UsageError(vec![fault]).into())
        }
    }
}

/// How many pairs there are, and between which splits.
pub fn describe(dataset: &Dataset, near: &NearCopies) -> Vec<String> {
    let NearCopies { pairs, is_complete, .. } = near;
    let mut lines = Vec::new();
    if pairs.is_empty() {
        lines.push("no other images look alike".to_string());
    }
    let mut kinds: Vec<[&str; 2]> = pairs.iter().map(splits).collect();
    kinds.sort_unstable();
    kinds.dedup();
    for kind in kinds {
        let of_kind = || pairs.iter().filter(|pair| splits(pair) == kind);
        let differing = of_kind().filter(|pair| labels_differ(dataset, pair)).count();
        let [first, second] = kind.map(spoken);
        let between = match first == second {
            true => format!("of {first} images look alike"),
            false => format!("of a {first} and a {second} image look alike"),
        };
        let differing = match differing {
            0 => "with the same labels".to_string(),
            count => format!("{} with different labels", with_separators(count as i64)),
        };
        lines.push(format!("{} {between}, {differing}", counted(of_kind().count(), "pair")));
    }
    if !is_complete {
        lines.push("there may be more: not all of these many similar images were compared".to_string());
    }
    lines
}

/// The pairs, those that look most alike first.
pub fn as_json(dataset: &Dataset, near: &NearCopies) -> Value {
    let place = |place: ImagePlace| {
        let class = &dataset.classes[place.label(dataset) as usize];
        match place.images(dataset).origin(place.index) {
            ImageOrigin::File(file) => json!({ "split": place.split, "file": file, "class": class }),
            ImageOrigin::Row(row) => json!({ "split": place.split, "row": row, "class": class }),
        }
    };
    let pairs = near.pairs.iter().take(MAX_LISTED).map(
        |pair| json!({ "similarity": pair.similarity, "images": [place(pair.first), place(pair.second)] }),
    );
    json!({
        "count": near.pairs.len(),
        "is_complete": near.is_complete,
        "pairs": pairs.collect::<Vec<Value>>(),
    })
}

/// The most telling pairs side by side: across splits first, then those of different labels, then the most similar.
/// None if there is no pair.
pub fn draw(dataset: &Dataset, near: &NearCopies) -> Result<Option<Vec<u8>>> {
    let mut chosen: Vec<&NearPair> = near.pairs.iter().collect();
    chosen.sort_by_key(|pair| {
        let [first, second] = splits(pair);
        (first == second, !labels_differ(dataset, pair))
    });
    let mut pairs = Vec::new();
    for pair in chosen.into_iter().take(MAX_SHOWN) {
        let image = |place: ImagePlace| -> Result<Option<SheetImage>> {
            let images = place.images(dataset);
            let Some(image) = dataset.rgb_image(images, place.index)? else { return Ok(None) };
            let class = dataset.classes[place.label(dataset) as usize].clone();
            let lines: Vec<SheetLine> =
                vec![class.into(), spoken(place.split).to_string().into(), caption(images, place.index)];
            Ok(Some(SheetImage { image, lines }))
        };
        let (Some(first), Some(second)) = (image(pair.first)?, image(pair.second)?) else { continue };
        pairs.push([first, second]);
    }
    if pairs.is_empty() {
        return Ok(None);
    }
    let total = with_separators(near.pairs.len() as i64);
    let note = format!("{} of {total} pairs", pairs.len());
    let title = format!("{}: images that look alike", dataset.name);
    pair_sheet(&title, &note, &pairs, COLUMNS).map(Some)
}

fn splits(pair: &NearPair) -> [&'static str; 2] {
    [pair.first.split, pair.second.split]
}

fn labels_differ(dataset: &Dataset, pair: &NearPair) -> bool {
    pair.first.label(dataset) != pair.second.label(dataset)
}
