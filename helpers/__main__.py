"""The study's command line: python -m helpers --help, or cifar-study --help."""

import argparse
import os
import sys
from fnmatch import fnmatch
from pathlib import Path

from helpers import config, experiments, files, records, streams
from helpers.commands import cluster, jobs, predict, side_by_side, stopping, study
from helpers.data.folders import OWN
from helpers.experiments import recipes
from helpers.experiments import search as rungs
from helpers.records import provenance, runs
from helpers.results import searching

# What bad input, a missing file or network, a training that diverges and an unknown backend raise.
EXPECTED = (ValueError, RuntimeError, OSError, ArithmeticError, config.BackendError)


def main(arguments: list[str] | None = None) -> int:
    """Run one command; expected errors are printed in one line, and give exit status 1.

    A signal stops it with the status that shells expect; a reader of standard output who goes away
    (`| head`) ends it quietly.
    """
    again = ""
    streams.spell_out()
    try:
        with stopping.stoppable():
            try:
                options = _parser().parse_args(arguments)
                if options.run in (train, search, study.run):
                    is_lost = options.cluster is not None and options.storage is None
                    again = "; the same command " + (
                        "trains what is missing" if is_lost else "goes on from the last epoch"
                    )
                config.require_checkout()
                return options.run(options) or 0
            finally:
                streams.flush()
    except KeyboardInterrupt as stop:
        return _stopped(again, getattr(stop, "status", 130))
    except BrokenPipeError:
        return _stopped(again, 141) if again else 0
    except EXPECTED as error:
        return streams.say_error(error)


def _parser():
    name = config.SCRIPT if config.named_script() else "python -m helpers"
    parser = argparse.ArgumentParser(prog=name, description=__doc__)
    commands = parser.add_subparsers(required=True, metavar="COMMAND")

    command = commands.add_parser("list", help="what is recorded, and what is missing")
    command.add_argument("pattern", nargs="?", default="*")
    command.set_defaults(run=list_experiments)

    command = commands.add_parser("train", help="train experiments and record the runs")
    command.add_argument("pattern", help="e.g. 'cifar10/*/short' or one experiment's name")
    command.add_argument("--seeds", type=_seed, nargs="+", default=[0], metavar="K")
    command.add_argument(
        "--jobs",
        type=int,
        help="runs side by side (default: a core each, or one over several devices)",
    )
    command.add_argument(
        "--devices",
        type=int,
        default=1,
        metavar="N",
        help="GPUs that share each batch of a run (default: 1)",
    )
    cluster.add_options(command)
    command.set_defaults(run=train)

    command = commands.add_parser("study", help="compare models on a folder of your own pictures")
    study.add_options(command, _seed)
    command.set_defaults(run=study.run)

    command = commands.add_parser("search", help="choose recipes by trials, on validation")
    command.add_argument("models", nargs="*", default=recipes.SEARCHED, metavar="MODEL")
    command.add_argument(
        "--trials",
        type=_trial,
        nargs="+",
        metavar="TRIAL",
        help="numbers from 0, or names, e.g. draw3_12 (default: all, rung after rung)",
    )
    command.add_argument("--jobs", type=int, help="side by side (default: a core each)")
    cluster.add_options(command)
    command.set_defaults(run=search)

    command = commands.add_parser("evaluate", help="scores of recorded runs, from their logits")
    command.add_argument("pattern", help="e.g. 'cifar10/*/short' or one experiment's name")
    command.add_argument("--seed", type=_seed, default=0)
    command.set_defaults(run=evaluate)

    command = commands.add_parser("export", help="write a recorded run's model as a .keras file")
    command.add_argument("name", help="an experiment's name")
    command.add_argument("file", type=Path)
    command.add_argument("--seed", type=_seed, default=0)
    command.set_defaults(run=export)

    command = commands.add_parser("predict", help="the classes of new pictures, by such a file")
    command.add_argument("file", type=Path, help="that export or study wrote")
    command.add_argument("pictures", type=Path, nargs="+", metavar="PICTURE")
    command.set_defaults(run=predict.run)

    command = commands.add_parser("prose", help="bring README and notebooks' numbers up to date")
    command.set_defaults(run=prose)

    command = commands.add_parser(
        "vouch", help="take in runs made elsewhere: give them their digests"
    )
    command.add_argument("folder", nargs="?", type=Path, default=config.RUNS, help="of all runs")
    command.set_defaults(run=vouch)

    command = commands.add_parser("bench", help="speed and memory against native peers")
    command.add_argument(
        "--device", action="store_true", help="how fast this device trains, on this backend alone"
    )
    command.set_defaults(run=bench)

    command = commands.add_parser("explain", help="draw what a model looks at in your own picture")
    command.add_argument("image", type=Path, help="a picture file; its square middle is taken")
    command.add_argument("--model", default="cifar10/resnet20/short", metavar="NAME")
    command.add_argument("--label", help="the class to explain (default: the predicted one)")
    command.add_argument("--file", type=Path, help="of the drawing (default: IMAGE-explained.png)")
    command.set_defaults(run=explain)

    command = commands.add_parser("faithfulness", help="test the explanations of recorded models")
    command.set_defaults(run=faithfulness)

    command = commands.add_parser(
        "robustness", help="accuracy of recorded models, images corrupted"
    )
    command.set_defaults(run=robustness)

    command = commands.add_parser("embedding", help="recorded models' features in two dimensions")
    command.set_defaults(run=embedding)

    return parser


