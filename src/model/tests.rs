use super::*;
use tch::nn::ModuleT;
use tch::{Device, Kind, Tensor};

fn reference() -> Model {
    let layers = Layers::parse("dense 512, relu, dropout 0.2, dense 512, relu, dropout 0.2").unwrap();
    Model::classifier(&[28, 28], layers, 10).unwrap()
}

#[test]
fn the_reference_network_has_669706_parameters() {
    assert_eq!(reference().parameter_count(), 669_706);
    let names: Vec<String> = reference().layers.into_iter().map(|placed| placed.name).collect();
    assert_eq!(names, ["dense_1", "relu_1", "dropout_1", "dense_2", "relu_2", "dropout_2", "dense_3"]);
}

#[test]
fn what_is_built_is_what_was_counted() {
    let store = nn::VarStore::new(Device::Cpu);
    let network = reference().build(&store.root()).unwrap();
    let values: i64 = store.trainable_variables().iter().map(|v| v.numel() as i64).sum();
    assert_eq!(values, 669_706);
    assert_eq!(store.variables()["dense_2.weight"].size(), [512, 512]);
    let logits = network.forward_t(&Tensor::zeros([3, 28, 28], (Kind::Float, Device::Cpu)), false);
    assert_eq!(logits.size(), [3, 10]);
}

#[test]
fn every_layer_kind_builds_to_its_stated_shape_and_parameters() {
    for kind in layers::KINDS {
        let model = Model::classifier(&[5, 6], Layers::parse(kind.example).unwrap(), 4).unwrap();
        let store = nn::VarStore::new(Device::Cpu);
        let network = model.build(&store.root()).unwrap();
        for train in [false, true] {
            let input = Tensor::rand([6, 5, 6], (Kind::Float, Device::Cpu));
            assert_eq!(network.forward_t(&input, train).size(), [6, 4], "{}", kind.keyword);
        }
        let stated: Vec<(String, Vec<i64>)> = model
            .layers
            .iter()
            .flat_map(|placed| {
                placed.parameters().into_iter().map(|p| (format!("{}.{}", placed.name, p.name), p.shape))
            })
            .collect();
        let built = store.variables();
        assert_eq!(stated.len(), built.len(), "{}", kind.keyword);
        for (name, shape) in stated {
            assert_eq!(built[&name].size(), shape, "{name}");
        }
    }
}

#[test]
fn initial_weights_follow_keras() {
    // Keras 3.15.1: the bounds of GlorotUniform for the reference network are .0680, .0765 and .1072.
    let store = nn::VarStore::new(Device::Cpu);
    reference().build(&store.root()).unwrap();
    let variables = store.variables();
    for (name, bound) in [("dense_1", 0.0680), ("dense_2", 0.0765), ("dense_3", 0.1072)] {
        let weights = &variables[&format!("{name}.weight")];
        let max = f64::try_from(weights.abs().max()).unwrap();
        assert!(max <= bound + 5e-5 && max > bound * 0.99, "{name}: {max}");
        let mean = f64::try_from(weights.mean(Kind::Float)).unwrap();
        assert!(mean.abs() < 0.05 * bound, "{name}: {mean}");
        let biases = &variables[&format!("{name}.bias")];
        assert_eq!(f64::try_from(biases.abs().max()).unwrap(), 0.0, "{name}");
    }
}

#[test]
fn dropout_is_inverted_and_only_for_training() {
    let layer = Layers::parse("dropout 0.2").unwrap().0.remove(0);
    let variables = nn::VarStore::new(Device::Cpu);
    let sequence = layers::append(layer, nn::seq_t(), &variables.root(), &[1000]).unwrap();
    let ones = Tensor::ones([1000, 1000], (Kind::Float, Device::Cpu));
    assert_eq!(sequence.forward_t(&ones, false), ones);
    let dropped = sequence.forward_t(&ones, true);
    let zeros = i64::try_from(dropped.eq(0.0).sum(Kind::Int64)).unwrap();
    assert!((198_000..202_000).contains(&zeros), "{zeros} of a million"); // 5 standard deviations
    assert_eq!(f64::try_from(dropped.max()).unwrap(), 1.25);
}

#[test]
fn impossible_models_are_errors() {
    assert!(Model::classifier(&[28, 28], Layers::default(), 0).is_err());
    assert!(Model::classifier(&[28, 0], Layers::default(), 10).is_err());
}

#[test]
fn a_model_without_hidden_layers_is_its_classifier() {
    let model = Model::classifier(&[8, 8], Layers::default(), 10).unwrap();
    assert_eq!(model.parameter_count(), 650);
}

#[test]
fn layers_can_be_cloned() {
    let layers = Layers::parse("dense 512, relu").unwrap();
    assert_eq!(layers.clone().to_string(), layers.to_string());
}
