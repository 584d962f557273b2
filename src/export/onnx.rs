//! ONNX, written from the layer specification: a graph of one operator a layer, for inference.
//!
//! The structures are those of `onnx.proto` (ONNX 1.15, IR version 9, opset 20), as far as they are
//! needed here.

use super::{TrainedModel, weights_of};
use crate::model::layers::Attribute as Setting;
use anyhow::Result;
use prost::Message;

const IR_VERSION: i64 = 9;
/// The first one that has Gelu.
const OPSET: i64 = 20;

/// The type of the images that the file takes: in ONNX an input has one type.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OnnxInput {
    /// Raw pixels, uint8 [n, height, width].
    Uint8,
    /// Values from 0 to 1, float32 [n, height, width].
    Float,
}

impl OnnxInput {
    /// All types.
    pub const ALL: [OnnxInput; 2] = [OnnxInput::Uint8, OnnxInput::Float];

    /// As users write it: `uint8`.
    pub fn keyword(self) -> &'static str {
        match self {
            OnnxInput::Uint8 => "uint8",
            OnnxInput::Float => "float",
        }
    }

    /// `TensorProto.DataType`.
    fn data_type(self) -> i32 {
        match self {
            OnnxInput::Uint8 => 2,
            OnnxInput::Float => FLOAT,
        }
    }
}

const FLOAT: i32 = 1;
const INT64: i32 = 7;

/// The bytes of the file: `images` in, `probabilities` and `logits` out, both float32 [n, classes], for
/// any n. What the model's card tells is in the file's metadata, each entry under its name, as JSON where
/// it is no text.
///
/// # Errors
/// Weights that do not belong to the model.
pub fn model_bytes(trained: TrainedModel, input: OnnxInput) -> Result<Vec<u8>> {
    let TrainedModel { model, variables, card } = trained;
    let variables = variables.variables();
    let mut graph = Graph {
        name: "classifier".to_string(),
        inputs: vec![value("images", input.data_type(), &model.sample_shape)],
        outputs: vec![
            value("probabilities", FLOAT, &model.softmax.output),
            value("logits", FLOAT, &model.softmax.input),
        ],
        ..Graph::default()
    };
    let mut current = "images".to_string();
    if input == OnnxInput::Uint8 {
        graph.nodes.push(node(
            "Cast",
            "cast",
            &["images"],
            "pixels",
            &[("to", Setting::Integer(FLOAT.into()))],
        ));
        graph.initializers.push(tensor("maximum", &[], (card.input.maximum as f32).to_le_bytes().to_vec()));
        graph.nodes.push(node("Div", "scale", &["pixels", "maximum"], "scaled", &[]));
        current = "scaled".to_string();
    }
    // A size of 0 is that of the input.
    let shape: Vec<i64> = std::iter::once(0).chain(model.first_shape().iter().copied()).collect();
    let bytes = shape.iter().flat_map(|size| size.to_le_bytes()).collect();
    graph.initializers.push(TensorValues {
        sizes: vec![shape.len() as i64],
        data_type: INT64,
        name: "shape".to_string(),
        raw: bytes,
    });
    graph.nodes.push(node("Reshape", "reshape", &[&current, "shape"], "shaped", &[]));
    current = "shaped".to_string();
    for placed in model.all_layers() {
        if placed.name == model.softmax.name {
            // Whatever the last layer's output is called, users find it under this name.
            graph.nodes.push(node("Identity", "name_logits", &[&current], "logits", &[]));
        }
        let Some(operator) = placed.layer.onnx(&placed.input) else { continue };
        let weights = weights_of(placed, &variables)?;
        let names = weights.iter().map(|weight| weight.name.as_str());
        let inputs: Vec<&str> = std::iter::once(current.as_str()).chain(names).collect();
        let output = match placed.name == model.softmax.name {
            true => "probabilities".to_string(),
            false => format!("{}.output", placed.name),
        };
        graph.nodes.push(node(operator.name, &placed.name, &inputs, &output, &operator.attributes));
        for weight in &weights {
            graph.initializers.push(tensor(&weight.name, &weight.shape, weight.little_endian_bytes()));
        }
        current = output;
    }
    let mut metadata = Vec::new();
    for (key, value) in serde_json::to_value(card)?.as_object().into_iter().flatten() {
        let value = value.as_str().map_or_else(|| value.to_string(), str::to_string);
        metadata.push(Entry { key: key.clone(), value });
    }
    let whole = OnnxModel {
        ir_version: IR_VERSION,
        producer_name: "fitch".to_string(),
        producer_version: card.fitch_version.clone(),
        graph: Some(graph),
        opsets: vec![Opset { domain: String::new(), version: OPSET }],
        metadata,
    };
    Ok(whole.encode_to_vec())
}

