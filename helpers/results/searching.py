"""The search for `matched` recipes: what its records say, and the same as an Optuna study.

Optuna keeps the study and says what mattered; searching itself needs none of it.
"""

import json
from pathlib import Path

from helpers import config
from helpers.experiments import search
from helpers.records import runs


def accuracies(model: str, root: Path | None = None) -> dict[tuple[str, int], float]:
    """A family's best validation accuracy by candidate and epochs; 0 where training diverged."""
    return {
        search.of_name(record["trial"]): max(
            (row["val_accuracy"] for row in record["history"]), default=0.0
        )
        for record in runs.search_trials(root)
        if record["model"] == model
    }


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
