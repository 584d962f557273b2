//! Dropout (Srivastava et al., 2014), inverted: while training, each value is set to 0 with probability
//! P and the others are scaled by 1 / (1 - P); otherwise values pass unchanged.

use super::{Kind, Layer, OnnxOperator};
use anyhow::Result;
use tch::nn;

pub(super) const KIND: Kind = Kind { word: "dropout", usage: "P", parse };

#[derive(Clone, Debug)]
struct Dropout {
    rate: f64,
}

fn parse(arguments: &[&str]) -> Result<Box<dyn Layer>, String> {
    let rule = "needs the share of values to drop, from 0 to below 1: dropout 0.2";
    match arguments {
        [rate] => match rate.parse() {
            Ok(rate) if (0.0..1.0).contains(&rate) => Ok(Box::new(Dropout { rate })),
            _ => Err(rule.to_string()),
        },
        _ => Err(rule.to_string()),
    }
}

impl Layer for Dropout {
    fn word(&self) -> &'static str {
        KIND.word
    }

    fn type_name(&self) -> &'static str {
        "Dropout"
    }

    fn arguments(&self) -> String {
        self.rate.to_string()
    }

    fn output_shape(&self, input: &[i64]) -> Result<Vec<i64>> {
        Ok(input.to_vec())
    }

    fn append_to(&self, sequence: nn::SequentialT, _: &nn::Path, _: &[i64]) -> Result<nn::SequentialT> {
        let rate = self.rate;
        Ok(sequence.add_fn_t(move |values, train| values.dropout(rate, train)))
    }
    fn torchscript(&self) -> String {
        // With its decimal point the number is a float to TorchScript.
        format!("torch.dropout(x, {:?}, self.training)", self.rate)
    }

    fn onnx(&self) -> Option<OnnxOperator> {
        None
    }
}
