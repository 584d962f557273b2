//! How the rows of tables become the inputs of a model, kept with it so that later tables are read alike.

use super::images::shape_of_row;
use super::value_kind::ValueKind;
use serde::{Deserialize, Serialize};

/// How the rows of tables become the inputs of a model.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct TableForm {
    /// The names of the columns of values in their order, as a line of CSV; none if the table had no head.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) columns: Option<String>,
    /// The column of labels, by its name or its index from 0.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub label: Option<String>,
    /// The column of groups, likewise.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub group: Option<String>,
    /// The order of the values in rows that are images in colour.
    #[serde(default)]
    pub pixel_order: PixelOrder,
    /// The shape of an image; of anything but images, the number of values.
    #[serde(default)]
    pub shape: Vec<i64>,
    /// The type of the values.
    #[serde(default)]
    pub(super) kind: ValueKind,
    /// What stands for a missing value in each column; none if no value may be missing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub means: Option<Vec<f32>>,
}

impl TableForm {
    /// Of columns of values with these names.
    pub(super) fn new(names: Option<&[String]>) -> TableForm {
        let line = |names: &[String]| {
            let mut writer = csv::Writer::from_writer(Vec::new());
            let written = writer.write_record(names).ok().and_then(|()| writer.into_inner().ok());
            Some(String::from_utf8(written?).ok()?.trim_end().to_string())
        };
        TableForm { columns: names.and_then(line), ..TableForm::default() }
    }

    /// Of rows that are images of that shape, for a model that was not trained on a table.
    pub fn of_images(shape: &[i64], pixel_order: Option<PixelOrder>) -> TableForm {
        let pixel_order = pixel_order.unwrap_or_default();
        TableForm { shape: shape.to_vec(), pixel_order, ..TableForm::default() }
    }

    /// Whether all values are whole numbers from 0 to 255, as raw pixels are.
    pub fn has_bytes(&self) -> bool {
        self.kind == ValueKind::Uint8
    }

    /// Whether rows that were taken as features could as well be images.
    pub fn may_be_pixels(&self) -> bool {
        const FEWEST: i64 = 36;
        match self.shape[..] {
            [values] => shape_of_row(values).len() > 1 && (values >= FEWEST || self.has_bytes()),
            _ => false,
        }
    }

    /// The names of the columns of values, if the table had a head.
    pub fn names(&self) -> Option<Vec<String>> {
        let line = self.columns.as_ref()?;
        let reader = csv::ReaderBuilder::new().has_headers(false).from_reader(line.as_bytes());
        let names = reader.into_records().next()?.ok()?;
        Some(names.iter().map(str::to_string).collect())
    }
}

/// The order of the values in a row that is an image in colour.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum PixelOrder {
    /// Pixel by pixel, red, green and blue of each: as arrays of pictures are flattened.
    #[default]
    Hwc,
    /// All red values, then all green ones, then all blue ones.
    Chw,
}

impl PixelOrder {
    /// All orders.
    pub const ALL: [PixelOrder; 2] = [PixelOrder::Hwc, PixelOrder::Chw];

    /// As users write it: `hwc`.
    pub fn keyword(self) -> &'static str {
        match self {
            PixelOrder::Hwc => "hwc",
            PixelOrder::Chw => "chw",
        }
    }

    /// Brings the values of an image of that shape into the order of networks, channel by channel.
    pub(super) fn to_channels<T: Copy>(self, shape: &[i64], values: &mut Vec<T>) {
        if let (PixelOrder::Hwc, [3, ..]) = (self, shape) {
            let of_channel = |channel: usize| values.iter().skip(channel).step_by(3).copied();
            *values = (0..3).flat_map(of_channel).collect();
        }
    }
}

/// What becomes of missing values in tables.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Missing {
    /// They are an error that counts them.
    #[default]
    Error,
    /// The mean of the column in the training rows stands for them.
    Mean,
}

impl Missing {
    /// All of these.
    pub const ALL: [Missing; 2] = [Missing::Error, Missing::Mean];

    /// As users write it: `mean`.
    pub fn keyword(self) -> &'static str {
        match self {
            Missing::Error => "error",
            Missing::Mean => "mean",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_read_back_whatever_is_in_them() {
        let names = ["a, \"b\"", "größe", "c;d"].map(str::to_string);
        let form = TableForm::new(Some(&names));
        let text = serde_json::to_string(&form).unwrap();
        assert_eq!(serde_json::from_str::<TableForm>(&text).unwrap().names().unwrap(), names);
        assert_eq!(TableForm::new(None).names(), None);
        assert_eq!(serde_json::from_str::<TableForm>("{}").unwrap(), TableForm::default());
    }

    #[test]
    fn pixels_become_channels() {
        let ordered = |order: PixelOrder, shape: &[i64]| {
            let mut values = vec![1, 2, 3, 4, 5, 6];
            order.to_channels(shape, &mut values);
            values
        };
        assert_eq!(ordered(PixelOrder::Hwc, &[3, 1, 2]), [1, 4, 2, 5, 3, 6]);
        assert_eq!(ordered(PixelOrder::Chw, &[3, 1, 2]), [1, 2, 3, 4, 5, 6]);
        assert_eq!(ordered(PixelOrder::Hwc, &[6]), [1, 2, 3, 4, 5, 6]);
    }
}
