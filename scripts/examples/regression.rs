//! A regression with its own loss: a noisy curve with outliers, fitted with Huber's loss (1964), on which
//! outliers have less influence than on the square:
//!
//! ```sh
//! scripts/cargo run --release --example regression
//! ```

use anyhow::Result;
use fitch::data::Samples;
use fitch::metrics::{Better, Loss, Metric};
use fitch::optim::{Optimizer, keras_adam};
use fitch::train::Fit;
use fitch::train::callbacks::{EarlyStopping, ReduceLearningRateOnPlateau};
use tch::nn::{self, Module};
use tch::{Device, Kind, Reduction, Tensor};

/// Points [n, 1] with their measurements [n, 1]: sin(3x) with noise, and one outlier in ten.
fn measurements(count: i64) -> Result<Samples> {
    let options = (Kind::Float, Device::Cpu);
    let points = Tensor::rand([count, 1], options) * 4 - 2;
    let noise = Tensor::randn([count, 1], options) * 0.1;
    let outliers = Tensor::rand([count, 1], options).lt(0.1).to_kind(Kind::Float) * 5.0;
    Samples::new(&points, &((&points * 3.0).sin() + noise + outliers))
}

/// Fits the curve, then prints it.
pub fn main() -> Result<()> {
    tch::manual_seed(0);
    let (train, validation) = (measurements(4_000)?, measurements(1_000)?);
    let variables = nn::VarStore::new(Device::Cpu);
    let path = variables.root();
    let network = nn::seq()
        .add(nn::linear(&path / "hidden_1", 1, 64, Default::default()))
        .add_fn(Tensor::tanh)
        .add(nn::linear(&path / "hidden_2", 64, 64, Default::default()))
        .add_fn(Tensor::tanh)
        .add(nn::linear(&path / "output", 64, 1, Default::default()));

    let huber = |outputs: &Tensor, targets: &Tensor| outputs.huber_loss(targets, Reduction::Mean, 0.1);
    let error = |outputs: &Tensor, targets: &Tensor| (outputs - targets).abs().mean(Kind::Float);
    let mut stopping = EarlyStopping::new("val_loss").patience(20);
    let mut plateau = ReduceLearningRateOnPlateau::new("val_loss").patience(10).factor(0.1);
    let outcome = Fit::new(&network, &variables, Optimizer::new(&variables, keras_adam(), 0.003)?)
        .loss(Loss::new(huber))
        .metrics(vec![Metric::new("mean_absolute_error", Better::Lower, error)])
        .epochs(100)
        .callback(&mut stopping)
        .callback(&mut plateau)
        .run(&train, Some(&validation))?;

    println!("{}", outcome.stop.message);
    let points = Tensor::linspace(-2.0, 2.0, 9, (Kind::Float, Device::Cpu)).unsqueeze(1);
    let fitted: Vec<f32> = Vec::try_from(tch::no_grad(|| network.forward(&points)).squeeze())?;
    for (point, value) in Vec::<f32>::try_from(points.squeeze())?.into_iter().zip(fitted) {
        println!("{point:5.1} {value:7.3}, without noise {:7.3}", (3.0 * point).sin());
    }
    Ok(())
}
