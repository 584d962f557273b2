//! Trainings in several shards and processes, which are threads here: what their libtorch has in common, its random
//! state and number of threads, is left alone. Real processes are tested with the program.

use crate::distributed::{Fault, Group, in_group};
use crate::metrics::{Loss, Metric};
use crate::optim::{Optimizer, keras_adam};
use crate::train::callbacks::StopOnRequest;
use crate::train::tests::numbered::{images, network};
use crate::train::tests::{classifier, points};
use crate::train::{DiskCheckpoints, Every, Fit, Outcome, StopReason, evaluate_in};
use anyhow::Result;
use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use tch::Tensor;
use tch::nn::VarStore;

type Weights = BTreeMap<String, Vec<f32>>;

fn weights(variables: &VarStore) -> Weights {
    let values = |value: &Tensor| Vec::try_from(value.detach().reshape([-1])).unwrap();
    variables.variables().iter().map(|(name, value)| (name.clone(), values(value))).collect()
}

fn numbers(outcome: &Outcome) -> Vec<BTreeMap<String, f64>> {
    outcome.history.epochs.iter().map(|record| record.metrics.clone()).collect()
}

const LAYERS: [&str; 3] = [
    "dense 9, relu, dense 7, tanh",
    "conv2d 4 3, batchnorm, relu, maxpool2d 2, dense 5",
    "dense 8, batchnorm, relu",
];

/// Weights, and metrics by epoch, after 50 images in batches of 16, so that the last one is of 2.
fn train(layers: &str, group: &Group, shards: usize) -> (Weights, Vec<BTreeMap<String, f64>>) {
    let network = network(layers);
    let optimizer = Optimizer::new(network.variables(), keras_adam(), 0.01).unwrap().clip_norm(0.5);
    let fit = Fit::network(&network, optimizer).epochs(3).batch_size(16).distributed(group).shards(shards);
    let outcome = fit.run(&images(50), Some(&images(40))).unwrap();
    (weights(network.variables()), numbers(&outcome))
}

#[test]
fn the_number_of_processes_does_not_change_a_bit() {
    for layers in LAYERS {
        let alone = train(layers, &Group::alone(), 4);
        for processes in [2, 4] {
            for of_process in in_group(processes, |group| train(layers, &group, 4)) {
                assert_eq!(of_process, alone, "{layers} in {processes} processes");
            }
        }
    }
}

#[test]
fn shards_that_do_not_halve_evenly_are_added_in_the_same_order() {
    let alone = train(LAYERS[0], &Group::alone(), 6);
    for processes in [2, 3] {
        assert!(in_group(processes, |group| train(LAYERS[0], &group, 6)).iter().all(|other| *other == alone));
    }
}

#[test]
fn shards_together_are_the_batch_but_for_rounding() {
    let difference = |layers: &str, shards| {
        let [(whole, _), (sharded, _)] = [1, shards].map(|shards| train(layers, &Group::alone(), shards));
        let pairs = whole.values().flatten().zip(sharded.values().flatten());
        pairs.map(|(a, b)| (a - b).abs()).fold(0.0, f32::max)
    };
    for shards in [2, 5, 16] {
        assert!(difference(LAYERS[0], shards) < 1e-4, "{shards}");
    }
    assert!(difference(LAYERS[2], 2) > 1e-4, "statistics are those of a shard");
}

#[test]
fn any_module_trains_in_processes() {
    let train = |group: &Group| {
        let (store, model) = classifier();
        let optimizer =
            Optimizer::new(&store, tch::nn::Sgd { momentum: 0.9, ..Default::default() }, 0.1).unwrap();
        let fit = Fit::new(&model, &store, optimizer).epochs(4).batch_size(8).distributed(group).shards(2);
        let outcome = fit.loss(Loss::cross_entropy_with(0.1, None)).metric(Metric::new(
            "spread",
            crate::metrics::Better::Lower,
            |outputs, _| outputs.max() - outputs.min(),
        ));
        let outcome = outcome.run(&points(31), Some(&points(9))).unwrap();
        (weights(&store), numbers(&outcome))
    };
    let alone = train(&Group::alone());
    assert!(alone.0["weight"].iter().any(|&weight| weight != 0.0));
    assert!(in_group(2, |group| train(&group)).iter().all(|other| *other == alone));
}

