"""Trains the reference network on MNIST as users of other frameworks would at their best: data in memory,
everything compiled that can be, fused optimizers. One contender a process:

    peers.py CONTENDER MNIST_FOLDER --epochs 7 --threads 2

prints a line of JSON: the seconds of each epoch (without validation), the test accuracy, the versions.
CONTENDER is jax, keras-jax, keras-tensorflow, torch or torch-compile; torch-cnn or torch-cnn-bfloat16, which
train the network of `fitch train --model cnn`, and time an evaluation too; torch-ddp or torch-ddp-cnn, which
train in a process for each thread, by DistributedDataParallel over gloo; or keras-digits, which does the whole
job of `fitch train` on the digits with their file instead of the folder: split, early stopping with the best
weights, history as CSV, test set, model file.
"""

import argparse
import gzip
import json
import os
import struct
import tempfile
import time

import numpy as np

BATCH = 128


def read_idx(path):
    with gzip.open(path) if path.endswith(".gz") else open(path, "rb") as file:
        dimensions = struct.unpack(">HBB", file.read(4))[2]
        shape = struct.unpack(f">{dimensions}I", file.read(4 * dimensions))
        return np.frombuffer(file.read(), np.uint8).reshape(shape)


def mnist(folder):
    """The first 54,000 training images (the rest is held out), and the test images."""

    def read(name):
        path = os.path.join(folder, name)
        return read_idx(path if os.path.exists(path) else path + ".gz")

    images, labels = read("train-images-idx3-ubyte"), read("train-labels-idx1-ubyte")
    test_images, test_labels = read("t10k-images-idx3-ubyte"), read("t10k-labels-idx1-ubyte")
    flat = lambda images: images.reshape(len(images), -1)
    return (flat(images[:54_000]), labels[:54_000]), (flat(test_images), test_labels)


def jax_scan(folder, epochs):
    """Every full batch of an epoch in one scan, then the last, smaller batch."""
    import jax
    import jax.numpy as jnp

    # XLA's own generator, the fastest one on a CPU.
    jax.config.update("jax_default_prng_impl", "rbg")
    (images, labels), (test_images, test_labels) = mnist(folder)
    images, labels = jnp.asarray(images), jnp.asarray(labels, jnp.int32)
    sizes = [784, 512, 512, 10]

    def initial(key):
        parameters = []
        for inputs, outputs in zip(sizes, sizes[1:]):
            key, own = jax.random.split(key)
            bound = (6 / (inputs + outputs)) ** 0.5
            weight = jax.random.uniform(own, (inputs, outputs), minval=-bound, maxval=bound)
            parameters.append((weight, jnp.zeros(outputs)))
        return parameters

    def logits(parameters, x, key=None):
        for number, (weight, bias) in enumerate(parameters):
            x = x @ weight + bias
            if number < len(parameters) - 1:
                x = jax.nn.relu(x)
                if key is not None:
                    key, own = jax.random.split(key)
                    x = jnp.where(jax.random.bernoulli(own, 0.8, x.shape), x / 0.8, 0)
        return x

    def loss(parameters, rows, key):
        x, y = images[rows].astype(jnp.float32) / 255, labels[rows]
        return -jnp.take_along_axis(jax.nn.log_softmax(logits(parameters, x, key)), y[:, None], 1).mean()

    def step(state, rows):
        parameters, first, second, count, key = state
        key, own = jax.random.split(key)
        value, gradients = jax.value_and_grad(loss)(parameters, rows, own)
        count = count + 1
        tree = jax.tree_util.tree_map
        first = tree(lambda m, g: 0.9 * m + 0.1 * g, first, gradients)
        second = tree(lambda v, g: 0.999 * v + 0.001 * g * g, second, gradients)
        rate = 0.001 * jnp.sqrt(1 - 0.999**count) / (1 - 0.9**count)
        parameters = tree(lambda p, m, v: p - rate * m / (jnp.sqrt(v) + 1e-7), parameters, first, second)
        return (parameters, first, second, count, key), value

    def epoch(state, rows, rest):
        state, values = jax.lax.scan(step, state, rows)
        return step(state, rest)[0], values.mean()

    epoch = jax.jit(epoch, donate_argnums=0)
    parameters = initial(jax.random.key(0))
    zeros = lambda: jax.tree_util.tree_map(jnp.zeros_like, parameters)
    state = (parameters, zeros(), zeros(), jnp.zeros(()), jax.random.key(1))
    order, seconds = np.random.default_rng(0), []
    for _ in range(epochs):
        start = time.perf_counter()
        rows = order.permutation(len(images))
        full = len(rows) // BATCH * BATCH
        state, value = epoch(state, rows[:full].reshape(-1, BATCH), rows[full:])
        value.block_until_ready()
        seconds.append(time.perf_counter() - start)
    found = logits(state[0], jnp.asarray(test_images, jnp.float32) / 255).argmax(-1)
    return seconds, float((np.asarray(found) == test_labels).mean()), f"jax {jax.__version__}"


