//! The loop and the callbacks together, on models so small that every number can be checked. None of
//! them draws random numbers: libtorch's generator is shared by all tests of the process.

pub(super) mod numbered;

use super::callbacks::*;
use super::*;
use crate::data::{BatchSource, MixedBatch, Samples};
use crate::kernels::without_own_code;
use crate::metrics::{Better, ClassMetric, Classification, Loss, Metric};
use crate::model::{Backpropagation, Layers, Model, Network};
use crate::optim::{Optimizer, keras_adam};
use anyhow::Result;
use std::cell::RefCell;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::Duration;
use tch::nn::{self, Init, LinearConfig, ModuleT, VarStore};
use tch::{Device, Kind, Tensor};

/// A linear classifier of two inputs and two classes that starts with zeros.
pub(super) fn classifier() -> (VarStore, nn::Linear) {
    let store = VarStore::new(Device::Cpu);
    let zeros = Init::Const(0.0);
    let config = LinearConfig { ws_init: zeros, bs_init: Some(zeros), bias: true };
    let linear = nn::linear(store.root(), 2, 2, config);
    (store, linear)
}

/// Points and whether they lie on the right of a line, which a linear classifier can learn.
pub(super) fn points(count: i64) -> Samples {
    let numbers = Tensor::arange(count * 2, (Kind::Float, Device::Cpu)).view([count, 2]);
    let inputs = (numbers * 0.618).frac();
    let labels = inputs.select(1, 0).gt_tensor(&inputs.select(1, 1)).to_kind(Kind::Int64);
    Samples::new(&inputs, &labels).unwrap()
}

fn adam(store: &VarStore) -> Optimizer {
    Optimizer::new(store, keras_adam(), 0.05).unwrap()
}

/// Moves nothing.
fn frozen(store: &VarStore) -> Optimizer {
    Optimizer::opaque(store, nn::Sgd::default(), 1e-30).unwrap()
}

fn column(outcome: &Outcome, name: &str) -> Vec<f64> {
    outcome.history.epochs.iter().map(|record| record.metrics[name]).collect()
}

#[test]
fn a_training_learns_and_records_every_epoch() {
    let (store, model) = classifier();
    let outcome =
        Fit::new(&model, &store, adam(&store)).epochs(40).batch_size(16).run(&points(200), Some(&points(50)));
    let outcome = outcome.unwrap();
    assert_eq!(outcome.stop.reason, StopReason::Completed);
    assert_eq!(outcome.history.epochs.len(), 40);
    assert_eq!(outcome.history.metric_names, ["accuracy", "loss", "val_accuracy", "val_loss"]);
    let (loss, accuracy) = (column(&outcome, "loss"), column(&outcome, "val_accuracy"));
    assert!(loss[39] < 0.5 * loss[0], "{loss:?}");
    assert!(accuracy[39] > 0.9, "{accuracy:?}");
}

#[test]
fn the_seed_alone_decides_the_outcome() {
    let train = |seed| {
        let (store, model) = classifier();
        let fit = Fit::new(&model, &store, adam(&store)).epochs(3).batch_size(7).seed(seed);
        (
            column(&fit.run(&points(60), None).unwrap(), "loss"),
            Vec::<f32>::try_from(model.ws.view([-1])).unwrap(),
        )
    };
    assert_eq!(train(1), train(1));
    assert_ne!(train(1), train(2), "another order of the samples");
}

#[test]
fn means_are_over_samples_whatever_the_batches() {
    // 10 samples in batches of 4, 4 and 2. The model does not move, so the mean over the epoch is that
    // over the whole set.
    let (store, model) = classifier();
    tch::no_grad(|| {
        model.ws.shallow_clone().copy_(&Tensor::from_slice(&[1f32, -2.0, 0.5, 3.0]).view([2, 2]))
    });
    let samples = points(10);
    let outcome =
        Fit::new(&model, &store, frozen(&store)).batch_size(4).run(&samples, Some(&samples)).unwrap();
    let whole = evaluate(&model, &samples, 10).unwrap();
    for prefix in ["", "val_"] {
        let metric = |name| outcome.history.epochs[0].metrics[&format!("{prefix}{name}")];
        assert!((metric("loss") - whole.loss).abs() < 1e-6);
        assert!((metric("accuracy") - whole.accuracy).abs() < 1e-12);
    }
    assert_eq!(whole.predictions.len(), 10);
}

/// Writes down what it is called for.
#[derive(Debug)]
struct Diary<'a>(&'static str, &'a std::cell::RefCell<Vec<String>>);

impl Diary<'_> {
    fn note(&self, what: String) -> Result<()> {
        self.1.borrow_mut().push(format!("{} {what}", self.0));
        Ok(())
    }
}

impl Callback for Diary<'_> {
    fn train_begin(&mut self, training: &mut Training) -> Result<()> {
        self.note(format!("train begin {}", training.epoch()))
    }
    fn epoch_begin(&mut self, training: &mut Training) -> Result<()> {
        self.note(format!("epoch begin {}", training.epoch()))
    }
    fn step_end(&mut self, training: &mut Training) -> Result<()> {
        self.note(format!("batch end {}/{}", training.step(), training.steps()))
    }
    fn epoch_end(&mut self, training: &mut Training) -> Result<()> {
        self.note(format!("epoch end {}", training.record().unwrap().epoch))
    }
    fn train_end(&mut self, _: &mut Training) -> Result<()> {
        self.note("train end".to_string())
    }
}

