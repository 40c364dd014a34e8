"""`train --cluster ADDRESS`: runs on the machines of a Ray cluster, a task each.

Ray places the tasks, and starts those of a node that died on another one.  Where all nodes, and
this machine, see the folder of `--storage`, a run then goes on from its last epoch, else from the
start; so does one whose command was stopped.  A record comes back as its files, is checked by its
digests, and is written here by `helpers.records`.

ADDRESS is what `ray start --head` prints, `auto` on a machine that has one cluster, or `local`,
which starts a cluster of this machine alone.  SLURM and Kubernetes start one by Ray's own launchers
(https://docs.ray.io, "Deploying on SLURM", "KubeRay").  Nodes are those that have as many CPUs as
a run takes when the command starts, or come later; each needs the same `helpers` as this machine,
and fetches the data set for itself.

One machine alone needs none of this: `--jobs` starts its processes faster, prints less, and goes
on from the last epoch without a further folder.

Ray is loaded only where it is asked for: pip install -e '.[cluster]'.
"""

import importlib.util
import logging
import os
import pickle
import shutil
import socket
import sys
import tempfile
import time
from argparse import ArgumentParser
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

from helpers import config, files
from helpers.commands import side_by_side, stopping
from helpers.experiments import Experiment
from helpers.records import provenance, runs

RETRIES = 5  # of a run whose node dies
LOOK = 0.2  # seconds between looks at what has ended: a signal would not get out of Ray's own wait
NODE_ID = "ray.io/node-id"  # the label that Ray gives each node


def add_options(command: ArgumentParser) -> None:
    """Give a command the options of a cluster."""
    group = command.add_argument_group("on a Ray cluster, with its nodes' own copy of this code")
    group.add_argument("--cluster", metavar="ADDRESS", help="host:port, auto, or local: one here")
    group.add_argument("--cpus-per-run", type=int, default=1, metavar="N", help="default: 1")
    group.add_argument(
        "--gpus-per-run", type=float, default=0, metavar="SHARE", help="default: 0, e.g. 0.5"
    )
    group.add_argument(
        "--storage",
        type=Path,
        metavar="FOLDER",
        help="that all nodes and this machine see: runs go on from their last epoch",
    )


def train(
    todo: Sequence[tuple[Experiment, int]], options, report: Callable[[runs.Run], None]
) -> int:
    """Train experiments with their seeds on a cluster, and record the runs; gives the exit status.

    A run that fails stops no other.  An exception, as by a signal, ends all of them.

    Args:
        todo: what is not recorded.
        options: the command's, with those of `add_options`.
        report: called with each run once it is recorded.

    Raises:
        RuntimeError: Ray is not installed.
        ConnectionError: there is no such cluster.
        ValueError: no node can take a run.
    """
    if options.cpus_per_run < 1 or options.gpus_per_run < 0:
        raise ValueError("--cpus-per-run is at least 1, and --gpus-per-run at least 0")
    root = _root(options.storage)
    with ExitStack() as stack:
        mine, status = [], 0
        for experiment, seed in todo:
            try:
                stack.enter_context(runs.sole_writer(runs.folder(experiment.name, seed)))
                mine.append((experiment, seed))
            except (RuntimeError, OSError, ValueError) as error:  # the others are trained
                status = _say(error)
        if not mine:
            return status
        ray = stack.enter_context(_connected(options.cluster))
        stack.enter_context(stopping.stoppable())  # Ray has put in handlers of its own
        return max(status, _Driver(ray, options, root).train(mine, report))


def _root(storage):
    """The folder of runs under way in a storage; those that are recorded here leave it."""
    if storage is None:
        return None
    root = Path(storage).absolute() / "under_way"
    files.require_writable(root)
    for run in runs.found(root=root):  # of a command that was killed just after it recorded them
        if config.RUNS.joinpath(*run.folder.parts[-4:]).exists():
            shutil.rmtree(run.folder)
    return root


