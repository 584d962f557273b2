//! A custom module, which has separate weights for the left and the right half of each digit and decides by
//! both; with a custom metric and a custom callback:
//!
//! ```sh
//! scripts/cargo run --release --example two_views
//! ```

use anyhow::Result;
use fitch::data::{Source, SplitMethod};
use fitch::device::{self, DeviceChoice};
use fitch::metrics::{Better, Metric};
use fitch::optim::{Optimizer, keras_adam};
use fitch::train::callbacks::EarlyStopping;
use fitch::train::{Callback, Fit, Training, evaluate};
use tch::nn::{self, Module, ModuleT};
use tch::{Kind, Tensor};

#[derive(Debug)]
struct TwoViews {
    left: nn::Linear,
    right: nn::Linear,
    classifier: nn::Linear,
}

impl TwoViews {
    fn new(path: &nn::Path) -> TwoViews {
        let linear =
            |name: &str, inputs, outputs| nn::linear(path / name, inputs, outputs, Default::default());
        TwoViews {
            left: linear("left", 32, 64),
            right: linear("right", 32, 64),
            classifier: linear("classifier", 128, 10),
        }
    }
}

impl ModuleT for TwoViews {
    /// From images [b, 8, 8] to logits [b, 10].
    fn forward_t(&self, images: &Tensor, train: bool) -> Tensor {
        let half = |start, view: &nn::Linear| view.forward(&images.narrow(2, start, 4).flatten(1, -1)).relu();
        let both = Tensor::cat(&[half(0, &self.left), half(4, &self.right)], 1);
        self.classifier.forward(&both.dropout(0.2, train))
    }
}

/// Prints the norm of the weights of each half every ten epochs.
#[derive(Debug)]
struct Weights;

impl Callback for Weights {
    fn epoch_end(&mut self, training: &mut Training) -> Result<()> {
        if training.epoch().is_multiple_of(10) {
            let variables = training.variables().variables();
            let size = |name: &str| variables[name].norm().double_value(&[]);
            println!(
                "epoch {}: left {:.2}, right {:.2}",
                training.epoch(),
                size("left.weight"),
                size("right.weight")
            );
        }
        Ok(())
    }
}

/// The share of digits whose class is among the two most likely ones.
fn top_two(logits: &Tensor, labels: &Tensor) -> Tensor {
    let (_, most_likely) = logits.topk(2, -1, true, true);
    most_likely.eq_tensor(&labels.unsqueeze(1)).any_dim(1, false).to_kind(Kind::Float).mean(Kind::Float)
}

/// Trains the network, then prints how good it is.
pub fn main() -> Result<()> {
    let device = device::choose(DeviceChoice::Auto)?.device;
    let digits = Source::find("digits")?.load()?;
    let (train, validation) = digits.train_samples()?.split(0.1, SplitMethod::Stratified, 0)?;

    tch::manual_seed(0);
    let variables = nn::VarStore::new(device);
    let module = TwoViews::new(&variables.root());
    let mut stopping = EarlyStopping::new("val_top_two").patience(10);
    let outcome = Fit::new(&module, &variables, Optimizer::new(&variables, keras_adam(), 0.003)?)
        .metric(Metric::new("top_two", Better::Higher, top_two))
        .epochs(60)
        .callback(&mut stopping)
        .callback(&mut Weights)
        .run(&train, Some(&validation))?;

    println!("{}", outcome.stop.message);
    let test = evaluate(&module, &digits.test_samples()?.to_device(device)?, 128)?;
    println!("test accuracy {:.4}", test.accuracy);
    Ok(())
}