#[test]
fn callbacks_are_called_in_their_order_and_the_last_smaller_batch_is_kept() {
    let (store, model) = classifier();
    let diary = std::cell::RefCell::new(Vec::new());
    let (mut first, mut second) = (Diary("a", &diary), Diary("b", &diary));
    Fit::new(&model, &store, adam(&store))
        .batch_size(4)
        .callback(&mut first)
        .callback(&mut second)
        .run(&points(10), None)
        .unwrap();
    let expected = ["train begin 0", "epoch begin 1", "batch end 1/3", "batch end 2/3", "batch end 3/3"];
    let expected = expected.into_iter().chain(["epoch end 1", "train end"]);
    let expected: Vec<_> = expected.flat_map(|what| [format!("a {what}"), format!("b {what}")]).collect();
    assert_eq!(diary.into_inner(), expected);
}

/// Puts chosen values into the record, marks the weights with the epoch (from 0), and may end the
/// training after one. It comes before the callback that is tested.
#[derive(Debug)]
struct Script<'a> {
    metric: &'static str,
    values: &'a [f64],
    stop_after: Option<usize>,
}

impl Callback for Script<'_> {
    fn epoch_end(&mut self, training: &mut Training) -> Result<()> {
        let epoch = training.epoch() - 1;
        if let Some(record) = training.history_mut().epochs.last_mut() {
            record.metrics.insert(self.metric.to_string(), self.values[epoch]);
        }
        let _no_gradient = tch::no_grad_guard();
        for mut variable in training.variables().trainable_variables() {
            let _ = variable.fill_(epoch as f64);
        }
        if self.stop_after == Some(epoch) {
            training.stop(StopReason::TimeLimit, "scripted".to_string());
        }
        Ok(())
    }
}

/// Runs scripted values of `val_loss`, or of `val_accuracy` where that is to be maximised, and gives,
/// counted from 0: (epochs run, best epoch, epoch whose weights remain).
fn scripted(
    metric: &'static str,
    values: &[f64],
    stop_after: Option<usize>,
    stopping: &mut EarlyStopping,
) -> (Outcome, i64) {
    let (store, model) = classifier();
    let mut script = Script { metric, values, stop_after };
    let outcome = Fit::new(&model, &store, frozen(&store))
        .epochs(values.len())
        .callback(&mut script)
        .callback(stopping)
        .run(&points(4), Some(&points(4)))
        .unwrap();
    (outcome, model.bs.unwrap().double_value(&[0]) as i64)
}

#[test]
fn the_best_weights_remain_exactly_as_keras_has_it() {
    // The same vectors as for the rule, with the column of the weights: Keras 3.15.1's EarlyStopping.
    let slow = [10.0, 9.0, 8.0, 9.0, 8.9, 8.8, 8.7, 8.6, 8.5];
    let rising = [0.2, 0.15, 0.1, 0.11, 0.12];
    let above_baseline = [0.9, 0.8, 0.7, 0.71, 0.72, 0.73];
    let patience = |patience| EarlyStoppingSettings { patience, ..EarlyStoppingSettings::default() };
    let with_baseline = EarlyStoppingSettings { baseline: Some(0.5), ..patience(5) };
    let restore = true;
    for (metric, values, settings, restores, stop_after, expected) in [
        ("val_loss", &slow[..], patience(0), !restore, None, (4, 2, 3)),
        ("val_loss", &slow, patience(2), !restore, None, (5, 2, 4)),
        ("val_loss", &slow, patience(3), !restore, None, (6, 2, 5)),
        ("val_loss", &rising, patience(2), restore, None, (5, 2, 2)),
        ("val_loss", &rising, patience(2), !restore, None, (5, 2, 4)),
        ("val_loss", &above_baseline, with_baseline, restore, None, (5, 2, 2)),
        ("val_loss", &above_baseline, with_baseline, restore, Some(3), (4, 2, 2)),
        ("val_loss", &[0.0860, 0.1096, 0.1040, 0.1019], patience(2), !restore, None, (3, 0, 2)),
        (
            "val_accuracy",
            &[0.55, 0.76, 0.81, 0.81],
            EarlyStoppingSettings { baseline: Some(0.75), ..patience(2) },
            !restore,
            None,
            (4, 2, 3),
        ),
        (
            "val_loss",
            &[1.0, 2.0, 3.0, 4.0, 5.0],
            EarlyStoppingSettings { start_from_epoch: 2, ..patience(0) },
            !restore,
            None,
            (4, 2, 3),
        ),
        ("val_loss", &[0.5, 0.5, 0.5], patience(0), !restore, None, (2, 0, 1)),
    ] {
        let mut stopping = EarlyStopping::new(metric).settings(settings);
        if !restores {
            stopping = stopping.keep_last_weights();
        }
        let (outcome, weights) = scripted(metric, values, stop_after, &mut stopping);
        let found = (outcome.history.epochs.len(), stopping.best().unwrap().epoch - 1, weights);
        assert_eq!(found, expected, "{values:?} {settings:?}");
    }
}

