//! ONNX, written from the layer specification: a graph of mostly one operator a layer, for inference.

mod gelu;
mod proto;

use super::{ImageInput, ModelCard, TrainedModel, Weight, weights_of};
use crate::model::layers::Attribute as Setting;
use crate::model::{Model, PlacedLayer};
use crate::protobuf::{Bytes, Message as _, Packed};
use anyhow::Result;
use proto::{
    Attribute, Dimension, Entry, Graph, Node, OnnxModel, Opset, Shape, TensorType, TensorValues, ValueInfo,
    ValueType,
};
use std::collections::HashMap;
use tch::Tensor;

/// The opset and the version of the file format that came with it: those of ONNX 1.8, of 2020. Programs refuse files
/// of versions that came after them, so that files have no newer one than their operators need. Gelu, of opset 20, is
/// written out in older ones.
const VERSIONS: [i64; 2] = [13, 7];
/// Those of ONNX 1.12, of 2022, for the operators that came since.
const NEWER_VERSIONS: [i64; 2] = [17, 8];
const NEWER_OPERATORS: [&str; 1] = ["LayerNormalization"];

/// `TensorProto.DataType`.
fn data_type(input: ImageInput) -> i32 {
    match input {
        ImageInput::Uint8 => 2,
        ImageInput::Float => FLOAT,
    }
}

const FLOAT: i32 = 1;
const INT64: i32 = 7;

/// The bytes of the file: `images` in, `probabilities` and `logits` out, both float32 [n, classes], for any
/// n. The fields of the model's card are in the file's metadata under their names; what is not text is JSON.
///
/// # Errors
/// Weights that do not belong to the model.
pub fn model_bytes(trained: TrainedModel, input: ImageInput) -> Result<Vec<u8>> {
    let TrainedModel { model, variables, card } = trained;
    let variables = variables.variables();
    let mut graph = Graph {
        name: "classifier".to_string(),
        inputs: vec![value("images", data_type(input), &model.sample_shape)],
        outputs: vec![
            value("probabilities", FLOAT, &model.softmax.output),
            value("logits", FLOAT, &model.softmax.input),
        ],
        ..Graph::default()
    };
    let mut current = add_input(&mut graph, input, model, card);
    for placed in model.all_layers() {
        if placed.name == model.softmax.name {
            // Users find the output of the last layer under this name, whatever the layer is called.
            match card.temperature {
                None => graph.nodes.push(node("Identity", "name_logits", &[&current], "logits", &[])),
                Some(temperature) => {
                    graph.initializers.push(tensor("temperature", &[], temperature.to_le_bytes().to_vec()));
                    graph.nodes.push(node("Div", "calibrate", &[&current, "temperature"], "logits", &[]));
                    current = "logits".to_string();
                }
            }
        }
        current = add_layer(&mut graph, placed, current, model, &variables)?;
    }
    let needs_newer = graph.nodes.iter().any(|node| NEWER_OPERATORS.contains(&node.operator.as_str()));
    let [opset, ir_version] = if needs_newer { NEWER_VERSIONS } else { VERSIONS };
    let whole = OnnxModel {
        ir_version,
        producer_name: "fitch".to_string(),
        producer_version: card.fitch_version.clone(),
        graph: Some(graph),
        opsets: vec![Opset { domain: String::new(), version: opset }],
        metadata: metadata(card)?,
    };
    Ok(whole.to_bytes())
}

/// Scales raw pixels and brings images into the shape that the first layer takes; gives the name of the
/// result.
fn add_input(graph: &mut Graph, input: ImageInput, model: &Model, card: &ModelCard) -> String {
    let mut current = "images";
    if input == ImageInput::Uint8 {
        let to_float = [("to", Setting::Integer(FLOAT.into()))];
        graph.nodes.push(node("Cast", "cast", &["images"], "pixels", &to_float));
        graph.initializers.push(tensor("maximum", &[], (card.input.maximum as f32).to_le_bytes().to_vec()));
        graph.nodes.push(node("Div", "scale", &["pixels", "maximum"], "scaled", &[]));
        current = "scaled";
    }
    // A size of 0 stands for that of the input: n.
    let shape: Vec<i64> = std::iter::once(0).chain(model.first_shape().iter().copied()).collect();
    graph.initializers.push(TensorValues {
        sizes: Packed(vec![shape.len() as i64]),
        data_type: INT64,
        name: "shape".to_string(),
        raw: Bytes(shape.iter().flat_map(|size| size.to_le_bytes()).collect()),
    });
    graph.nodes.push(node("Reshape", "reshape", &[current, "shape"], "shaped", &[]));
    "shaped".to_string()
}

