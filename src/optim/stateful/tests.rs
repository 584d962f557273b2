use super::super::adam::Adam;
use super::super::{Decay, Optimizer};
use super::*;
use crate::data::Source;
use crate::model::{Layers, Model};
use tch::Device;
use tch::nn::{self, ModuleT};

fn adam(variables: &VarStore) -> Result<StatefulOptimizer> {
    StatefulOptimizer::new(Adam::new(nn::Adam::default(), Decay::Gradient, Device::Cpu)?, variables)
}

/// Ends the test unless fifty steps by a rule, some of them zero, come to what tch's optimizer makes of them; the
/// state is taken over by another optimizer on the way.
pub fn assert_equal_to_tch(rule: impl Rule + 'static, config: impl nn::OptimizerConfig, learning_rate: f64) {
    let weight = |variables: &VarStore| variables.root().var("weight", &[3], nn::Init::Const(0.5));
    let targets = Tensor::from_slice(&[1f32, -2.0, 0.1]);
    let stores = [VarStore::new(Device::Cpu), VarStore::new(Device::Cpu)];
    let weights = stores.each_ref().map(weight);
    let shown = format!("{rule:?}");
    let mut open = StatefulOptimizer::new(rule, &stores[0]).unwrap();
    let mut reference = config.build(&stores[1], learning_rate).unwrap();
    for step in 0..50 {
        let loss = |weight: &Tensor| ((weight - &targets) * f64::from(step % 7)).square().sum(Kind::Float);
        open.step(&loss(&weights[0]), learning_rate).unwrap();
        reference.backward_step(&loss(&weights[1]));
        if step == 25 {
            let saved = open.state().into_iter().map(|(name, tensor)| (name, tensor.copy())).collect();
            open.state().values_mut().for_each(|tensor| drop(tensor.fill_(7.0)));
            open.load_state(&saved).unwrap();
        }
    }
    let distance = f64::try_from((&weights[0] - &weights[1]).abs().max()).unwrap();
    assert!(distance < 1e-6, "{shown}: {distance:e}");
}

/// Both optimizers are given the gradients of one training: in two trainings, rounding alone would
/// drive the weights apart.
#[test]
fn five_hundred_steps_are_those_of_tch() {
    let digits = Source::Digits.load().unwrap().train_samples().unwrap();
    let hidden = Layers::parse("dense 64, relu, dense 48, tanh").unwrap();
    let model = Model::classifier(&[8, 8], hidden, 10).unwrap();
    let [trained, mut before, mut expected] = [(); 3].map(|()| VarStore::new(Device::Cpu));
    let network = model.build(&trained.root()).unwrap();
    for copy in [&mut before, &mut expected] {
        model.build(&copy.root()).unwrap();
        copy.copy(&trained).unwrap();
    }
    let names: Vec<String> = trained.variables().into_keys().collect();
    let values = |variables: &VarStore| -> Vec<Tensor> {
        let mut found = variables.variables();
        names.iter().map(|name| found.remove(name).unwrap()).collect()
    };
    let weights = values(&expected);
    let mut fused = Optimizer::adam(&trained, 0.001).unwrap();
    let mut reference = Optimizer::reference_adam(&expected, 0.001).unwrap();

    let batches = (1..).flat_map(|epoch| digits.shuffled_batches(128, 0, epoch).unwrap());
    for (step, batch) in batches.take(500).enumerate() {
        if step == 250 {
            fused.set_learning_rate(0.0003);
            reference.set_learning_rate(0.0003);
        }
        let batch = batch.unwrap();
        let loss = network.forward_t(&batch.inputs, true).cross_entropy_for_logits(&batch.targets);
        let gradients = Tensor::run_backward(&[&loss], &values(&trained), true, false);
        fused.step(&loss).unwrap();
        // The gradient of the sum of the products is the other factor.
        let products = weights.iter().zip(&gradients).map(|(weight, gradient)| weight * gradient);
        reference.step(&products.map(|product| product.sum(Kind::Float)).sum()).unwrap();
    }
    assert_eq!(names.len(), 6);
    for (name, value) in trained.variables() {
        let distance = f64::try_from((&value - &expected.variables()[&name]).abs().max()).unwrap();
        assert!(distance <= 1e-6, "{name} is off by {distance:e}");
        assert_ne!(value, before.variables()[&name], "{name} was trained");
    }
}

#[test]
fn gradients_from_elsewhere_move_the_parameters_of_their_names() {
    let stores = [VarStore::new(Device::Cpu), VarStore::new(Device::Cpu)];
    let weights = stores.each_ref().map(|store| store.root().ones("weight", &[5_000]));
    let _ = stores.each_ref().map(|store| store.root().ones("bias", &[3]));
    let [mut by_loss, mut by_gradients] = stores.each_ref().map(|store| adam(store).unwrap());
    // Gradients that bfloat16 holds exactly.
    let factors = Tensor::arange(5_000, (Kind::Float, Device::Cpu)).remainder(256) / 64.0 - 1.0;
    for kind in [Kind::Float, Kind::BFloat16] {
        by_loss.step(&(&weights[0] * &factors).sum(Kind::Float), 0.01).unwrap();
        by_gradients.apply(vec![("weight", factors.to_kind(kind))], 0.01).unwrap();
        assert_eq!(weights[0], weights[1], "{kind:?}");
    }
    assert_eq!(Vec::<f32>::try_from(&stores[1].variables()["bias"]).unwrap(), [1.0; 3]);
    let fault = by_gradients.apply(vec![("wrong", factors.shallow_clone())], 0.01).unwrap_err();
    assert!(fault.to_string().contains("there is no parameter wrong"), "{fault}");
}

#[test]
fn gradients_are_clipped_by_the_norm_of_all_together() {
    let gradients = || vec![Tensor::from_slice(&[3f32, 0.0]), Tensor::new(), Tensor::from_slice(&[4f32])];
    let values = |gradients: Vec<Tensor>| -> Vec<f32> {
        let defined = gradients.into_iter().filter(Tensor::defined);
        defined.flat_map(|gradient| Vec::<f32>::try_from(gradient).unwrap()).collect()
    };
    assert_eq!(values(clipped(gradients(), 10.0).unwrap()), [3.0, 0.0, 4.0]);
    let found = values(clipped(gradients(), 1.0).unwrap());
    assert!((found[0] - 0.6).abs() < 1e-6 && (found[2] - 0.8).abs() < 1e-6, "{found:?}");
}

#[test]
fn a_parameter_without_a_gradient_stays_and_other_kinds_are_refused() {
    let variables = VarStore::new(Device::Cpu);
    let used = variables.root().zeros("used", &[2]);
    let unused = variables.root().ones("unused", &[2]);
    let mut of_two = adam(&variables).unwrap();
    of_two.step(&used.sum(Kind::Float), 0.1).unwrap();
    assert_eq!(Vec::<f32>::try_from(&unused).unwrap(), [1.0, 1.0]);
    assert!(Vec::<f32>::try_from(&used).unwrap().iter().all(|value| (value + 0.1).abs() < 1e-6));

    let mut doubles = VarStore::new(Device::Cpu);
    let _ = doubles.root().zeros("weight", &[2]);
    doubles.double();
    let fault = adam(&doubles).unwrap_err().to_string();
    assert!(fault.contains("weight is Double"), "{fault}");
}
