"""What contenders do: `python -m helpers.bench.contenders ROLE OPTIONS` is a worker.

It writes a line of facts, then answers each line `ACTION STEPS` with what the steps cost:
seconds, or bytes.  A role is a function that gives its facts, and the actions that turn a number
of steps into their cost.
"""

import json
import os
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
from PIL import Image

from helpers import data
from helpers.experiments import Experiment
from helpers.experiments.recipes import FAST_4, FLIP_AND_CROP, Recipe

PREDICTED = 500  # images a batch of a prediction
IMAGES = 50_000  # that the input pipeline draws from, as many as CIFAR-10 has
RECIPE = Recipe(epochs=1, weight_decay=0.05)


def _keras(model: str, batch: int, recipe: Recipe = RECIPE):
    """One of the study's models, which trains and predicts as the study does."""
    from helpers import models, training
    from helpers.backend import keras
    from helpers.training.batches import Batches

    sample = data.load_sample()
    experiment = training.here(Experiment("cifar10", model, "bench", recipe))
    network = training.new_model(experiment, seed=0)
    first = data.Split(sample, train_index=np.arange(batch), val_index=np.arange(10))
    training.fit(network, recipe, first, seed=0)  # compiles it

    def train(steps):
        """As the records have it: an epoch, without the set-up of `fit`."""
        index = np.resize(np.arange(len(sample.x_train)), steps * batch)
        batches = Batches(
            sample.x_train, sample.y_train, 10, index, batch, recipe.augmentation, seed=0
        )
        times = []

        def note(epoch, logs):
            times.append(time.perf_counter())

        clock = keras.callbacks.LambdaCallback(on_epoch_begin=note, on_epoch_end=note)
        network.fit(batches, shuffle=False, verbose=0, callbacks=[clock])
        return times[1] - times[0]

    def train_and_weigh(steps):
        import resource  # not on every system

        train(steps)
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        return peak * (1 if sys.platform == "darwin" else 1024)

    def predict(steps):
        images = np.resize(sample.x_test, (steps * PREDICTED, 32, 32, 3))
        return _timed(lambda: training.predict_logits(network, images))

    def predict_one(steps):
        image = sample.x_test[:1]
        return _timed(lambda: [training.predict_logits(network, image) for _ in range(steps)])

    actions = (train, train_and_weigh, predict, predict_one)
    return {"macs": models.macs(network), "precision": experiment.settings.precision}, actions


def _fast():
    """The fast network, trained as `fast_4` says."""
    return _keras("fast_cnn", FAST_4.batch_size, replace(FAST_4, epochs=1))


def _torchvision(batch: int):
    """torchvision's ResNet-18 with a stem for small images, in a plain PyTorch loop."""
    import torch
    from torchvision.models import resnet18

    network = resnet18(num_classes=10)
    network.conv1 = torch.nn.Conv2d(3, 64, 3, padding=1, bias=False)
    network.maxpool = torch.nn.Identity()
    network = network.to(memory_format=torch.channels_last).train()
    optimizer = torch.optim.AdamW(
        network.parameters(), lr=RECIPE.learning_rate, weight_decay=RECIPE.weight_decay
    )
    sample = data.load_sample()

    def train(steps):
        index = np.resize(np.arange(len(sample.x_train)), (steps, batch))
        return _timed(lambda: [step(chosen) for chosen in index])

    def step(chosen):
        images = torch.from_numpy(sample.x_train[chosen]).permute(0, 3, 1, 2)  # channels last
        logits = network(images.float() / 127.5 - 1)
        labels = torch.from_numpy(sample.y_train[chosen])
        loss = torch.nn.functional.cross_entropy(logits, labels)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()

    return {}, (train,)


def _matrix(size: int):
    """NumPy's single-precision product of two square matrices."""
    a, b = np.random.default_rng(0).standard_normal((2, size, size), np.float32)
    product = np.empty_like(a)

    def multiply(steps):
        return _timed(lambda: [np.matmul(a, b, out=product) for _ in range(steps)])

    return {}, (multiply,)


def _batches(batch: int):
    """The study's batches with flip and crop."""
    from helpers.training.batches import Batches

    images, labels = _many_images()
    index = np.arange(IMAGES // batch * batch)  # whole batches
    batches = Batches(images, labels, 10, index, batch, FLIP_AND_CROP, seed=0)

    def draw(steps):
        return _timed(lambda: [batches[i % len(batches)] for i in range(steps)])

    return {}, (draw,)


def _loader(batch: int, processes: int):
    """torchvision's transforms of PIL images in a `DataLoader`."""
    from torch.utils.data import DataLoader
    from torchvision import transforms

    images, labels = _many_images()
    transform = transforms.Compose(
        [
            transforms.RandomCrop(32, padding=4),
            transforms.RandomHorizontalFlip(),
            transforms.ToTensor(),
        ]
    )
    order = []  # filled anew for each chunk, whose end leaves no batch drawn in advance
    loader = DataLoader(
        _Images(images, labels, transform),
        batch,
        sampler=order,
        num_workers=processes,
        persistent_workers=processes > 0,
    )
    rng = np.random.default_rng(0)

    def draw(steps):
        order[:] = np.resize(rng.permutation(IMAGES), steps * batch).tolist()
        return _timed(lambda: sum(1 for _ in loader))

    return {}, (draw,)


@dataclass(frozen=True)
class _Images:
    """A data set as `DataLoader` wants it, and may send to a process of its own."""

    images: np.ndarray
    labels: np.ndarray
    transform: Callable

    def __len__(self):
        return len(self.images)

    def __getitem__(self, i):
        return self.transform(Image.fromarray(self.images[i])), self.labels[i]


def _many_images():
    sample = data.load_sample()
    return np.resize(sample.x_train, (IMAGES, 32, 32, 3)), np.resize(sample.y_train, IMAGES)


def _timed(work):
    started = time.perf_counter()
    work()
    return time.perf_counter() - started


ROLES = {
    "keras": _keras,
    "fast": _fast,
    "torchvision": _torchvision,
    "matrix": _matrix,
    "batches": _batches,
    "loader": _loader,
}


def _serve(role: str, options: str) -> None:
    """Be a worker until the input ends."""
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # what libraries print must not mix with the answers
    facts, actions = ROLES[role](**json.loads(options))
    print(json.dumps(facts), file=answers, flush=True)
    actions = {action.__name__: action for action in actions}
    for request in sys.stdin:
        action, steps = request.split()
        print(json.dumps(actions[action](int(steps))), file=answers, flush=True)


if __name__ == "__main__":
    _serve(*sys.argv[1:])
