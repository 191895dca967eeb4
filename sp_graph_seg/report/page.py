"""Makes the whole page from its sections. The most important sections come first."""

import hashlib
import os
from base64 import b64encode
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from importlib.resources import files
from typing import Any

from sp_graph_seg._version import __version__
from sp_graph_seg.report.charts import history_charts
from sp_graph_seg.report.markup import Markup, element, join
from sp_graph_seg.report.pictures import picture_uri
from sp_graph_seg.report.sample import Sample
from sp_graph_seg.report.viewer import show_sample
from sp_graph_seg.training import History

#: What to cite, and its address, as in CITATION.cff.
CITATION = (
    "Leng, Atwood, Kockelmann, Chekrygina and Thiyagalingam: Unsupervised Few-Shot Image "
    "Segmentation with Dense Feature Learning and Sparse Clustering. VISAPP 2024.",
    "https://doi.org/10.5220/0012380700003660",
)

#: What the head of every page names as its maker.
GENERATOR = "sp_graph_seg"

#: Most rows of a table.
_ROWS = 100


@dataclass(frozen=True)
class Table:
    """A table of a page.

    Attributes:
        title: The title of the table.
        headers: The titles of the columns.
        rows: The rows. Each row holds the texts of its cells. Only the first 100 rows are shown.
        note: A sentence below the table.
    """

    title: str
    headers: Sequence[str]
    rows: Sequence[Sequence[str]]
    note: str = ""


@dataclass(frozen=True)
class Page:
    """The content of a page. Everything except the title may be missing.

    Attributes:
        title: The name of what was labelled.
        summary: Short facts below the title.
        sample: The input and its labels.
        history: The losses of the training.
        pictures: The content of an image file for each picture, by the title of the picture.
        tables: The tables of the page.
        facts: Facts about the input, the training and the results. Each has a name and a text.
        settings: All settings, as YAML.
        record: The command, folder and versions with which the labels were made, see
            :func:`~sp_graph_seg.io.record.make_record`.
        warnings: Texts that the reader must see first, such as a note that slices were left out.
    """

    title: str
    summary: Sequence[str] = ()
    sample: Sample | None = None
    history: History | None = None
    pictures: Mapping[str, bytes] = field(default_factory=dict)
    tables: Sequence[Table] = ()
    facts: Mapping[str, str] = field(default_factory=dict)
    settings: str = ""
    record: Mapping[str, Any] = field(default_factory=dict)
    warnings: Sequence[str] = ()


def render_page(page: Page) -> str:
    """Renders a page as one HTML file that needs no other file.

    All text is escaped. The content security policy of the page does not allow it to load anything,
    or to run any script except its own.
    """
    body = element(
        "body",
        _header(page),
        element("main", *(section for section in _sections(page) if section)),
        _footer(),
        element("script", Markup(_own("page.js"))),
    )
    return f"<!DOCTYPE html>\n{element('html', _head(page.title), body, lang='en')}\n"


def is_own_page(path: str | os.PathLike[str]) -> bool:
    """Returns whether a file is a page of this package. Such a file may be replaced."""
    mark = element("meta", name="generator", content=GENERATOR).encode()
    try:
        with open(path, "rb") as file:
            return mark in file.read(4096)
    except OSError:
        return False


def _head(title: str) -> Markup:
    digest = b64encode(hashlib.sha256(_own("page.js").encode()).digest()).decode("ascii")
    policy = (
        "default-src 'none'; img-src data:; style-src 'unsafe-inline'; "
        f"script-src 'sha256-{digest}'"
    )
    return element(
        "head",
        element("meta", charset="utf-8"),
        element("meta", http_equiv="Content-Security-Policy", content=policy),
        element("meta", name="viewport", content="width=device-width, initial-scale=1"),
        element("meta", name="color-scheme", content="light dark"),
        element("meta", name="generator", content=GENERATOR),
        element("title", f"{title} – labels"),
        element("style", Markup(_own("page.css"))),
    )


def _header(page: Page) -> Markup:
    return element(
        "header",
        element("h1", page.title),
        element("p", *_between(page.summary, " · "), class_="summary") if page.summary else "",
        *(element("p", text, class_="warning", role="note") for text in page.warnings),
    )


def _sections(page: Page) -> list[Markup | None]:
    return [
        show_sample(page.sample) if page.sample else None,
        *(_picture(title, content) for title, content in page.pictures.items()),
        *(_table(table) for table in page.tables),
        _training(page.history),
        _repeat(page.record),
        _facts(page),
    ]


def _training(history: History | None) -> Markup | None:
    charts = history_charts(history) if history is not None and len(history) else []
    if not charts:
        return None
    return _section("Training", element("div", *charts, class_="charts"))


def _picture(title: str, content: bytes) -> Markup:
    return _section(title, element("img", src=picture_uri(content), alt=title, class_="sheet"))


def _table(table: Table) -> Markup:
    kinds = [_kind(column) for column in zip(*table.rows, strict=True)] or [None] * 99
    head = [
        element("th", title, scope="col", class_=kind)
        for title, kind in zip(table.headers, kinds, strict=False)
    ]
    rows = [
        element("tr", *(element("td", cell, class_=k) for cell, k in zip(row, kinds, strict=True)))
        for row in table.rows[:_ROWS]
    ]
    left_out = len(table.rows) - len(rows)
    note = table.note + (f" {left_out} more rows are not shown here." if left_out else "")
    body = element("table", element("thead", element("tr", *head)), element("tbody", *rows))
    return _section(
        table.title,
        element("div", body, class_="wide", tabindex=0, role="region", aria_label=table.title),
        element("p", note.strip(), class_="note") if note else "",
    )


def _kind(column: Sequence[str]) -> str | None:
    """Returns the CSS class ``number`` for a column of numbers, and None for other columns."""
    return "number" if all(cell[:1].isdigit() or cell[:1] in "-<–" for cell in column) else None


def _repeat(record: Mapping[str, Any]) -> Markup | None:
    if not record:
        return None
    command = record["command"]
    return _section(
        "Repeat it",
        element(
            "div",
            element("pre", element("code", command, id="command"), tabindex=0),
            element("button", "Copy", type="button", id="copy"),
            class_="command",
        ),
        element("p", "in the folder ", record["folder"], class_="note"),
    )


def _facts(page: Page) -> Markup:
    versions = page.record.get("versions", {"sp_graph_seg": __version__})
    made_with = ", ".join(f"{name} {number}" for name, number in versions.items())
    facts = {**page.facts, "Made with": made_with}
    rows = (join(element("dt", name), element("dd", text)) for name, text in facts.items())
    settings = element(
        "details",
        element("summary", "All settings"),
        element("pre", page.settings, tabindex=0),
    )
    return _section("How it was made", element("dl", *rows), settings if page.settings else "")


def _footer() -> Markup:
    name, address = CITATION
    return element(
        "footer",
        element(
            "p", "If you publish these labels, please cite: ", name, " ", element("cite", address)
        ),
    )


def _section(title: str, *children: str) -> Markup:
    return element("section", element("h2", title), *children)


def _between(texts: Sequence[str], mark: str) -> list[str]:
    return [part for text in texts for part in (mark, element("span", text))][1:]


@cache
def _own(name: str) -> str:
    """Reads a file in the folder of this module."""
    return files("sp_graph_seg.report").joinpath(name).read_text(encoding="utf-8")
