"""What runs on the nodes of a cluster: a node's own check, and a job in a process there."""

import shutil
import tempfile
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from helpers.commands import jobs
from helpers.data import FolderData
from helpers.records import provenance, runs

# What `check` and `task` give goes to the nodes whole, as functions within functions do: a node
# with another version of this module, or without it, can answer.


def check(code: str, mark: str | None) -> Callable[[], str]:
    """A function that says, on a node, what it lacks; "" where it has all.

    Args:
        code: the SHA-256 of the `helpers` that it has to have.
        mark: a folder that it has to see, where there is a storage.
    """

    def objection():
        import os

        try:
            from helpers.records import provenance

            found = provenance.code_sha256()
        except Exception as error:
            return f"has no helpers that this command knows ({error})"
        if found != code:
            return f"has other code in helpers (SHA-256 {found[:12]}, here {code[:12]})"
        if mark and not os.path.isdir(mark):  # a folder of this name it may have of its own
            return f"does not see the files of this machine in {os.path.dirname(mark)}"
        return ""

    return objection


def task(objection: Callable[[], str], root: str | None, environment: dict[str, str]) -> Callable:
    """A function that does a job on a node; it gives the node, its objection and the record.

    Args:
        objection: of `check`.
        root: of all records that are under way, in a storage that nodes share.
        environment: variables of the process.
    """

    def run(pickled_job, boxed_pictures):
        import os
        import pickle

        import ray

        os.environ.update(environment)  # before a backend is loaded
        node = ray.get_runtime_context().get_node_id()
        if said := objection():
            return node, said, {}
        from helpers.commands import nodes

        # Not opened until now: a node with other code may not know what they are.  What Ray gets
        # is shared by all processes of a node, without a copy.
        job, pictures = pickle.loads(pickled_job), ray.get(boxed_pictures[0])
        return node, "", nodes.do(job, root, pictures)

    return run


def do(
    job: jobs.Job, root: str | None = None, pictures: FolderData | None = None
) -> dict[str, bytes]:
    """Do a job in this process of a node; gives its record, packed.

    Args:
        job: what is done.
        root: of all records that are under way, in a storage that nodes share: what lies there is
            gone on with, or given back where it is whole and what was asked for.
        pictures: a user's own, that it is done on.
    """
    if root is None:
        with tempfile.TemporaryDirectory() as folder:
            job.do(Path(folder), pictures)
            return jobs.packed(job, Path(folder))
    shared, code, waited = Path(root), provenance.code_sha256(), False
    target = job.target(shared)
    while True:
        try:
            with runs.locked(target):
                if runs.is_recorded(target):
                    if not (other := job.otherwise(shared, code)):
                        return jobs.packed(job, shared)
                    print(f"{target} was trained with {other}: it is trained anew", flush=True)
                    # Not `files.remove`, which hides that a folder stays: this would never end.
                    if target.is_dir():
                        shutil.rmtree(target)
                    else:
                        target.unlink()
            with suppress(FileExistsError):  # written meanwhile
                job.do(shared, pictures)
        except runs.UnderWay as error:  # by a node that was given up, or for another command
            if not waited:
                print(error, flush=True)
            waited = True
            time.sleep(1)