#[test]
fn the_message_of_an_early_stop_tells_what_and_why() {
    let mut stopping = EarlyStopping::new("val_loss").patience(2);
    let (outcome, _) = scripted("val_loss", &[0.2, 0.1, 0.15, 0.12, 0.3], None, &mut stopping);
    assert_eq!(outcome.stop.reason, StopReason::EarlyStopping);
    assert_eq!(
        outcome.stop.message,
        "early stopping after epoch 4: val_loss has not improved for 2 epochs; \
         the best val_loss is 0.100000 in epoch 2; the weights of epoch 2 are restored"
    );
    assert_eq!(stopping.restored_epoch(), Some(2));
}

#[test]
fn mode_overrides_the_metric() {
    let mut stopping = EarlyStopping::new("val_loss").mode(Better::Higher);
    let (outcome, weights) = scripted("val_loss", &[0.1, 0.2, 0.15, 0.3], None, &mut stopping);
    assert_eq!((outcome.history.epochs.len(), weights), (3, 1));
}

#[test]
fn a_value_that_is_not_finite_is_never_restored() {
    let mut stopping = EarlyStopping::new("val_loss").patience(2);
    let (_, weights) = scripted("val_loss", &[f64::NAN, 0.5, f64::NEG_INFINITY, 0.6], None, &mut stopping);
    assert_eq!(weights, 1);
}

/// The linear classifier with gradients of its own: for logits x W' + b.
#[derive(Debug)]
struct OwnGradients {
    linear: nn::Linear,
    inputs: Tensor,
}

impl Backpropagation for OwnGradients {
    fn forward(&mut self, inputs: &Tensor) -> Result<Tensor> {
        self.inputs = inputs.shallow_clone();
        Ok(self.linear.forward_t(inputs, true).detach())
    }

    fn backward(&mut self, outputs: Tensor) -> Result<Vec<(&str, Tensor)>> {
        let of_weight = outputs.tr().mm(&self.inputs);
        Ok(vec![("weight", of_weight), ("bias", outputs.sum_dim_intlist(0i64, false, Kind::Float))])
    }
}

#[test]
fn explicit_gradients_train_as_those_of_autograd_do() {
    let train = |own: bool| {
        let (store, model) = classifier();
        let linear =
            nn::Linear { ws: model.ws.shallow_clone(), bs: model.bs.as_ref().map(Tensor::shallow_clone) };
        let mut gradients = OwnGradients { linear, inputs: Tensor::new() };
        let mut fit = Fit::new(&model, &store, adam(&store)).epochs(5).batch_size(16);
        if own {
            fit = fit.backpropagation(&mut gradients);
        }
        column(&fit.run(&points(100), None).unwrap(), "loss")
    };
    for (own, autograd) in train(true).into_iter().zip(train(false)) {
        assert!((own - autograd).abs() < 1e-5, "{own} instead of {autograd}");
    }
}

#[test]
fn explicit_gradients_need_an_optimizer_that_takes_them() {
    let (store, model) = classifier();
    let linear = nn::Linear { ws: model.ws.shallow_clone(), bs: None };
    let mut gradients = OwnGradients { linear, inputs: Tensor::new() };
    let fit = Fit::new(&model, &store, frozen(&store)).backpropagation(&mut gradients);
    let fault = fit.run(&points(10), None).unwrap_err().to_string();
    assert!(fault.contains("Optimizer::new"), "{fault}");
}

#[test]
fn a_custom_metric_is_recorded_and_can_be_monitored() {
    let (store, model) = classifier();
    // Greater is better, and it falls: the weights only grow.
    let smallness = Metric::new("smallness", Better::Higher, |logits, labels| {
        assert_eq!(logits.size()[0], labels.size()[0]);
        -logits.abs().mean(Kind::Float)
    });
    let folder = tempfile::tempdir().unwrap();
    let mut stopping = EarlyStopping::new("val_smallness").patience(3);
    let mut file = HistoryFile::new(folder.path().join("history.csv"));
    let outcome = Fit::new(&model, &store, adam(&store))
        .epochs(30)
        .metric(smallness)
        .callback(&mut stopping)
        .callback(&mut file)
        .run(&points(50), Some(&points(20)))
        .unwrap();
    assert_eq!(outcome.stop.reason, StopReason::EarlyStopping);
    assert_eq!(outcome.history.epochs.len(), 4, "{:?}", column(&outcome, "val_smallness"));
    let text = std::fs::read_to_string(folder.path().join("history.csv")).unwrap();
    let head = "epoch,accuracy,loss,smallness,val_accuracy,val_loss,val_smallness,learning_rate,seconds";
    assert_eq!(text.lines().next(), Some(head));
    assert_eq!(text.lines().count(), 5);
}

