//! The messages of `onnx.proto` (as of ONNX 1.15), as far as fitch writes them.

use crate::protobuf::{Bytes, Packed, message};

message! {
    pub struct OnnxModel {
        1 => ir_version: i64,
        2 => producer_name: String,
        3 => producer_version: String,
        7 => graph: Option<Graph>,
        8 => opsets: Vec<Opset>,
        14 => metadata: Vec<Entry>,
    }
}

message! {
    pub struct Opset {
        1 => domain: String,
        2 => version: i64,
    }
}

message! {
    pub struct Entry {
        1 => key: String,
        2 => value: String,
    }
}

message! {
    pub struct Graph {
        1 => nodes: Vec<Node>,
        2 => name: String,
        5 => initializers: Vec<TensorValues>,
        11 => inputs: Vec<ValueInfo>,
        12 => outputs: Vec<ValueInfo>,
    }
}

message! {
    pub struct Node {
        1 => inputs: Vec<String>,
        2 => outputs: Vec<String>,
        3 => name: String,
        4 => operator: String,
        5 => attributes: Vec<Attribute>,
    }
}

message! {
    pub struct Attribute {
        1 => name: String,
        2 => real: Option<f32>,
        3 => integer: Option<i64>,
        8 => integers: Vec<i64>,
        20 => kind: i32,
    }
}

message! {
    pub struct TensorValues {
        1 => sizes: Packed,
        2 => data_type: i32,
        8 => name: String,
        9 => raw: Bytes,
    }
}

message! {
    pub struct ValueInfo {
        1 => name: String,
        2 => value_type: Option<ValueType>,
    }
}

message! {
    pub struct ValueType {
        1 => tensor_type: Option<TensorType>,
    }
}

message! {
    pub struct TensorType {
        1 => data_type: i32,
        2 => shape: Option<Shape>,
    }
}

message! {
    pub struct Shape {
        1 => dimensions: Vec<Dimension>,
    }
}

message! {
    /// Either a size or a name.
    pub struct Dimension {
        1 => size: Option<i64>,
        2 => name: Option<String>,
    }
}
