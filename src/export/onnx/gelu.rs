//! GELU in operators that were there before that of its own.

use super::proto::Graph;
use super::{node, tensor};
use std::f32::consts::SQRT_2;

/// The operator that stands for it in a layer's ONNX form. The standard has it since opset 20, of 2023.
pub(super) const NAME: &str = "Gelu";

/// Adds x * (1 + erf(x / sqrt(2))) * 0.5, the exact form. Programs that have an operator for it know it by
/// these five.
pub(super) fn add(graph: &mut Graph, name: &str, input: &str, output: &str) {
    let constant = |graph: &mut Graph, name: &'static str, value: f32| {
        if !graph.initializers.iter().any(|tensor| tensor.name == name) {
            graph.initializers.push(tensor(name, &[], value.to_le_bytes().to_vec()));
        }
        name
    };
    let root = constant(graph, "gelu.sqrt_2", SQRT_2);
    let one = constant(graph, "gelu.one", 1.0);
    let half = constant(graph, "gelu.half", 0.5);
    let step = |step: &str| format!("{name}.{step}");
    let [scaled, erf, raised, product] =
        ["scaled", "erf", "raised", "product"].map(|value| format!("{name}.{value}.output"));
    graph.nodes.extend([
        node("Div", &step("scaled"), &[input, root], &scaled, &[]),
        node("Erf", &step("erf"), &[&scaled], &erf, &[]),
        node("Add", &step("raised"), &[&erf, one], &raised, &[]),
        node("Mul", &step("product"), &[input, &raised], &product, &[]),
        node("Mul", name, &[&product, half], output, &[]),
    ]);
}
