"""`python -m helpers predict FILE PICTURE ...`: what an exported model makes of new pictures."""

from helpers import data, streams

SHOWN = 3  # classes, the likeliest first


def run(options) -> int:
    """Print the likeliest classes of each picture; one that cannot be read stops no other.

    Probabilities are the softmax of the model's logits: a ranking, not calibrated.

    Raises:
        ValueError: the file is no exported model.
        OSError: it cannot be read.
    """
    from helpers import training  # loads the backend, which takes seconds
    from helpers.results import metrics
    from helpers.training import exporting

    model, classes = exporting.load(options.file)
    size, status = model.input_shape[1], 0
    for path in options.pictures:
        try:
            image = data.read_picture(path, size)[None]
        except (ValueError, OSError) as error:
            status = streams.say_error(error)
            continue
        probabilities = metrics.softmax(training.predict_logits(model, image))[0]
        best = (-probabilities).argsort(kind="stable")[:SHOWN]
        told = ", ".join(f"{classes[i]} {probabilities[i]:.2f}" for i in best)
        print(f"{path}: {told}", flush=True)
    return status
