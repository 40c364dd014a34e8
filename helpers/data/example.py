"""A small folder of pictures, made from the embedded sample, to try what takes a user's own."""

from collections.abc import Mapping
from pathlib import Path

import numpy as np
from PIL import Image

from helpers.data.sources import load_sample


def example_folder(path: Path, counts: Mapping[str, int]) -> Path:
    """Write the first training images of classes of CIFAR-10 as PNG files, a folder a class.

    Files that are there stay, so that a second call is quick; gives the folder.

    Args:
        path: of the folder.
        counts: how many images by class, at most the sample's 200.

    Raises:
        ValueError: a class that CIFAR-10 doesn't have, or fewer images than that.
        OSError: the folder cannot be written.
    """
    sample = load_sample()
    for name, count in counts.items():
        if name not in sample.classes:
            raise ValueError(f"no class {name!r}: choose from {', '.join(sample.classes)}")
        chosen = np.flatnonzero(sample.y_train == sample.classes.index(name))[:count]
        if len(chosen) < count:
            raise ValueError(f"{count} images of {name}: the sample has {len(chosen)}")
        folder = path / name
        folder.mkdir(parents=True, exist_ok=True)
        for number, image in enumerate(sample.x_train[chosen]):
            file = folder / f"{number:03}.png"
            if not file.exists():
                Image.fromarray(image).save(file)
    return path