def keras_network(keras, inputs):
    return keras.Sequential([
        keras.Input((inputs,)),
        keras.layers.Dense(512, activation="relu"),
        keras.layers.Dropout(0.2),
        keras.layers.Dense(512, activation="relu"),
        keras.layers.Dropout(0.2),
        keras.layers.Dense(10, activation="softmax"),
    ])


def keras_fit(backend, folder, epochs):
    os.environ["KERAS_BACKEND"] = backend
    import keras

    (images, labels), (test_images, test_labels) = mnist(folder)
    images, test_images = images.astype("float32") / 255, test_images.astype("float32") / 255
    network = keras_network(keras, 784)
    network.compile("adam", "sparse_categorical_crossentropy", metrics=["accuracy"])

    class Clock(keras.callbacks.Callback):
        seconds = []

        def on_epoch_begin(self, epoch, logs=None):
            self.start = time.perf_counter()

        def on_epoch_end(self, epoch, logs=None):
            self.seconds.append(time.perf_counter() - self.start)

    clock = Clock()
    network.fit(images, labels, batch_size=BATCH, epochs=epochs, verbose=0, callbacks=[clock])
    accuracy = network.evaluate(test_images, test_labels, batch_size=2048, verbose=0)[1]
    return clock.seconds, accuracy, f"keras {keras.__version__} on {backend}"