#[test]
fn a_metric_of_the_epoch_gets_all_of_the_validation_set_in_order_and_nan_is_said() {
    let (store, model) = classifier();
    let validation = points(5000); // more than a batch of evaluation
    let labels = validation.labels().unwrap();
    let seen = Rc::new(RefCell::new(Vec::new()));
    let of_epoch = |name: &str, value: f64| {
        let (labels, seen) = (labels.clone(), seen.clone());
        Metric::of_epoch(name, Better::Higher, move |outputs, targets| {
            seen.borrow_mut().push(outputs.size()[0]);
            assert!(outputs.size()[0] < 5000 || Vec::<i64>::try_from(targets)? == labels);
            Ok(value)
        })
    };
    let mut stopping = EarlyStopping::new("val_odd").patience(2);
    let mut notes = Notes::default();
    let metrics = Metric::of_classes(&[ClassMetric::Auc, ClassMetric::F1], 2).unwrap();
    let mut fit = Fit::new(&model, &store, adam(&store)).epochs(9).batch_size(16);
    for metric in metrics.into_iter().chain([of_epoch("odd", f64::NAN)]) {
        fit = fit.metric(metric);
    }
    let outcome =
        fit.callback(&mut stopping).callback(&mut notes).run(&points(50), Some(&validation)).unwrap();
    assert_eq!(
        outcome.history.metric_names,
        ["accuracy", "f1", "loss", "val_accuracy", "val_auc", "val_f1", "val_loss", "val_odd"]
    );
    assert_eq!(*seen.borrow(), [16, 5000, 5000], "the trial of the first batch, and two epochs");
    let record = outcome.history.epochs.last().unwrap();
    let logits = predict(&model, &validation, 16).unwrap();
    let classified = Classification::new(&logits, &Tensor::from_slice(&labels)).unwrap();
    for metric in [ClassMetric::Auc, ClassMetric::F1] {
        assert_eq!(record.metrics[&format!("val_{metric}")], classified.value(metric));
    }
    assert!(!record.metrics.contains_key("odd") && record.metrics["val_odd"].is_nan());
    assert_eq!(
        notes.0,
        [
            "val_odd is NaN after epoch 1: that is no improvement",
            "val_odd is NaN after epoch 2: that is no improvement"
        ]
    );

    let fit = || Fit::new(&model, &store, adam(&store)).metric(of_epoch("odd", 1.0));
    let fault = fit().run(&points(4), None).unwrap_err().to_string();
    assert!(fault.contains("the metric odd needs a validation set"), "{fault}");
    let mut of_training = EarlyStopping::new("odd");
    let fault = fit().callback(&mut of_training).run(&points(4), Some(&points(4))).unwrap_err().to_string();
    assert!(fault.contains("of the validation set only, as val_odd"), "{fault}");
}

/// The lines that were left for people.
#[derive(Debug, Default)]
struct Notes(Vec<String>);

impl Callback for Notes {
    fn epoch_end(&mut self, training: &mut Training) -> Result<()> {
        self.0.extend(training.take_notes());
        Ok(())
    }
}

#[test]
fn any_module_can_be_fitted_a_regression_too() {
    #[derive(Debug)]
    struct Line(Tensor);
    impl ModuleT for Line {
        fn forward_t(&self, inputs: &Tensor, _train: bool) -> Tensor {
            inputs * &self.0
        }
    }
    let store = VarStore::new(Device::Cpu);
    let model = Line(store.root().zeros("slope", &[1]));
    let inputs = Tensor::arange(20, (Kind::Float, Device::Cpu)) / 10.0;
    let samples = Samples::new(&inputs, &(&inputs * 3.0)).unwrap();
    let squared = Loss::new(|outputs, targets| outputs.mse_loss(targets, tch::Reduction::Mean));
    let outcome = Fit::new(&model, &store, adam(&store))
        .loss(squared)
        .metrics(Vec::new())
        .epochs(200)
        .batch_size(8)
        .run(&samples, None)
        .unwrap();
    assert!((model.0.double_value(&[0]) - 3.0).abs() < 0.05, "{:?}", model.0);
    assert_eq!(outcome.history.metric_names, ["loss", "val_loss"]);
}

#[test]
fn a_loss_that_is_not_finite_ends_training_at_its_step() {
    let inputs = Tensor::from_slice(&[0.5f32, 0.25, f32::NAN, 0.5]).view([2, 2]);
    let samples = Samples::new(&inputs, &Tensor::from_slice(&[0i64, 1])).unwrap();
    let (store, model) = classifier();
    let outcome = Fit::new(&model, &store, adam(&store))
        .epochs(5)
        .batch_size(1)
        .callback(&mut TerminateOnNan)
        .run(&samples, Some(&points(4)))
        .unwrap();
    assert_eq!(outcome.stop.reason, StopReason::NonFinite);
    assert!(outcome.stop.message.contains("the loss became NaN in epoch 1"), "{}", outcome.stop.message);
    // The record shows it, and nothing was validated any more.
    assert!(column(&outcome, "loss")[0].is_nan());
    assert!(!outcome.history.epochs[0].metrics.contains_key("val_loss"));
}

#[test]
fn the_best_weights_are_restored_after_a_loss_that_is_not_finite() {
    #[derive(Debug)]
    struct Spoil;
    impl Callback for Spoil {
        fn epoch_begin(&mut self, training: &mut Training) -> Result<()> {
            if training.epoch() == 3 {
                let _no_gradient = tch::no_grad_guard();
                training.variables().trainable_variables().iter_mut().for_each(|v| drop(v.fill_(f64::NAN)));
            }
            Ok(())
        }
    }
    let (store, model) = classifier();
    let mut stopping = EarlyStopping::new("val_loss").patience(5);
    let outcome = Fit::new(&model, &store, adam(&store))
        .epochs(9)
        .callback(&mut Spoil)
        .callback(&mut TerminateOnNan)
        .callback(&mut stopping)
        .run(&points(50), Some(&points(50)))
        .unwrap();
    assert_eq!(outcome.stop.reason, StopReason::NonFinite);
    assert_eq!(stopping.restored_epoch(), Some(2));
    let restored = evaluate(&model, &points(50), 128).unwrap();
    assert_eq!(restored.loss, column_until(&outcome, "val_loss", 2)[1]);
}

