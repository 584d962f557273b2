//! On a model so small that it can be paused after every single step. Nothing here draws random numbers:
//! libtorch's generator is shared by all tests of the process.

use super::*;
use crate::metrics::{Better, Metric};
use crate::optim::{Optimizer, keras_adam};
use crate::train::callbacks::*;
use crate::train::tests::{classifier, points};
use crate::train::{Fit, History, Outcome};
use tch::Kind;

/// Keeps every checkpoint, as text and copies.
#[derive(Debug, Default)]
struct Everything {
    kept: Vec<(String, BTreeMap<String, Tensor>)>,
}

impl CheckpointStore for Everything {
    fn is_due_within_epoch(&mut self, _: &Training) -> bool {
        true
    }

    fn store(&mut self, checkpoint: Checkpoint) -> Result<()> {
        let copies = checkpoint.tensors.iter().map(|(name, tensor)| (name.clone(), tensor.detach().copy()));
        self.kept.push((toml::to_string(&checkpoint.state)?, copies.collect()));
        Ok(())
    }
}

/// A training in which all that has a state takes part, from the beginning or from a checkpoint.
fn train(
    epochs: usize,
    stopper: &mut dyn Callback,
    checkpoint: Option<&(String, BTreeMap<String, Tensor>)>,
    store: &mut Everything,
) -> (Outcome, BTreeMap<String, Tensor>) {
    train_with(|fit| fit, epochs, stopper, checkpoint, store)
}

/// The same, set otherwise.
fn train_with(
    set: fn(Fit) -> Fit,
    epochs: usize,
    stopper: &mut dyn Callback,
    checkpoint: Option<&(String, BTreeMap<String, Tensor>)>,
    store: &mut Everything,
) -> (Outcome, BTreeMap<String, Tensor>) {
    let (variables, model) = classifier();
    // A metric that is NaN in some epochs must survive, too.
    let odd = Metric::new("odd", Better::Lower, |outputs, _| {
        let sum = outputs.sum(Kind::Float);
        let is_odd = (&sum * 1e4).floor().remainder(2.0).gt(0.0);
        (sum * 0.0).where_self(&is_odd, &Tensor::from(f32::NAN))
    });
    let mut plateau = ReduceLearningRateOnPlateau::new("val_loss").patience(1).min_delta(0.02).factor(0.7);
    let mut schedule =
        LearningRateSchedule::new(|epoch, rate| if epoch % 2 == 0 { rate * 0.9 } else { rate });
    let mut fit = Fit::new(&model, &variables, Optimizer::new(&variables, keras_adam(), 0.3).unwrap())
        .epochs(epochs)
        .batch_size(16)
        .seed(3)
        .metric(odd)
        .callback(stopper)
        .callback(&mut plateau)
        .callback(&mut schedule)
        .checkpoints(store);
    if let Some((state, tensors)) = checkpoint {
        let tensors = tensors.iter().map(|(name, tensor)| (name.clone(), tensor.copy())).collect();
        fit = fit.resume(Checkpoint { state: toml::from_str(state).unwrap(), tensors });
    }
    let outcome = set(fit).run(&points(70), Some(&points(30))).unwrap();
    (outcome, variables.variables().into_iter().collect())
}

/// The history to the last bit, NaN included, seconds aside.
fn bits(history: &History) -> Vec<Vec<u64>> {
    let row = |row: &crate::train::EpochRecord| {
        let metrics = row.metrics.values().map(|value| if value.is_nan() { 0 } else { value.to_bits() });
        metrics.chain([row.epoch as u64, row.learning_rate.to_bits()]).collect()
    };
    history.epochs.iter().map(row).collect()
}

fn assert_every_pause_is_without_trace(stopper: &dyn Fn() -> Box<dyn Callback>) {
    assert_every_pause_with(|fit| fit, 5, stopper);
}

/// The same for a training with other settings and another number of steps in an epoch.
fn assert_every_pause_with(set: fn(Fit) -> Fit, steps: usize, stopper: &dyn Fn() -> Box<dyn Callback>) {
    const EPOCHS: usize = 9;
    let mut all = Everything::default();
    let (whole, weights) = train_with(set, EPOCHS, stopper().as_mut(), None, &mut all);
    // After every step of an epoch but the last, and at its end.
    assert!(all.kept.len() >= steps * (whole.history.epochs.len() - 1), "{}", all.kept.len());
    for checkpoint in &all.kept {
        let state: TrainingState = toml::from_str(&checkpoint.0).unwrap();
        let place = format!("epoch {}, step {}", state.epoch, state.step);
        let mut rest = Everything::default();
        let (outcome, found) = train_with(set, EPOCHS, stopper().as_mut(), Some(checkpoint), &mut rest);
        assert_eq!(outcome.stop, whole.stop, "{place}");
        assert_eq!(outcome.unrecorded_steps, whole.unrecorded_steps, "{place}");
        assert_eq!(bits(&outcome.history), bits(&whole.history), "{place}");
        assert_eq!(found, weights, "{place}");
        // And the checkpoints that follow are the same, too; none does where the training had ended.
        let (Some((_, last)), Some((_, other))) = (rest.kept.last(), all.kept.last()) else { continue };
        assert!(last.keys().eq(other.keys()), "{place}");
        for ((name, a), b) in last.iter().zip(other.values()) {
            assert!(a.allclose(b, 0.0, 0.0, true), "{place}: {name}");
        }
    }
}

