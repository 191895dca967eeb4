import re
from html.parser import HTMLParser

import pytest

from sp_graph_seg.report import Page, render_page
from sp_graph_seg.report.markup import element, join

HOSTILE = "</script><script>alert('1')</script><img src=\"x\" onerror='a'>&lt;"


def test_text_and_attributes_are_escaped_once():
    made = element("p", HOSTILE, element("b", HOSTILE), title=HOSTILE)
    escaped = (
        "&lt;/script&gt;&lt;script&gt;alert(&#x27;1&#x27;)&lt;/script&gt;&lt;img "
        "src=&quot;x&quot; onerror=&#x27;a&#x27;&gt;&amp;lt;"
    )
    assert made == f'<p title="{escaped}">{escaped}<b>{escaped}</b></p>'
    assert join("<", element("i", ">")) == "&lt;<i>&gt;</i>"


@pytest.mark.parametrize(
    ("attributes", "written"),
    [
        ({"class_": "a", "aria_label": "b"}, ' class="a" aria-label="b"'),
        ({"hidden": True, "id": None, "open": False}, " hidden"),
        ({"min": 0, "value": 0.5}, ' min="0" value="0.5"'),
    ],
)
def test_attributes(attributes, written):
    assert element("img", **attributes) == f"<img{written}>"


class _Tags(HTMLParser):
    """Counts tags, and checks that they are closed in order."""

    def __init__(self):
        super().__init__()
        self.open, self.seen = [], []

    def handle_starttag(self, tag, attributes):
        self.seen.append((tag, dict(attributes)))
        if tag not in ("img", "input", "meta"):
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag


def tags_of(text):
    parser = _Tags()
    parser.feed(text)
    assert parser.open == []
    return parser.seen


def test_a_page_is_well_formed_and_hostile_text_adds_no_element(page):
    hostile, tame = render_page(page), render_page(Page("t", sample=page.sample))
    tags = tags_of(hostile)
    assert [tag for tag, _ in tags if tag == "script"] == ["script"] * 2  # its data and its own
    assert not any(name.startswith("on") for _, attributes in tags for name in attributes)
    assert len([tag for tag, _ in tags if tag == "img"]) == len(
        [tag for tag, _ in tags_of(tame) if tag == "img"]
    )


def test_a_page_asks_for_nothing(page):
    for tag, attributes in tags_of(render_page(page)):
        assert tag not in ("link", "iframe", "object", "base", "a", "form")
        for name in ("src", "href", "srcset", "action"):
            assert attributes.get(name, "data:image/").startswith("data:image/")
    assert not re.search(r"@import|url\(", render_page(page))


def test_the_data_of_the_script_cannot_end_it(page):
    data = render_page(page).split('id="data">')[1].split("</script>")[0]
    assert "<" not in data
