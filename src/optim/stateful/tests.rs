use super::super::rule::IntoRule;
use super::super::{Optimizer, keras_adam};
use super::*;
use crate::data::Source;
use crate::model::{Layers, Model};
use tch::Device;
use tch::nn::{self, ModuleT};

impl StatefulOptimizer {
    fn step(&mut self, loss: &Tensor, learning_rate: f64, max_norm: Option<f64>) -> Result<()> {
        self.move_by(self.differentiate(loss)?, learning_rate, max_norm)
    }

    fn apply(&mut self, named: Vec<(&str, Tensor)>, learning_rate: f64, max_norm: Option<f64>) -> Result<()> {
        self.move_by(self.collect(named)?, learning_rate, max_norm)
    }
}

fn adam(variables: &VarStore) -> Result<StatefulOptimizer> {
    StatefulOptimizer::new(nn::Adam::default().into_rule(Device::Cpu)?, variables)
}

/// Ends the test unless 300 steps by a rule, some of them zero, come to what tch's optimizer makes of them.
/// The state is saved, spoilt and taken over again on the way.
pub fn assert_equal_to_tch(rule: Box<dyn Rule>, config: impl nn::OptimizerConfig, learning_rate: f64) {
    let weight = |variables: &VarStore| variables.root().var("weight", &[3], nn::Init::Const(0.5));
    let factors = Tensor::from_slice(&[1f32, -2.0, 0.1]);
    let stores = [VarStore::new(Device::Cpu), VarStore::new(Device::Cpu)];
    let weights = stores.each_ref().map(weight);
    let text = format!("{rule:?}");
    let mut ours = StatefulOptimizer::new(rule, &stores[0]).unwrap();
    let mut reference = config.build(&stores[1], learning_rate).unwrap();
    for step in 0..300 {
        // Gradients that do not follow from the weights: otherwise rounding alone would drive these apart.
        let gradient = &factors * (f64::from(step).cos() * f64::from(step % 7));
        let loss = |weight: &Tensor| (weight * &gradient).sum(Kind::Float);
        ours.step(&loss(&weights[0]), learning_rate, None).unwrap();
        reference.backward_step(&loss(&weights[1]));
        if step == 100 {
            let saved = ours.state().into_iter().map(|(name, tensor)| (name, tensor.copy())).collect();
            ours.state().values_mut().for_each(|tensor| drop(tensor.fill_(7.0)));
            ours.load_state(&saved).unwrap();
        }
    }
    let distance = f64::try_from((&weights[0] - &weights[1]).abs().max()).unwrap();
    assert!(distance < 1e-6, "{text}: {distance:e}");
}

