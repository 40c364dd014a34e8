"""What lies in a user's folder of pictures: parts, classes and files, before any is opened.

The layout is that of torchvision's ImageFolder: a folder a class, with or without `train`,
`val` (or `valid`, `validation`) and `test` above.
"""

import os
import unicodedata
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

from helpers.data.sources import DataError

PARTS = {
    "train": "train",
    "training": "train",
    "val": "val",
    "valid": "val",
    "validation": "val",
    "test": "test",
    "testing": "test",
}
# Endings of files that are opened; the first two so that they are not missed in silence.
ENDINGS = (
    *(".heic", ".heif", ".jpg", ".jpeg", ".jpe", ".jfif", ".mpo", ".png", ".apng", ".gif", ".webp"),
    *(".bmp", ".dib", ".tif", ".tiff", ".ppm", ".pgm", ".pbm", ".pnm", ".jp2", ".j2k", ".jpx"),
    *(".avif", ".tga", ".ico", ".pcx", ".psd", ".sgi"),
)
# What systems leave everywhere, beside names that begin with a dot.
LITTER = ("thumbs.db", "desktop.ini", "@eadir", "__macosx", "__pycache__", "$recycle.bin")


@dataclass(frozen=True)
class Listing:
    """The pictures of a folder by their names: sorted by part, class and path.

    `files` are paths below `folder`, with `/`; `labels` are positions in `classes`, `of_part` in
    `parts`, which are those that the folder has: () where classes lie directly in it.
    """

    folder: Path
    parts: tuple[str, ...]
    classes: tuple[str, ...]
    files: tuple[str, ...]
    labels: tuple[int, ...]
    of_part: tuple[int, ...]
    stamps: tuple[tuple[int, int, int], ...]  # of each file: bytes, times of its last changes
    left_aside: dict[str, int]  # what was not taken for a picture of a class -> how many files


def list_folder(path: Path) -> Listing:
    """The pictures below a folder, by part and class.

    Names that differ only in how Unicode composes their letters are one class.  Hidden files and
    what systems leave everywhere don't count.

    Raises:
        DataError: no such folder, or one that is not laid out as it should be; the text says how.
    """
    folder = Path(os.path.abspath(os.path.expanduser(path)))
    _require_folder(folder)
    tops = _folders(folder)
    parts = _parts(folder, tops)
    if parts:
        in_part = {part: _classes(top) for part, top in parts.items()}
    else:
        in_part = {"": _by_name(tops)}
    classes = tuple(sorted(set().union(*in_part.values())))
    _require_same_classes(folder, classes, in_part)
    rows, left_aside, empty = [], Counter(), []
    for index, (part, found) in enumerate(in_part.items()):
        for label, name in enumerate(classes):
            files = [row for own in found[name] for row in _pictures(own, folder, left_aside)]
            rows += [(index, label, *row) for row in files]
            if not files:
                empty.append(str(folder / part / name))
    if empty:
        raise DataError(
            f"no pictures in {_list(empty)}: add some, or delete the class in every part"
        )
    for above in {folder, *parts.values()}:
        left_aside["in no folder of a class"] += sum(map(_is_picture, _visible(above)))
    rows.sort()
    return Listing(
        folder=folder,
        parts=tuple(parts),
        classes=classes,
        files=tuple(row[2] for row in rows),
        labels=tuple(row[1] for row in rows),
        of_part=tuple(row[0] for row in rows),
        stamps=tuple(row[3] for row in rows),
        left_aside=dict(+left_aside),
    )


def _require_folder(folder):
    if not folder.exists():
        raise DataError(f"{folder} does not exist: pass the folder that holds a folder a class")
    if not folder.is_dir():
        raise DataError(
            f"{folder} is a file: pass a folder that holds a folder a class, unpacked if it is an "
            "archive"
        )


