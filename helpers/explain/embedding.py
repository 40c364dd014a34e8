"""How three models' last features lie: the sample's test images in two dimensions, by t-SNE.

`python -m helpers embedding` computes it in about a minute. t-SNE (van der Maaten and Hinton 2008)
keeps who is near whom; distances between groups, and their sizes, mean nothing.
"""

from pathlib import Path

import numpy as np
import pandas as pd

from helpers import data, records, training
from helpers.records import runs
from helpers.results import chosen, embedding

MODELS = ("resnet20", "vit", "cct")  # CNN, ViT and hybrid of about as many weights
SEED = 0
PERPLEXITY = 30  # scikit-learn's own default: of each class there are 100 images


def run() -> Path:
    """Lay out the images by the run of each model that notebooks use; gives the table's file.

    Raises:
        FileNotFoundError: a model is not recorded, or without its weights.
    """
    found = sources()
    frame = pd.concat([layout(run) for run in found], ignore_index=True)
    path = embedding.file()
    path.parent.mkdir(parents=True, exist_ok=True)
    frame.to_csv(path, index=False, float_format="%.2f", lineterminator="\n")
    records.write_sources(path, found)
    return path


def sources() -> list[runs.Run]:
    """The runs whose features are laid out, see `results.chosen`."""
    return [chosen.best_run(model) for model in MODELS]


def layout(run: runs.Run) -> pd.DataFrame:
    """Rows of `embedding.table` for a run."""
    sample = data.load_sample()
    places = in_two_dimensions(training.features(training.load_model(run), sample.x_test))
    return pd.DataFrame(
        {
            "experiment": run.name,
            "model": run.info["model"],
            "recipe": run.info["recipe"],
            "image": sample.test_index,
            "label": sample.y_test,
            "correct": run.test_logits[sample.test_index].argmax(axis=1) == sample.y_test,
            "x": places[:, 0],
            "y": places[:, 1],
        }
    )


def in_two_dimensions(values: np.ndarray) -> np.ndarray:
    """Places (N, 2) of features (N, D), each feature first set to mean 0 and deviation 1."""
    from sklearn.manifold import TSNE
    from sklearn.preprocessing import StandardScaler
    from threadpoolctl import threadpool_limits

    scaled = StandardScaler().fit_transform(values)
    # Where others compute, too, threads that wait for each other take ten times as long.
    with threadpool_limits(1):
        return TSNE(perplexity=PERPLEXITY, init="pca", random_state=SEED).fit_transform(scaled)
