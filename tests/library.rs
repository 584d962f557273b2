//! The library from outside: what a program with a module, a loss and a metric of its own does with it, by
//! its public names alone.

use anyhow::Result;
use fitch::data::{Dataset, Samples, Source, SplitMethod};
use fitch::metrics::{Better, Loss, Metric};
use fitch::optim::Optimizer;
use fitch::run::save_weights;
use fitch::train::callbacks::{EarlyStopping, HistoryFile, ProgressLine, StepSchedule, TensorBoard};
use fitch::train::{
    Callback, DiskCheckpoints, Every, Fault, Fit, Outcome, StopReason, Stopping, Training, evaluate,
    evaluate_with, predict,
};
use std::path::Path;
use tch::nn::{self, Module, ModuleT, VarStore};
use tch::{Device, Kind, Tensor};

/// A convolution, a residual block with batch normalization and dropout, and a classifier.
#[derive(Debug)]
struct Residual {
    first: nn::Conv2D,
    branch: nn::Conv2D,
    norm: nn::BatchNorm,
    classifier: nn::Linear,
}

impl Residual {
    fn new(path: &nn::Path) -> Residual {
        let same = nn::ConvConfig { padding: 1, ..Default::default() };
        Residual {
            first: nn::conv2d(path / "first", 1, 4, 3, same),
            branch: nn::conv2d(path / "branch", 4, 4, 3, same),
            norm: nn::batch_norm2d(path / "norm", 4, Default::default()),
            classifier: nn::linear(path / "classifier", 4 * 8 * 8, 10, Default::default()),
        }
    }
}

impl ModuleT for Residual {
    /// From images [b, 8, 8] to logits [b, 10].
    fn forward_t(&self, images: &Tensor, train: bool) -> Tensor {
        let first = self.first.forward(&images.unsqueeze(1)).relu();
        let sum = self.norm.forward_t(&self.branch.forward(&first), train).relu() + first;
        self.classifier.forward(&sum.flatten(1, -1).dropout(0.1, train))
    }
}

/// Counts easy samples less (Lin et al., 2017, with gamma 2).
fn focal() -> Loss {
    Loss::new(|logits, labels| {
        let log_probability = logits.log_softmax(-1, Kind::Float).gather(-1, &labels.unsqueeze(-1), false);
        let missing: Tensor = 1.0 - log_probability.exp();
        -(missing.square() * log_probability).mean(Kind::Float)
    })
}

fn error() -> Metric {
    Metric::new("error", Better::Lower, |logits, labels| {
        logits.argmax(-1, false).ne_tensor(labels).to_kind(Kind::Float).mean(Kind::Float)
    })
}

/// Stops training in the middle of an epoch, as Ctrl-C would.
#[derive(Debug)]
struct StopAfter(usize);

impl Callback for StopAfter {
    fn step_end(&mut self, training: &mut Training) -> Result<()> {
        if training.total_steps() == self.0 {
            training.stop(StopReason::Interrupted, format!("stopped after {} steps", self.0));
        }
        Ok(())
    }
}

const EPOCHS: usize = 4;

/// The training of a user's program, written as its documentation has it: it starts, or goes on where it
/// ended.
fn train(folder: &Path, stop_after: Option<usize>) -> Result<(Outcome, Residual, Option<usize>)> {
    let digits = digits();
    let (train, validation) = digits.train_samples()?.split(0.1, SplitMethod::Stratified, 0)?;
    tch::manual_seed(0);
    let variables = VarStore::new(Device::Cpu);
    let model = Residual::new(&variables.root());
    let optimizer = Optimizer::new(&variables, nn::Adam::default(), 0.005)?;

    let mut stopping = EarlyStopping::new("val_error").patience(3);
    let mut history = HistoryFile::new(folder.join("history.csv"));
    let mut tensorboard = TensorBoard::new(folder.join("tensorboard"));
    let mut schedule = StepSchedule::cosine(1e-4).warm_up(1);
    let mut progress = ProgressLine::new(std::io::sink()).live();
    let mut stop = stop_after.map(StopAfter);
    let mut checkpoints = DiskCheckpoints::open(folder.join("checkpoints"))?.keep(3).every(Every::Steps(10));
    let outcome = Fit::new(&model, &variables, optimizer)
        .loss(focal())
        .metric(error())
        .transform(|images| Ok(images.f_add(&(images.f_rand_like()? * 0.1))?))
        .epochs(EPOCHS)
        .batch_size(64)
        .seed(7)
        .callback(&mut stopping)
        .callback(&mut schedule)
        .callback(&mut stop)
        .callback(&mut history)
        .callback(&mut tensorboard)
        .callback(&mut progress)
        .resume_from(&mut checkpoints)
        .run(&train, Some(&validation))?;
    save_weights(&folder.join("weights.safetensors"), &variables, &[])?;
    Ok((outcome, model, stopping.restored_epoch()))
}

