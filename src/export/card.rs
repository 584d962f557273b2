//! The description inside an exported model: `fitch.json`.

use crate::data::{ImageFit, TableForm};
use crate::model::{Network, Normalization};
use anyhow::{Result, ensure};
use serde::{Deserialize, Serialize};
use tch::Tensor;

/// The name of the card within a TorchScript file.
pub const CARD_NAME: &str = "fitch.json";

/// What a program needs to know to use a model, and how the model was made.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ModelCard {
    /// The version of fitch that wrote it.
    pub fitch_version: String,
    /// The names of the classes, in the order of the outputs.
    pub classes: Vec<String>,
    /// The images that the model takes.
    pub input: InputCard,
    /// The hidden layers, as [`Layers::parse`](crate::model::Layers::parse) reads them; empty if `network` is there.
    pub layers: String,
    /// The network, if another program made it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub network: Option<NetworkCard>,
    /// What the logits of the network are divided by before softmax, if the model is calibrated. The logits that the
    /// model gives are divided already.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub temperature: Option<f32>,
    /// Results by name: `test_accuracy` and so on.
    pub metrics: serde_json::Map<String, serde_json::Value>,
    /// The options of the run.
    pub config: serde_json::Value,
}

/// A network that another program made.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct NetworkCard {
    /// The class of its module: `ResNet`.
    pub class: String,
    /// The SHA-256 of the file that it came from, in hexadecimal digits.
    pub sha256: String,
}

impl NetworkCard {
    /// That of a network; none of one that was built from layers.
    pub fn of(network: &Network) -> Option<NetworkCard> {
        let (class, sha256) = (network.class_name()?.to_string(), network.file_digest()?.to_string());
        Some(NetworkCard { class, sha256 })
    }
}

/// The images that a model takes.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct InputCard {
    /// Height and width, with 3 before them in colour; or the number of values in a row.
    pub shape: Vec<i64>,
    /// The pixel value that becomes 1.0.
    pub maximum: f64,
    /// How bright the border of the training images is on average, from 0 to 1.
    pub border: f64,
    /// How the rows of the training table became images, if it was one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub table: Option<TableForm>,
    /// What of an image of other proportions comes into the shape.
    #[serde(default, skip_serializing_if = "ImageFit::is_stretch")]
    pub fit: ImageFit,
    /// How the model normalises their channels, if it does.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub normalization: Option<Normalization>,
}

impl ModelCard {
    /// A card without results, for a model that no run of fitch trained.
    pub fn new(classes: Vec<String>, input: InputCard) -> ModelCard {
        ModelCard {
            fitch_version: env!("CARGO_PKG_VERSION").to_string(),
            classes,
            input,
            layers: String::new(),
            network: None,
            temperature: None,
            metrics: serde_json::Map::new(),
            config: serde_json::Value::Object(serde_json::Map::new()),
        }
    }

    /// Reads a card; its text may come from anyone.
    ///
    /// # Errors
    /// Text that is not a card, or a card that cannot describe a model.
    pub fn parse(text: &[u8]) -> Result<ModelCard> {
        let card: ModelCard = serde_json::from_slice(text)?;
        let InputCard { shape, maximum, .. } = &card.input;
        ensure!(!card.classes.is_empty(), "it names no classes");
        ensure!(
            (1..=3).contains(&shape.len()) && shape.iter().all(|side| (1..=1 << 24).contains(side)),
            "its input shape {shape:?} is not that of an image"
        );
        ensure!(*maximum > 0.0 && maximum.is_finite(), "its maximum pixel value is {maximum}");
        if let Some(temperature) = card.temperature {
            ensure!(temperature > 0.0 && temperature.is_finite(), "its temperature is {temperature}");
        }
        Ok(card)
    }

    /// The logits of the model, given those of the network.
    pub(super) fn calibrated(&self, logits: Tensor) -> Result<Tensor> {
        match self.temperature {
            None => Ok(logits),
            Some(temperature) => Ok(logits.f_div_scalar(f64::from(temperature))?),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_card_reads_back_and_an_impossible_one_is_refused() {
        let card = ModelCard {
            fitch_version: "0.1.0".to_string(),
            classes: vec!["a".to_string(), "b".to_string()],
            input: InputCard {
                shape: vec![8, 8],
                maximum: 16.0,
                border: 0.25,
                table: None,
                fit: ImageFit::Pad,
                normalization: None,
            },
            layers: "dense 5, relu".to_string(),
            network: None,
            temperature: Some(1.3),
            metrics: serde_json::Map::from_iter([("test_accuracy".to_string(), 0.5.into())]),
            config: serde_json::json!({ "epochs": 3 }),
        };
        let text = serde_json::to_string(&card).unwrap();
        assert_eq!(ModelCard::parse(text.as_bytes()).unwrap(), card);
        for (part, wrong) in [
            ("[8,8]", "[]"),
            ("[8,8]", "[1,1,8,8]"),
            ("[8,8]", "[8,0]"),
            ("[8,8]", "[99999999,1]"),
            ("16.0", "0"),
            ("1.3", "0"),
            ("1.3", "-1"),
            ("[\"a\",\"b\"]", "[]"),
            ("{", "["),
        ] {
            assert!(text.contains(part));
            assert!(ModelCard::parse(text.replacen(part, wrong, 1).as_bytes()).is_err(), "{wrong}");
        }
    }
}
