"""What is trained: recipes, and the table of named experiments, data x model x recipe.

A new recipe goes into `recipes`, a new experiment into `table`; nothing of it knows of Keras.
"""

from helpers.experiments import own
from helpers.experiments.table import EXPERIMENTS, Experiment, find

__all__ = ["EXPERIMENTS", "Experiment", "find", "own"]
