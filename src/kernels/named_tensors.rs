//! Values for tensors with names.

use anyhow::{Context, Result, ensure};
use std::collections::BTreeMap;
use tch::Tensor;

/// Copies values into tensors of the same names. Nothing changes unless every tensor has a value of its
/// shape.
///
/// # Errors
/// A tensor without a value, another shape, or a fault of the device.
pub fn assign(
    tensors: impl IntoIterator<Item = (String, Tensor)>,
    values: &BTreeMap<String, Tensor>,
) -> Result<()> {
    let with_value = |(name, tensor): (String, Tensor)| {
        let value = values.get(&name).with_context(|| format!("there is no tensor {name}"))?;
        let (is, needed) = (value.size(), tensor.size());
        ensure!(is == needed, "{name} has the shape {is:?}, but {needed:?} is needed");
        Ok((tensor, value))
    };
    let pairs: Vec<(Tensor, &Tensor)> = tensors.into_iter().map(with_value).collect::<Result<_>>()?;
    let _no_gradient = tch::no_grad_guard();
    for (mut tensor, value) in pairs {
        tensor.f_copy_(value)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_tensors_are_assigned_or_none() {
        let (first, second) = (Tensor::from_slice(&[1f32]), Tensor::from_slice(&[2f32, 3.0]));
        let tensors =
            || [("a".to_string(), first.shallow_clone()), ("b".to_string(), second.shallow_clone())];
        let value = |values: &[f32]| Tensor::from_slice(values);
        let fault = |values: Vec<(String, Tensor)>| {
            assign(tensors(), &values.into_iter().collect()).unwrap_err().to_string()
        };
        let of_a = || ("a".to_string(), value(&[9.0]));
        assert_eq!(fault(vec![of_a()]), "there is no tensor b");
        assert_eq!(
            fault(vec![of_a(), ("b".to_string(), value(&[9.0]))]),
            "b has the shape [1], but [2] is needed"
        );
        assert_eq!(first, value(&[1.0]));
        assign(tensors(), &BTreeMap::from([of_a(), ("b".to_string(), value(&[8.0, 7.0]))])).unwrap();
        assert_eq!((first, second), (value(&[9.0]), value(&[8.0, 7.0])));
    }
}