fn digits() -> Dataset {
    Source::find("digits").and_then(|source| source.load()).unwrap()
}

/// The CSV without its last column, the seconds.
fn rows(folder: &Path) -> Vec<String> {
    let text = std::fs::read_to_string(folder.join("history.csv")).unwrap();
    text.lines().filter_map(|line| line.rsplit_once(',')).map(|(row, _)| row.to_string()).collect()
}

/// In one test, because libtorch's random state is one for all of a process.
#[test]
fn a_training_with_parts_of_its_own_can_be_paused_evaluated_and_used() {
    let (whole, parts) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let (outcome, model, restored) = train(whole.path(), None).unwrap();
    assert_eq!(outcome.stop.reason, StopReason::Completed);
    assert_eq!(outcome.history.epochs.len(), EPOCHS);
    let rows_of_whole = rows(whole.path());
    let head = "epoch,accuracy,error,loss,val_accuracy,val_error,val_loss,learning_rate";
    assert_eq!((rows_of_whole[0].as_str(), rows_of_whole.len()), (head, 1 + EPOCHS));

    // Paused within an epoch and resumed, it gives the same bytes.
    let (paused, ..) = train(parts.path(), Some(47)).unwrap();
    assert_eq!((paused.stop.reason, paused.history.epochs.len()), (StopReason::Interrupted, 2));
    let (resumed, ..) = train(parts.path(), None).unwrap();
    assert_eq!(resumed.history.epochs.len(), EPOCHS);
    let weights = |folder: &Path| std::fs::read(folder.join("weights.safetensors")).unwrap();
    assert!(weights(parts.path()) == weights(whole.path()), "the weights differ after a pause");
    assert_eq!(rows(parts.path()), rows_of_whole);

    // The best weights are back: evaluated again, the validation set gives what the history says of that
    // epoch.
    let best = &outcome.history.epochs[restored.unwrap() - 1].metrics;
    let digits = digits();
    let (_, validation) = digits.train_samples().unwrap().split(0.1, SplitMethod::Stratified, 0).unwrap();
    let found = evaluate_with(&model, &validation, &focal(), &[error()], 64).unwrap();
    assert_eq!((found["loss"], found["error"]), (best["val_loss"], best["val_error"]));
    let test = digits.test_samples().unwrap();
    let evaluation = evaluate(&model, &test, 64).unwrap();
    assert!(evaluation.accuracy > 0.9, "{}", evaluation.accuracy);
    let logits = predict(&model, &test, 64).unwrap();
    assert_eq!(logits.size(), [test.len() as i64, 10]);
    assert_eq!(Vec::<i64>::try_from(logits.argmax(-1, false)).unwrap(), evaluation.predictions);

    mistakes_are_errors_of_one_line();
}

/// What a beginner gets wrong is one plain sentence, of a type that a program can act on.
fn mistakes_are_errors_of_one_line() {
    let fault = |inputs: &[i64], labels: &Tensor, over_other: bool| {
        let (variables, other) = (VarStore::new(Device::Cpu), VarStore::new(Device::Cpu));
        let model = nn::linear(variables.root(), 3, 4, Default::default());
        let _ = nn::linear(other.root(), 3, 4, Default::default());
        let of = if over_other { &other } else { &variables };
        let optimizer = Optimizer::new(of, nn::Sgd::default(), 0.1).unwrap();
        let samples = Samples::new(&Tensor::zeros(inputs, (Kind::Float, Device::Cpu)), labels).unwrap();
        let fault = Fit::new(&model, &variables, optimizer).run(&samples, None).unwrap_err();
        let text = format!("{fault:#}");
        assert!(!text.contains('\n') && text.len() < 400, "{text}");
        (fault.downcast_ref::<Fault>().cloned(), text)
    };
    let labels = Tensor::from_slice(&[0i64, 3]);
    for (inputs, labels, word) in [
        (&[2, 7][..], &labels, "the model does not take inputs of shape [2, 7] (float32)"),
        (&[2, 3], &labels.to_kind(Kind::Float), "class labels must be int64"),
        (&[2, 3], &Tensor::from_slice(&[0i64, 4]), "the label 4 in row 1 is none of the 4 classes"),
    ] {
        let (fault, text) = fault(inputs, labels, false);
        assert!(matches!(fault, Some(Fault::BatchDoesNotFit(_))) && text.contains(word), "{text}");
    }
    assert_eq!(fault(&[2, 3], &labels, true).0, Some(Fault::OtherVariables));
}
