//! The reference network, put together by hand with tch and fitted to the built-in digits:
//!
//! ```sh
//! scripts/cargo run --release --example reference_network
//! ```

use anyhow::Result;
use fitch::data::{Source, SplitMethod};
use fitch::device::{self, DeviceChoice};
use fitch::optim::{Optimizer, keras_adam};
use fitch::run::save_weights;
use fitch::train::callbacks::EarlyStopping;
use fitch::train::{Fit, evaluate};
use tch::Tensor;
use tch::nn;

fn network(path: &nn::Path) -> nn::SequentialT {
    nn::seq_t()
        .add_fn(|images| images.flatten(1, -1))
        .add(nn::linear(path / "hidden_1", 64, 512, Default::default()))
        .add_fn(Tensor::relu)
        .add_fn_t(|values, train| values.dropout(0.2, train))
        .add(nn::linear(path / "hidden_2", 512, 512, Default::default()))
        .add_fn(Tensor::relu)
        .add_fn_t(|values, train| values.dropout(0.2, train))
        .add(nn::linear(path / "classifier", 512, 10, Default::default()))
}

/// Trains the network, then prints how good it is.
pub fn main() -> Result<()> {
    let device = device::choose(DeviceChoice::Auto)?.device;
    let digits = Source::find("digits")?.load()?;
    let (train, validation) = digits.train_samples()?.split(0.1, SplitMethod::Stratified, 0)?;

    tch::manual_seed(0);
    let variables = nn::VarStore::new(device);
    let network = network(&variables.root());
    let mut stopping = EarlyStopping::new("val_loss").patience(5);
    let outcome = Fit::new(&network, &variables, Optimizer::new(&variables, keras_adam(), 0.001)?)
        .epochs(100)
        .callback(&mut stopping)
        .run(&train, Some(&validation))?;

    println!("{}", outcome.stop.message);
    let test = evaluate(&network, &digits.test_samples()?.to_device(device)?, 128)?;
    println!("test accuracy {:.4}, loss {:.4}", test.accuracy, test.loss);
    let file = std::env::temp_dir().join("reference_network.safetensors");
    save_weights(&file, &variables, &[("made_by", "reference_network.rs")])?;
    println!("weights in {}", file.display());
    Ok(())
}
