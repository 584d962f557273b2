//! Steps of several batches, and the mean of the weights after them. Nothing here draws random numbers: libtorch's
//! generator is shared by all tests of the process.

use crate::data::Samples;
#[cfg(feature = "distributed")]
use crate::distributed::Group;
use crate::optim::Optimizer;
use crate::train::callbacks::EarlyStopping;
use crate::train::tests::numbered::{images, network};
use crate::train::tests::{classifier, points};
use crate::train::{Callback, Checkpoint, CheckpointStore, Fit, Outcome, Training, evaluate};
use anyhow::Result;
use std::collections::BTreeMap;
use tch::nn::{Sgd, VarStore};
use tch::{Kind, Tensor};

fn momentum(variables: &VarStore) -> Optimizer {
    Optimizer::new(variables, Sgd { momentum: 0.9, ..Default::default() }, 0.05).unwrap()
}

/// Weights and losses of 3 epochs of 50 images: in steps of 16, the last one of 2.
fn train(layers: &str, is_by_autograd: bool, set: fn(Fit) -> Fit) -> (Vec<Tensor>, Vec<f64>) {
    let network = network(layers);
    let optimizer = momentum(network.variables()).clip_norm(1.0);
    let fit = match is_by_autograd {
        true => Fit::new(&network, network.variables(), optimizer),
        false => Fit::network(&network, optimizer),
    };
    let outcome = set(fit).epochs(3).run(&images(50), None).unwrap();
    let weights: BTreeMap<String, Tensor> = network.variables().variables().into_iter().collect();
    let losses = outcome.history.epochs.iter().map(|record| record.metrics["loss"]);
    (weights.into_values().map(|value| value.detach()).collect(), losses.collect())
}

#[test]
fn batches_of_a_step_together_equal_one_large_batch() {
    for layers in ["dense 9, relu, dense 7, tanh", "conv2d 4 3, relu, maxpool2d 2, dense 5"] {
        for is_by_autograd in [false, true] {
            let (weights, losses) = train(layers, is_by_autograd, |fit| fit.batch_size(16));
            let in_parts: [fn(Fit) -> Fit; 2] =
                [|fit| fit.batch_size(4).accumulate(4), |fit| fit.batch_size(4).accumulate(4).shards(2)];
            for set in in_parts {
                let (found, their_losses) = train(layers, is_by_autograd, set);
                for (found, expected) in found.iter().zip(&weights) {
                    let difference = (found - expected).abs().max().double_value(&[]);
                    assert!(difference < 1e-5, "{layers} {is_by_autograd}: {difference}");
                }
                let pairs = their_losses.iter().zip(&losses);
                assert!(pairs.into_iter().all(|(one, other)| (one - other).abs() < 1e-5));
            }
        }
    }
}

#[cfg(all(feature = "distributed", target_os = "linux"))]
#[test]
fn processes_that_share_steps_of_several_batches_come_to_the_same_weights() {
    use crate::distributed::in_group;
    let layers = "conv2d 4 3, batchnorm, relu, dense 5";
    let train = |group: &Group| {
        let network = network(layers);
        let fit = Fit::network(&network, momentum(network.variables())).epochs(2).batch_size(6).accumulate(3);
        let fit = fit.distributed(group).shards(4).ema(0.9);
        let outcome = fit.run(&images(50), Some(&images(20))).unwrap();
        let values = |value: &Tensor| Vec::<f32>::try_from(value.detach().reshape([-1])).unwrap();
        let weights = network.variables().variables();
        let weights: BTreeMap<String, Vec<f32>> =
            weights.iter().map(|(name, value)| (name.clone(), values(value))).collect();
        (weights, outcome.history.epochs[1].metrics.clone())
    };
    let alone = train(&Group::alone());
    for processes in [2, 4] {
        assert!(in_group(processes, |group| train(&group)).iter().all(|other| *other == alone));
    }
}

/// Follows the mean by its definition.
#[derive(Debug, Default)]
struct Definition {
    mean: Vec<f64>,
    done: f64,
}

fn values(variables: &VarStore) -> Vec<f64> {
    let by_name: BTreeMap<String, Tensor> = variables.variables().into_iter().collect();
    let of =
        |value: Tensor| Vec::<f64>::try_from(value.detach().to_kind(Kind::Double).reshape([-1])).unwrap();
    by_name.into_values().flat_map(of).collect()
}

