"""Flags that say which part of a volume or video is read, and how this part is labelled."""

import dataclasses
import re
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

from cyclopts import Group, Parameter

from sp_graph_seg.cli.app import AUTO
from sp_graph_seg.errors import InputError

if TYPE_CHECKING:
    from sp_graph_seg.volumes import Volume

VOLUMES = Group(
    "Volumes and videos",
    help="For TIFF stacks, HDF5 and NeXus (scan.nxs:/entry/data), Zarr, NRRD, VTI, .npy, videos "
    "and folders of slices or frames.",
    sort_key=2,
)


@Parameter(name="*", group=VOLUMES)
@dataclasses.dataclass(frozen=True, kw_only=True)
class ReadFlags:
    """The flags that say which part of a volume or video is read.

    Attributes:
        axes: Names of the stored axes in order, such as zyx, zcyx or tyxc. Needed if the file does
            not declare them.
        axis: Axis perpendicular to the slices.
        slices: Slices or frames to read, as first:end or first:end:step, such as 100:400 or
            0:1000:10. All by default.
        crop: Rows and columns to read, such as 10:200,30:400. All by default.
        binning: Number of neighbouring rows, and of neighbouring columns, that are averaged into
            one. Or give three numbers, for slices, rows and columns.
        fill: Number that replaces NaN and infinite values, such as those outside the circle of a
            reconstruction.
        spacing: Size of a voxel along z, y and x before binning, for files that do not declare this
            size.
        unit: Unit of the spacing, such as um.
    """

    axes: str | None = None
    axis: Literal["z", "y", "x"] = "z"
    slices: str | None = None
    crop: str | None = None
    binning: Annotated[list[int] | None, Parameter(consume_multiple=True, negative=())] = None
    fill: float | None = None
    spacing: Annotated[
        tuple[float, float, float] | None, Parameter(metavar="Z Y X", negative=())
    ] = None
    unit: str | None = None

    def is_used(self) -> bool:
        """Returns whether any flag was given."""
        return self != type(self)()

    def open(self, path: Path) -> "Volume":
        """Opens the part of a volume that these flags select."""
        from sp_graph_seg.volumes import open_volume

        start, stop, step = _parse_slices(self.slices)
        binning = tuple(self.binning or [1])
        if len(binning) not in (1, 3):
            raise InputError(f"--binning: got {len(binning)} numbers; give one number or three.")
        check_spacing(self.spacing, self.unit)
        return open_volume(
            path,
            axes=self.axes,
            axis=self.axis,
            crop=self.crop,
            start=start,
            stop=stop,
            step=step,
            binning=binning[0] if len(binning) == 1 else binning,  # type: ignore[arg-type]
            fill=self.fill,
            spacing=self.spacing,
            unit=self.unit,
        )

    def leave_out_void(self, volume: "Volume") -> "Volume":
        """Masks what is constant around the data of a volume, such as outside of a circle."""
        from sp_graph_seg.cli.messages import report
        from sp_graph_seg.volumes import find_data, mask_volume

        inside = find_data(volume)
        if inside is None:
            return volume
        share = 1 - inside.mean()
        report("no data", f"in {share:.0%} of each slice, constant around the rest; no label there")
        return mask_volume(volume, inside)

    def mask(self, volume: "Volume", mask: Path) -> "Volume":
        """Applies a mask to a volume that was opened with these flags."""
        from sp_graph_seg.cli.messages import report
        from sp_graph_seg.volumes import find_air_around, mask_volume

        if mask != AUTO:
            part = dataclasses.replace(self, axes=None, fill=None)
            return mask_volume(volume, mask if _is_picture(mask) else part.open(mask))
        air = find_air_around(volume)
        if air is None:
            report("mask", "none, no air was found around a sample")
            return volume
        report("mask", f"air is {'below' if air.sign > 0 else 'above'} {air.threshold:.4g}")
        return mask_volume(volume, air)