/// Adds a layer with its weights; gives the name of its output, which is its input's if it computes nothing.
fn add_layer(
    graph: &mut Graph,
    placed: &PlacedLayer,
    input: String,
    model: &Model,
    variables: &HashMap<String, Tensor>,
) -> Result<String> {
    let operators = placed.layer.onnx(&placed.input);
    let weights = weights_of(placed, variables)?;
    let share = weights.len().checked_div(operators.len()).unwrap_or_default();
    let mut current = input;
    for (index, operator) in operators.iter().enumerate() {
        let of_operator = &weights[index * share..(index + 1) * share];
        let names = of_operator.iter().map(|weight| weight.name.as_str());
        let inputs: Vec<&str> = std::iter::once(current.as_str()).chain(names).collect();
        let is_last = index + 1 == operators.len();
        let name = if is_last { placed.name.clone() } else { format!("{}.{}", placed.name, index + 1) };
        let output = match placed.name == model.softmax.name {
            true => "probabilities".to_string(),
            false => format!("{name}.output"),
        };
        match operator.name {
            gelu::NAME => gelu::add(graph, &name, &current, &output),
            other => graph.nodes.push(node(other, &name, &inputs, &output, &operator.attributes)),
        }
        let values = |weight: &Weight| tensor(&weight.name, &weight.shape, weight.little_endian_bytes());
        graph.initializers.extend(of_operator.iter().map(values));
        current = output;
    }
    Ok(current)
}

fn metadata(card: &ModelCard) -> Result<Vec<Entry>> {
    let card = serde_json::to_value(card)?;
    let entry = |(key, value): (&String, &serde_json::Value)| {
        let value = value.as_str().map_or_else(|| value.to_string(), str::to_string);
        Entry { key: key.clone(), value }
    };
    Ok(card.as_object().into_iter().flatten().map(entry).collect())
}

fn node(
    operator: &str,
    name: &str,
    inputs: &[&str],
    output: &str,
    attributes: &[(&'static str, Setting)],
) -> Node {
    // The kinds are from AttributeProto.AttributeType.
    let attribute = |(name, value): &(&str, Setting)| {
        let named = Attribute { name: name.to_string(), ..Attribute::default() };
        match value {
            Setting::Real(value) => Attribute { real: Some(*value), kind: 1, ..named },
            Setting::Integer(value) => Attribute { integer: Some(*value), kind: 2, ..named },
            Setting::Integers(values) => Attribute { integers: values.clone(), kind: 7, ..named },
        }
    };
    Node {
        inputs: inputs.iter().map(|input| input.to_string()).collect(),
        outputs: vec![output.to_string()],
        name: name.to_string(),
        operator: operator.to_string(),
        attributes: attributes.iter().map(attribute).collect(),
    }
}

fn tensor(name: &str, shape: &[i64], little_endian: Vec<u8>) -> TensorValues {
    TensorValues {
        sizes: Packed(shape.to_vec()),
        data_type: FLOAT,
        name: name.to_string(),
        raw: Bytes(little_endian),
    }
}

/// An input or output: any number of samples of that shape.
fn value(name: &str, data_type: i32, sample: &[i64]) -> ValueInfo {
    let batch = Dimension { size: None, name: Some("batch".to_string()) };
    let sizes = sample.iter().map(|&size| Dimension { size: Some(size), name: None });
    let shape = Shape { dimensions: std::iter::once(batch).chain(sizes).collect() };
    let tensor_type = TensorType { data_type, shape: Some(shape) };
    ValueInfo { name: name.to_string(), value_type: Some(ValueType { tensor_type: Some(tensor_type) }) }
}
