"""Images to segment one by one: a file, a folder, a tree, a pattern, or the frames of a video or stack."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePath

from vossegcli.errors import InputError
from vossegcli.io.media.contents import counted_names, split_arrays, walk
from vossegcli.io.media.image_files import ImageFinder, as_posix
from vossegcli.io.media.kinds import kind_of, kind_of_anything
from vossegcli.io.media.patterns import expand, is_pattern
from vossegcli.io.records.file_names import natural_key
from vossegcli.io.records.json_files import read_json
from vossegcli.io.records.run_records import holds_run
from vossegcli.types import Found
from vossegcli.wording import counted


@dataclass(frozen=True)
class Query:
    """An image file, or a video or image stack whose frames are the images.

    Attributes:
        name: POSIX path below the input, without suffix; names the outputs.
        path: the file.
        is_video: whether it is a video or a stack.
    """

    name: str
    path: Path
    is_video: bool


def find_queries(text: str, images: Path | None = None) -> Found[Query]:
    """Find the images and videos that a path or a glob stands for, in natural order.

    Args:
        text: a file, a folder (searched at any depth, hidden files and outputs of runs left out), a pattern with `*`,
            `?`, `[` or `%05d`, or a COCO file, which stands for the images that it lists.
        images: a folder that the images of a COCO file lie below; None = the usual places.

    Raises:
        InputError: nothing is there, no image of a COCO file is there, or two files would share a name.
    """
    path = Path(text)
    refused: list[InputError] = []
    if path.is_dir():
        root, files = path, list(_files_below(path, refused))
    elif is_listing(text):
        return _listed(path, images)
    elif path.exists():
        root, files = path.parent, [path]
    elif is_pattern(path):
        root, matches = expand(path)
        files = [file for found in matches for file in (_files_below(found, refused) if found.is_dir() else [found])]
        files = [file for file in files if not any(holds_run(folder) for folder in _folders_between(root, file))]
    else:
        raise InputError("does not exist", where=text, fix="check the path")
    kind = kind_of_anything if path.is_file() else kind_of
    kinds = {file: kind(file) for file in dict.fromkeys(files)}
    if not any(kinds.values()):
        kinds.update(dict.fromkeys(split_arrays(kinds)[0], "image"))
    queries = [Query(_name(root, file), file, found != "image") for file, found in kinds.items() if found is not None]
    if not queries:
        raise InputError("holds no images", where=text, fix="give an image, a folder of images, a pattern, or a video")
    _check_names(queries)
    others = [file for file, found in kinds.items() if found is None]
    notes = [f"left out: {counted_names(others, 'file[|s]')} that cannot be segmented"] if others else []
    notes += [f"left out: the folder {error}" for error in refused]
    return Found(tuple(sorted(queries, key=lambda query: natural_key(query.name))), tuple(notes))


def is_listing(text: str) -> bool:
    """Return True if a path is a COCO file, which lists images."""
    return Path(text).suffix.lower() == ".json" and Path(text).is_file()


def queries_name(text: str) -> str:
    """A name for the outputs of a path or pattern: its folder's or file's, without wildcards; it may be empty."""
    path = Path(text)
    if is_pattern(path) and "%" in path.name:
        return path.parent.name
    return (path.resolve().name if path.is_dir() else path.stem).strip("*?[]")


def _listed(path: Path, folder: Path | None) -> Found[Query]:
    """The images that a COCO file lists, in natural order; one that is missing is kept, to be named as a failure."""
    payload = read_json(path)
    try:
        names = [str(image["file_name"]) for image in payload["images"]]
    except (KeyError, TypeError) as error:
        raise InputError("has no list of images", where=path, fix="give a COCO instances file") from error
    finder = ImageFinder(path, folder)
    files = {name: finder.find(name) for name in dict.fromkeys(names)}
    if files and not any(files.values()):
        first = finder.expected(names[0])
        what = f"lists {counted(len(files), 'image[|s]')}, and none of them was found (looked for {first}, for example)"
        raise InputError(what, where=path, fix="give the folder of the images with --images")
    roots = [root for root in (folder, path.parent, path.parent.parent) if root is not None]
    found = {file or finder.expected(name): name for name, file in files.items()}
    kinds = {file: kind_of(file) for file in found}
    queries = [Query(_name_of_listed(name, file, roots), file, kinds[file] != "image") for file, name in found.items()]
    if not queries:
        raise InputError("lists no images", where=path, fix="give a COCO instances file")
    _check_names(queries)
    missing = sum(file is None for file in files.values())
    notes = (counted(missing, f"of {len(files)} images that {path.name} lists [is|are] missing"),) if missing else ()
    return Found(tuple(sorted(queries, key=lambda query: natural_key(query.name))), notes)


def _name_of_listed(name: str, file: Path, roots: Sequence[Path]) -> str:
    """The path of a listed image below the first root that it lies in, else as it is listed; without suffix."""
    for root in roots:
        if file.is_relative_to(root):
            return _name(root, file)
    parts = [part for part in PurePath(as_posix(name)).parts if part not in {"/", ".."}]
    return PurePath(*parts).with_suffix("").as_posix()


def _check_names(queries: Sequence[Query]) -> None:
    seen: dict[str, Path] = {}
    for query in queries:
        other = seen.setdefault(query.name, query.path)
        if other != query.path:
            raise InputError(f"has the same name as {other.name} but for the suffix", where=query.path, fix="rename it")


def _files_below(folder: Path, refused: list[InputError]) -> Iterator[Path]:
    for _, folders, files in walk(folder, refused):
        folders[:] = [below for below in folders if not holds_run(below)]
        yield from files


def _folders_between(root: Path, file: Path) -> Iterator[Path]:
    """The folders below a root that a file lies in."""
    for folder in file.parents:
        if folder == root:
            return
        yield folder


def _name(root: Path, file: Path) -> str:
    return file.relative_to(root).with_suffix("").as_posix()
