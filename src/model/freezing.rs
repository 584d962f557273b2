//! Which parameters are frozen: patterns of names.

use crate::text::listed;
use anyhow::{Result, bail, ensure};
use std::collections::BTreeSet;

/// The pattern for all parameters but those of the last layer that has any, the classifier as a rule.
const ALL_BUT_LAST: &str = "all-but-last";
/// How many names an error lists.
const LISTED: usize = 12;

/// Those of the parameters, which come in the order of their layers, that patterns name. A pattern stands for
/// parameters and for whole layers; `*` in it stands for any text.
///
/// # Errors
/// A pattern that names none; nothing left to train.
pub fn frozen(patterns: &str, parameters: &[String]) -> Result<BTreeSet<String>> {
    let mut frozen = BTreeSet::new();
    for pattern in patterns.split(',').map(str::trim) {
        let of_pattern: Vec<&String> = match pattern {
            ALL_BUT_LAST => all_but_last(parameters),
            _ => parameters.iter().filter(|name| names(pattern, name)).collect(),
        };
        if of_pattern.is_empty() {
            bail!("'{pattern}' names no parameter that could be trained; there are {}", layers(parameters));
        }
        frozen.extend(of_pattern.into_iter().cloned());
    }
    ensure!(frozen.len() < parameters.len(), "no parameter is left to train");
    Ok(frozen)
}

fn all_but_last(parameters: &[String]) -> Vec<&String> {
    let layer = |name: &String| name.rsplit_once('.').map_or(String::new(), |(layer, _)| layer.to_string());
    let last = parameters.last().map(layer);
    parameters.iter().filter(|name| Some(layer(name)) != last).collect()
}

/// Whether a pattern is that of a parameter or of a layer around it.
fn names(pattern: &str, parameter: &str) -> bool {
    let ends = parameter.match_indices('.').map(|(end, _)| end).chain([parameter.len()]);
    ends.into_iter().any(|end| fits(pattern, &parameter[..end]))
}

fn fits(pattern: &str, text: &str) -> bool {
    let Some((before, after)) = pattern.split_once('*') else { return pattern == text };
    let Some(rest) = text.strip_prefix(before) else { return false };
    (0..=rest.len()).any(|start| rest.get(start..).is_some_and(|rest| fits(after, rest)))
}

/// The outermost layers of the parameters, as far as a line has room.
fn layers(parameters: &[String]) -> String {
    let mut layers: Vec<&str> =
        parameters.iter().map(|name| name.split('.').next().unwrap_or(name)).collect();
    layers.dedup();
    listed(&layers, LISTED)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(patterns: &str) -> Result<Vec<String>> {
        let names = [
            "conv1.weight",
            "layer1.0.conv.weight",
            "layer1.0.bn.weight",
            "layer1.0.bn.bias",
            "fc.weight",
            "fc.bias",
        ];
        frozen(patterns, &names.map(String::from)).map(|frozen| frozen.into_iter().collect())
    }

    #[test]
    fn a_pattern_names_parameters_and_layers() {
        assert_eq!(of("conv1").unwrap(), ["conv1.weight"]);
        assert_eq!(of("fc.weight, conv*").unwrap(), ["conv1.weight", "fc.weight"]);
        let of_layer = ["layer1.0.bn.bias", "layer1.0.bn.weight", "layer1.0.conv.weight"];
        for pattern in ["layer1", "layer1.*", "lay*", "*.0", "layer1.0", "*r1.*.*"] {
            assert_eq!(of(pattern).unwrap(), of_layer, "{pattern}");
        }
        assert_eq!(of("*.bn").unwrap(), of_layer[..2]);
        assert_eq!(of("all-but-last").unwrap(), [&["conv1.weight"][..], &of_layer].concat());
    }

    #[test]
    fn a_pattern_that_names_nothing_and_one_that_names_all_are_errors() {
        for (patterns, named) in
            [("conv1,conv", "conv"), ("bn", "bn"), ("layer1.1", "layer1.1"), ("fc.", "fc."), ("", "")]
        {
            let fault = of(patterns).unwrap_err().to_string();
            assert_eq!(
                fault,
                format!("'{named}' names no parameter that could be trained; there are conv1, layer1, fc")
            );
        }
        assert_eq!(of("*").unwrap_err().to_string(), "no parameter is left to train");
    }
}