def list_experiments(options) -> int:
    """A line an experiment: what is recorded, and about how long a missing run would take here.

    A damaged run is named, and fails the command in the end.
    """
    status, sound, damaged = 0, {}, set()
    of_users = [run for run in runs.found(OWN + "*") if fnmatch(_named(run), options.pattern)]
    known = {_named(run): None for run in of_users}
    is_own = options.pattern.startswith(OWN)
    if is_own and not known:
        _names(options.pattern)  # says what records some
    for run in of_users if is_own else [*runs.found(options.pattern), *of_users]:
        try:
            run.check()
            sound.setdefault(run.name, []).append(run)
        except EXPECTED as error:
            status = streams.say_error(error)
            damaged.add(_named(run))
    named = [] if is_own else experiments.find(options.pattern)
    planned = {experiment.name: experiment for experiment in named}
    for name in (*planned, *known):
        print(f"{name:46}", end=" ")
        if name in sound:
            found = sound[name]
            seeds = ", ".join(str(run.seed) for run in found)
            accuracy = sum(run.info["test"]["accuracy"] for run in found) / len(found)
            seconds = max(run.info["seconds_training"] for run in found)
            took = f"{seconds:.0f} s" if seconds < 90 else f"{seconds / 60:.0f} minutes"
            print(f"seeds {seeds}: test accuracy {accuracy:.4f}, a run took {took}")
        elif name in damaged:
            print("damaged")
        else:
            from helpers import training  # loads the backend, which takes seconds

            minutes = training.estimate_seconds(planned[name]) / 60
            print(f"missing: about {minutes:.0f} minutes a run here")
    return status


def train(options) -> int:
    """Train what is missing, several runs side by side with their share of the cores each.

    Small models leave half of a second core idle: two runs of one thread each get through
    more images than one run of two threads.
    """
    cluster.require_consistent(options)
    todo, status = [], 0
    for experiment in experiments.find(options.pattern):
        for seed in dict.fromkeys(options.seeds):
            try:
                is_recorded = runs.is_recorded(runs.folder(experiment.name, seed))
            except EXPECTED as error:  # damaged; the others are trained all the same
                status = streams.say_error(error)
                continue
            if is_recorded:
                print(f"{experiment.name} seed {seed}: recorded already")
            else:
                todo.append(jobs.RunJob(experiment, seed, options.devices))

    several = [] if options.devices == 1 else ["--devices", str(options.devices)]
    commands = [["train", job.experiment.name, *several, "--seeds", str(job.seed)] for job in todo]
    return max(status, _all_of(todo, commands, options, 1 if several else provenance.cores()))


