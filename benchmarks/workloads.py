"""What the benchmarks send: generated once for a run, and dealt to as many senders as wanted.

For: `benchmarks.ingest` and `benchmarks.retrieve`. Invariants: every server of a run gets the very
same files; a deal holds each file once; files are linked, not copied.
"""

from __future__ import annotations

import functools
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from benchmarks.studies import write_ct_study, write_mr_study, write_multiframe

#: Sent to each server before it is measured; another study.
WARM_UP_IMAGES = 16

#: The kernel deals connections to the workers of a server at random; with eight, one of two workers stays cold in less
#: than one start of a hundred.
WARM_UP_ASSOCIATIONS = 8


@dataclass(frozen=True, kw_only=True)
class Sizes:
    """How much each workload holds."""

    ct_images: int
    mr_images: int
    multiframe_bytes: int


#: What the results are stated for.
FULL = Sizes(ct_images=500, mr_images=1000, multiframe_bytes=500_000_000)

#: Enough to see that everything works.
SMOKE = Sizes(ct_images=24, mr_images=40, multiframe_bytes=8_000_000)


@dataclass(frozen=True, kw_only=True)
class Workload:
    """Files that are sent in one measurement.

    `alone` are sent on an association of their own when there are several; the rest is dealt in
    turn to the others.
    """

    name: str
    title: str
    files: tuple[Path, ...]
    alone: tuple[Path, ...] = ()

    @property
    def images(self) -> int:
        """Number of instances."""
        return len(self.files) + len(self.alone)

    @functools.cached_property
    def size_bytes(self) -> int:
        """Size of the files together."""
        return sum(path.stat().st_size for path in (*self.files, *self.alone))

    def deal(self, associations: int, directory: Path) -> list[Path]:
        """Link the files into one directory for each association.

        Parameters
        ----------
        associations : int
            Wanted number; never more than there are files.
        directory : Path
            Used again when it exists.

        Returns
        -------
        list of Path
            A directory for each association.
        """
        hands: list[Sequence[Path]] = []
        if self.alone and associations > 1:
            hands.append(self.alone)
            rest: Sequence[Path] = self.files
        else:
            rest = (*self.alone, *self.files)
        dealers = max(1, min(associations - len(hands), len(rest)))
        hands += [rest[start::dealers] for start in range(dealers) if rest]
        directories = []
        for number, hand in enumerate(hands):
            target = directory / f"{self.name}-{associations}" / f"{number:02d}"
            if not target.exists():
                target.mkdir(parents=True)
                for path in hand:
                    os.link(path, target / path.name)
            directories.append(target)
        return directories


def warm_up(directory: Path) -> Workload:
    """Write the study that each server gets before it is measured."""
    files = write_ct_study(directory / "warm-up", seed=99, slices=WARM_UP_IMAGES)
    return Workload(name="warm-up", title="warm-up", files=tuple(files))


def make_workload(name: str, directory: Path, sizes: Sizes) -> Workload:
    """Write the files of a workload.

    Parameters
    ----------
    name : str
        One of `WORKLOADS`.
    directory : Path
        Gets a directory for the workload.
    """
    return WORKLOADS[name](directory / name, sizes)


def _ct(directory: Path, sizes: Sizes) -> Workload:
    files = write_ct_study(directory, seed=1, slices=sizes.ct_images // 4, series=4)
    title = f"{len(files)} CT of 526 KB"
    return Workload(name="ct", title=title, files=tuple(files))


def _mr(directory: Path, sizes: Sizes) -> Workload:
    files = write_mr_study(directory, seed=2, slices=sizes.mr_images // 4, series=4)
    title = f"{len(files)} MR of 133 KB"
    return Workload(name="mr", title=title, files=tuple(files))


def _multiframe(directory: Path, sizes: Sizes) -> Workload:
    path = write_multiframe(directory / "multi-frame.dcm", size_bytes=sizes.multiframe_bytes, seed=3)
    title = f"one multi-frame of {sizes.multiframe_bytes / 1e6:.0f} MB"
    return Workload(name="multiframe", title=title, files=(path,))


def _mixed(directory: Path, sizes: Sizes) -> Workload:
    files = write_ct_study(directory, seed=4, slices=sizes.ct_images // 4, series=4)
    path = write_multiframe(directory / "multi-frame.dcm", size_bytes=sizes.multiframe_bytes, seed=5)
    title = f"{len(files)} CT beside one multi-frame of {sizes.multiframe_bytes / 1e6:.0f} MB"
    return Workload(name="mixed", title=title, files=tuple(files), alone=(path,))


#: By name; `mixed` is for memory: many associations and a big object at once.
WORKLOADS = {"ct": _ct, "mr": _mr, "multiframe": _multiframe, "mixed": _mixed}