/// Trains with checkpoints, which the first process keeps.
fn checkpointed(folder: &Path, group: &Group, epochs: usize) -> Result<(Weights, Outcome)> {
    let network = network(LAYERS[1]);
    let optimizer = Optimizer::new(network.variables(), keras_adam(), 0.01)?;
    let mut store = group.is_first().then(|| DiskCheckpoints::open(folder).unwrap().every(Every::Steps(3)));
    let mut fit =
        Fit::network(&network, optimizer).epochs(epochs).batch_size(16).distributed(group).shards(4);
    if let Some(store) = &mut store {
        fit = fit.resume_from(store);
    }
    let outcome = fit.run(&images(50), Some(&images(40)))?;
    Ok((weights(network.variables()), outcome))
}

#[test]
fn a_training_goes_on_in_another_number_of_processes() {
    let folders: [_; 2] = std::array::from_fn(|_| tempfile::tempdir().unwrap());
    let whole = checkpointed(folders[0].path(), &Group::alone(), 4).unwrap();
    let path = folders[1].path();
    in_group(4, |group| drop(checkpointed(path, &group, 1).unwrap()));
    in_group(2, |group| drop(checkpointed(path, &group, 2).unwrap()));
    let last = checkpointed(path, &Group::alone(), 4).unwrap();
    assert_eq!(last.1.history.epochs.len(), 4);
    assert_eq!((last.0, numbers(&last.1)), (whole.0, numbers(&whole.1)));
}

#[test]
fn a_stop_that_one_process_is_asked_for_stops_all_at_the_same_step() {
    let stops = in_group(2, |group| {
        let network = network(LAYERS[0]);
        let optimizer = Optimizer::new(network.variables(), keras_adam(), 0.01).unwrap();
        let mut on_request = StopOnRequest::new(Arc::new(AtomicBool::new(group.rank() == 1)));
        let fit = Fit::network(&network, optimizer).epochs(3).batch_size(16).distributed(&group);
        let outcome = fit.callback(&mut on_request).run(&images(50), None).unwrap();
        (outcome.stop.reason, outcome.unrecorded_steps, weights(network.variables()))
    });
    assert_eq!((stops[0].0, stops[0].1), (StopReason::Interrupted, 2), "asked for in the first step");
    assert_eq!(stops[0], stops[1]);
}

#[test]
fn what_cannot_be_shared_is_an_error() {
    let fault = |group: &Group, shards: usize, is_opaque: bool| {
        let network = network(LAYERS[0]);
        let optimizer = match is_opaque {
            true => Optimizer::opaque(network.variables(), tch::nn::Adam::default(), 0.01),
            false => Optimizer::new(network.variables(), keras_adam(), 0.01),
        };
        let fit = Fit::network(&network, optimizer.unwrap()).batch_size(3).distributed(group).shards(shards);
        fit.run(&images(50), None).unwrap_err().to_string()
    };
    assert!(fault(&Group::alone(), 4, false).contains("a batch of 3 cannot be cut into 4 shards"));
    assert!(fault(&Group::alone(), 2, true).contains("Optimizer::new"));
    let faults = in_group(2, |group| fault(&group, 3, false));
    assert!(faults.iter().all(|fault| fault.contains("2 processes cannot share 3 shards")), "{faults:?}");
}

#[test]
fn processes_with_other_settings_are_refused_with_the_difference() {
    let faults = in_group(2, |group| {
        let network = network(LAYERS[0]);
        let optimizer = Optimizer::new(network.variables(), keras_adam(), 0.01).unwrap();
        let fit = Fit::network(&network, optimizer).epochs(1 + group.rank()).distributed(&group);
        fit.run(&images(50), None).unwrap_err()
    });
    for fault in faults {
        let Some(Fault::Different { rank: 1, what }) = fault.downcast_ref() else { panic!("{fault:#}") };
        assert_eq!(what, "it has epochs = 2, where the first process has epochs = 1");
    }
}

#[test]
fn processes_share_a_test_and_get_the_same_result() {
    let test = |group: &Group, count| {
        let network = network(LAYERS[1]);
        evaluate_in(&network, &images(count), 1, group).unwrap()
    };
    // The batches are of 2,048 samples at least: 3 of them, the last of one sample, and a single one.
    for count in [4_097, 10] {
        let alone = test(&Group::alone(), count);
        assert_eq!(alone.predictions.len() as i64, count);
        assert!(in_group(2, |group| test(&group, count)).iter().all(|other| *other == alone));
    }
}