def _visible(folder):
    try:
        entries = sorted(os.scandir(folder), key=lambda entry: entry.name)
    except OSError as error:
        raise DataError(
            f"{folder} cannot be read ({error.strerror}): make it readable, or move it elsewhere"
        ) from error
    return [
        entry
        for entry in entries
        if not entry.name.startswith(".") and entry.name.lower() not in LITTER
    ]


def _folders(folder):
    return [Path(entry.path) for entry in _visible(folder) if os.path.isdir(entry.path)]


def _is_picture(entry):
    if _ending(entry) not in ENDINGS:
        return False
    # A link that leads nowhere, or to itself, is said when it is read; an entry's own `is_file`
    # would raise of the latter.
    leads_nowhere = entry.is_symlink() and not os.path.exists(entry.path)
    return os.path.isfile(entry.path) or leads_nowhere


def _ending(entry):
    return os.path.splitext(entry.name)[1].lower()


def _parts(folder, tops):
    """Part -> its folder, in the order of `PARTS`; empty where the folders are classes.

    A class may be called train, too: what has folders of its own, and no pictures, is a part.
    """
    named = {top: PARTS[top.name.lower()] for top in tops if top.name.lower() in PARTS}
    if not any(_folders(top) and not any(map(_is_picture, _visible(top))) for top in named):
        return {}
    parts = {}
    for part in dict.fromkeys(PARTS.values()):
        own = [top for top, name in named.items() if name == part]
        if len(own) > 1:
            raise DataError(
                f"{folder} has both {own[0].name} and {own[1].name}: put their pictures into one"
            )
        if own:
            parts[part] = own[0]
    if "train" not in parts:
        raise DataError(
            f"{folder} has {_list(top.name for top in named)} but no train: add a folder train "
            "with a folder a class"
        )
    others = [top.name for top in tops if top not in named]
    if others:
        raise DataError(
            f"{folder} has {_list(others)} beside {_list(top.name for top in named)}: move it "
            "elsewhere, or into one of them as a class"
        )
    return parts


def _classes(part):
    found = _by_name(_folders(part))
    if not found:
        raise DataError(
            f"{part} holds no folders: put its pictures into a folder a class, or move it elsewhere"
        )
    return found


def _by_name(folders):
    found = {}
    for folder in folders:
        found.setdefault(unicodedata.normalize("NFC", folder.name), []).append(folder)
    return found


def _pictures(class_folder, folder, left_aside):
    """(path below `folder`, stamp) of all pictures of a class, in folders within it, too."""
    found, waiting = [], [str(class_folder)]
    while waiting:
        for entry in _visible(waiting.pop()):
            if entry.is_dir(follow_symlinks=False):
                waiting.append(entry.path)
            elif _is_picture(entry):
                about = entry.stat(follow_symlinks=os.path.isfile(entry.path))
                stamp = (about.st_size, about.st_mtime_ns, about.st_ctime_ns)
                found.append((Path(entry.path).relative_to(folder).as_posix(), stamp))
            else:
                ending = _ending(entry)
                left_aside[f"ending in {ending}" if ending else "without an ending"] += 1
    return found


def _require_same_classes(folder, classes, in_part):
    if not classes:
        loose = any(map(_is_picture, _visible(folder)))
        found = "pictures but no folders" if loose else "no folders"
        raise DataError(f"{folder} holds {found}: put the pictures into a folder a class")
    lacking = []
    for part, found in in_part.items():
        missing = [name for name in classes if name not in found]
        if missing:
            lacking.append(f"{folder / part} lacks {_list(missing)}")
    if lacking:
        raise DataError(
            f"parts differ in their classes: {'; '.join(lacking)}: add pictures of the class "
            "there, or rename it, or delete it in the other parts"
        )
    if len(classes) == 1:
        inner = next(iter(in_part.values()))[classes[0]][0]
        hint = f", or pass {inner}" if len(_folders(inner)) > 1 else ""
        raise DataError(
            f"{folder} has one class only, {classes[0]}: add a folder of pictures of another "
            f"class{hint}"
        )


def _list(names):
    return ", ".join(names)
