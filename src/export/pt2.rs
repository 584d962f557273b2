//! PyTorch's `.pt2`, what `torch.export.save` writes: the operators of the model as a graph in JSON, and its weights
//! beside it, in a zip archive. Written from the layer specification, as of torch 2.11 (schema 8.17).
//!
//! The schema is that of `torch/_export/serde/schema.py`.

use super::{CARD_NAME, ImageInput, TrainedModel, Weight, weights_of};
use crate::kernels::script::archive::Archive;
use crate::kernels::script::pickle::Pickle;
use crate::model::PlacedLayer;
use crate::model::layers::{AtenArgument, AtenOperator};
use anyhow::Result;
use serde_json::{Map, Value, json};

const SCHEMA: [i64; 2] = [8, 17];
const TORCH: &str = "2.11.0";
const ATEN_OPSET: i64 = 10;
/// The type of values in the schema (`ScalarType`).
const BYTE: i64 = 1;
const FLOAT: i64 = 7;
/// The name of the program among others that an archive can hold.
const NAME: &str = "model";
/// The symbol for the number of images.
const BATCH: &str = "s0";
/// Images in the example that compilers look at. Of one image, some take the number for a constant.
const EXAMPLE: i64 = 2;

/// The bytes of the file: `images` in, of that type and for any number of them, probabilities out, float32
/// [n, classes]. The model's card is in `extra/fitch.json`.
///
/// # Errors
/// Weights that do not belong to the model.
pub fn program_bytes(trained: TrainedModel, input: ImageInput) -> Result<Vec<u8>> {
    let TrainedModel { model, variables, card } = trained;
    let variables = variables.variables();
    let mut graph = Graph::default();
    let mut archive = Archive::new();
    archive.put("archive_format", b"pt2")?;
    archive.put("archive_version", b"0")?;
    archive.put("byteorder", b"little")?;
    archive.put(".data/version", b"6\n")?;
    let mut layers: Vec<(&PlacedLayer, Vec<String>)> = Vec::new();
    for placed in model.all_layers() {
        let kinds = placed.parameters();
        let mut names = Vec::new();
        for (weight, kind) in weights_of(placed, &variables)?.iter().zip(&kinds) {
            let file = format!("weight_{}", graph.weights.len());
            archive.put(&format!("data/weights/{file}"), &weight.little_endian_bytes())?;
            names.push(graph.add_weight(weight, kind.is_trainable, &file));
        }
        layers.push((placed, names));
    }
    let example = std::iter::once(EXAMPLE).chain(model.sample_shape.iter().copied()).collect::<Vec<_>>();
    graph.add_images(input, &model.sample_shape, model.first_shape(), card.input.maximum);
    for (placed, parameters) in &layers {
        if let Some(temperature) = card.temperature.filter(|_| placed.name == model.softmax.name) {
            let by = json!({ "as_float": temperature });
            graph.add("div.Tensor", "calibrated", vec![("other", by)], "self", &placed.input);
        }
        graph.add_layer(placed, parameters);
    }
    archive
        .put("data/weights/model_weights_config.json", &json_bytes(&json!({ "config": graph.weights }))?)?;
    archive.put("data/constants/model_constants_config.json", br#"{"config": {}}"#)?;
    archive.put("data/sample_inputs/model.pt", &sample_inputs(input, &example)?)?;
    archive.put(&format!("models/{NAME}.json"), &json_bytes(&graph.program())?)?;
    archive.put(&format!("extra/{CARD_NAME}"), &serde_json::to_vec_pretty(card)?)?;
    archive.close()
}

fn json_bytes(value: &Value) -> Result<Vec<u8>> {
    Ok(serde_json::to_vec(value)?)
}

/// `((images,), {})`, as `torch.save` writes it: images of zeros.
fn sample_inputs(input: ImageInput, shape: &[i64]) -> Result<Vec<u8>> {
    let (class, width) = match input {
        ImageInput::Uint8 => ("ByteStorage", 1),
        ImageInput::Float => ("FloatStorage", 4),
    };
    let mut pickle = Pickle::new();
    pickle.tuple(|both| {
        both.tuple(|arguments| arguments.tensor_of(class, "0", shape, false));
        both.empty_dictionary();
    });
    let mut archive = Archive::new();
    archive.put("data.pkl", &pickle.finish())?;
    archive.put("data/0", &vec![0; shape.iter().product::<i64>() as usize * width])?;
    archive.finish_data()
}

/// A graph that is being written.
#[derive(Default)]
struct Graph {
    /// By the names of the variables.
    weights: Map<String, Value>,
    inputs: Vec<Value>,
    specifications: Vec<Value>,
    nodes: Vec<Value>,
    values: Map<String, Value>,
    /// The name of the last value.
    current: String,
}

impl Graph {
    /// Adds a weight in the file of that name; gives the name of its value.
    fn add_weight(&mut self, weight: &Weight, is_parameter: bool, file: &str) -> String {
        let letter = if is_parameter { 'p' } else { 'b' };
        let name = format!("{letter}_{}", weight.name.replace('.', "_"));
        let described = tensor(
            FLOAT,
            weight.shape.iter().map(|size| json!({ "as_int": size })).collect(),
            &weight.shape,
            is_parameter,
        );
        self.weights.insert(
            weight.name.clone(),
            json!({ "path_name": file, "is_param": is_parameter, "use_pickle": false, "tensor_meta": described.clone() }),
        );
        let argument = json!({ "name": name });
        self.specifications.push(match is_parameter {
            true => json!({ "parameter": { "arg": argument, "parameter_name": weight.name } }),
            false => json!({ "buffer": { "arg": argument, "buffer_name": weight.name, "persistent": true } }),
        });
        self.inputs.push(value(&name));
        self.values.insert(name.clone(), described);
        name
    }

    /// Adds the images, scaled and in the shape of the first layer.
    fn add_images(&mut self, input: ImageInput, shape: &[i64], first_shape: &[i64], maximum: f64) {
        let kind = if input == ImageInput::Uint8 { BYTE } else { FLOAT };
        let images = value("images");
        self.inputs.push(images.clone());
        self.specifications.push(json!({ "user_input": { "arg": images } }));
        self.values.insert("images".to_string(), samples(kind, shape));
        self.current = "images".to_string();
        let size = [argument("self", images.clone()), argument("dim", json!({ "as_int": 0 }))];
        self.nodes.push(node(
            "sym_size.int",
            "batch",
            &size,
            json!({ "as_sym_int": { "as_name": "batch" } }),
        ));
        let mut kind = argument("dtype", json!({ "as_scalar_type": kind }));
        kind["kind"] = json!(2); // by its name
        let checked = [argument("a", images), kind];
        self.nodes.push(node("_assert_tensor_metadata.default", "right_type", &checked, Value::Null));
        if input == ImageInput::Uint8 {
            self.add(
                "to.dtype",
                "pixels",
                vec![("dtype", json!({ "as_scalar_type": FLOAT }))],
                "self",
                shape,
            );
            self.add("div.Tensor", "scaled", vec![("other", json!({ "as_float": maximum }))], "self", shape);
        }
        let sizes = first_shape.iter().map(|size| json!({ "as_int": size }));
        let sizes: Vec<Value> = std::iter::once(json!({ "as_name": "batch" })).chain(sizes).collect();
        self.add(
            "reshape.default",
            "shaped",
            vec![("shape", json!({ "as_sym_ints": sizes }))],
            "self",
            first_shape,
        );
    }

    fn add_layer(&mut self, placed: &PlacedLayer, parameters: &[String]) {
        let operators = placed.layer.aten(&placed.input);
        let last = operators.len();
        for (index, AtenOperator { name, values, arguments }) in operators.into_iter().enumerate() {
            let described = |described: AtenArgument| match described {
                AtenArgument::Parameter(index) => value(&parameters[index]),
                AtenArgument::Integer(value) => json!({ "as_int": value }),
                AtenArgument::Integers(values) => json!({ "as_ints": values }),
                AtenArgument::Real(value) => json!({ "as_float": value }),
                AtenArgument::Boolean(value) => json!({ "as_bool": value }),
            };
            let arguments =
                arguments.into_iter().map(|(name, argument)| (name, described(argument))).collect();
            let of_operator =
                if index + 1 == last { placed.name.clone() } else { format!("{}_{index}", placed.name) };
            self.add(name, &of_operator, arguments, values, &placed.output);
        }
    }

    /// Adds an operator on the last value; `output` is the shape of a sample.
    fn add(&mut self, target: &str, name: &str, arguments: Vec<(&str, Value)>, first: &str, output: &[i64]) {
        let mut inputs = vec![argument(first, value(&self.current))];
        inputs.extend(arguments.into_iter().map(|(name, value)| argument(name, value)));
        self.nodes.push(node(target, name, &inputs, value(name)));
        self.values.insert(name.to_string(), samples(FLOAT, output));
        self.current = name.to_string();
    }

    /// The whole description.
    fn program(self) -> Value {
        let output = value(&self.current);
        // One positional argument, no other; one output.
        let leaf = r#"{"type": null, "context": null, "children_spec": []}"#;
        let positional =
            format!(r#"{{"type": "builtins.tuple", "context": "null", "children_spec": [{leaf}]}}"#);
        let named = r#"{"type": "builtins.dict", "context": "[]", "children_spec": []}"#;
        let inputs = format!(
            r#"[1, {{"type": "builtins.tuple", "context": "null", "children_spec": [{positional}, {named}]}}]"#
        );
        let call = json!({
            "inputs": [], "outputs": [], "in_spec": inputs, "out_spec": format!("[1, {leaf}]"),
            "forward_arg_names": ["images"],
        });
        json!({
            "graph_module": {
                "graph": {
                    "inputs": self.inputs,
                    "outputs": [output],
                    "nodes": self.nodes,
                    "tensor_values": self.values,
                    "sym_int_values": { "batch": batch() },
                    "sym_bool_values": {},
                    "is_single_tensor_return": false,
                    "custom_obj_values": {},
                    "sym_float_values": {},
                },
                "signature": {
                    "input_specs": self.specifications,
                    "output_specs": [{ "user_output": { "arg": output } }],
                },
                "module_call_graph": [{ "fqn": "", "signature": call }],
                "metadata": {},
                "treespec_namedtuple_fields": {},
            },
            "opset_version": { "aten": ATEN_OPSET },
            "range_constraints": { BATCH: { "min_val": 1, "max_val": null } },
            "schema_version": { "major": SCHEMA[0], "minor": SCHEMA[1] },
            "verifiers": ["TRAINING"],
            "torch_version": TORCH,
            "guards_code": [],
        })
    }
}

fn value(name: &str) -> Value {
    json!({ "as_tensor": { "name": name } })
}

/// An argument; 1 stands for one that is given by its place.
fn argument(name: &str, value: Value) -> Value {
    json!({ "name": name, "arg": value, "kind": 1 })
}

fn node(target: &str, name: &str, inputs: &[Value], output: Value) -> Value {
    let outputs: Vec<Value> = Some(output).filter(|output| !output.is_null()).into_iter().collect();
    json!({
        "target": format!("torch.ops.aten.{target}"),
        "inputs": inputs,
        "outputs": outputs,
        "metadata": {},
        "is_hop_single_tensor_return": null,
        "name": name,
    })
}

/// The number of images.
fn batch() -> Value {
    let symbol = format!("Symbol('{BATCH}', positive=True, integer=True)");
    json!({ "as_expr": { "expr_str": symbol, "hint": { "as_int": EXAMPLE } } })
}

/// Any number of samples of that shape.
fn samples(kind: i64, shape: &[i64]) -> Value {
    let sizes = shape.iter().map(|size| json!({ "as_int": size }));
    let whole: Vec<i64> = std::iter::once(EXAMPLE).chain(shape.iter().copied()).collect();
    tensor(kind, std::iter::once(batch()).chain(sizes).collect(), &whole, false)
}

/// A contiguous tensor; `shape` is one that it may have.
fn tensor(kind: i64, sizes: Vec<Value>, shape: &[i64], requires_grad: bool) -> Value {
    let mut strides = vec![1; shape.len()];
    for axis in (1..shape.len()).rev() {
        strides[axis - 1] = strides[axis] * shape[axis];
    }
    let strides: Vec<Value> = strides.into_iter().map(|stride| json!({ "as_int": stride })).collect();
    json!({
        "dtype": kind,
        "sizes": sizes,
        "requires_grad": requires_grad,
        "device": { "type": "cpu", "index": null },
        "strides": strides,
        "storage_offset": { "as_int": 0 },
        "layout": 7, // dense
    })
}
