"""What recorded runs say: metrics, tables, plots, and the generated parts of README and notebooks.

A new metric goes into `metrics`, a new table into `tables`, a new figure into the file of its
subject in `plots`; nothing of it knows of Keras.
"""