@contextmanager
def _connected(address) -> Iterator:
    """Ray, connected to a cluster, or to one that lasts as long as the block."""
    if importlib.util.find_spec("ray") is None:
        raise RuntimeError("--cluster needs Ray: run pip install -e '.[cluster]'")
    for name in ("RAY_USAGE_STATS_ENABLED", "RAY_COLOR_PREFIX", "RAY_DEDUP_LOGS"):
        os.environ.setdefault(name, "0")
    import ray

    where = {"address": address}
    if address == "local":
        where |= {"num_cpus": provenance.cores(), "include_dashboard": False}
    try:
        _require_answer(address)
        ray.init(**where, logging_level=logging.ERROR)
    except (OSError, RuntimeError, ValueError) as error:
        reason = " ".join(str(error).split())
        raise ConnectionError(
            f"no Ray cluster at {address} ({reason}): give the address that ray start --head "
            "printed, or local"
        ) from error
    try:
        yield ray
    finally:
        ray.shutdown()


def _require_answer(address):
    """Raise OSError where nothing listens at `host:port`: Ray would try for minutes."""
    host, _, port = address.rpartition(":")
    if host and port.isdecimal() and "//" not in address:
        socket.create_connection((host, int(port)), timeout=10).close()


class _Driver:
    """Hands runs to the nodes of a cluster, and takes their records in."""

    def __init__(self, ray, options, root):
        self.ray, self.root, self.devices = ray, root, options.devices
        self.resources = {"CPU": options.cpus_per_run, "GPU": options.gpus_per_run}
        self.check = _check(provenance.code_sha256(), root and str(root))
        self.task = ray.remote(
            num_cpus=options.cpus_per_run, num_gpus=options.gpus_per_run, max_retries=RETRIES
        )(_task(self.check, root and str(root), _environment(options)))
        self.refused = {}

    def train(self, todo, report):
        """As the module's; `todo` is not empty."""
        self._refuse_others()
        status, started, left = 0, time.monotonic(), len(todo)
        under_way = {self._start(*item): item for item in todo}
        while under_way:
            time.sleep(LOOK)
            for reference in self.ray.wait(list(under_way), timeout=0)[0]:
                experiment, seed = under_way.pop(reference)
                try:
                    node, objection, content = self.ray.get(reference)
                    if objection:  # of a node that came later
                        self._refuse(node, objection)
                        under_way[self._start(experiment, seed)] = experiment, seed
                        continue
                    run = take_in(experiment, seed, content)
                    if self.root is not None:
                        shutil.rmtree(runs.folder(experiment.name, seed, self.root))
                    report(run)
                except BrokenPipeError:  # nobody reads on
                    raise
                except (self.ray.exceptions.RayError, RuntimeError, OSError, ValueError) as error:
                    cause = getattr(error, "cause", None) or error
                    status = _say(f"{experiment.name} seed {seed}: {_in_one_line(cause)}")
                left -= 1
                if left:
                    each = (time.monotonic() - started) / (len(todo) - left)
                    end = time.strftime("%a %H:%M", time.localtime(time.time() + left * each))
                    print(f"{left} of {len(todo)} runs left, at this rate until {end}", flush=True)
        return status

    def _start(self, experiment, seed):
        others = {NODE_ID: f"!in({','.join(self.refused)})"} if self.refused else None
        # As bytes: a node with other code refuses before it reads them.
        packed = pickle.dumps((experiment, seed, self.devices))
        return self.task.options(label_selector=others).remote(packed)

    def _nodes(self):
        """The nodes that can take a run, those with other code aside."""
        return [
            node
            for node in self.ray.nodes()
            if node["Alive"]
            and node["NodeID"] not in self.refused
            and all(node["Resources"].get(key, 0) >= n for key, n in self.resources.items())
        ]

    def _refuse_others(self):
        """Ask each node whether it has what it needs; ValueError where none is left."""
        strategies = self.ray.util.scheduling_strategies
        asked = {}
        for node in self._nodes():
            there = strategies.NodeAffinitySchedulingStrategy(node["NodeID"], soft=False)
            ask = self.ray.remote(num_cpus=0, max_retries=0, scheduling_strategy=there)(self.check)
            asked[node["NodeID"]] = ask.remote()
        for node, reference in asked.items():
            try:
                objection = self.ray.get(reference)
            except self.ray.exceptions.RayError as error:
                objection = f"does not answer ({type(error).__name__})"
            if objection:
                self._refuse(node, objection)
        if not self._nodes():
            wanted = " and ".join(f"{n} {key}" for key, n in self.resources.items() if n)
            raise ValueError(f"no node of this cluster can take a run of {wanted} with this code")

    def _refuse(self, node, objection):
        if node not in self.refused:
            self.refused[node] = objection
            names = {other["NodeID"]: other for other in self.ray.nodes()}[node]
            name = dict.fromkeys([names["NodeName"], names["NodeManagerHostname"]])
            _say(f"node {' on '.join(name)} is left out: it {objection}")