/// As [`column`], for the first rows only.
fn column_until(outcome: &Outcome, name: &str, rows: usize) -> Vec<f64> {
    outcome.history.epochs[..rows].iter().map(|record| record.metrics[name]).collect()
}

#[test]
fn a_time_limit_and_a_request_end_the_training_after_a_step() {
    let run = |callback: &mut dyn Callback| {
        let (store, model) = classifier();
        let fit = Fit::new(&model, &store, adam(&store)).epochs(5).batch_size(4);
        fit.callback(callback).run(&points(12), Some(&points(4))).unwrap()
    };
    let outcome = run(&mut TimeLimit::new(Duration::from_nanos(1)));
    assert_eq!((outcome.stop.reason, outcome.unrecorded_steps), (StopReason::TimeLimit, 1));
    assert!(outcome.history.epochs.is_empty(), "an epoch that was cut short is no row");
    assert!(outcome.stop.message.contains("1ns") && outcome.stop.message.contains("step 1 of 3"));

    let outcome = run(&mut StopOnRequest::new(Arc::new(AtomicBool::new(true))));
    assert_eq!((outcome.stop.reason, outcome.unrecorded_steps), (StopReason::Interrupted, 1));
    let outcome = run(&mut StopOnRequest::new(Arc::new(AtomicBool::new(false))));
    assert_eq!((outcome.stop.reason, outcome.unrecorded_steps), (StopReason::Completed, 0));
}

#[test]
fn a_schedule_sets_the_learning_rate_of_each_epoch() {
    let run = |mut schedule: LearningRateSchedule| {
        let (store, model) = classifier();
        let fit = Fit::new(&model, &store, Optimizer::new(&store, keras_adam(), 0.1)?).epochs(3);
        fit.callback(&mut schedule).run(&points(8), None)
    };
    let outcome =
        run(LearningRateSchedule::new(|epoch, rate| if epoch > 1 { rate / 2.0 } else { rate })).unwrap();
    let rates: Vec<f64> = outcome.history.epochs.iter().map(|record| record.learning_rate).collect();
    assert_eq!(rates, [0.1, 0.05, 0.025]);
    for wrong in [f64::NAN, -0.1, f64::INFINITY] {
        let fault = run(LearningRateSchedule::new(move |_, _| wrong)).unwrap_err().to_string();
        assert!(fault.contains("epoch 1"), "{fault}");
    }
}

#[test]
fn a_plateau_lowers_the_learning_rate_of_the_next_epoch() {
    let (store, model) = classifier();
    let values = [0.5, 0.4, 0.4, 0.4, 0.3];
    let mut script = Script { metric: "val_loss", values: &values, stop_after: None };
    let mut plateau = ReduceLearningRateOnPlateau::new("val_loss").patience(2);
    let outcome = Fit::new(&model, &store, Optimizer::new(&store, keras_adam(), 0.1).unwrap())
        .epochs(5)
        .callback(&mut script)
        .callback(&mut plateau)
        .run(&points(8), Some(&points(8)))
        .unwrap();
    let rates: Vec<f64> = outcome.history.epochs.iter().map(|record| record.learning_rate).collect();
    assert_eq!(rates, [0.1, 0.1, 0.1, 0.1, 0.1 * 0.1]);
}

#[test]
fn the_growing_patience_validates_within_epochs_and_stops_at_its_step() {
    // Ten steps an epoch, patience 20, a validation loss that never changes: step 20 of the tutorial's
    // count from 0, which is the first step of the third epoch.
    let (store, model) = classifier();
    let mut stopping = TheanoPatience::new("val_loss", 20);
    let outcome = Fit::new(&model, &store, frozen(&store))
        .epochs(100)
        .batch_size(1)
        .callback(&mut stopping)
        .run(&points(10), Some(&points(5)))
        .unwrap();
    assert_eq!(outcome.stop.reason, StopReason::EarlyStopping);
    assert_eq!((outcome.history.epochs.len(), outcome.unrecorded_steps), (2, 1));
    assert_eq!(stopping.best().unwrap().epoch, 1);
    assert!(
        outcome.stop.message.starts_with("early stopping in epoch 3 after step 21"),
        "{}",
        outcome.stop.message
    );
}

#[test]
fn what_cannot_be_monitored_is_an_error_before_training() {
    let run = |callback: &mut dyn Callback, validation: Option<&dyn BatchSource>| {
        let (store, model) = classifier();
        let fit = Fit::new(&model, &store, adam(&store)).callback(callback);
        fit.run(&points(8), validation).unwrap_err().to_string()
    };
    let validation = points(4);
    let fault = run(&mut EarlyStopping::new("val_los"), Some(&validation));
    assert!(
        fault.contains("val_los:") && fault.contains("accuracy, loss, val_accuracy, val_loss"),
        "{fault}"
    );
    assert!(run(&mut EarlyStopping::new("val_loss"), None).contains("no validation set"));
    assert!(run(&mut ReduceLearningRateOnPlateau::new("auc"), None).contains("auc"));
    assert!(run(&mut TheanoPatience::new("val_accuracy", 9), Some(&validation)).contains("val_accuracy"));
}

