"""Take in runs that come without digests, and let go of weights that are not kept."""

from helpers.records import contents, kept, runs


def vouch(run: runs.Run) -> list[str]:
    """Give a run without digests its own, and delete weights that are not kept.

    What its files hold is checked first. That they are the ones that were recorded, only who
    knows where the run comes from can say: calling this says so.

    Returns:
        What was done, in words; nothing for a run that was as it should be.

    Raises:
        ValueError: a file is damaged, or the run is another one than its folder says.
        FileNotFoundError: a file is missing.
    """
    info = contents.run_json(run.folder, run.remedy)
    done = []
    if "files" in info:
        run.check()
    else:
        contents.history(run.folder / runs.HISTORY, info["epochs_run"], run.remedy)
        contents.predictions(run.folder / runs.PREDICTIONS, run.remedy)
        done.append("digests written")
    weights = run.folder / runs.WEIGHTS
    if weights.exists() and not kept.keeps_weights(info):
        done.append("weights deleted")
    if done:
        runs.write_info(run.folder, info)
    if "weights deleted" in done:
        weights.unlink()
    return done
