"""`--cluster ADDRESS`: the jobs of a command on the machines of a Ray cluster, a task each.

Ray places the tasks, and starts those of a node that died on another one.  Where all nodes, and
this machine, see the folder of `--storage`, a run then goes on from its last epoch, else from the
start; so does one whose command was stopped.  A record comes back as its files, is checked by its
digests and by what was asked for, and is written here by `helpers.records`.

ADDRESS is what `ray start --head` prints, `auto` on a machine that has one cluster, or `local`,
which starts a cluster of this machine alone.  SLURM and Kubernetes start one by Ray's own launchers
(https://docs.ray.io, "Deploying on SLURM", "KubeRay").  Nodes are those that have as many CPUs as
a run takes when the command starts, or come later; each needs the same `helpers` as this machine,
and fetches the data set for itself; a user's own pictures come from here.

One machine alone needs none of this: `--jobs` starts its processes faster, prints less, and goes
on from the last epoch without a further folder.

Ray is loaded only where it is asked for: pip install -e '.[cluster]'.
"""

import importlib.util
import logging
import os
import pickle
import socket
import tempfile
import time
from argparse import ArgumentParser
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

from helpers import config, files, streams
from helpers.commands import jobs, nodes, side_by_side, stopping
from helpers.data import FolderData
from helpers.records import provenance, runs

RETRIES = 5  # of a run whose node dies
LOOK = 0.2  # seconds between looks at what has ended: a signal would not get out of Ray's own wait
FAILED = (RuntimeError, OSError, ValueError)
NODE_ID = "ray.io/node-id"  # the label that Ray gives each node


def add_options(command: ArgumentParser) -> None:
    """Give a command the options of a cluster."""
    group = command.add_argument_group("on a Ray cluster, with its nodes' own copy of this code")
    group.add_argument("--cluster", metavar="ADDRESS", help="host:port, auto, or local: one here")
    group.add_argument("--cpus-per-run", type=int, metavar="N", help="default: 1")
    group.add_argument("--gpus-per-run", type=float, metavar="SHARE", help="default: 0, e.g. 0.5")
    group.add_argument(
        "--storage",
        type=Path,
        metavar="FOLDER",
        help="that all nodes and this machine see: runs go on from their last epoch",
    )


def require_consistent(options) -> None:
    """Raise ValueError where a command's options would be ignored, or are no numbers of devices."""
    if options.cluster is None:
        for name in ("cpus_per_run", "gpus_per_run", "storage"):
            if getattr(options, name) is not None:
                option = "--" + name.replace("_", "-")
                raise ValueError(f"{option} is for a cluster: leave it out, or add --cluster")
    elif getattr(options, "jobs", None) is not None:  # `study` has no --jobs
        raise ValueError("--jobs is for this machine: leave it out, or --cluster, which needs none")
    if _cpus(options) < 1 or _gpus(options) < 0:
        raise ValueError("--cpus-per-run is at least 1, and --gpus-per-run at least 0")


def _cpus(options):
    return 1 if options.cpus_per_run is None else options.cpus_per_run


def _gpus(options):
    return options.gpus_per_run or 0


def do(todo: Sequence[jobs.Job], options, pictures: FolderData | None = None) -> int:
    """Do jobs on a cluster, and record what comes back; gives the exit status.

    A job that fails stops no other.  An exception, as by a signal, ends all of them.

    Args:
        todo: what is not recorded, one or more.
        options: the command's, with those of `add_options`.
        pictures: a user's own, that they are done on.

    Raises:
        RuntimeError: Ray is not installed.
        ConnectionError: there is no such cluster, or no more.
        ValueError: no node can take a run.
    """
    with ExitStack() as stack:
        root = _root(options.storage)
        mark = root and stack.enter_context(
            tempfile.TemporaryDirectory(prefix="mark_", dir=root, ignore_cleanup_errors=True)
        )
        ray = stack.enter_context(_connected(options.cluster))
        try:
            return _Driver(ray, options, root, mark, pictures).do(todo)
        except ray.exceptions.RayError as error:
            raise ConnectionError(
                f"the Ray cluster at {options.cluster} is lost ({_in_one_line(error)}): start the "
                "command again once there is one"
            ) from error


def _root(storage):
    """The folder of what is under way in a storage; what is recorded here leaves it."""
    if storage is None:
        return None
    root = Path(storage).absolute() / "under_way"
    files.require_writable(root)
    for there, here in jobs.found(root):  # of a command that was killed just after it recorded them
        with suppress(ValueError, OSError):  # the record here is damaged: that one may be whole
            if runs.is_recorded(here):
                _remove(there)
    return root


def _remove(there):
    """Remove from a storage what is recorded here; what stays, the next command removes."""
    # Not while a node of another command reads it.
    with suppress(OSError, runs.UnderWay), runs.locked(there):
        files.remove(there)


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
        with stopping.stoppable():  # whose end takes out the handlers that Ray puts in
            ray.init(**where, logging_level=logging.ERROR)
    except Exception as error:  # Ray raises bare ones, too
        remedy = (
            "try again when the machine does less, or leave --cluster out"
            if address == "local"
            else "give the address that ray start --head printed, or local"
        )
        raise ConnectionError(
            f"no Ray cluster at {address} ({_in_one_line(error)}): {remedy}"
        ) from error
    try:
        yield ray
    finally:
        ray.shutdown()