#[test]
fn settings_that_make_no_sense_are_errors() {
    let (store, model) = classifier();
    let fit = || Fit::new(&model, &store, adam(&store));
    let metric = |name: &str| Metric::new(name, Better::Lower, |outputs, _| outputs.mean(Kind::Float));
    let nothing = points(4).choose(&[]).unwrap();
    let empty: &dyn BatchSource = &nothing;
    for (fit, validation, word) in [
        (fit().epochs(0), None, "epoch"),
        (fit().batch_size(0), None, "batch"),
        (fit().metric(metric("accuracy")), None, "more than one metric called accuracy"),
        (fit().metric(metric("loss")), None, "more than one metric called loss"),
        (fit().metric(metric("val_x")), None, "val_x"),
        (fit(), Some(empty), "validation set is empty"),
    ] {
        let fault = fit.run(&points(4), validation).unwrap_err().to_string();
        assert!(fault.contains(word), "{fault}");
    }
    assert!(fit().run(&nothing, None).unwrap_err().to_string().contains("no samples"));
}

#[test]
fn the_error_of_a_callback_ends_the_training() {
    #[derive(Debug)]
    struct Failing;
    impl Callback for Failing {
        fn step_end(&mut self, _: &mut Training) -> Result<()> {
            anyhow::bail!("the disk is full")
        }
    }
    let (store, model) = classifier();
    let fit = Fit::new(&model, &store, adam(&store)).callback(&mut Failing).run(&points(8), None);
    assert_eq!(fit.unwrap_err().to_string(), "the disk is full");
}

/// A program that resumes calls `fit` twice; so does one that trains in stages.
#[test]
fn training_goes_on_with_the_optimizer_of_the_outcome() {
    let (store, model) = classifier();
    let first = Fit::new(&model, &store, adam(&store)).epochs(2).run(&points(50), None).unwrap();
    let before = column(&first, "loss")[1];
    let second = Fit::new(&model, &store, first.optimizer).epochs(2).run(&points(50), None).unwrap();
    assert!(column(&second, "loss")[0] < before);
}

#[test]
fn callbacks_can_be_optional_or_boxed() {
    let (store, model) = classifier();
    let diary = std::cell::RefCell::new(Vec::new());
    let (mut some, mut none) = (Some(Diary("some", &diary)), None::<TimeLimit>);
    let mut boxed: Option<Box<dyn Stopping>> = Some(Box::new(EarlyStopping::new("loss")));
    let fit = Fit::new(&model, &store, adam(&store)).callback(&mut some).callback(&mut none);
    fit.callback(&mut boxed).run(&points(8), None).unwrap();
    assert_eq!(boxed.as_deref().and_then(Stopping::restored_epoch), Some(1));
    assert_eq!(boxed.state_name(), Some("early_stopping"));
    assert_eq!(none.state_name(), None);
    assert_eq!(diary.borrow().len(), 5);
}

#[test]
fn a_transform_changes_the_inputs_of_training_alone() {
    let (store, model) = classifier();
    let spread = || Metric::new("spread", Better::Higher, |outputs, _| outputs.max() - outputs.min());
    tch::no_grad(|| model.ws.shallow_clone().copy_(&Tensor::from_slice(&[1f32, 0.0, 0.0, 1.0]).view([2, 2])));
    let outcome = Fit::new(&model, &store, frozen(&store))
        .metric(spread())
        .transform(|inputs| Ok(inputs * 0.0))
        .run(&points(20), Some(&points(20)))
        .unwrap();
    assert_eq!(column(&outcome, "spread"), [0.0]);
    assert!(column(&outcome, "val_spread")[0] > 0.1);
}

#[test]
fn a_transform_may_mix_samples_and_metrics_take_the_targets_of_the_larger_share() {
    let (store, model) = classifier();
    let mean =
        || Metric::new("mean", Better::Higher, |_, targets| targets.to_kind(Kind::Float).mean(Kind::Float));
    let loss = || Loss::new(|outputs, targets| (targets - outputs * 0.0).mean(Kind::Float));
    let mixed = |share: f64| {
        let outcome = Fit::new(&model, &store, frozen(&store))
            .loss(loss())
            .metrics(vec![mean()])
            .transform_batch(move |batch| {
                let targets = Tensor::zeros([batch.size as i64, 2], (Kind::Float, Device::Cpu));
                let others = Some((targets.ones_like() * 8.0, share));
                Ok(MixedBatch { inputs: batch.inputs.shallow_clone(), targets, others })
            })
            .run(&points(20), None);
        outcome.map(|outcome| (column(&outcome, "loss")[0], column(&outcome, "mean")[0]))
    };
    assert_eq!(mixed(0.25).unwrap(), (2.0, 0.0));
    assert_eq!(mixed(0.75).unwrap(), (6.0, 8.0));
    let fault = mixed(1.5).unwrap_err().to_string();
    assert_eq!(fault, "the share of other targets is 1.5, not from 0 to 1");
}

/// Doubles its inputs, or fails as layers do: by a panic of tch's in a step.
#[derive(Debug)]
struct Failing {
    slope: Tensor,
    fails_with_size: i64,
}

impl ModuleT for Failing {
    fn forward_t(&self, inputs: &Tensor, train: bool) -> Tensor {
        match train && inputs.size()[0] == self.fails_with_size {
            true => inputs.mm(&Tensor::zeros([9, 9], (Kind::Float, Device::Cpu))),
            false => inputs * &self.slope,
        }
    }
}

