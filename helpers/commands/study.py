"""`python -m helpers study FOLDER`: notebook 8 on a user's folder, and what it leaves behind.

Training goes first, in this process, where its progress shows; the notebook then reads the runs.
"""

import os
from pathlib import Path

from helpers import config, data, experiments, files
from helpers.experiments import Experiment
from helpers.records import runs

NOTEBOOK = "08_your_own_images.ipynb"
MODELS = ("cnn_baseline", "resnet20", "vit", "hybrid_token", "cct")
STARTING = 10  # seconds that a run takes beside its training, about


def run(options) -> None:
    """Report, estimate, train what is missing, execute the notebook, write the page and models."""
    pictures = data.load_folder(options.folder, options.size, options.skip_unreadable)
    target = config.OWN / pictures.name.removeprefix(data.folders.OWN)
    files.require_writable(target)
    print(data.folder_report(pictures, options.seeds[0]), end="\n\n", flush=True)
    planned = experiments.own.experiments(
        pictures, options.models, options.epochs, options.class_weights
    )
    recorded = _train(planned, options, pictures)
    _execute(target, options)
    page = _write_page(target)
    _export(recorded, target)
    print(f"{page}: open it in a browser; tables, plots, runs and models are beside it")


def _train(planned: list[Experiment], options, pictures) -> list[runs.Run]:
    """The runs of all experiments and seeds, and of the pre-trained network where it is there."""
    from helpers import training  # loads the backend, which takes seconds

    seeds = list(dict.fromkeys(options.seeds))
    todo = [
        experiment
        for experiment in planned
        for seed in seeds
        if not runs.is_recorded(runs.folder(experiment.name, seed))
    ]
    seconds = sum(training.estimate_seconds(one, pictures) + STARTING for one in todo)
    print(
        f"{len(todo)} of {len(planned) * len(seeds)} runs are to be trained: about "
        f"{max(1, round(seconds / 60))} minutes here, then a minute or two for the page",
        flush=True,
    )
    found = [training.own.run(one, seed, pictures) for one in planned for seed in seeds]
    try:
        found += training.own.pretrained(
            options.folder, seeds, skip_unreadable=options.skip_unreadable
        )
    except FileNotFoundError as missing:
        print(f"without a pre-trained network: {missing}", flush=True)
    return found


def _execute(target: Path, options) -> None:
    import papermill  # takes a second to load

    os.environ["JUPYTER_PREFER_ENV_PATH"] = "1"  # this Python's kernel, not the user's
    paths = [str(config.ROOT), *filter(None, [os.environ.get("PYTHONPATH")])]
    os.environ["PYTHONPATH"] = os.pathsep.join(paths)
    notebook = target / NOTEBOOK
    with files.whole(notebook, 10**6) as beside:
        papermill.execute_notebook(
            str(config.ROOT / "notebooks" / NOTEBOOK),
            str(beside),
            parameters={
                "FOLDER": str(Path(options.folder).absolute()),
                "MODELS": list(options.models),
                "SEEDS": list(dict.fromkeys(options.seeds)),
                "SIZE": options.size,
                "EPOCHS": options.epochs,
                "CLASS_WEIGHTS": options.class_weights,
                "SKIP_UNREADABLE": options.skip_unreadable,
            },
            kernel_name="python3",
            cwd=str(config.ROOT / "notebooks"),
        )


def _write_page(target: Path) -> Path:
    """The executed notebook as a page by itself, without its code."""
    from nbconvert import HTMLExporter

    exporter = HTMLExporter(
        exclude_input=True, exclude_input_prompt=True, exclude_output_prompt=True
    )
    text, _ = exporter.from_filename(str(target / NOTEBOOK))
    page = (target / NOTEBOOK).with_suffix(".html")
    with files.whole(page, len(text)) as beside:
        beside.write_text(text, encoding="utf-8", newline="\n")
    return page


def _export(recorded: list[runs.Run], target: Path) -> None:
    """A `.keras` file of each experiment's run with the highest validation accuracy."""
    from helpers.training import exporting

    by_name = {}
    for run in sorted(recorded, key=lambda run: run.info["validation"]["accuracy"]):
        by_name[run.name] = run
    for run in by_name.values():
        _, model, recipe = run.name.split("/")
        exporting.export(run, target / f"{model}_{recipe}.keras")