def _require_answer(address):
    """Raise OSError where nothing listens at `host:port`: Ray would try for minutes."""
    host, _, port = address.rpartition(":")
    if host and port.isdecimal() and "//" not in address:
        socket.create_connection((host.strip("[]"), int(port)), timeout=10).close()


class _Driver:
    """Hands jobs to the nodes of a cluster, and takes their records in."""

    def __init__(self, ray, options, root, mark, pictures=None):
        cpus, gpus = _cpus(options), _gpus(options)
        self.ray, self.root = ray, root
        self.resources = {"CPU": cpus, "GPU": gpus}
        self.code = provenance.code_sha256()
        self.check = nodes.check(self.code, mark)
        self.task = ray.remote(num_cpus=cpus, num_gpus=gpus, max_retries=RETRIES)(
            nodes.task(self.check, root and str(root), _environment(cpus, gpus))
        )
        self.pictures = [ray.put(pictures)]  # which Ray brings to each node once
        self.refused, self.under_way, self.status = {}, {}, 0

    def do(self, todo):
        """As the module's."""
        self._refuse_others()
        waiting, started, was_stuck = list(reversed(todo)), time.monotonic(), False
        try:
            while waiting or self.under_way:
                while waiting and len(self.under_way) < self._most():
                    self._lock_and_start(waiting.pop())
                time.sleep(LOOK)
                under_way = list(self.under_way)
                for reference in self.ray.wait(under_way, timeout=0)[0] if under_way else ():
                    has_ended = self._end(reference)
                    left = len(waiting) + len(self.under_way)
                    if has_ended and left:
                        each = (time.monotonic() - started) / (len(todo) - left)
                        end = time.strftime("%a %H:%M", time.localtime(time.time() + left * each))
                        _print(f"{left} of {len(todo)} runs left, at this rate until {end}")
                is_stuck = bool(self.under_way) and not self._nodes()
                if is_stuck and not was_stuck:
                    _print("no node is left that can take a run: waiting for one")
                was_stuck = is_stuck
        finally:
            for _, lock in self.under_way.values():
                lock.close()
        return self.status

    def _most(self):
        """How many jobs are under way at a time: each has a lock, which is an open file."""
        return min(500, max(16, 4 * int(self.ray.cluster_resources().get("CPU", 0))))

    def _lock_and_start(self, job):
        lock = ExitStack()
        try:
            lock.enter_context(runs.sole_writer(job.target()))
        except FAILED as error:  # the others are done
            if isinstance(error, FileExistsError) and job.target().exists():  # by another command
                _print(f"{job}: recorded already")
            else:
                self.status = streams.say_error(error)
            return
        self.under_way[self._start(job)] = job, lock

    def _end(self, reference):
        """Record what has come back; whether the job is over, else another node has it."""
        job, lock = self.under_way.pop(reference)
        with lock:
            try:
                node, objection, content = self.ray.get(reference)
                if objection:  # of a node that came later
                    self._refuse(node, objection)
                    self.under_way[self._start(job)] = job, lock.pop_all()
                    return False
                _print(jobs.take_in(job, content, self.code))
            except BrokenPipeError:  # nobody reads on
                raise
            except (self.ray.exceptions.RayError, *FAILED) as error:
                cause = getattr(error, "cause", None) or error
                self.status = streams.say_error(f"{job}: {_in_one_line(cause)}")
                return True
            if self.root is not None:
                _remove(job.target(self.root))
        return True

    def _start(self, job):
        others = {NODE_ID: f"!in({','.join(self.refused)})"} if self.refused else None
        return self.task.options(label_selector=others).remote(pickle.dumps(job), self.pictures)

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
            known = {other["NodeID"]: other for other in self.ray.nodes()}.get(node)
            names = [known["NodeName"], known["NodeManagerHostname"]] if known else [node]
            name = dict.fromkeys(names)
            streams.say_error(f"node {' on '.join(name)} is left out: it {objection}")


def _environment(cpus, gpus):
    """The variables that a run's process has on its node."""
    settings = side_by_side.limits(cpus) | {config.PART: "1"}
    for name in ("KERAS_BACKEND", "TF_ENABLE_ONEDNN_OPTS"):
        settings[name] = os.environ[name]
    if gpus == 0:  # Ray hides none then
        settings["CUDA_VISIBLE_DEVICES"] = "-1"
    if gpus % 1:  # frameworks would take all of the GPU's memory
        settings |= {"XLA_PYTHON_CLIENT_PREALLOCATE": "false", "TF_FORCE_GPU_ALLOW_GROWTH": "true"}
    return settings


def _in_one_line(error):
    return " ".join(str(error).split()) or repr(error)


def _print(line):
    print(line, flush=True)
