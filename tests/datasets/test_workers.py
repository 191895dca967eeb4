"""One script, because processes take seconds to start."""

import subprocess
import sys

import numpy as np

from sp_graph_seg.io import write_image

# Without `if __name__ == "__main__"`, and with a transform that only the script knows.
SCRIPT = """
import multiprocessing
import os
import numpy as np
from sp_graph_seg import ToRAG
from sp_graph_seg.datasets import ImageFolderRAG, VolumeRAG
from sp_graph_seg.errors import InputError

def mark(data):
    data.mark = data.x.sum()
    return data

def folder(root, num_workers):
    return ImageFolderRAG(
        root, "photos", to_graph=ToRAG(12), pre_transform=mark, num_workers=num_workers
    )

def volume(root, num_workers):
    return VolumeRAG(root, "volume.npy", to_graph=ToRAG(12), num_workers=num_workers)

np.save("volume.npy", np.random.default_rng(0).random((5, 60, 60), dtype=np.float32))

for make in (folder, volume):
    for one, other in zip(make("alone", 0), make("together", 2), strict=True):
        assert one.keys() == other.keys()
        assert all(np.array_equal(one[key], other[key]) for key in one.keys())

assert not multiprocessing.active_children()  # they would keep their memory
open("photos/c.png", "wb").write(b"no image")
try:
    folder("broken", 2)
except InputError as error:
    print(error)
print(*(file for _, _, files in os.walk("broken") for file in files))
"""


def test_workers_in_a_plain_script(tmp_path):
    (tmp_path / "photos").mkdir()
    for name in "abc":
        image = np.random.default_rng(0).random((3, 16, 20))
        write_image(tmp_path / "photos" / f"{name}.png", image)
    (tmp_path / "script.py").write_text(SCRIPT)
    run = subprocess.run(
        [sys.executable, "script.py"], cwd=tmp_path, capture_output=True, text=True, timeout=300
    )
    assert run.stderr == ""
    error, files = run.stdout.split("\n", 1)
    assert error.startswith("photos/c.png: is not an image")
    assert set(files.split()) <= {"a.pt", "b.pt"}  # and no temporary file