impl Callback for Definition {
    fn train_begin(&mut self, training: &mut Training) -> Result<()> {
        self.mean = values(training.variables());
        Ok(())
    }

    fn step_end(&mut self, training: &mut Training) -> Result<()> {
        let decay = 0.8f64.min((1.0 + self.done) / (10.0 + self.done));
        for (mean, weight) in self.mean.iter_mut().zip(values(training.variables())) {
            *mean = decay * *mean + (1.0 - decay) * weight;
        }
        self.done += 1.0;
        Ok(())
    }
}

/// Keeps the last checkpoint.
#[derive(Debug, Default)]
struct Last(Option<Checkpoint>);

impl CheckpointStore for Last {
    fn is_due_within_epoch(&mut self, _: &Training) -> bool {
        false
    }

    fn store(&mut self, checkpoint: Checkpoint) -> Result<()> {
        let tensors =
            checkpoint.tensors.iter().map(|(name, value)| (name.clone(), value.detach().copy())).collect();
        self.0 = Some(Checkpoint { tensors, ..checkpoint });
        Ok(())
    }
}

#[test]
fn the_mean_of_the_weights_is_validated_and_remains() {
    let (store, model) = classifier();
    let (mut definition, mut last) = (Definition::default(), Last::default());
    let fit = Fit::new(&model, &store, momentum(&store)).epochs(5).batch_size(16).ema(0.8);
    let fit = fit.callback(&mut definition).checkpoints(&mut last);
    let outcome = fit.run(&points(70), Some(&points(30))).unwrap();
    let mean = values(&store);
    let pairs = mean.iter().zip(&definition.mean);
    assert!(pairs.into_iter().all(|(found, expected)| (found - expected).abs() < 1e-5), "{mean:?}");
    let val_loss = |outcome: &Outcome, epoch: usize| outcome.history.epochs[epoch].metrics["val_loss"];
    assert_eq!(evaluate(&model, &points(30), 16).unwrap().loss, val_loss(&outcome, 4));

    // A checkpoint has both.
    let checkpoint = last.0.unwrap();
    let (fresh, _) = classifier();
    checkpoint.load_weights(&fresh).unwrap();
    let distance = values(&fresh).iter().zip(&mean).map(|(raw, mean)| (raw - mean).abs()).fold(0.0, f64::max);
    assert!(distance > 1e-3, "{distance}");
    assert_eq!(checkpoint.load_final_weights(&fresh).unwrap(), Some(5));
    assert_eq!(values(&fresh), mean);
}

#[test]
fn the_best_weights_are_means_too() {
    let (store, model) = classifier();
    // The validation loss is about the opposite of what is learnt, so that the first epoch is the best.
    let numbers = points(30);
    let batch = crate::data::BatchSource::batches(&numbers, 30).unwrap().next().unwrap().unwrap();
    let opposite = Samples::new(&batch.inputs, &(1 - batch.targets)).unwrap();
    let mut stopping = EarlyStopping::new("val_loss").patience(2);
    let fit = Fit::new(&model, &store, momentum(&store)).epochs(9).batch_size(16).ema(0.8);
    let outcome = fit.callback(&mut stopping).run(&points(70), Some(&opposite)).unwrap();
    assert_eq!(outcome.history.epochs.len(), 3);
    let found = evaluate(&model, &opposite, 16).unwrap().loss;
    assert_eq!(found, outcome.history.epochs[0].metrics["val_loss"]);
}

#[test]
fn settings_of_steps_that_make_no_sense_are_errors() {
    let (store, model) = classifier();
    let fault = |set: &dyn Fn(Fit) -> Fit, optimizer: Optimizer| {
        let fault = set(Fit::new(&model, &store, optimizer)).run(&points(8), None).unwrap_err();
        fault.to_string()
    };
    assert!(fault(&|fit| fit.accumulate(0), momentum(&store)).contains("at least one batch"));
    for decay in [0.0, 1.0, -1.0, f64::NAN] {
        assert!(fault(&|fit| fit.ema(decay), momentum(&store)).contains("between 0 and 1"));
    }
    let outcome = Fit::new(&model, &store, momentum(&store)).accumulate(usize::MAX).run(&points(300), None);
    assert_eq!(outcome.unwrap().history.epochs.len(), 1, "a step of all batches");
    let opaque = Optimizer::opaque(&store, Sgd::default(), 0.1).unwrap();
    assert!(fault(&|fit| fit.accumulate(2), opaque).contains("Optimizer::new"));
}
