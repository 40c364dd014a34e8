"""Trials, which recipes are chosen by: on validation alone.

The test set is never looked at.
"""

from pathlib import Path

from helpers import data, training
from helpers.experiments import Experiment, search
from helpers.models import macs
from helpers.records import provenance, runs
from helpers.results import costs

SEED = 0


def run_trial(model: str, trial: int | str, root: Path | None = None) -> dict:
    """Train a model by one of the recipes that are tried for it, and record how it went.

    A trial of the search in rungs has a name (`helpers.experiments.search`), one of
    `recipes.trials` a number.  Goes on if it was interrupted; of a training that diverges the
    history is empty.

    Raises:
        FileExistsError: the trial is recorded already.
        RuntimeError: another process is at it.
        ValueError: nothing is searched for this model, or there is no such trial.
        helpers.data.DataError: the whole data set is not to be had.
    """
    target = runs.trial_file(model, trial, root)
    experiment = training.here(
        Experiment("cifar10", model, target.stem, search.settings(model, trial))
    )
    with runs.sole_writer(target):
        return _train_and_record(experiment, trial, target, root)


def _train_and_record(experiment, trial, target, root):
    record = provenance.record()  # of a training that diverges; else that of all its sessions
    split = data.prepare(experiment.data, SEED)
    fresh = training.new_model(experiment, SEED, len(split.data.classes))
    resume = runs.resume_file(target)
    title = f"{experiment.name}, {experiment.settings.precision}"
    try:
        fitted = training.fit(fresh, experiment.settings, split, SEED, title, resume)
        history = fitted.history.to_dict("records")
        record = fitted.made_with
    except FloatingPointError:
        history = []  # a result, too: this recipe diverges
    record |= {
        "model": experiment.model,
        "trial": trial,
        "seed": SEED,
        "config": experiment.config,
        "history": history,
        "training_flops": costs.training_flops(macs(fresh), len(split.train_index) * len(history)),
    }
    runs.write_trial(record, root)
    resume.unlink(missing_ok=True)
    return record