#[test]
fn a_fault_in_a_layer_is_an_error_and_all_threads_are_back() {
    let store = VarStore::new(Device::Cpu);
    let model = Failing { slope: store.root().zeros("slope", &[1]), fails_with_size: 2 };
    let fit = Fit::new(&model, &store, adam(&store)).batch_size(4);
    let fault = fit.run(&points(10), None).unwrap_err();
    assert_eq!(fault.downcast_ref(), Some(&Fault::Operation));
    let text = format!("{fault:#}");
    assert!(text.contains("cannot be multiplied (2x2 and 9x9)") && !text.contains('\n'), "{text}");
}

/// An error or a panic left libtorch with the number of threads that training had chosen.
#[test]
fn whatever_happens_libtorch_has_its_threads_back() {
    let threads = thread_count::RestoredThreads::now();
    let before = tch::get_num_threads();
    let panic = std::panic::catch_unwind(|| {
        let _restored = thread_count::RestoredThreads::now();
        tch::set_num_threads(before + 1);
        panic!("a callback's");
    });
    assert!(panic.is_err());
    assert_eq!(tch::get_num_threads(), before);
    drop(threads);
}

#[test]
fn what_does_not_fit_is_found_before_the_first_step() {
    #[derive(Debug)]
    struct NoStep;
    impl Callback for NoStep {
        fn step_end(&mut self, _: &mut Training) -> Result<()> {
            panic!("there must be no step")
        }
    }
    let (store, model) = classifier();
    let inputs = Tensor::zeros([9, 2], (Kind::Float, Device::Cpu));
    let labels = Tensor::from_slice(&[0i64, 1, 0, 1, 0, 1, 0, 1, 5]);
    for (inputs, labels, word) in [
        (&inputs, labels.copy(), "the label 5 in row 8 is none of the 2 classes"),
        (&inputs, labels.to_kind(Kind::Int), "targets of shape [9] (int32)"),
        (&inputs.unsqueeze(2), labels.remainder(2), "inputs of shape [9, 2, 1] (float32)"),
    ] {
        let samples = Samples::new(inputs, &labels).unwrap();
        let fault = Fit::new(&model, &store, adam(&store)).callback(&mut NoStep).run(&samples, None);
        let fault = fault.unwrap_err();
        assert!(matches!(fault.downcast_ref(), Some(Fault::BatchDoesNotFit(_))), "{fault:#}");
        assert!(fault.to_string().contains(word), "{fault:#}");
    }
    let (other, _model) = classifier();
    let fault = Fit::new(&model, &store, adam(&other)).run(&points(8), None).unwrap_err();
    assert_eq!(fault.downcast_ref(), Some(&Fault::OtherVariables));
}

#[test]
fn any_loss_and_metrics_are_evaluated_and_predictions_are_in_order() {
    let (_store, model) = classifier();
    tch::no_grad(|| model.ws.shallow_clone().copy_(&Tensor::from_slice(&[2f32, 0.0, 0.0, 1.0]).view([2, 2])));
    let samples = points(5_000);
    let mean = Metric::new("mean", Better::Lower, |outputs, _| outputs.mean(Kind::Float));
    let found =
        evaluate_with(&model, &samples, &Loss::cross_entropy(), &[Metric::accuracy(), mean], 16).unwrap();
    let classifier = evaluate(&model, &samples, 16).unwrap();
    assert_eq!((found["loss"], found["accuracy"]), (classifier.loss, classifier.accuracy));
    let outputs = predict(&model, &samples, 16).unwrap();
    assert_eq!(outputs.size(), [5_000, 2]);
    assert!((outputs.mean(Kind::Double).double_value(&[]) - found["mean"]).abs() < 1e-6);
    assert_eq!(Vec::<i64>::try_from(outputs.argmax(-1, false)).unwrap(), classifier.predictions);
    let nothing = points(4).choose(&[]).unwrap();
    assert!(evaluate(&model, &nothing, 4).is_err() && predict(&model, &nothing, 4).is_err());
    let wide =
        Samples::new(&Tensor::zeros([3, 9], (Kind::Float, Device::Cpu)), &Tensor::from_slice(&[0i64, 1, 0]));
    let fault = predict(&model, &wide.unwrap(), 4).unwrap_err();
    assert!(format!("{fault:#}").contains("cannot be multiplied (3x9 and 2x2)"), "{fault:#}");
}

/// Batches that are made when they are needed.
#[derive(Debug)]
struct Generated(Samples);

impl BatchSource for Generated {
    fn len(&self) -> usize {
        self.0.len()
    }

    fn batches(&self, batch_size: usize) -> Result<crate::data::BatchIterator<'_>> {
        BatchSource::batches(&self.0, batch_size)
    }

    fn shuffled_batches(
        &self,
        batch_size: usize,
        seed: u64,
        epoch: usize,
        skip: usize,
    ) -> Result<crate::data::BatchIterator<'_>> {
        BatchSource::shuffled_batches(&self.0, batch_size, seed, epoch, skip)
    }
}

