"""The search for `matched` recipes: what its records say, and the same as an Optuna study.

Optuna keeps the study and says what mattered; searching itself needs none of it.
"""

import json
from collections.abc import Sequence
from pathlib import Path

import pandas as pd

from helpers import config
from helpers.experiments import search
from helpers.records import runs
from helpers.results import tables


def accuracies(model: str, root: Path | None = None) -> dict[tuple[str, int], float]:
    """A family's best validation accuracy by candidate and epochs; 0 where training diverged."""
    return {
        search.of_name(record["trial"]): max(
            (row["val_accuracy"] for row in record["history"]), default=0.0
        )
        for record in runs.search_trials(root)
        if record["model"] == model
    }


def progress(models: Sequence[str], root: Path | None = None) -> pd.DataFrame:
    """A row a family: how many trials of each rung are recorded, and the best draw so far.

    Columns: `6 epochs` and so on ("4 of 9"); `best of 6 epochs so far`, a candidate, and `its
    accuracy` on validation; `PFLOP spent`, which the last row, `in all`, sums.
    """
    trials, rows = runs.search_trials(root), {}
    for model in models:
        found = accuracies(model, root)
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


def study(model: str, epochs: int = 6, root: Path | None = None):
    """An `optuna.Study` of a family's trials of one rung, kept in `<root>/optuna.log`.

    What is recorded and not yet in the file is added to it.  The value is the best validation
    accuracy; a training that diverged is a failed trial.  `short` has its own values of the
    draws' settings.
    """
    import optuna

    optuna.logging.set_verbosity(optuna.logging.WARNING)
    path = (root or config.SEARCH) / "optuna.log"
    journal = optuna.storages.journal.JournalFileBackend(str(path))
    storage, name = optuna.storages.JournalStorage(journal), f"{model}, {epochs} epochs"
    if name in optuna.get_all_study_names(storage):  # else even loading would add to the file
        kept = optuna.load_study(study_name=name, storage=storage)
    else:
        kept = optuna.create_study(study_name=name, storage=storage, direction="maximize")
    known = {trial.user_attrs["candidate"] for trial in kept.trials}
    distributions = _distributions(optuna.distributions)
    for (candidate, of), accuracy in accuracies(model, root).items():
        if of != epochs or candidate in known:
            continue
        state = optuna.trial.TrialState.COMPLETE if accuracy else optuna.trial.TrialState.FAIL
        kept.add_trial(
            optuna.trial.create_trial(
                state=state,
                value=accuracy or None,
                params=_parameters(search.recipe(candidate, epochs)),
                distributions=distributions,
                user_attrs={"candidate": candidate},
            )
        )
    return kept


def _distributions(distributions):
    return {
        key: distributions.FloatDistribution(*limits, log=True)
        for key, limits in search.RANGES.items()
    } | {
        key: distributions.CategoricalDistribution([_word(choice) for choice in choices])
        for key, choices in (search.CHOICES | {"warmup": (False, True)}).items()
    }


def _parameters(settings):
    """A recipe as a point of the space, choices as words."""
    augmentation = settings.augmentation
    mixing = "mixup" if augmentation.mixup else "cutmix" if augmentation.cutmix else None
    values = {key: getattr(settings, key) for key in ("label_smoothing", "schedule", "average")}
    values |= {key: getattr(augmentation, key) for key in ("crop", "cutout", "randaugment")}
    values |= {"mixing": mixing, "warmup": settings.warmup_epochs > 0}
    words = {key: _word(value) for key, value in values.items()}
    return {key: getattr(settings, key) for key in search.RANGES} | words


def _word(value):
    return json.dumps(value) if isinstance(value, (tuple, list)) else str(value)
