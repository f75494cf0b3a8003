"""Options of `vosseg propagate`, checked before anything is opened."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from vossegcli.batch.options import BatchOptions, check_fps, idle_fps
from vossegcli.errors import ConfigError, InputError
from vossegcli.io.datasets.mask_sources import names_sequences
from vossegcli.io.media.patterns import expand, is_pattern
from vossegcli.io.media.sequences import input_name
from vossegcli.io.records.piped import folder_of_links, spooled
from vossegcli.io.records.run_records import STATE_FOLDER
from vossegcli.types import FrameSequence

SNAPSHOT_EVERY = 200
MASK_USES = ("first", "new", "all")
DIRECTIONS = ("forward", "backward", "both")


@dataclass(frozen=True, kw_only=True)
class PropagateOptions(BatchOptions):
    """Options of a run; see `vosseg propagate --help`.

    Attributes:
        frames: folder of frames, video file, or root.
        mask: mask file, folder of masks, folder of such folders, or None for what the layout provides.
        at: name or index of the frame that a mask file belongs to.
        objects: ids of the objects of the masks that are followed; empty = all.
        use_masks: `first`, `new`, `all`, or None for the layout's default.
        direction: `forward`, `backward`, `both`, or None: both where `at` is given, else forward.
        budget: entries of the feature bank, or None for the checkpoint's.
        update_rate: of the feature bank, or None.
        merge_threshold: of the feature bank, or None.
        adapt: steps of training on the given masks before a sequence is segmented, or None for the checkpoint's.
        fix_mask: repair anti-aliased or misshapen masks.
        fps: frames a second of the overlay videos, or None for those of the input.
        exact_mask: take every value of a mask as it is, whatever its edges look like.
        snapshot_every: frames between snapshots of an unfinished sequence.
    """

    COMMAND = "propagate"
    SAVES = {
        "masks": ("masks/{files}.png",),
        "overlay": ("overlay/{files}.jpg",),
        "video": ("video/{name}.mp4",),
        "probabilities": ("probabilities/{name}/*/*.png",),
        "stack": ("stack/{name}.tif",),
        "cutouts": ("cutouts/{files}.png",),
        "matte": ("matte/{name}.mp4",),
        "prores": ("prores/{name}.mov",),
        "labelme": ("labelme/{files}.json",),
        "coco": ("coco/{name}.json",),
        "cvat": ("cvat/{name}.xml",),
    }
    ALWAYS = ("masks",)

    frames: Path
    mask: Path | None = None
    at: str | None = None
    objects: tuple[int, ...] = ()
    use_masks: str | None = None
    direction: str | None = None
    budget: int | None = None
    update_rate: float | None = None
    merge_threshold: float | None = None
    adapt: int | None = None
    fix_mask: bool = False
    fps: float | None = None
    exact_mask: bool = False
    snapshot_every: int = SNAPSHOT_EVERY

    def __post_init__(self) -> None:
        """Check what can be checked without opening a file.

        Raises:
            ConfigError: an unknown kind of output, or no frames between snapshots.
        """
        super().__post_init__()
        check_fps(self.fps)
        for name, known in (("use_masks", MASK_USES), ("direction", DIRECTIONS)):
            if getattr(self, name) not in {None, *known}:
                raise ConfigError(f"{name} is '{getattr(self, name)}'", fix=f"use {', '.join(known)}")
        if any(i < 1 for i in self.objects):
            raise ConfigError(f"object {min(self.objects)}", fix="give ids of the mask, from 1 on")
        if self.snapshot_every < 1:
            raise ConfigError(f"snapshot_every is {self.snapshot_every}", fix="give 1 or more")
        if self.fix_mask and self.exact_mask:
            raise ConfigError("a mask is either repaired or taken as it is", fix="give one of --fix-mask, --exact-mask")
        if self.adapt is not None and self.adapt < 0:
            raise ConfigError(f"adapt is {self.adapt}", fix="give a number of steps, or 0 for none")

    @property
    def way(self) -> str:
        """The direction that is meant."""
        return self.direction or ("both" if self.at is not None else "forward")

    @property
    def source(self) -> Path:
        """Folder, video file or root that is the input."""
        return self.frames

    @property
    def reads(self) -> tuple[Path, ...]:
        """All files and folders that the run reads."""
        return (self.frames,) if self.mask is None else (self.frames, self.mask)

    @property
    def input_name(self) -> str:
        """Name of the default output folder."""
        return input_name(self.frames)

    def idle(self, films: Iterable[Path]) -> list[str]:
        """Tell of options that were given and have no effect on this input."""
        return [*super().idle(films), *idle_fps(self.fps, self.save, ("video", "stack", "matte", "prores"))]

    @property
    def made_masks(self) -> Path:
        """Folder for masks that are made of annotations, archives and the like."""
        return (self.scratch or self.folder / STATE_FOLDER) / "masks"


def given_mask(path: Path | None) -> Path | None:
    """Give the masks that a command line names.

    What comes through a pipe is kept in a file until the end; for a pattern there is a folder of links until then.

    Raises:
        InputError: nothing comes through the pipe, or the pattern matches nothing.
    """
    if path is None or not is_pattern(path):
        return None if path is None else spooled(path)
    files = [file for file in expand(path)[1] if file.is_file()]
    if not files:
        raise InputError("matches no file", where=path, fix="give a mask, a folder of masks, or a pattern in quotes")
    return files[0] if len(files) == 1 else folder_of_links(files)


def masks_among(path: Path | None) -> tuple[Path, ...]:
    """The files of masks that may lie among the frames: a single one, or those of a pattern."""
    if path is None or not path.is_dir():
        return () if path is None else (path,)
    return tuple(entry.resolve() for entry in path.iterdir() if entry.is_symlink())


def check_mask(options: PropagateOptions, sequences: Sequence[FrameSequence]) -> None:
    """Refuse masks that no sequence could be done with.

    Raises:
        InputError: nothing is there, or one file for several sequences.
        ConfigError: `--at` without a mask file.
    """
    mask = options.mask
    if mask is not None and not mask.exists():
        raise InputError("does not exist", where=mask, fix="give a mask file or a folder of masks with --mask")
    is_file = mask is not None and mask.is_file()
    if is_file and len(sequences) > 1 and not names_sequences(mask):
        fix = "give a folder that holds a folder of masks a sequence"
        raise InputError(f"is one mask for {len(sequences)} sequences", where=mask, fix=fix)
    if options.at is not None and not is_file:
        raise ConfigError("--at needs a mask file", fix="give one with --mask, or name the masks like their frames")
