"""Every figure of the study, in one style.

Functions take arrays and data frames and return a matplotlib figure; nothing here knows of Keras.
A notebook shows each open figure once, at the end of its cell: assign what a function returns
(`figure = learning_curves(...)`) or end the line with a semicolon, or the value is shown as well.
A model has one colour, marker and display name in all figures. Scores are fractions of 1, as in
the recorded runs; only the confusion matrix shows percentages.
"""

from helpers.results.plots.behaviour import agreement, embedding, robustness
from helpers.results.plots.curves import accuracy_over_cost, learning_curves, trials
from helpers.results.plots.evidence import questions, reproductions
from helpers.results.plots.explanations import (
    attention_grid,
    gain_cells,
    heatmaps,
    line_panels,
)
from helpers.results.plots.pictures import (
    channel_histograms,
    filters,
    image_grid,
    patches,
    position_similarity,
)
from helpers.results.plots.scores import (
    accuracy_against,
    class_distribution,
    confusion_matrix,
    grouped_bars,
    per_class_bars,
    recall_heatmap,
    reliability,
    roc_curves,
    scores_with_intervals,
)
from helpers.results.plots.style import colour, label, marker, png, save, use_style

__all__ = [
    "accuracy_against",
    "accuracy_over_cost",
    "agreement",
    "attention_grid",
    "channel_histograms",
    "class_distribution",
    "colour",
    "confusion_matrix",
    "embedding",
    "filters",
    "gain_cells",
    "grouped_bars",
    "heatmaps",
    "image_grid",
    "label",
    "learning_curves",
    "line_panels",
    "marker",
    "patches",
    "per_class_bars",
    "png",
    "position_similarity",
    "questions",
    "recall_heatmap",
    "reliability",
    "reproductions",
    "robustness",
    "roc_curves",
    "save",
    "scores_with_intervals",
    "trials",
    "use_style",
]
