"""Tables of both searches for recipes: what the first one chose, and how far the second one is."""

from collections.abc import Sequence
from pathlib import Path

import pandas as pd

from helpers.experiments import search
from helpers.records import runs
from helpers.results import searching, tables


def progress(models: Sequence[str], root: Path | None = None) -> pd.DataFrame:
    """A row a family: how many trials of each rung are recorded, and the best draw so far.

    Columns: `6 epochs` and so on ("4 of 9"); `best of 6 epochs so far`, a candidate, and `its
    accuracy` on validation; `PFLOP spent`, which the last row, `in all`, sums.
    """
    trials, rows = runs.search_trials(root), {}
    for model in models:
        found = searching.accuracies(model, root)
        done = [epochs for _, epochs in found]
        counted = {
            f"{epochs} epochs": f"{done.count(epochs)} of {draws + 1}"
            for epochs, draws in search.RUNGS
        }
        first = {candidate: value for (candidate, epochs), value in found.items() if epochs == 6}
        best = max(first, key=first.get, default=None)
        spent = sum(trial["training_flops"] for trial in trials if trial["model"] == model)
        rows[model] = counted | {
            "best of 6 epochs so far": best,
            "its accuracy": first.get(best),
            "PFLOP spent": spent / 1e15,
        }
    table = pd.DataFrame(rows).T.rename_axis("model")
    table.loc["in all", "PFLOP spent"] = table["PFLOP spent"].sum()
    return table.infer_objects()


def first_search(models: Sequence[str], root: Path | None = None) -> pd.DataFrame:
    """A row a family: what the first search chose, `searched_6`, beside the untuned `short`.

    Columns: `draw`, the chosen one; of both recipes `validation accuracy`, test `accuracy` and
    `seeds`; `gain on validation`, of `searched_6` over `short`. Shares of 1.
    """
    means = tables.by_experiment("cifar10/*").set_index("experiment")
    tried = tables.trials(root).pivot(index="trial", columns="model", values="validation accuracy")
    table = tried.idxmax().loc[list(models)].to_frame("draw")
    for recipe in ("searched_6", "short"):
        of_recipe = means.loc[[f"cifar10/{model}/{recipe}" for model in models]]
        for column in ("validation_accuracy", "accuracy", "seeds"):
            table[f"{recipe}, {column.replace('_', ' ')}"] = of_recipe[column].to_numpy()
    chosen, untuned = (table[f"{name}, validation accuracy"] for name in ("searched_6", "short"))
    return table.assign(**{"gain on validation": chosen - untuned}).rename_axis("model")