/// PyTorch's channels_last: the same values, in another order of memory. Its gradients come in either.
#[test]
fn variables_with_their_channels_side_by_side_are_moved_alike() {
    let by_pixels = |values: &Tensor| values.permute([0, 2, 3, 1]).contiguous().permute([0, 3, 1, 2]);
    let start = Tensor::arange(2 * 3 * 4 * 5, (Kind::Float, Device::Cpu)).view([2, 3, 4, 5]).sin();
    type MakeRule = fn() -> Result<Box<dyn Rule>>;
    let rules: [MakeRule; 3] = [
        || nn::AdamW::default().into_rule(Device::Cpu),
        || nn::Sgd { momentum: 0.9, ..Default::default() }.into_rule(Device::Cpu),
        || nn::RmsProp::default().into_rule(Device::Cpu),
    ];
    for rule in rules {
        let stores = [VarStore::new(Device::Cpu), VarStore::new(Device::Cpu)];
        let add = |store: &VarStore, values: Tensor| store.root().add("weight", values, true);
        let weights = [add(&stores[0], start.copy()), add(&stores[1], by_pixels(&start))];
        assert!(!weights[1].is_contiguous());
        let mut optimizers =
            stores.each_ref().map(|store| StatefulOptimizer::new(rule().unwrap(), store).unwrap());
        for step in 0..3 {
            let factors = start.cos() * f64::from(step + 1);
            for (optimizer, weight) in optimizers.iter_mut().zip(&weights) {
                let factors = if step == 1 { by_pixels(&factors) } else { factors.copy() };
                optimizer.step(&(weight * factors).sum(Kind::Float), 0.01, None).unwrap();
            }
        }
        assert_eq!(weights[0], weights[1]);
        assert_ne!(weights[0], start);
        let states = optimizers.each_ref().map(StatefulOptimizer::state);
        assert!(!states[0].is_empty() && states[0] == states[1]);
        let saved = states[0].iter().map(|(name, tensor)| (name.clone(), tensor.copy())).collect();
        states[1].values().for_each(|tensor| drop(tensor.shallow_clone().fill_(7.0)));
        optimizers[1].load_state(&saved).unwrap();
        assert!(states[0] == states[1], "they are read back in the order of the shape");
    }
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
    let mut fused = Optimizer::new(&trained, keras_adam(), 0.001).unwrap();
    let mut reference = Optimizer::opaque(&expected, keras_adam(), 0.001).unwrap();

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
        by_loss.step(&(&weights[0] * &factors).sum(Kind::Float), 0.01, None).unwrap();
        by_gradients.apply(vec![("weight", factors.to_kind(kind))], 0.01, None).unwrap();
        assert_eq!(weights[0], weights[1], "{kind:?}");
    }
    assert_eq!(Vec::<f32>::try_from(&stores[1].variables()["bias"]).unwrap(), [1.0; 3]);
    let fault = by_gradients.apply(vec![("wrong", factors.shallow_clone())], 0.01, None).unwrap_err();
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
    of_two.step(&used.sum(Kind::Float), 0.1, None).unwrap();
    assert_eq!(Vec::<f32>::try_from(&unused).unwrap(), [1.0, 1.0]);
    assert!(Vec::<f32>::try_from(&used).unwrap().iter().all(|value| (value + 0.1).abs() < 1e-6));

    let mut doubles = VarStore::new(Device::Cpu);
    let _ = doubles.root().zeros("weight", &[2]);
    doubles.double();
    let fault = adam(&doubles).unwrap_err().to_string();
    assert!(fault.contains("weight is Double"), "{fault}");
}

#[test]
fn tied_weights_make_one_step_with_the_gradients_of_all_their_uses() {
    let [tied, single] = [VarStore::new(Device::Cpu), VarStore::new(Device::Cpu)];
    let first = tied.root().ones("a", &[5_000]);
    let second = tied.root().add("b", first.shallow_clone(), true);
    let alone = single.root().ones("a", &[5_000]);
    let factors = Tensor::arange(5_000, (Kind::Float, Device::Cpu)) / 1_000.0 - 2.0;
    let mut optimizers = [&tied, &single].map(|store| adam(store).unwrap());
    let names: Vec<String> = optimizers[0].state().into_keys().collect();
    assert_eq!(names, ["a.count", "a.first_moment", "a.second_moment"]);
    for _ in 0..3 {
        let loss = (&first * &factors + second.square()).sum(Kind::Float);
        optimizers[0].step(&loss, 0.01, None).unwrap();
        let loss = (&alone * &factors + alone.square()).sum(Kind::Float);
        optimizers[1].step(&loss, 0.01, None).unwrap();
        assert_eq!(first, alone);
        let both = vec![("a", factors.shallow_clone()), ("b", factors.ones_like())];
        optimizers[0].apply(both, 0.01, None).unwrap();
        optimizers[1].apply(vec![("a", &factors + 1.0)], 0.01, None).unwrap();
        assert_eq!(first, alone);
    }
    let fault = Optimizer::opaque(&tied, nn::Sgd::default(), 0.1).unwrap_err().to_string();
    assert!(fault.contains("a and b are one tensor"), "{fault}");
}

#[test]
fn variables_that_overlap_without_being_one_tensor_are_refused() {
    let whole = Tensor::zeros([6], (Kind::Float, Device::Cpu));
    for (why, other) in [
        ("a part", whole.narrow(0, 2, 3)),
        ("another shape", whole.view([2, 3])),
        ("another tensor in the same memory, with a gradient of its own", whole.detach()),
    ] {
        let variables = VarStore::new(Device::Cpu);
        let _ = variables.root().add("whole", whole.detach(), true);
        let _ = variables.root().add("other", other, true);
        for fault in
            [adam(&variables).unwrap_err(), Optimizer::opaque(&variables, keras_adam(), 0.1).unwrap_err()]
        {
            assert!(fault.to_string().contains("whole and other overlap in memory"), "{why}: {fault}");
        }
    }
    let apart = VarStore::new(Device::Cpu);
    let _ = apart.root().add("first", whole.narrow(0, 0, 2), true);
    let _ = apart.root().add("second", whole.narrow(0, 2, 4), true);
    assert!(adam(&apart).is_ok(), "parts that do not overlap");
}

