//! Images and networks whose values follow from their numbers: libtorch's generator is shared by all tests of the
//! process.

use crate::data::Samples;
use crate::model::{Layers, Model, Network};
use tch::{Device, Kind, Tensor};

/// Images of 6 x 6 in 3 classes.
pub fn images(count: i64) -> Samples {
    let inputs = (Tensor::arange(count * 36, (Kind::Float, Device::Cpu)) * 0.618).frac().view([count, 6, 6]);
    Samples::new(&inputs, &Tensor::arange(count, (Kind::Int64, Device::Cpu)).remainder(3)).unwrap()
}

/// A network whose weights follow from their numbers.
pub fn network(layers: &str) -> Network {
    let model = Model::classifier(&[6, 6], Layers::parse(layers).unwrap(), 3).unwrap();
    let network = Network::new(model, Device::Cpu).unwrap();
    for (name, value) in network.variables().variables() {
        if name.ends_with("weight") && !name.contains("norm") {
            let numbers = Tensor::arange(value.numel() as i64, (Kind::Float, Device::Cpu));
            tch::no_grad(|| value.shallow_clone().copy_(&((numbers * 0.7).sin() * 0.3).view_as(&value)));
        }
    }
    network
}
