"""Reads the event files of a run with TensorBoard's own reader and prints them as JSON: for train and
validation, of each scalar a list of [step, value]; and the text of the model summary."""

import json
import os
import sys

from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

told = {}
for folder in ["train", "validation"]:
    events = EventAccumulator(os.path.join(sys.argv[1], folder)).Reload()
    told[folder] = {
        tag: [[event.step, event.value] for event in events.Scalars(tag)] for tag in events.Tags()["scalars"]
    }
    for tag in events.Tags()["tensors"]:
        told["text"] = events.Tensors(tag)[0].tensor_proto.string_val[0].decode()
print(json.dumps(told))
