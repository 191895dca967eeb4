import functools

import numpy as np
import pytest
import torch
from torch_geometric.transforms import Compose, Constant

from sp_graph_seg import ToRAG
from sp_graph_seg.errors import InputError
from sp_graph_seg.io.fingerprint import fingerprint, stamp


class Scale:
    def __init__(self, factor):
        self._factor = factor

    def __call__(self, data):
        return data


def first(data, strength=1):
    return data


def second(data):
    return data


DISTINCT = {
    "none": None,
    "number": 1,
    "text": "1",
    "rag": ToRAG(100),
    "rag with other segments": ToRAG(101),
    "rag with attributes": ToRAG(100, attributes=["area"]),
    "rag with a mask": ToRAG(100, mask=np.eye(4, dtype=bool)),
    "rag with another mask": ToRAG(100, mask=1 - np.eye(4, dtype=int)),
    "compose": Compose([ToRAG(100), Constant(1.0)]),
    "compose with another value": Compose([ToRAG(100), Constant(2.0)]),
    "private attribute": Scale(2),
    "another private attribute": Scale(3),
    "method": Scale(2).__call__,
    "method of another": Scale(3).__call__,
    "function": first,
    "another function": second,
    "partial": functools.partial(first, strength=2),
    "another partial": functools.partial(first, strength=3),
    "class": Scale,
    "weights": torch.nn.Linear(1, 1),
    "other weights": torch.nn.Linear(1, 1),
    "zeros": np.zeros(2),
    "column": np.zeros((2, 1)),
    "32 bits": np.zeros(2, dtype=np.float32),
    "objects": np.array(["a", None], dtype=object),
    "tensor": torch.arange(3),
    "mapping": {"a": 1},
    "bytes": b"1",
    "range": range(3),
    "range with a step": range(0, 3, 2),
    "set": {1, 2},
    "another set": {1, 3},
}


def test_fingerprint_differs_whenever_a_parameter_does():
    names = {fingerprint(to_graph=value) for value in DISTINCT.values()}
    assert len(names) == len(DISTINCT)


def test_fingerprint_is_the_same_for_equal_parameters():
    def make():
        mask = np.arange(6).reshape(2, 3) > 2
        return fingerprint(a=Compose([ToRAG(7, mask=mask), Scale(2)]), b=[1, "x", None])

    assert make() == make()
    assert fingerprint(a=np.zeros((2, 3)).T) == fingerprint(a=np.zeros((3, 2)))
    # Fixed: graphs on disk are found again by the next version of Python, too.
    assert fingerprint(a=1, b=[2.5, "x"]) == "ca041b35f15531353c5df61f292be63f"


def test_the_order_of_names_is_no_matter():
    assert fingerprint(a=1, b={"c": 2, "d": 3}) == fingerprint(b={"d": 3, "c": 2}, a=1)
    assert fingerprint(a=[1, 2]) != fingerprint(a=[2, 1])


def test_a_stamp_changes_with_the_file(tmp_path):
    file = tmp_path / "a"
    file.write_bytes(b"12")
    first = stamp(file)
    assert first == stamp(file) == (2, file.stat().st_mtime_ns)
    file.write_bytes(b"123")
    assert stamp(file) != first
    with pytest.raises(InputError, match=f"^{file.parent}/b: cannot be found"):
        stamp(file.with_name("b"))


def test_fingerprint_tells_names_and_nesting_apart():
    assert fingerprint(a=1) != fingerprint(b=1)
    assert fingerprint(a=[[1], 2]) != fingerprint(a=[[1, 2]])
    assert fingerprint(a={"b": 1}) != fingerprint(a=["b", 1])


@pytest.mark.parametrize(
    "value", [lambda data: data, functools.partial(lambda data: data), iter([])]
)
def test_fingerprint_refuses_what_has_no_name(value):
    with pytest.raises(InputError, match=r"to_graph\[0\]: .* use a function that is"):
        fingerprint(to_graph=[value])


def test_fingerprint_refuses_a_closure():
    strength = 2

    def scale(data):
        return data * strength

    with pytest.raises(InputError, match="pre_transform"):
        fingerprint(pre_transform=scale)
