"""The name of the program, and the Cyclopts application that holds all commands."""

from pathlib import Path
from typing import Annotated

from cyclopts import App, Parameter

from sp_graph_seg._version import __version__
from sp_graph_seg.cli.shared_flags import SHARED_HELP

PROGRAM = "sp-graph-seg"

app = App(
    name=PROGRAM,
    version=__version__,
    help="Unsupervised few-shot image segmentation on superpixel graphs.\n\n" + SHARED_HELP,
    help_format="markdown",
    print_error=False,
    exit_on_error=False,
    suppress_keyboard_interrupt=False,
    result_action="return_value",
)

Images = Annotated[list[Path], Parameter(name="IMAGE")]
Masks = Annotated[
    list[Path] | None, Parameter(metavar="auto|FILE...", consume_multiple=True, negative=())
]
AUTO = Path("auto")
"""The mask that leaves out the air around the sample."""
Range = Annotated[
    tuple[float, float] | None, Parameter(name="--range", metavar="LOW HIGH", negative=())
]
Folder = Annotated[Path, Parameter(alias="-o", metavar="FOLDER")]
File = Annotated[Path, Parameter(alias="-o", metavar="FILE")]
Switch = Annotated[bool, Parameter(negative=())]
