"""What is trained: recipes, and the table of named experiments, data x model x recipe.

A new recipe or experiment goes here; nothing of it knows of Keras.
"""

from helpers.experiments.table import EXPERIMENTS, Experiment, find

__all__ = ["EXPERIMENTS", "Experiment", "find"]
