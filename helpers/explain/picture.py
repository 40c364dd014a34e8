"""What a recorded model sees in a user's own picture."""

from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np

from helpers import explain, files, training
from helpers.data import VARIANTS, read_picture
from helpers.data.folders import OWN
from helpers.records.runs import Run
from helpers.results import metrics, plots
from helpers.training import exporting


def draw(path: Path, run: Run, file: Path | None = None, label: str | None = None) -> str:
    """Draw the maps of one picture, for one class, by every method that the model allows.

    Args:
        path: the picture; its square middle is shrunk to the model's input.
        run: a recorded run on CIFAR-10's classes or a user's own, with its weights.
        file: where the drawing goes, a PNG (default: beside the picture); overwritten.
        label: name of the class to explain (default: the predicted one).

    Returns:
        What the model predicts, and where the drawing is.

    Raises:
        NotImplementedError: Keras runs on JAX.
        ValueError: no picture in the file, an unknown class, a model of other classes.
        OSError: the file cannot be read, or the drawing cannot be written.
    """
    classes = exporting.class_names(run)
    is_own = run.info["data"].startswith(OWN)
    if not is_own and VARIANTS[run.info["data"]].source != "cifar10":
        raise ValueError(f"{run.name} knows other classes than CIFAR-10's: choose cifar10/...")
    if label is not None and label not in classes:
        raise ValueError(f"unknown class {label!r}: choose from {', '.join(classes)}")
    image = read_picture(path, dict(run.config["model_options"]).get("size", 32))[None]
    file = file or path.with_name(f"{path.name}-explained.png")
    if file.resolve() == path.resolve():
        raise ValueError(f"{file} is the picture itself: choose another name for the drawing")
    if file.suffix.lower() != ".png":
        raise ValueError(f"{file}: choose a name that ends in .png")
    model = training.load_model(run)
    probabilities = metrics.softmax(training.predict_logits(model, image))[0]
    best = np.argsort(-probabilities)
    explained = best[0] if label is None else classes.index(label)

    maps = {  # where there is no gradient, an empty panel says so
        name: explain.maps_or_dead(method, model, image, explained)
        for name, method in explain.methods(model).items()
    }
    title = f"{classes[explained]}\n{probabilities[explained]:.2f}"
    plots.use_style()
    figure = plots.heatmaps(image, maps, [title])
    drawing = plots.png(figure)
    with files.whole(file, len(drawing)) as beside:
        beside.write_bytes(drawing)
    plt.close(figure)
    guesses = ", ".join(f"{classes[i]} {probabilities[i]:.2f}" for i in best[:3])
    return f"{plots.label(run.info['model'])}: {guesses}\n{file}: maps for {classes[explained]}"