def search(options) -> int:
    """Run the trials that are missing, several side by side.

    Families go through the rungs of `helpers.experiments.search`, which ends by writing down what
    `matched` is; other models have a list of trials.
    """
    cluster.require_consistent(options)
    models = dict.fromkeys(options.models)
    if options.trials is not None:
        return _run_trials(
            [(model, trial) for model in models for trial in options.trials], options
        )
    families = [model for model in models if model in recipes.SEARCHED]
    status = _run_trials(
        [
            (model, trial)
            for model in models
            if model not in families
            for trial in range(len(recipes.trials(model)))
        ],
        options,
    )
    while todo := [(model, rungs.name(*trial)) for model in families for trial in _missing(model)]:
        if failed := _run_trials(todo, options):
            return failed
    for model in families:
        best = rungs.best(searching.accuracies(model))
        rungs.choose(model, best)
        print(f"{model}: matched is {best}")
    return status


def _missing(model):
    return rungs.missing(searching.accuracies(model))


def _run_trials(trials, options) -> int:
    """Those trials, a model and a number or name each, that are not recorded."""
    todo = []
    for model, trial in dict.fromkeys(trials):
        rungs.settings(model, trial)  # refuses one that there is not
        job = jobs.TrialJob(model, trial)
        if runs.is_recorded(job.target()):
            print(f"{job}: recorded already")
        else:
            todo.append(job)
    # The same number of trials for every model, if stopped.
    todo.sort(key=lambda job: f"{job.trial:>9}")
    commands = [["search", job.model, "--trials", str(job.trial)] for job in todo]
    return _all_of(todo, commands, options, provenance.cores())


def _all_of(todo, commands, options, most) -> int:
    """Do all jobs on a cluster or here; where several go on at a time, by their commands.

    `most` go on at a time where the options do not say how many.
    """
    if options.cluster is not None:
        return cluster.do(todo, options) if todo else 0
    at_a_time = most if options.jobs is None else options.jobs
    if at_a_time < 1:
        raise ValueError(f"--jobs is {at_a_time}: at least one run has to go on at a time")
    if len(todo) > 1 and at_a_time > 1:
        return side_by_side.run(commands, at_a_time)
    status = 0
    for job, command in zip(todo, commands, strict=True):
        try:
            print(job.do(), flush=True)
        except BrokenPipeError:  # nobody reads on
            raise
        except EXPECTED as error:  # the others are done all the same
            status = streams.say_error(f"{' '.join(command)}: {error}")
    return status


def evaluate(options) -> int:
    """Scores of all that fits and is recorded; a damaged run stops no other."""
    fitting = _names(options.pattern)
    names = [name for name in fitting if runs.folder(name, options.seed).exists()]
    status = 0
    for name in names or fitting[:1]:
        try:
            _evaluate(_recorded(name, options.seed))
        except BrokenPipeError:  # nobody reads on
            raise
        except EXPECTED as error:
            status = streams.say_error(error)
    return status


def _evaluate(run):
    """Scores on validation and test, computed anew from the stored logits."""
    from helpers import data
    from helpers.results import metrics

    if run.name.startswith(OWN):
        y_val, y_test = run.val_labels, run.test_labels
    else:
        y_train, y_test = data.official_labels(data.VARIANTS[run.info["data"]].source)
        y_val = y_train[run.val_index]
    print(f"{run.name} seed {run.seed}, epoch {run.info['best_epoch']}")
    for part, logits, labels in (
        ("validation", run.val_logits, y_val),
        ("test", run.test_logits, y_test),
    ):
        scores = metrics.scores(logits, labels)
        print(f"{part:10}", " ".join(f"{key} {value:.4f}" for key, value in scores.items()))


def export(options) -> None:
    """The model with its recorded weights as one file, which takes pixels and gives logits."""
    from helpers.training import exporting

    print(exporting.export(_recorded(options.name, options.seed), options.file))


