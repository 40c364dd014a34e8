"""What recorded runs say: metrics, tables, plots, and the generated parts of README and notebooks.

A new metric, table or figure goes here; nothing of it knows of Keras.
"""
