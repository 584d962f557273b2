"""Checks the files of one model against what the network itself says of the same images: TorchScript with
torch.jit, .pt2 with torch.export, ONNX with onnx's checker and with onnxruntime. The folder is the only argument."""

import json
import os
import struct
import sys

import numpy
import onnx
import onnxruntime
import torch

folder = sys.argv[1]


def path(name):
    return os.path.join(folder, name)


def read_safetensors(name):
    with open(name, "rb") as file:
        (length,) = struct.unpack("<Q", file.read(8))
        header, data = json.loads(file.read(length)), file.read()
    kinds = {"F32": numpy.float32, "U8": numpy.uint8}
    return {
        key: numpy.frombuffer(data[slice(*entry["data_offsets"])], kinds[entry["dtype"]]).reshape(entry["shape"]).copy()
        for key, entry in header.items()
        if key != "__metadata__"
    }


def assert_close(found, expected, tolerance, what):
    distance = numpy.abs(found - expected).max()
    assert found.shape == expected.shape and distance <= tolerance, f"{what} is off by {distance}"
    assert (found.argmax(1) == expected.argmax(1)).all(), f"{what} gives other classes"
    print(f"{what}: off by at most {distance:.2g} on {len(found)} images")


expected = read_safetensors(path("expected.safetensors"))
with open(path("fitch.json")) as file:
    card = json.load(file)
raw = torch.from_numpy(expected["images"])
scaled = raw.float() / card["input"]["maximum"]

# TorchScript: values, from every form of the images.
extra = {"fitch.json": ""}
module = torch.jit.load(path("model.pt"), map_location="cpu", _extra_files=extra)
assert json.loads(extra["fitch.json"]) == card
assert not module.training
with torch.no_grad():
    for what, images in [("raw", raw), ("scaled", scaled), ("flat", scaled.flatten(1))]:
        assert_close(module.logits(images).numpy(), expected["logits"], 1e-6, f"logits of {what} images")
        assert_close(module(images).numpy(), expected["probabilities"], 1e-6, f"probabilities of {what} images")
    sums = module(raw).sum(1)
    assert torch.allclose(sums, torch.ones_like(sums), atol=1e-6)
    assert module(raw[:0]).shape == (0, len(card["classes"]))
    few = [torch.cat([module.logits(raw[i : i + 1]) for i in range(20)]), module.logits(raw[:2])]
    for part in few:
        assert_close(part.numpy(), expected["logits"][: len(part)], 1e-5, "logits of small batches")

# The weights go into a plain module of the same layers, and can be trained.
state = module.state_dict()
assert all(value.dtype == torch.float32 for value in state.values())
assert all(parameter.requires_grad for parameter in module.parameters())
dense = {name.split(".")[0]: value.shape for name, value in state.items() if name.startswith("dense") and value.dim() == 2}
plain = torch.nn.ModuleDict({name: torch.nn.Linear(shape[1], shape[0]) for name, shape in dense.items()})
of_dense = {name: value for name, value in state.items() if name.startswith("dense")}
assert str(plain.load_state_dict(of_dense)) == "<All keys matched successfully>"

images, labels = raw[:64], torch.from_numpy(expected["logits"][:64].argmax(1))
if "dropout" in card["layers"]:
    module.train()
    assert not torch.equal(module.logits(images), module.logits(images)), "train() turns dropout on"
    module.eval()
assert torch.equal(module.logits(images), module.logits(images)), "eval() turns dropout off"
module.train()
optimizer = torch.optim.SGD(module.parameters(), lr=0.1)
torch.nn.functional.cross_entropy(module.logits(images), labels).backward()
assert all(parameter.grad is not None for parameter in module.parameters())
before = module.dense_1.weight.detach().clone()
optimizer.step()
module.eval()
torch.jit.save(module, path("tuned.pt"), _extra_files=extra)
tuned = torch.jit.load(path("tuned.pt"))
assert torch.equal(tuned.logits(images), module.logits(images))
assert not torch.equal(tuned.dense_1.weight, before)
frozen = torch.jit.freeze(tuned)
assert torch.allclose(frozen(images), tuned(images), atol=1e-6)
if torch.cuda.is_available():
    on_gpu = torch.jit.load(path("model.pt"), map_location="cuda")
    assert_close(on_gpu(raw).cpu().detach().numpy(), expected["probabilities"], 1e-3, "probabilities on a GPU")

# .pt2: as torch.export's own files, for any number of images of one type.
for name, images in [("uint8.pt2", raw), ("float.pt2", scaled)]:
    extra = {"fitch.json": ""}
    program = torch.export.load(path(name), extra_files=extra)
    assert json.loads(extra["fitch.json"]) == card
    module = program.module()
    assert set(module.state_dict()) == set(state)
    with torch.no_grad():
        assert_close(module(images).numpy(), expected["probabilities"], 1e-6, f"probabilities of {name}")
        for count in [1, 7]:
            few = module(images[:count]).numpy()
            assert_close(few, expected["probabilities"][:count], 1e-5, f"probabilities of {name}, {count} images")
    try:
        module(images.double())
    except Exception as error:
        assert "dtype" in str(error), error
    else:
        raise AssertionError(f"{name} takes other types")

# ONNX: the standard's own checker, then another program's arithmetic.
for name, images in [("uint8.onnx", raw), ("float.onnx", scaled)]:
    model = onnx.load(path(name))
    onnx.checker.check_model(model, full_check=True)
    told = {entry.key: entry.value for entry in model.metadata_props}
    assert told["layers"] == card["layers"] and json.loads(told["classes"]) == card["classes"], told
    assert json.loads(told["input"]) == card["input"] and json.loads(told["config"]) == card["config"]
    versions = (8, 17) if "layernorm" in card["layers"] else (7, 13)
    assert (model.ir_version, model.opset_import[0].version) == versions
    session = onnxruntime.InferenceSession(path(name), providers=["CPUExecutionProvider"])
    probabilities, logits = session.run(["probabilities", "logits"], {"images": images.numpy()})
    assert_close(probabilities, expected["probabilities"], 1e-5, f"probabilities of {name}")
    assert numpy.abs(logits - expected["logits"]).max() < 1e-3
    (few,) = session.run(["probabilities"], {"images": images[:3].numpy()})
    assert_close(few, expected["probabilities"][:3], 1e-5, f"probabilities of {name}, 3 images")
print("all is well")