def prose(options) -> None:
    """Bring the README's results, and all numbers in prose, up to date with the recorded runs."""
    from helpers.results import prose, readme

    for run in runs.found():
        run.check()  # also what no sentence tells of
    changed = ["README.md"] if readme.update() else []
    changed += [path.name for path in prose.documents() if prose.update(path)]
    print(", ".join(dict.fromkeys(changed)) + " written" if changed else "all up to date already")


def vouch(options) -> int:
    """Give runs without digests theirs, and delete weights that are not kept."""
    status, found = 0, runs.found(root=options.folder)
    if not found:
        raise ValueError(f"{options.folder} holds no runs: name the folder above <data>/<model>")
    for run in found:
        try:
            done = records.vouch(run)
        except EXPECTED as error:  # the others are taken in all the same
            status = streams.say_error(error)
            continue
        if done:
            print(f"{run.folder}: {', '.join(done)}")
    return status


def bench(options) -> None:
    """Measure on an otherwise idle machine; takes minutes, and writes figures/bench*."""
    from helpers import bench
    from helpers.results import tables

    if options.device:  # shown, not kept: it is of one device
        from helpers.bench import device

        print(tables.markdown(device.table().round(3)), end="")
        return
    files.require_writable(config.FIGURES)
    print(tables.markdown(bench.run()), end="")


def explain(options) -> None:
    """Draw one picture's maps by every method that the recorded model allows."""
    if "matplotlib.pyplot" not in sys.modules:
        import matplotlib

        matplotlib.use("Agg")  # a file is drawn, whatever windows the user has set figures to have
    from helpers.explain import picture

    print(picture.draw(options.image, _recorded(options.model), options.file, options.label))


def faithfulness(options) -> None:
    """Test the explanations of the recorded models; takes about an hour."""
    from helpers.explain import audit
    from helpers.results import tables

    files.require_writable(config.FIGURES)
    audit.run()
    print(*(f"{tables.audit_file(table)} written" for table in tables.AUDIT), sep="\n")


def robustness(options) -> None:
    """Evaluate the recorded families on corrupted test images; takes minutes."""
    from helpers.explain import robustness
    from helpers.results import tables

    files.require_writable(config.FIGURES)
    print(tables.markdown(robustness.run()), end="")


def embedding(options) -> None:
    """Lay the last features of three recorded models out in two dimensions."""
    from helpers.explain import embedding

    files.require_writable(config.FIGURES)
    print(f"{embedding.run()} written")


def _trial(text) -> int | str:
    """A trial from the command line: its number, or its name."""
    return int(text) if text.isdecimal() else text


def _seed(text) -> int:
    """A seed from the command line."""
    if not 0 <= int(text) < 2**32:
        raise argparse.ArgumentTypeError(f"{text} is no seed: choose from 0 to {2**32 - 1}")
    return int(text)


def _recorded(name, seed=0):
    """The run of an experiment, named or the only one that fits, and seed; its files are sound."""
    names = _names(name)
    if len(names) > 1:
        raise ValueError(
            f"{name!r} fits {len(names)} experiments: choose one of {', '.join(names)}"
        )
    run = runs.read(names[0], seed)
    run.check()
    return run


def _names(pattern) -> list[str]:
    """The experiments that fit a pattern; of users' own pictures, those that are recorded."""
    if not pattern.startswith(OWN):
        return [experiment.name for experiment in experiments.find(pattern)]
    if not (names := list(dict.fromkeys(map(_named, runs.found(pattern))))):
        raise ValueError(
            f"no run fits {pattern!r}: python -m helpers study FOLDER records some, and list "
            f"'{OWN}*' shows those that there are"
        )
    return names


def _named(run) -> str:
    """The experiment's name, by the run's folder alone."""
    return "/".join(run.folder.parts[-4:-1])


def _stopped(again, status) -> int:
    """Say that the command was stopped, unless its parent does; gives the exit status."""
    if config.PART not in os.environ:
        print("stopped" + again, file=sys.stderr)
    return status


if __name__ == "__main__":
    sys.exit(main())
