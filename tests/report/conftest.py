"""A volume, its labels, a page of them, and a headless browser to open it.

The browser is driven over Chromium's debugging pipe, without further packages.
"""

import base64
import itertools
import json
import os
import shutil
import subprocess
import sys

import numpy as np
import pytest
import tifffile

from sp_graph_seg.io.record import make_record, recorded_as
from sp_graph_seg.report import Page, Table, render_page, sample_volume
from sp_graph_seg.training import History
from sp_graph_seg.volumes import open_volume

#: Programs that understand the protocol.
NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "chrome")


def find_browser():
    """The program of a browser; None if there is none."""
    return next(filter(None, map(shutil.which, NAMES)), None)


class Browser:
    """One page in a browser. Requests and errors of the page are kept."""

    def __init__(self, profile):
        to_browser, from_us = os.pipe()
        to_us, from_browser = os.pipe()
        move = "import os, sys; os.dup2(int(sys.argv[1]), 3); os.dup2(int(sys.argv[2]), 4); "
        move += "os.execv(sys.argv[3], sys.argv[3:])"
        self._process = subprocess.Popen(
            [
                *(sys.executable, "-c", move, str(to_browser), str(from_browser), find_browser()),
                *("--headless=new", "--no-sandbox", "--disable-gpu", "--no-first-run"),
                *("--remote-debugging-pipe", f"--user-data-dir={profile}"),
            ],
            pass_fds=(to_browser, from_browser),
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        os.close(to_browser)
        os.close(from_browser)
        self._out, self._in = os.fdopen(from_us, "wb"), os.fdopen(to_us, "rb")
        self._numbers, self._session, self._rest = itertools.count(1), None, b""
        self.events = []
        target = self.call("Target.createTarget", url="about:blank")["targetId"]
        attached = self.call("Target.attachToTarget", targetId=target, flatten=True)
        self._session = attached["sessionId"]
        for domain in ("Page", "Runtime", "Network", "Log"):
            self.call(f"{domain}.enable")

    def close(self):
        self._process.terminate()
        self._process.wait(30)
        self._out.close()
        self._in.close()

    def call(self, method, **parameters):
        number = next(self._numbers)
        message = {"id": number, "method": method, "params": parameters}
        if self._session:
            message["sessionId"] = self._session
        self._out.write(json.dumps(message).encode() + b"\0")
        self._out.flush()
        while True:
            answer = self._read()
            if answer.get("id") == number:
                assert "error" not in answer, answer
                return answer["result"]
            self.events.append(answer)

    def _read(self):
        while b"\0" not in self._rest:
            piece = os.read(self._in.fileno(), 1 << 20)
            assert piece, "the browser has ended"
            self._rest += piece
        message, _, self._rest = self._rest.partition(b"\0")
        return json.loads(message)

    def open(self, path, width=820, height=900, theme="light"):
        """Opens a file, and waits until its script has run."""
        self.call(
            "Emulation.setDeviceMetricsOverride",
            width=width,
            height=height,
            deviceScaleFactor=1,
            mobile=False,
        )
        features = [{"name": "prefers-color-scheme", "value": theme}]
        self.call("Emulation.setEmulatedMedia", features=features)
        self.events.clear()
        self.call("Page.navigate", url=path.as_uri())
        self.evaluate(
            "new Promise(done => document.readyState === 'complete' ? done() : "
            "addEventListener('load', done))"
        )
        self.settle()

    def settle(self):
        """Waits until all pictures are decoded and painted."""
        self.evaluate(
            "Promise.all([...document.images].map(i => i.decode().catch(() => 0)))"
            ".then(() => new Promise(done => requestAnimationFrame(() => setTimeout(done, 60))))"
        )

    def evaluate(self, expression):
        answer = self.call(
            "Runtime.evaluate", expression=expression, awaitPromise=True, returnByValue=True
        )
        assert "exceptionDetails" not in answer, answer["exceptionDetails"]
        return answer["result"].get("value")

    def screenshot(self):
        """A PNG of what is seen."""
        return base64.b64decode(self.call("Page.captureScreenshot")["data"])

    def complaints(self):
        """Errors of the script and of the policy of the page."""
        kinds = ("Runtime.exceptionThrown", "Log.entryAdded")
        return [event["params"] for event in self.events if event.get("method") in kinds]

    def requests(self):
        """The addresses that were asked for, but those inside of the page."""
        sent = (e for e in self.events if e.get("method") == "Network.requestWillBeSent")
        urls = (event["params"]["request"]["url"] for event in sent)
        return [url for url in urls if not url.startswith("data:")]


SHAPE = (30, 40, 60)


@pytest.fixture(scope="session")
def scan(tmp_path_factory):
    """Three phases in slabs along x, with their labels 0, 3 and 7, and a corner without any."""
    folder = tmp_path_factory.mktemp("scan")
    labels = np.zeros(SHAPE, np.uint8)
    labels[:, :, 20:40], labels[:, :, 40:] = 3, 7
    values = np.take([100, 0, 0, 500, 0, 0, 0, 900], labels).astype(np.uint16)
    labels[:, :5, :5] = 255
    spacing = {"spacing": 4.0, "unit": "um", "axes": "ZYX"}
    for name, array in (("scan", values), ("labels", labels)):
        tifffile.imwrite(
            folder / f"{name}.tif", array, imagej=True, resolution=(0.5, 0.5), metadata=spacing
        )
    return folder


@pytest.fixture(scope="session")
def sample(scan):
    volume, labels = open_volume(scan / "scan.tif"), open_volume(scan / "labels.tif")
    return sample_volume(volume, labels, trained_on=(7,), names={3: "grain <b>"})


@pytest.fixture(scope="session")
def history():
    history = History()
    for step in range(1, 40):
        history.append({"step": step, "epoch": 1, "loss": 1 / step, "rec": 2 / step})
    return history


@pytest.fixture(scope="session")
def page(sample, history):
    """A page with every section, and text that tries to be markup."""
    command = ["sp-graph-seg", "segment", "</script><script>window.bad = 4</script>", "-o", "out"]
    with recorded_as(command):
        record = make_record()
    return Page(
        title="<script>window.bad = 1</script>&amp;",
        summary=["30 slices", "3 labels", "<img src=x onerror='window.bad = 2'>"],
        sample=sample,
        history=history,
        tables=[Table("Regions <i>", ["Label", "Name", "Voxels"], [["3", "</td><b>", "24000"]])],
        facts={"Input": '/scans/"><script>window.bad = 3</script>.tif'},
        settings="superpixel_size: 0  # </pre>",
        record=record,
        warnings=["Slice 3 cannot be read"],
    )


@pytest.fixture(scope="session")
def page_file(page, tmp_path_factory):
    file = tmp_path_factory.mktemp("page") / "report.html"
    file.write_text(render_page(page), encoding="utf-8")
    return file


@pytest.fixture(scope="session")
def browser(tmp_path_factory):
    if find_browser() is None:
        pytest.skip(f"no browser is installed (one of {', '.join(NAMES)})")
    browser = Browser(tmp_path_factory.mktemp("profile"))
    yield browser
    browser.close()
