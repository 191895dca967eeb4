"""Functions that read and write the description of a relabelling as YAML, for a person to edit."""

import json
import os
import re
from collections.abc import Mapping, Sequence
from types import MappingProxyType

from sp_graph_seg.errors import InputError
from sp_graph_seg.extras import require
from sp_graph_seg.labels.greys import Grey
from sp_graph_seg.labels.relabel.description import Relabel
from sp_graph_seg.yaml_reader import read_yaml

#: What YAML takes for something else than text.
_NOT_TEXT = ("yes", "no", "on", "off", "true", "false", "null")

_STEPS = """\
# The steps, from top to bottom. Name a label by its number or its name.
# Remove the first "# " of a line to use it.
{merge}
# smooth: 1            # radius in pixels: take the most frequent label around
# remove_small: {{{name}: 50}}    # components of fewer pixels take the labels around them
# fill_holes: [{name}]
# keep_largest: [{name}]
# unlabelled: 255      # value of pixels without a label, which stay as they are
"""


def read_relabel(path: str | os.PathLike[str]) -> Relabel:
    """Reads the description of a relabelling from a YAML file.

    Raises:
        InputError: If the file cannot be read, is not YAML, lists a key twice, or is not a valid
            description. The message begins with the path of the file.
    """
    values = read_yaml(path, "smooth: 1")
    try:
        return Relabel.from_dict(values)
    except InputError as error:
        raise InputError(f"{path}: {error}") from error


def relabel_to_yaml(relabel: Relabel) -> str:
    """Formats a description as YAML text that :func:`read_relabel` can read."""
    require("yaml")
    import yaml

    values = relabel.to_dict()
    if not values:
        return "# nothing\n"
    return yaml.safe_dump(values, sort_keys=False, default_flow_style=None, allow_unicode=True)


def starter_yaml(
    counts: Mapping[int, int],
    colors: Mapping[int, str],
    greys: Mapping[int, Grey] = MappingProxyType({}),
    merge: Mapping[int, Sequence[int]] = MappingProxyType({}),
    is_asked: bool = False,
    names: Mapping[int, str] = MappingProxyType({}),
) -> str:
    """Makes the YAML text of a description, for a person to edit.

    The text lists every label with its name, colour, share of the pixels and grey values. All steps
    are written as comments, so they have no effect until a person removes the ``#``. The only
    exception is ``merge`` if ``is_asked`` is true.

    Args:
        counts: Number of pixels of each label.
        colors: Colour of each label, as ``"#rrggbb"``.
        greys: Grey values of each label. Labels may be missing.
        merge: Labels to merge, from :func:`~sp_graph_seg.labels.relabel.propose_merges`.
        is_asked: Whether the user asked for these labels to be merged. If true, ``merge`` takes
            effect. (default: :obj:`False`)
        names: Names of labels. The other labels are called ``label N``.
    """
    called = {label: names.get(label, f"label {label}") for label in counts}
    total = sum(counts.values())
    lines = ["labels:"]
    for label in sorted(counts):
        entry = f'{label}: {{name: {_quoted(called[label])}, color: "{colors[label]}"}}'
        grey = f", grey {greys[label].mean:.4g} ± {greys[label].std:.2g}" if label in greys else ""
        lines.append(f"  {entry}  # {100 * counts[label] / total:.3g} % of the pixels{grey}")
    first, last = min(counts), max(counts)
    steps = _STEPS.format(
        merge=_merge_line(merge, is_asked, first, last), first=first, name=_quoted(called[first])
    )
    return "\n".join(lines) + "\n\n" + steps


def _quoted(name: str) -> str:
    """Quotes a name for YAML, unless it is made of words and spaces only."""
    is_plain = re.fullmatch(r"[A-Za-z][\w ]*\w", name) and not name.endswith(" ")
    if is_plain and name.lower() not in _NOT_TEXT:
        return name
    return json.dumps(name, ensure_ascii=False)


def _merge_line(merge: Mapping[int, Sequence[int]], is_asked: bool, first: int, last: int) -> str:
    if not merge:
        return f"# merge: {{{first}: [{last}]}}    # all pixels of {last} become {first}"
    groups = ", ".join(f"{kept}: {list(others)}" for kept, others in merge.items())
    why = "proposed, from the grey values alone: look at the picture"
    return f"{'' if is_asked else '# '}merge: {{{groups}}}    # {why}"
