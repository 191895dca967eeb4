"""The formats of finished outputs. To add a format, write a class and list it in FORMATS."""

from sp_graph_seg.label_jobs.base import Format
from sp_graph_seg.label_jobs.formats.chunks import chunk_shape
from sp_graph_seg.label_jobs.formats.grids import Nrrd, Vti
from sp_graph_seg.label_jobs.formats.hdf5 import Hdf5
from sp_graph_seg.label_jobs.formats.npy import Npy
from sp_graph_seg.label_jobs.formats.ome_zarr import OmeZarr
from sp_graph_seg.label_jobs.formats.pngs import Pngs, slice_names
from sp_graph_seg.label_jobs.formats.tiff import ImageJTiff, OmeTiff

__all__ = ["FORMATS", "OME_ZARR", "PNGS", "chunk_shape", "slice_names"]

OME_ZARR, PNGS = OmeZarr(), Pngs()
FORMATS: tuple[Format, ...] = (
    OME_ZARR,
    ImageJTiff(),
    OmeTiff(),
    Hdf5(),
    Npy(),
    Nrrd(),
    Vti(),
    PNGS,
)
