"""Which run of a model the notebooks use: seed 0 of the recipe that validation says is best.

The test set has no say, so that what is shown of a model was not picked by what is shown.
"""

from pathlib import Path

import numpy as np

from helpers.records import runs

# Those of all families whose weights are kept; of equals, the first one counts.
RECIPES = ("short", "matched", "searched_6")
SEED = 0


def best_recipe(model: str, root: Path | None = None) -> str:
    """The recipe on CIFAR-10, of `RECIPES`, with the highest validation accuracy over its seeds.

    Means are those of each recipe's recorded seeds, which may be one. A recipe whose seed 0 is
    not recorded is no candidate: the notebooks would have no weights of it.

    Args:
        model: a family's name, such as `vit`.
        root: of all runs (default: `figures/runs`).

    Raises:
        FileNotFoundError: none of them is recorded; the text says how to train one.
    """
    means = {}
    for recipe in RECIPES:
        found = runs.recorded(f"cifar10/{model}/{recipe}", root)
        if any(run.seed == SEED for run in found):
            means[recipe] = np.mean([run.info["validation"]["accuracy"] for run in found])
    if not means:
        raise FileNotFoundError(
            f"cifar10/{model} is recorded with none of {', '.join(RECIPES)}: "
            f"python -m helpers train cifar10/{model}/{RECIPES[0]}"
        )
    return max(means, key=means.get)


def best_run(model: str, root: Path | None = None) -> runs.Run:
    """Seed 0 of `best_recipe`, with its weights: the run of a model that every notebook uses."""
    return runs.read(f"cifar10/{model}/{best_recipe(model, root)}", SEED, root)