#[test]
fn a_pause_after_any_step_leaves_no_trace_with_early_stopping() {
    assert_every_pause_is_without_trace(&|| Box::new(EarlyStopping::new("val_loss").patience(2)));
    assert_every_pause_is_without_trace(&|| {
        Box::new(EarlyStopping::new("val_accuracy").patience(20).keep_last_weights())
    });
}

#[test]
fn a_pause_after_any_step_leaves_no_trace_with_growing_patience() {
    assert_every_pause_is_without_trace(&|| Box::new(TheanoPatience::new("val_loss", 13)));
}

#[test]
fn a_pause_leaves_no_trace_in_a_mean_of_the_weights_and_in_steps_of_several_batches() {
    let stoppers: [&dyn Fn() -> Box<dyn Callback>; 3] = [
        &|| Box::new(EarlyStopping::new("val_loss").patience(2)),
        &|| Box::new(EarlyStopping::new("val_loss").patience(20).keep_last_weights()),
        &|| Box::new(TheanoPatience::new("val_loss", 13)),
    ];
    for stopper in stoppers {
        assert_every_pause_with(|fit| fit.ema(0.9), 5, stopper);
        assert_every_pause_with(|fit| fit.ema(0.9).accumulate(2), 3, stopper);
    }
}

#[test]
fn more_epochs_go_on_as_if_they_had_been_asked_for_at_first() {
    let stopper = || EarlyStopping::new("loss").patience(50);
    let (long, weights) = train(7, &mut stopper(), None, &mut Everything::default());
    let mut kept = Everything::default();
    train(4, &mut stopper(), None, &mut kept);
    let (outcome, found) = train(7, &mut stopper(), kept.kept.last(), &mut Everything::default());
    assert_eq!(bits(&outcome.history), bits(&long.history));
    assert_eq!(found, weights);
}

#[test]
fn a_training_whose_loss_is_no_number_keeps_no_such_checkpoint() {
    /// Spoils the weights in an epoch.
    #[derive(Debug)]
    struct Spoil;

    impl Callback for Spoil {
        fn step_end(&mut self, training: &mut Training) -> Result<()> {
            if training.epoch() == 3 && training.step() == 2 {
                for (_, mut variable) in training.variables().variables() {
                    let _ = tch::no_grad(|| variable.f_fill_(f64::NAN))?;
                }
            }
            Ok(())
        }
    }

    let (variables, model) = classifier();
    let mut store = Everything::default();
    let (mut spoil, mut terminate) = (Spoil, TerminateOnNan);
    let fit = Fit::new(&model, &variables, Optimizer::new(&variables, keras_adam(), 0.1).unwrap());
    let fit =
        fit.epochs(9).batch_size(16).callback(&mut spoil).callback(&mut terminate).checkpoints(&mut store);
    let outcome = fit.run(&points(70), None).unwrap();
    assert_eq!(outcome.stop.reason, StopReason::NonFinite);
    let state: TrainingState = toml::from_str(&store.kept.last().unwrap().0).unwrap();
    // The loss of the second step was still a number; that of the third is not.
    assert!((state.epoch, state.step) <= (3, 2), "{state:?}");
    let (fresh, _) = classifier();
    let last_whole_epoch = store.kept.iter().rfind(|(state, _)| state.contains("\nstep = 0\n")).unwrap();
    let (state, tensors) = last_whole_epoch;
    let tensors = tensors.iter().map(|(name, tensor)| (name.clone(), tensor.copy())).collect();
    let checkpoint = Checkpoint { state: toml::from_str(state).unwrap(), tensors };
    checkpoint.load_weights(&fresh).unwrap();
    assert!(fresh.variables().values().all(|value| bool::try_from(value.isfinite().all()).unwrap()));
}

#[test]
fn a_checkpoint_of_another_training_is_refused() {
    let mut kept = Everything::default();
    train(2, &mut EarlyStopping::new("loss"), None, &mut kept);
    let (state, tensors) = kept.kept.pop().unwrap();
    let fault = |samples: i64, other: bool| {
        let (variables, model) = classifier();
        let checkpoint = Checkpoint {
            state: toml::from_str(&state).unwrap(),
            tensors: tensors.iter().map(|(name, tensor)| (name.clone(), tensor.copy())).collect(),
        };
        let optimizer = match other {
            true => Optimizer::opaque(&variables, keras_adam(), 0.1),
            false => Optimizer::new(&variables, keras_adam(), 0.1),
        };
        let odd = Metric::new("odd", Better::Lower, |outputs, _| outputs.sum(Kind::Float));
        let mut theano = TheanoPatience::new("val_loss", 10);
        let fit = Fit::new(&model, &variables, optimizer.unwrap()).epochs(9).batch_size(16).metric(odd);
        let fit = fit.callback(&mut theano).resume(checkpoint);
        format!("{:#}", fit.run(&points(samples), Some(&points(9))).unwrap_err())
    };
    assert!(fault(700, false).contains("is of a training with 5 steps an epoch, not 44"));
    assert!(fault(70, true).contains("keeps its state to itself"));
    assert!(fault(70, false).contains("has no state of theano_patience"));
}
