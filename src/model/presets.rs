//! Networks with a name.

/// A network with a name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Preset {
    /// The name that users write.
    pub name: &'static str,
    /// Its hidden layers, as [`Layers::parse`](super::Layers::parse) reads them.
    pub layers: &'static str,
}

/// All of them, the default first.
pub const PRESETS: &[Preset] = &[
    Preset { name: "mlp", layers: "dense 512, relu, dropout 0.2, dense 512, relu, dropout 0.2" },
    Preset {
        name: "cnn",
        layers: "conv2d 16 3, relu, conv2d 16 3, relu, maxpool2d 2, \
                 conv2d 32 3 padding same, relu, conv2d 32 3 padding same, relu, maxpool2d 2, dropout 0.25, \
                 flatten, dense 128, relu, dropout 0.25",
    },
];

/// The preset of that name.
pub fn preset(name: &str) -> Option<Preset> {
    PRESETS.iter().copied().find(|preset| preset.name == name)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{Layers, Model};

    #[test]
    fn every_preset_is_a_network_for_images_of_28_by_28_and_reads_back() {
        for Preset { name, layers } in PRESETS {
            let hidden = Layers::parse(layers).unwrap();
            let model = Model::classifier(&[28, 28], hidden, 10).unwrap();
            assert_eq!(model.hidden_layers(), *layers, "{name}");
            assert_eq!(preset(name).unwrap().layers, *layers);
        }
        assert_eq!(preset("rnn"), None);
    }
}