#[test]
fn a_gradient_in_the_memory_of_a_weight_or_of_the_state_is_copied_first() {
    // The gradient of half the square of a weight is the weight itself.
    let stores = [VarStore::new(Device::Cpu), VarStore::new(Device::Cpu)];
    let weights = stores.each_ref().map(|store| {
        let path = store.root();
        (path.ones("a", &[5_000]), path.zeros("b", &[5_000]))
    });
    let rules = || [nn::Sgd::default().into_rule(Device::Cpu), nn::Adam::default().into_rule(Device::Cpu)];
    for (shared, apart) in rules().into_iter().zip(rules()) {
        let mut shared = StatefulOptimizer::new(shared.unwrap(), &stores[0]).unwrap();
        let mut apart = StatefulOptimizer::new(apart.unwrap(), &stores[1]).unwrap();
        for _ in 0..2 {
            let (a, b) = &weights[0];
            shared.apply(vec![("a", a.detach()), ("b", a.detach())], 0.1, None).unwrap();
            let (copy, _) = &weights[1];
            apart.apply(vec![("a", copy.detach().copy()), ("b", copy.detach().copy())], 0.1, None).unwrap();
            assert_eq!((a, b), (&weights[1].0, &weights[1].1));
        }
        if let Some(moment) = shared.state().get("a.first_moment") {
            shared.apply(vec![("b", moment.shallow_clone())], 0.1, None).unwrap();
        }
        let [first, second] = stores.each_ref().map(VarStore::variables);
        tch::no_grad(|| second["b"].shallow_clone().copy_(&first["b"]));
    }
}

#[test]
fn gradients_that_do_not_fit_are_errors_that_name_the_variable_and_nothing_moves() {
    let variables = VarStore::new(Device::Cpu);
    let path = variables.root();
    let (weight, _) = ((&path / "layer").zeros("weight", &[2, 3]), path.zeros("bias", &[2]));
    let mut optimizer = Optimizer::new(&variables, keras_adam(), 0.1).unwrap();
    let ones = |shape: &[i64]| Tensor::ones(shape, (Kind::Float, Device::Cpu));
    for (gradient, text) in [
        (ones(&[2]), "the gradient of layer.weight has the shape [2], not [2, 3]"),
        (ones(&[3, 2]), "has the shape [3, 2]"),
        (ones(&[4, 3]), "has the shape [4, 3]"),
        (ones(&[2, 3]).to_kind(Kind::Int64), "the gradient of layer.weight is Int64; it must be float32"),
        (ones(&[2, 3]).to_sparse_sparse_dim(2), "is sparse"),
    ] {
        let fault = optimizer.apply(vec![("bias", ones(&[2])), ("layer.weight", gradient)]).unwrap_err();
        assert!(fault.to_string().contains(text), "{fault}");
    }
    let fault = optimizer.apply(vec![("bias", ones(&[2])), ("bias", ones(&[2]))]).unwrap_err().to_string();
    assert_eq!(fault, "there are two gradients of bias");
    assert!(variables.variables().values().all(|value| *value == value.zeros_like()), "nothing moved");
    for kind in [Kind::Double, Kind::Half] {
        optimizer.apply(vec![("layer.weight", ones(&[2, 3]).to_kind(kind))]).unwrap();
    }
    assert!((weight.double_value(&[1, 2]) + 0.2).abs() < 1e-5);
}

#[test]
fn a_store_that_changes_its_kind_after_the_optimizer_was_made_is_an_error() {
    let mut variables = VarStore::new(Device::Cpu);
    let weight = variables.root().ones("weight", &[2]);
    let mut optimizer = Optimizer::new(&variables, keras_adam(), 0.1).unwrap();
    variables.double();
    let fault = optimizer.step(&weight.square().sum(Kind::Double)).unwrap_err().to_string();
    assert!(fault.contains("weight was changed to Double"), "{fault}");
}