@Parameter(name="*", group=VOLUMES)
@dataclasses.dataclass(frozen=True, kw_only=True)
class VolumeFlags(ReadFlags):
    """The flags that say how a volume or video is labelled.

    Attributes:
        format: Format of the labels if --output is a folder: tif, ome.tif, zarr, h5, nxs, nrrd,
            vti, npy or png.
        mode: How slices are labelled. slices labels each slice by itself. supervoxels first
            averages features over the supervoxels of a block of slices.
        relabel: YAML file that describes the relabelling after the prediction. The command relabel
            writes such a file with --make.
        overlay: File for a video of the labels over the frames. Its name must end in .mp4. If the
            input is a video, an overlay is always written, by default beside the labels.
        block: Number of slices that are labelled and stored together.
        workers: Number of worker processes. 0 does all work in the main process, with all its
            threads. By default, there is one process for each GPU or, without a GPU, one for every
            eight cores, if the work takes longer than it takes to start processes.
        scheduler: Address of a Dask scheduler, such as tcp://host:8786, to use instead of local
            processes.
        resume: Keep labels that the same command has already completed. By default, they cause an
            error.
        skip_bad: Skip slices that cannot be read. They get no labels. By default, they cause an
            error.
    """

    format: str = "tif"
    mode: Literal["slices", "supervoxels"] = "slices"
    relabel: Annotated[Path | None, Parameter(metavar="FILE")] = None
    overlay: Annotated[Path | None, Parameter(metavar="FILE")] = None
    block: int | None = None
    workers: int | None = None
    scheduler: str | None = None
    resume: Annotated[bool, Parameter(negative=())] = False
    skip_bad: Annotated[bool, Parameter(negative=())] = False

    def check_workers(self) -> None:
        """Raises an error for invalid values of --block, --workers and --scheduler."""
        from sp_graph_seg.parallel import count_workers

        if self.block is not None and self.block < 1:
            raise InputError(
                f"--block {self.block}: must be a positive number of slices; give 1 or more."
            )
        if self.workers is not None and self.workers < 0:
            raise InputError(f"--workers {self.workers}: must not be negative; give 0 or more.")
        if self.scheduler is not None:
            count_workers(None, self.scheduler)


def are_volumes(
    images: Sequence[Path], output: Path, flags: ReadFlags, train_on: str | None = None
) -> bool:
    """Returns whether the inputs are volumes or videos, and not single images.

    Raises:
        InputError: Some inputs are volumes or videos, and others are single images.
    """
    told = flags.is_used() or train_on is not None or is_label_file(output)
    kinds = [told or looks_like_volume(image) for image in images]
    if any(kinds) and not all(kinds):
        image, volume = images[kinds.index(False)], images[kinds.index(True)]
        raise InputError(
            f"{image}: is one image, but {volume} is a volume; run one command for images and "
            "one for volumes, or put slices into one folder and give the folder."
        )
    return all(kinds)


def looks_like_volume(image: Path) -> bool:
    """Returns whether a path is a volume or video, by its name or by the pages of a TIFF."""
    from sp_graph_seg.io.tiff import is_tiff_stack
    from sp_graph_seg.volumes import VOLUME_SUFFIXES

    has_inner = re.search(r"\.\w+:", str(image)) is not None and not image.exists()
    is_stack = image.is_file() and is_tiff_stack(image)
    return has_inner or image.suffix.lower() in VOLUME_SUFFIXES or is_stack or image.is_dir()


def check_spacing(spacing: tuple[float, float, float] | None, unit: str | None) -> None:
    """Raises an error for a voxel size without a unit, and for a unit without a voxel size."""
    if (spacing is None) != (unit is None):
        raise InputError(
            "--spacing, --unit: one of them is missing; give both, such as --spacing 2 1 1 "
            "--unit um."
        )


def _is_picture(path: Path) -> bool:
    """Returns whether a mask is one picture for all slices, and not a volume."""
    from sp_graph_seg.io import read_labels

    if path.is_dir():
        return False
    try:
        read_labels(path)
    except InputError:
        return path.suffix.lower() in (".png", ".bmp")
    return True


def is_label_file(output: Path) -> bool:
    """Returns whether a path names one file for the labels of a volume, and not a folder."""
    from sp_graph_seg.label_jobs import parse_output
    from sp_graph_seg.label_jobs.formats import PNGS

    try:
        return parse_output(output).format is not PNGS
    except InputError:
        return False


def _parse_slices(text: str | None) -> tuple[int | None, int | None, int]:
    if text is None:
        return None, None, 1
    parts = text.split(":")
    try:
        numbers = [int(part) if part else None for part in parts]
        if not 2 <= len(parts) <= 3:
            raise ValueError
    except ValueError as error:
        raise InputError(
            f"--slices {text}: is not a range; write first:end or first:end:step, such as 100:400 "
            "or 0:1000:10."
        ) from error
    start, stop, *step = numbers
    return start, stop, (step[0] if step and step[0] is not None else 1)