fn node(
    operator: &str,
    name: &str,
    inputs: &[&str],
    output: &str,
    attributes: &[(&'static str, Setting)],
) -> Node {
    // The kinds are those of AttributeProto.AttributeType.
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
    TensorValues { sizes: shape.to_vec(), data_type: FLOAT, name: name.to_string(), raw: little_endian }
}

/// A value of any number of samples of that shape.
fn value(name: &str, data_type: i32, sample: &[i64]) -> ValueInfo {
    let batch = Dimension { size: None, name: Some("batch".to_string()) };
    let sizes = sample.iter().map(|&size| Dimension { size: Some(size), name: None });
    let shape = Shape { dimensions: std::iter::once(batch).chain(sizes).collect() };
    let tensor_type = TensorType { data_type, shape: Some(shape) };
    ValueInfo { name: name.to_string(), value_type: Some(ValueType { tensor_type: Some(tensor_type) }) }
}

#[derive(Message)]
struct OnnxModel {
    #[prost(int64, tag = "1")]
    ir_version: i64,
    #[prost(string, tag = "2")]
    producer_name: String,
    #[prost(string, tag = "3")]
    producer_version: String,
    #[prost(message, optional, tag = "7")]
    graph: Option<Graph>,
    #[prost(message, repeated, tag = "8")]
    opsets: Vec<Opset>,
    #[prost(message, repeated, tag = "14")]
    metadata: Vec<Entry>,
}

#[derive(Message)]
struct Opset {
    #[prost(string, tag = "1")]
    domain: String,
    #[prost(int64, tag = "2")]
    version: i64,
}

#[derive(Message)]
struct Entry {
    #[prost(string, tag = "1")]
    key: String,
    #[prost(string, tag = "2")]
    value: String,
}

#[derive(Message)]
struct Graph {
    #[prost(message, repeated, tag = "1")]
    nodes: Vec<Node>,
    #[prost(string, tag = "2")]
    name: String,
    #[prost(message, repeated, tag = "5")]
    initializers: Vec<TensorValues>,
    #[prost(message, repeated, tag = "11")]
    inputs: Vec<ValueInfo>,
    #[prost(message, repeated, tag = "12")]
    outputs: Vec<ValueInfo>,
}

#[derive(Message)]
struct Node {
    #[prost(string, repeated, tag = "1")]
    inputs: Vec<String>,
    #[prost(string, repeated, tag = "2")]
    outputs: Vec<String>,
    #[prost(string, tag = "3")]
    name: String,
    #[prost(string, tag = "4")]
    operator: String,
    #[prost(message, repeated, tag = "5")]
    attributes: Vec<Attribute>,
}

#[derive(Message)]
struct Attribute {
    #[prost(string, tag = "1")]
    name: String,
    #[prost(float, optional, tag = "2")]
    real: Option<f32>,
    #[prost(int64, optional, tag = "3")]
    integer: Option<i64>,
    #[prost(int64, repeated, packed = "false", tag = "8")]
    integers: Vec<i64>,
    #[prost(int32, tag = "20")]
    kind: i32,
}

#[derive(Message)]
struct TensorValues {
    #[prost(int64, repeated, tag = "1")]
    sizes: Vec<i64>,
    #[prost(int32, tag = "2")]
    data_type: i32,
    #[prost(string, tag = "8")]
    name: String,
    #[prost(bytes = "vec", tag = "9")]
    raw: Vec<u8>,
}

#[derive(Message)]
struct ValueInfo {
    #[prost(string, tag = "1")]
    name: String,
    #[prost(message, optional, tag = "2")]
    value_type: Option<ValueType>,
}

#[derive(Message)]
struct ValueType {
    #[prost(message, optional, tag = "1")]
    tensor_type: Option<TensorType>,
}

#[derive(Message)]
struct TensorType {
    #[prost(int32, tag = "1")]
    data_type: i32,
    #[prost(message, optional, tag = "2")]
    shape: Option<Shape>,
}

#[derive(Message)]
struct Shape {
    #[prost(message, repeated, tag = "1")]
    dimensions: Vec<Dimension>,
}

/// Either a size or a name.
#[derive(Message)]
struct Dimension {
    #[prost(int64, optional, tag = "1")]
    size: Option<i64>,
    #[prost(string, optional, tag = "2")]
    name: Option<String>,
}
