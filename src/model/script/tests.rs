use super::parts::{FALSE, write_into};
use super::*;
use crate::kernels::script::archive::Archive;
use crate::kernels::script::archive::PACKAGE;
use crate::kernels::script::pickle::Pickle;
use crate::kernels::script::unpickle::StoredTensor;
use crate::model::{Network, Outline};
use tch::nn::ModuleT;

/// A file with one module of three classes for rows of two values: `weight`, and `seen`, a buffer.
fn file(methods: &str) -> Vec<u8> {
    let mut pickle = Pickle::new();
    pickle.object(&format!("__torch__.{PACKAGE}"), "Net", |fields| {
        fields.text("training");
        fields.boolean(true);
        fields.text("weight");
        fields.tensor("0", &[3, 2], true);
        fields.text("seen");
        fields.tensor("1", &[1], false);
    });
    let mut archive = Archive::new();
    archive.put("data.pkl", &pickle.finish()).unwrap();
    let head = "class Net(Module):\n  __parameters__ = [\"weight\", ]\n  __buffers__ = [\"seen\", ]\n  weight : \
                Tensor\n  seen : Tensor\n  training : bool\n";
    archive.put(&format!("code/__torch__/{PACKAGE}.py"), format!("{head}{methods}").as_bytes()).unwrap();
    let values = |values: &[f32]| values.iter().flat_map(|value| value.to_le_bytes()).collect::<Vec<u8>>();
    archive.put("data/0", &values(&[1.0, 2.0, 3.0, 4.0, 5.0, 6.0])).unwrap();
    archive.put("data/1", &values(&[0.0])).unwrap();
    archive.finish().unwrap()
}

fn loaded(methods: &str) -> Result<Network> {
    let folder = tempfile::tempdir()?;
    let path = folder.path().join("net.pt");
    std::fs::write(&path, file(methods))?;
    Network::scripted(&path, &[2], 3, Device::Cpu)
}

const FORWARD: &str = "  def forward(self: __torch__.fitch.Net, x: Tensor) -> Tensor:\n";
const COUNTING: &str = "    if self.training:\n      _0 = torch.add_(self.seen, 1)\n    else:\n      pass\n    return \
                        torch.linear(x, self.weight)\n";

#[test]
fn parameters_and_buffers_are_variables_with_the_values_of_the_file() {
    let network = loaded(&format!("{FORWARD}{COUNTING}")).unwrap();
    let variables = network.variables().variables();
    assert_eq!(
        Vec::<f32>::try_from(variables["weight"].reshape([-1])).unwrap(),
        [1.0, 2.0, 3.0, 4.0, 5.0, 6.0]
    );
    let seen = || f64::try_from(&variables["seen"]).unwrap();
    assert_eq!(seen(), 0.0, "the trial changes nothing");
    let inputs = Tensor::from_slice(&[1f32, 0.0]).view([1, 2]);
    let logits = network.forward_t(&inputs, true);
    assert!(logits.requires_grad());
    assert_eq!(Vec::<f32>::try_from(logits.reshape([-1])).unwrap(), [1.0, 3.0, 5.0]);
    assert_eq!(seen(), 1.0);
    let _ = network.forward_t(&inputs, false);
    assert_eq!(seen(), 1.0, "not in evaluation mode");
    assert_eq!(network.variables().trainable_variables().len(), 1);
    let outline = Outline::from(&network);
    assert_eq!((outline.parameters, outline.trainable), (7, 6));
}

#[test]
fn an_exported_file_has_the_code_as_it_was_and_the_values_of_now() {
    let network = loaded(&format!("{FORWARD}{COUNTING}")).unwrap();
    let _ = tch::no_grad(|| network.variables().variables()["weight"].shallow_clone().fill_(0.5));
    let parts = network.script().unwrap().parts(network.variables()).unwrap();
    let content = |name: &str| &parts.files.iter().find(|(known, _)| known == name).unwrap().1;
    assert_eq!(*content("data/0"), 0.5f32.to_le_bytes().repeat(6));
    let code = String::from_utf8(content("code/__torch__/fitch.py").clone()).unwrap();
    assert!(code.contains("__buffers__ = [\"seen\", ]"), "{code}");
    // Like the file that it came from, but in evaluation mode.
    let tree = crate::kernels::script::unpickle::object(&parts.pickle).unwrap();
    let crate::kernels::script::unpickle::Value::Boolean(place) = tree.fields[0].1 else {
        panic!("{tree:?}")
    };
    assert_eq!(parts.pickle[place], FALSE);
}

#[test]
fn state_that_cannot_be_kept_is_refused_or_told() {
    let replaces = format!(
        "{FORWARD}    self.seen = torch.add(self.seen, 1)\n    return torch.linear(x, self.weight)\n"
    );
    let fault = format!("{:#}", loaded(&replaces).unwrap_err());
    assert!(fault.contains("puts a new tensor in the place of seen"), "{fault}");
}

#[test]
fn a_network_that_is_always_in_training_is_refused() {
    let drops = format!("{FORWARD}    return torch.linear(torch.dropout(x, 0.5, True), self.weight)\n");
    let normalizes =
        format!("{FORWARD}    return torch.linear(torch.sub(x, torch.mean(x, [0])), self.weight)\n");
    for methods in [drops, normalizes] {
        let fault = loaded(&methods).unwrap_err();
        assert_eq!(fault.downcast_ref(), Some(&ScriptFault::AlwaysInTraining), "{fault:#}");
    }
}

#[test]
fn operators_that_are_missing_are_one_line() {
    let foreign = format!("{FORWARD}    return ops.torchvision.nms(x, x, 0.5)\n");
    let fault = format!("{:#}", loaded(&foreign).unwrap_err());
    assert!(
        fault.contains("cannot be loaded as TorchScript: libtorch: ") && fault.contains("nms"),
        "{fault}"
    );
    assert!(fault.lines().count() == 1 && fault.len() < 500, "{fault}");
}

#[test]
fn values_go_to_their_places_whatever_the_strides() {
    let stored = |offset, size: &[i64], stride: &[i64]| StoredTensor {
        storage: "0".to_string(),
        kind: Kind::Float,
        offset,
        size: size.to_vec(),
        stride: stride.to_vec(),
    };
    let value = Tensor::from_slice(&[1f32, 2.0, 3.0, 4.0, 5.0, 6.0]).view([2, 3]);
    let written = |stored: &StoredTensor| {
        let mut storage = Vec::new();
        write_into(&mut storage, stored, &value).unwrap();
        let floats = storage.chunks(4).map(|bytes| f32::from_le_bytes(bytes.try_into().unwrap()));
        floats.collect::<Vec<_>>()
    };
    assert_eq!(written(&stored(0, &[2, 3], &[3, 1])), [1.0, 2.0, 3.0, 4.0, 5.0, 6.0]);
    assert_eq!(written(&stored(1, &[2, 3], &[1, 2])), [0.0, 1.0, 4.0, 2.0, 5.0, 3.0, 6.0]);
    assert!(write_into(&mut Vec::new(), &stored(0, &[3, 2], &[2, 1]), &value).is_err());
}
