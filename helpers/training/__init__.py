"""Fit one experiment: batches, optimizers, progress, resuming, search; and load what was trained.

How a model learns goes here; what is learned by whom is in `helpers.experiments`.
"""

from helpers.training import own
from helpers.training.fitting import Fitted, fit
from helpers.training.linear import LinearHead, features, linear_head
from helpers.training.recorded import (
    load_model,
    predict_logits,
    predict_tta,
    reproduce,
)
from helpers.training.recording import (
    estimate_seconds,
    here,
    new_float32_model,
    new_model,
    train,
)
from helpers.training.resume import best_epoch

__all__ = [
    "Fitted",
    "LinearHead",
    "best_epoch",
    "estimate_seconds",
    "features",
    "fit",
    "here",
    "linear_head",
    "load_model",
    "new_float32_model",
    "new_model",
    "own",
    "predict_logits",
    "predict_tta",
    "reproduce",
    "train",
]