def torch_epochs(loss, optimizer, images, labels, epochs, rank=0, size=1):
    """The seconds of each epoch. One of several processes takes its part of each batch."""
    import torch

    seconds, order = [], torch.Generator().manual_seed(0)
    for _ in range(epochs):
        start = time.perf_counter()
        total = torch.zeros(())
        for rows in torch.randperm(len(images), generator=order).split(BATCH):
            rows = rows[len(rows) * rank // size : len(rows) * (rank + 1) // size]
            value = loss(images[rows], labels[rows])
            optimizer.zero_grad(set_to_none=True)
            value.backward()
            optimizer.step()
            total += value.detach()
        total.item()
        seconds.append(time.perf_counter() - start)
    return seconds


def initialized(network):
    from torch import nn

    for layer in network:
        if isinstance(layer, (nn.Linear, nn.Conv2d)):
            nn.init.xavier_uniform_(layer.weight)
            nn.init.zeros_(layer.bias)
    return network


def torch_dense():
    from torch import nn

    return initialized(nn.Sequential(
        nn.Linear(784, 512), nn.ReLU(), nn.Dropout(0.2),
        nn.Linear(512, 512), nn.ReLU(), nn.Dropout(0.2),
        nn.Linear(512, 10),
    ))


def torch_convolutions():
    import torch
    from torch import nn

    return initialized(nn.Sequential(
        nn.Conv2d(1, 16, 3), nn.ReLU(), nn.Conv2d(16, 16, 3), nn.ReLU(), nn.MaxPool2d(2),
        nn.Conv2d(16, 32, 3, padding=1), nn.ReLU(), nn.Conv2d(32, 32, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2),
        nn.Dropout(0.25), nn.Flatten(), nn.Linear(1152, 128), nn.ReLU(), nn.Dropout(0.25), nn.Linear(128, 10),
    ).to(memory_format=torch.channels_last))


def torch_fused(folder, epochs, threads, compiled=False):
    import torch
    from torch import nn

    torch.set_num_threads(threads)
    torch.manual_seed(0)
    (images, labels), (test_images, test_labels) = mnist(folder)
    images, labels = torch.tensor(images), torch.tensor(labels, dtype=torch.int64)
    network = torch_dense()
    optimizer = torch.optim.Adam(network.parameters(), lr=0.001, eps=1e-7, fused=True)

    def loss(x, y):
        return nn.functional.cross_entropy(network(x.float() / 255), y)

    if compiled:
        loss = torch.compile(loss)
    seconds = torch_epochs(loss, optimizer, images, labels, epochs)
    network.eval()
    with torch.no_grad():
        found = network(torch.tensor(test_images).float() / 255).argmax(-1).numpy()
    name = "torch.compile" if compiled else "torch, fused Adam"
    return seconds, float((found == test_labels).mean()), f"{name} {torch.__version__}"


def torch_cnn(folder, epochs, threads, half):
    import torch
    from torch import nn

    torch.set_num_threads(threads)
    torch.manual_seed(0)
    (images, labels), (test_images, test_labels) = mnist(folder)
    as_images = lambda pixels: torch.tensor(pixels).view(-1, 1, 28, 28)
    images, labels, test_images = as_images(images), torch.tensor(labels, dtype=torch.int64), as_images(test_images)
    network = torch_convolutions()
    optimizer = torch.optim.Adam(network.parameters(), lr=0.001, eps=1e-7, fused=True)

    def logits(x):
        x = (x.float() / 255).contiguous(memory_format=torch.channels_last)
        with torch.autocast("cpu", torch.bfloat16, enabled=half):
            return network(x).float()

    loss = lambda x, y: nn.functional.cross_entropy(logits(x), y)
    seconds = torch_epochs(loss, optimizer, images, labels, epochs)
    network.eval()
    evaluations = []
    for _ in range(5):
        start = time.perf_counter()
        with torch.inference_mode():
            found = torch.cat([logits(part).argmax(-1) for part in test_images.split(1024)]).numpy()
        evaluations.append(time.perf_counter() - start)
    accuracy = float((found == test_labels).mean())
    return seconds, accuracy, f"torch, channels last, fused Adam {torch.__version__}", sorted(evaluations)[2]


def torch_ddp(folder, epochs, processes, with_convolutions):
    """One thread in each process."""
    import torch.multiprocessing

    with tempfile.TemporaryDirectory() as place:
        report = os.path.join(place, "report")
        arguments = (processes, place, report, folder, epochs, with_convolutions)
        fork = torch.multiprocessing.get_context("fork")
        started = [fork.Process(target=ddp_process, args=(rank, *arguments)) for rank in range(processes)]
        for process in started:
            process.start()
        for process in started:
            process.join()
        with open(report) as file:
            return json.load(file)


def ddp_process(rank, size, place, report, folder, epochs, with_convolutions):
    import torch
    from torch import nn

    torch.set_num_threads(1)
    torch.manual_seed(rank)
    meeting = f"file://{place}/meeting"
    torch.distributed.init_process_group("gloo", init_method=meeting, rank=rank, world_size=size)
    (images, labels), (test_images, test_labels) = mnist(folder)
    images, labels, test_images = torch.tensor(images), torch.tensor(labels, dtype=torch.int64), torch.tensor(test_images)
    network = torch_convolutions() if with_convolutions else torch_dense()
    parallel = nn.parallel.DistributedDataParallel(network)
    optimizer = torch.optim.Adam(parallel.parameters(), lr=0.001, eps=1e-7, fused=True)

    def prepared(x):
        x = x.float() / 255
        return x.view(-1, 1, 28, 28).contiguous(memory_format=torch.channels_last) if with_convolutions else x

    loss = lambda x, y: nn.functional.cross_entropy(parallel(prepared(x)), y)
    seconds = torch_epochs(loss, optimizer, images, labels, epochs, rank, size)
    if rank == 0:
        network.eval()
        with torch.inference_mode():
            found = torch.cat([network(prepared(part)).argmax(-1) for part in test_images.split(1024)]).numpy()
        version = f"torch, DistributedDataParallel {torch.__version__}"
        with open(report, "w") as file:
            json.dump((seconds, float((found == test_labels).mean()), version), file)
    torch.distributed.destroy_process_group()


def keras_digits(file):
    os.environ["KERAS_BACKEND"] = "jax"
    import keras

    table = np.loadtxt(gzip.open(file, "rt"), delimiter=",")
    images, labels = table[:, :64].astype("float32") / 16, table[:, 64].astype("int64")
    # Every fifth of a class is for testing; of the rest, a tenth of each class for validation.
    order, train, validation, test = np.random.default_rng(0), [], [], []
    for digit in range(10):
        rows = np.flatnonzero(labels == digit)
        test.extend(rows[4::5])
        rest = order.permutation(np.setdiff1d(rows, rows[4::5]))
        held_out = round(len(rest) / 10)
        validation.extend(rest[:held_out])
        train.extend(rest[held_out:])
    network = keras_network(keras, 64)
    network.compile("adam", "sparse_categorical_crossentropy", metrics=["accuracy"])
    with tempfile.TemporaryDirectory() as folder:
        network.fit(
            images[train], labels[train], batch_size=BATCH, epochs=100, verbose=0,
            validation_data=(images[validation], labels[validation]),
            callbacks=[
                keras.callbacks.EarlyStopping("val_loss", patience=5, restore_best_weights=True),
                keras.callbacks.CSVLogger(os.path.join(folder, "history.csv")),
            ],
        )
        network.save(os.path.join(folder, "model.keras"))
    accuracy = network.evaluate(images[test], labels[test], verbose=0)[1]
    return [], accuracy, f"keras {keras.__version__} on jax"


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("contender")
    parser.add_argument("data")
    parser.add_argument("--epochs", type=int, default=7)
    parser.add_argument("--threads", type=int, default=2)
    options = parser.parse_args()
    data, epochs, threads = options.data, options.epochs, options.threads
    # Not every framework can be told a number of threads, but all take the cores that there are for them.
    os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[:threads])
    contenders = {
        "jax": lambda: jax_scan(data, epochs),
        "keras-jax": lambda: keras_fit("jax", data, epochs),
        "keras-tensorflow": lambda: keras_fit("tensorflow", data, epochs),
        "torch": lambda: torch_fused(data, epochs, threads),
        "torch-compile": lambda: torch_fused(data, epochs, threads, compiled=True),
        "torch-cnn": lambda: torch_cnn(data, epochs, threads, half=False),
        "torch-cnn-bfloat16": lambda: torch_cnn(data, epochs, threads, half=True),
        "torch-ddp": lambda: torch_ddp(data, epochs, threads, with_convolutions=False),
        "torch-ddp-cnn": lambda: torch_ddp(data, epochs, threads, with_convolutions=True),
        "keras-digits": lambda: keras_digits(data),
    }
    seconds, accuracy, version, *evaluation = contenders[options.contender]()
    report = {"seconds": seconds, "accuracy": accuracy, "version": version}
    print(json.dumps(report | ({"evaluation": evaluation[0]} if evaluation else {})))


main()