#[test]
fn any_source_of_batches_can_be_trained_on() {
    let train = |source: &dyn BatchSource| {
        let (store, model) = classifier();
        let outcome =
            Fit::new(&model, &store, adam(&store)).epochs(2).batch_size(16).run(source, None).unwrap();
        column(&outcome, "loss")
    };
    assert_eq!(train(&Generated(points(70))), train(&points(70)));
}

#[test]
fn tensorboard_and_progress_lines_follow_a_training() {
    let (store, model) = classifier();
    let folder = tempfile::tempdir().unwrap();
    let mut tensorboard = TensorBoard::new(folder.path()).text("model", "a line");
    let mut text = Vec::new();
    let mut lines = ProgressLine::new(&mut text);
    let mut stopping = EarlyStopping::new("val_loss");
    let fit =
        Fit::new(&model, &store, adam(&store)).epochs(2).callback(&mut tensorboard).callback(&mut stopping);
    fit.callback(&mut lines).run(&points(20), Some(&points(9))).unwrap();
    let text = String::from_utf8(text).unwrap();
    let lines: Vec<&str> = text.lines().collect();
    assert!(lines[0].starts_with("epoch 1/2  0.") && lines[0].contains("  val_loss 0."), "{text}");
    assert!(lines[2].starts_with("the best val_loss is 0.") && lines.len() == 3, "{text}");
    for split in ["train", "validation"] {
        assert_eq!(std::fs::read_dir(folder.path().join(split)).unwrap().count(), 1);
    }
}

#[test]
fn a_network_trains_with_its_own_gradients_unless_the_optimizer_takes_none() {
    use crate::model::{Layers, Model, Network};
    let network = || {
        let model = Model::classifier(&[2], Layers::parse("dense 3, relu").unwrap(), 2).unwrap();
        let network = Network::new(model, Device::Cpu).unwrap();
        for mut value in network.variables().variables().into_values() {
            let values = Tensor::arange(value.numel() as i64, (Kind::Float, Device::Cpu)) / 7.0 - 0.3;
            tch::no_grad(|| value.copy_(&values.view_as(&value)));
        }
        network
    };
    let loss = |network: &Network, optimizer: Optimizer| {
        let outcome = Fit::network(network, optimizer).epochs(3).batch_size(16).run(&points(70), None);
        column(&outcome.unwrap(), "loss")[2]
    };
    let own = network();
    let found = loss(&own, Optimizer::new(own.variables(), keras_adam(), 0.01).unwrap());
    let opaque = network();
    let expected = loss(&opaque, Optimizer::opaque(opaque.variables(), keras_adam(), 0.01).unwrap());
    assert!((found - expected).abs() < 1e-5, "{found} {expected}");
    let half = network().with_precision(Kind::BFloat16).unwrap();
    let optimizer = Optimizer::opaque(half.variables(), keras_adam(), 0.01).unwrap();
    let fault = Fit::network(&half, optimizer).run(&points(8), None).unwrap_err().to_string();
    assert!(fault.contains("bfloat16") && fault.contains("Optimizer::new"), "{fault}");
}

/// On a CUDA device libtorch's operators do what code of ours does on a CPU. Dropout, whose masks differ, is
/// left out.
#[test]
fn the_operators_for_other_devices_train_to_the_same_values() {
    let numbers = Tensor::arange(60 * 36, (Kind::Float, Device::Cpu)).view([60, 6, 6]);
    let labels = Tensor::arange(60, (Kind::Int64, Device::Cpu)).remainder(3);
    let inputs = (numbers * 0.618).frac() * 255.0 + labels.view([60, 1, 1]) * 10.0;
    let samples = Samples::new(&inputs.clamp(0, 255).to_kind(Kind::Uint8), &labels).unwrap().scaled_by(255.0);
    let train = |layers: &str, kind: Kind| {
        let model = Model::classifier(&[6, 6], Layers::parse(layers).unwrap(), 3).unwrap();
        let network = Network::new(model, Device::Cpu).unwrap().with_precision(kind).unwrap();
        for (index, variable) in network.variables().trainable_variables().iter_mut().enumerate() {
            let numbers = Tensor::arange(variable.numel() as i64, (Kind::Float, Device::Cpu)) + index as f64;
            let values = ((numbers * 0.618).frac() - 0.5) * 0.4;
            tch::no_grad(|| variable.copy_(&values.view_as(variable)));
        }
        let optimizer = Optimizer::new(network.variables(), keras_adam(), 0.01).unwrap();
        let loss = Loss::cross_entropy_with(0.1, Some(Tensor::from_slice(&[1f32, 2.0, 1.0])));
        let fit = Fit::network(&network, optimizer).epochs(4).batch_size(16).loss(loss);
        column(&fit.run(&samples, Some(&samples)).unwrap(), "val_loss")
    };
    for (layers, kind, tolerance) in [
        ("dense 12, relu, dense 8, tanh", Kind::Float, 1e-4),
        ("dense 12, relu, dense 8, tanh", Kind::BFloat16, 0.03),
        ("conv2d 4 3, relu, maxpool2d 2, flatten, dense 8, gelu", Kind::Float, 1e-4),
    ] {
        let own = train(layers, kind);
        let generic = without_own_code(|| train(layers, kind));
        assert!(own[3] < own[0], "{own:?}");
        for (own, generic) in own.iter().zip(&generic) {
            assert!((own - generic).abs() < tolerance, "{layers}, {kind:?}: {own} and {generic}");
        }
    }
}
