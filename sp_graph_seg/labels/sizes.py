"""The distribution of the sizes of components."""

import numpy as np

from sp_graph_seg.labels.tables import Table


def size_distribution(components: Table) -> Table:
    """Counts the components of each label in classes of diameter.

    The diameter of a component is the diameter of a ball of the same volume, or in 2D of a disc of
    the same area. The classes are 1 to 2, 2 to 4, 4 to 8 and so on, in the unit of the diameter.
    Diameters below 1 are in the classes 0.5 to 1, 0.25 to 0.5 and so on.

    Args:
        components: Result of :func:`~sp_graph_seg.labels.tables.component_table`.

    Returns:
        A row for each label and each class in which the label has components. The columns are
        ``label``, ``name``, ``diameter_from``, ``diameter_to``, ``components``, ``volume`` and
        ``fraction``. ``components`` is the number of components, ``volume`` is their volume, and
        ``fraction`` is their share of the volume of the label.
    """
    labels, diameters = components["label"], components["diameter"]
    powers = np.floor(np.log2(np.maximum(diameters, np.finfo(float).tiny))).astype(int)
    keys, which = np.unique(np.stack([labels, powers], axis=1), axis=0, return_inverse=True)
    which = which.ravel()
    volume = np.bincount(which, components["volume"], minlength=len(keys))
    names = dict(zip(labels.tolist(), components["name"].tolist(), strict=True))
    of_label = {n: components["volume"][labels == n].sum() for n in names}
    found = keys[:, 0].tolist()
    unit = components.headers["diameter"].removeprefix("diameter")
    columns = {
        "label": keys[:, 0],
        "name": np.array([names[label] for label in found], dtype=np.str_),
        "diameter_from": 2.0 ** keys[:, 1],
        "diameter_to": 2.0 ** (keys[:, 1] + 1),
        "components": np.bincount(which, minlength=len(keys)),
        "volume": volume,
        "fraction": volume / np.array([of_label[label] for label in found]),
    }
    headers = {name: name + (unit if name.startswith("diameter") else "") for name in columns}
    return Table(columns, headers | {"volume": components.headers["volume"]})