def take_in(experiment: Experiment, seed: int, content: dict[str, bytes]) -> runs.Run:
    """Record a run that came back as the content of each of its files, by name.

    Raises:
        ValueError: it is damaged, or another run.
        FileNotFoundError: a file is missing.
    """
    with tempfile.TemporaryDirectory() as folder:
        copy = runs.Run(runs.folder(experiment.name, seed, Path(folder)))
        copy.folder.mkdir(parents=True)
        for name, written in content.items():
            (copy.folder / name).write_bytes(written)
        run = runs.write_copy(copy)
    runs.resume_file(run.folder).unlink(missing_ok=True)
    return run


def _environment(options):
    """The variables that a run's process has on its node."""
    settings = side_by_side.limits(options.cpus_per_run) | {config.PART: "1"}
    for name in ("KERAS_BACKEND", "TF_ENABLE_ONEDNN_OPTS"):
        settings[name] = os.environ[name]
    if options.gpus_per_run % 1:  # frameworks would take all of the GPU's memory
        settings |= {"XLA_PYTHON_CLIENT_PREALLOCATE": "false", "TF_FORCE_GPU_ALLOW_GROWTH": "true"}
    return settings


# What these two give goes to the nodes whole, as functions within functions do: a node with another
# version of this module, or without it, can answer.


def _check(code, root):
    def objection():
        import os

        try:
            from helpers.records import provenance

            found = provenance.code_sha256()
        except Exception as error:
            return f"has no helpers that this command knows ({error})"
        if found != code:
            return f"has other code in helpers (SHA-256 {found[:12]}, here {code[:12]})"
        if root and not os.path.isdir(root):
            return f"does not see {root}"
        return ""

    return objection


def _task(check, root, environment):
    def run(packed):
        import os
        import pickle

        import ray

        os.environ.update(environment)  # before a backend is loaded
        node = ray.get_runtime_context().get_node_id()
        if objection := check():
            return node, objection, {}
        from helpers.commands import cluster

        return node, "", cluster.train_on_node(*pickle.loads(packed), root)

    return run


def train_on_node(
    experiment: Experiment, seed: int, devices: int, root: str | None
) -> dict[str, bytes]:
    """Train a run in this process of a node; gives the content of each of its files by name.

    Args:
        experiment: what is trained.
        seed: of the run.
        devices: that it is trained over.
        root: of all runs that are under way, in a storage that nodes share: what lies there is
            gone on with, or given back where it is whole.
    """
    from helpers import training  # loads the backend, which takes seconds

    if root is None:
        with tempfile.TemporaryDirectory() as folder:
            return _content(training.train(experiment, seed, Path(folder), over=devices))
    target = runs.folder(experiment.name, seed, Path(root))
    waited = False
    while not runs.is_recorded(target):
        try:
            with suppress(FileExistsError):  # written meanwhile
                training.train(experiment, seed, Path(root), over=devices)
        except runs.UnderWay as error:  # by a node that was given up, or for another command
            if not waited:
                print(error, flush=True)
            waited = True
            time.sleep(1)
    return _content(runs.Run(target))


def _content(run):
    return {name: (run.folder / name).read_bytes() for name in ("run.json", *run.info["files"])}


def _in_one_line(error):
    return " ".join(str(error).split()) or repr(error)


def _say(error):
    """Print an error in one line; gives the exit status."""
    print(f"error: {error}", file=sys.stderr, flush=True)
    return 1
