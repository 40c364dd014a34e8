"""`python -m helpers study FOLDER`: notebook 8 on a user's folder, and what it leaves behind.

Training goes first, in this process, where its progress shows, or on a cluster; the notebook then
reads the runs.
"""

import os
import time
from pathlib import Path

from helpers import config, data, experiments, files
from helpers.commands import cluster, jobs
from helpers.records import runs

NOTEBOOK = "08_your_own_images.ipynb"
MODELS = ("cnn_baseline", "resnet20", "vit", "hybrid_token", "cct")
STARTING = 10  # seconds that a run takes beside its training, about
# Of the page: no wider than is read well, what cells print in line with what they say.
STYLE = """
main { max-width: 62rem; margin: 0 auto; padding: 1rem; }
.jp-RenderedMarkdown.jp-OutputArea-output { padding-left: 0; }
.jp-OutputArea-child .jp-RenderedHTMLCommon, .jp-RenderedImage { padding-left: 5px; }
"""


def add_options(command, seed) -> None:
    """Add what `run` takes to a parser of arguments; `seed` reads a seed."""
    command.add_argument(
        "folder", type=Path, help="one subfolder a class, optionally below train, val and test"
    )
    command.add_argument(
        "--models",
        nargs="+",
        default=list(MODELS),
        metavar="MODEL",
        help=f"of helpers.models (default: {' '.join(MODELS)})",
    )
    command.add_argument(
        "--seeds", type=seed, nargs="+", default=[0, 1, 2], metavar="K", help="default: 0 1 2"
    )
    command.add_argument("--epochs", type=int, help="default: more, the fewer pictures there are")
    command.add_argument(
        "--size", type=int, choices=(32, 64, 96), default=32, help="pixels a side (default: 32)"
    )
    command.add_argument(
        "--class-weights", choices=experiments.own.WHEN, default=experiments.own.WHEN[0]
    )
    command.add_argument(
        "--skip-unreadable", action="store_true", help="leave out pictures that cannot be read"
    )
    cluster.add_options(command)
    command.epilog = "Leaves a page, tables, plots, runs and .keras files in figures/own."


def run(options) -> None:
    """Report, estimate, train what is missing, execute the notebook, write the page and models."""
    cluster.require_consistent(options)
    pictures = data.load_folder(options.folder, options.size, options.skip_unreadable)
    target = config.OWN / pictures.name.removeprefix(data.folders.OWN)
    files.require_writable(target)
    print(data.folder_report(pictures, options.seeds[0]), end="\n\n", flush=True)
    recorded = _train(options, pictures)
    _execute(target, options)
    page = _write_page(target)
    _export(recorded, target)
    print(f"{page}: open it in a browser; tables, plots, runs and models are beside it")


def _train(options, pictures) -> list[runs.Run]:
    """The runs of all experiments and seeds, and of the pre-trained network where it is there."""
    from helpers import training  # loads the backend, which takes seconds

    training.own.require_same(pictures)
    planned = experiments.own.experiments(
        pictures, options.models, options.epochs, options.class_weights
    )
    seeds = list(dict.fromkeys(options.seeds))
    all_runs = [(experiment, seed) for experiment in planned for seed in seeds]
    todo = [run for run in all_runs if not runs.is_recorded(runs.folder(run[0].name, run[1]))]
    if not todo:
        print(f"all {len(all_runs)} runs are recorded already", flush=True)
    elif options.cluster is None:
        _train_here(todo, len(all_runs), pictures)
    else:
        _train_there(todo, len(all_runs), pictures, options)
    found = [training.own.run(*run, pictures) for run in all_runs]
    print("the pre-trained network, and the page: a few minutes", flush=True)
    try:
        found += training.own.pretrained(
            options.folder,
            seeds,
            experiments.own.weighting(pictures, options.class_weights),
            options.skip_unreadable,
        )
    except FileNotFoundError as missing:
        print(f"without a pre-trained network: {missing}", flush=True)
    return found


def _train_here(todo, count, pictures):
    """Train what is missing of so many runs in this process, and say how long it takes."""
    from helpers import training

    seconds = {one.name: training.estimate_seconds(one, pictures) + STARTING for one, _ in todo}
    left = sum(seconds[one.name] for one, _ in todo)
    print(f"{len(todo)} of {count} runs are to be trained: about {_minutes(left)} here", flush=True)
    began, estimated = time.perf_counter(), 0.0
    for done, (experiment, seed) in enumerate(todo, count - len(todo) + 1):
        training.own.run(experiment, seed, pictures)
        estimated += seconds[experiment.name]
        rest = (left - estimated) * (time.perf_counter() - began) / estimated
        more = f": about {_minutes(rest)} more" if done < count else ""
        print(f"{done} of {count} runs are done{more}", flush=True)


def _train_there(todo, count, pictures, options):
    """Train what is missing of so many runs on a cluster."""
    print(f"{len(todo)} of {count} runs are to be trained on {options.cluster}", flush=True)
    digests = dict(pictures.sha256)
    wanted = [jobs.RunJob(*run, pictures_sha256=digests) for run in todo]
    if cluster.do(wanted, options, pictures):
        raise RuntimeError(
            "not all runs could be trained, as said above: once that is mended, the same command "
            "trains what is missing"
        )


def _minutes(seconds: float) -> str:
    minutes = max(1, round(seconds / 60))
    return "a minute" if minutes == 1 else f"{minutes} minutes"


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
    """The executed notebook as a page by itself: without its code, what came out first.

    Cells tagged `answer` go to the top, those tagged `notebook`, on how to use it, are left out.
    """
    import nbformat
    from nbconvert import HTMLExporter

    notebook = nbformat.read(target / NOTEBOOK, as_version=4)
    title = f"{target.name}: which network suits these pictures?"
    tagged = {tag: [] for tag in ("answer", "notebook", "")}
    for cell in notebook.cells:
        tags = cell.metadata.get("tags", [])
        tagged[next((tag for tag in tagged if tag in tags), "")].append(cell)
    heading = nbformat.v4.new_markdown_cell(f"# {title}", id="title")
    notebook.cells = [heading, *tagged["answer"], *tagged[""]]
    exporter = HTMLExporter(
        exclude_input=True, exclude_input_prompt=True, exclude_output_prompt=True
    )
    text, _ = exporter.from_notebook_node(notebook, {"metadata": {"name": title}})
    text = text.replace("</head>", f"<style>{STYLE}</style></head>", 1)
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
