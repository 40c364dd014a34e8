"""Whose weights are kept: those that notebooks and commands load, so that `figures` stays small."""

from collections.abc import Mapping
from fnmatch import fnmatch

from helpers.data.folders import OWN
from helpers.experiments.recipes import SEARCHED

# By a shell pattern of the experiment's name: the seeds whose weights are kept. Where several
# patterns fit, each of them counts.
KEPT = {
    # One recipe for all families, and the best that a search found for each of them.
    **{
        f"cifar10/{family}/{recipe}": (0,)
        for family in SEARCHED
        for recipe in ("short", "matched", "searched_6")
    },
    # Compared with each other, with their other seed and with a training on permuted labels.
    "cifar10/cnn_baseline/described": (0, 1),
    "cifar10/hybrid_token/described": (0, 1),
    "cifar10-permuted/cnn_baseline/*": (1,),
    "cifar10-imbalanced/cnn_baseline/described*": (0,),
    "cifar10-imbalanced/hybrid_token/described*": (0,),
    # What a penalty does to the weights.
    "cifar10/resnet20/short_l[12]": (0,),
    # What its two branches are worth.
    "cifar10/hybrid_dual/*": (0,),
    # The fast network whose explanations are tested.
    "cifar10/fast_cnn/fast_4": (0,),
}


def keeps_weights(info: Mapping) -> bool:
    """Whether the weights of the run with this `run.json` are kept; else its predictions alone.

    Those of users' own pictures all are.
    """
    if info["data"].startswith(OWN):  # which git ignores
        return True
    name = f"{info['data']}/{info['model']}/{info['recipe']}"
    return any(fnmatch(name, pattern) and info["seed"] in seeds for pattern, seeds in KEPT.items())
