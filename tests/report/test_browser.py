"""The page in a real browser: it loads nothing, fits, is readable, and its controls work."""

import io

import numpy as np
import pytest
from PIL import Image

WIDTHS = (390, 820, 1440)


def picture_of(browser):
    with Image.open(io.BytesIO(browser.screenshot())) as image:
        return np.asarray(image.convert("RGB"))


def press(browser, key, code):
    for kind in ("keyDown", "keyUp"):
        browser.call(
            "Input.dispatchKeyEvent", type=kind, key=key, code=key, windowsVirtualKeyCode=code
        )


def shown(browser, selector=".stage canvas"):
    """The pixels ``(h, w, 4)`` of a canvas."""
    width, height, values = browser.evaluate(
        f"(() => {{ const c = document.querySelector('{selector}');"
        "const d = c.getContext('2d').getImageData(0, 0, c.width, c.height).data;"
        "return [c.width, c.height, [...d]]; })()"
    )
    return np.array(values).reshape(height, width, 4)


def move(browser, name, value):
    browser.evaluate(
        f"(() => {{ const e = document.getElementById('{name}'); e.value = {value};"
        "e.dispatchEvent(new Event('input')); })()"
    )
    browser.settle()


@pytest.mark.parametrize("theme", ["light", "dark"])
@pytest.mark.parametrize("width", WIDTHS)
def test_it_loads_alone_and_fits(browser, page_file, width, theme):
    browser.open(page_file, width, theme=theme)
    assert browser.complaints() == []
    assert browser.requests() == [page_file.as_uri()]
    assert browser.evaluate("window.bad") is None
    assert browser.evaluate("document.documentElement.scrollWidth") <= width
    ground = picture_of(browser)[-1, 0].mean()
    assert ground > 230 if theme == "light" else ground < 40
    sides = browser.evaluate(
        "[...document.querySelectorAll('section, .frame, .legend table, dl, .charts, pre')].map("
        "e => { const b = e.getBoundingClientRect(); return [b.left, b.right, b.width]; })"
    )
    for left, right, extent in sides:
        assert left >= 0
        assert extent > 40
        assert right <= width


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_all_text_has_the_contrast_of_wcag(browser, page_file, theme):
    browser.open(page_file, theme=theme)
    contrasts = browser.evaluate(
        """(() => {
        const light = (color) => {
            const parts = color.match(/[\\d.]+/g).slice(0, 3).map(v => v / 255);
            const linear = parts.map(v => v <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4);
            return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2];
        };
        const ground = (element) => {
            const own = getComputedStyle(element).backgroundColor;
            const isClear = own === 'transparent' || own.endsWith(', 0)');
            return isClear ? ground(element.parentElement) : own;
        };
        const texts = [...document.querySelectorAll('h1, h2, p, th, td, dt, dd, figcaption, b, ' +
            'summary, button, label, pre, caption, cite, .title')];
        return texts.filter(e => e.textContent.trim()).map(e => {
            const [a, b] = [getComputedStyle(e).color, ground(e)].map(light);
            return [(Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05), e.tagName, e.textContent];
        });
        })()"""
    )
    assert len(contrasts) > 30
    assert [c for c in contrasts if c[0] < 4.5] == []


def test_every_control_has_a_name_and_is_reached_by_keyboard(browser, page_file):
    browser.open(page_file)
    tree = browser.call("Accessibility.getFullAXTree")["nodes"]
    roles = [(node.get("role", {}).get("value"), node) for node in tree]
    controls = [node for role, node in roles if role in ("slider", "button", "checkbox")]
    names = [node["name"]["value"].strip() for node in controls]
    assert "Slice" in names
    assert "Labels" in names
    assert "Outlines only" in names
    assert "Show label 3 grain <b>" in names
    assert all(names)
    pictures = [node for role, node in roles if role in ("image", "img")]
    assert all(node["name"]["value"] for node in pictures)
    reached = set()
    for _ in range(20):
        press(browser, "Tab", 9)
        reached.add(browser.evaluate("document.activeElement.id"))
    assert {"slice", "opacity", "outline", "copy"} <= reached


def test_the_slider_shows_another_slice(browser, page_file, page):
    browser.open(page_file)
    title = "document.querySelector('.stage .title').textContent"
    assert browser.evaluate(title) == page.sample.panels[len(page.sample.panels) // 2].heading
    for number, panel in enumerate(page.sample.panels[:9]):
        move(browser, "slice", number)
        assert browser.evaluate(title) == panel.heading
        assert browser.evaluate("document.getElementById('slice').ariaValueText") == panel.heading
    assert "slice 7, trained on" in [panel.heading for panel in page.sample.panels]
    move(browser, "slice", 0)
    top = browser.evaluate("document.querySelector('.cut .here').style.top")
    assert float(top.removesuffix("%")) == pytest.approx(100 * 0.5 / 30, rel=1e-4)


def test_arrow_keys_move_the_slider(browser, page_file):
    browser.open(page_file)
    browser.evaluate("document.getElementById('slice').focus()")
    before = browser.evaluate("+document.getElementById('slice').value")
    browser.call(
        "Input.dispatchKeyEvent",
        type="keyDown",
        key="ArrowRight",
        code="ArrowRight",
        windowsVirtualKeyCode=39,
    )
    assert browser.evaluate("+document.getElementById('slice').value") == before + 1


def test_labels_have_the_colours_of_the_legend(browser, page_file, page):
    browser.open(page_file)
    painted = shown(browser)
    sample = page.sample
    labels = sample.panels[0].labels
    for row in sample.legend:
        rgb = list(bytes.fromhex(row.color[1:]))
        np.testing.assert_array_equal(
            (painted[..., :3] == rgb).all(axis=-1) & (painted[..., 3] == 255), labels == row.label
        )
    assert (painted[labels < 0][:, 3] == 0).all()
    swatches = browser.evaluate(
        "[...document.querySelectorAll('.swatch')].map(e => getComputedStyle(e).backgroundColor)"
    )
    wanted = [tuple(bytes.fromhex(row.color[1:])) for row in sample.legend]
    assert swatches == [f"rgb({r}, {g}, {b})" for r, g, b in wanted]


def test_opacity_is_from_the_input_to_the_labels_alone(browser, page_file):
    browser.open(page_file, 1440, 1000)
    box = browser.evaluate(
        "(() => { const b = document.querySelector('.stage .frame').getBoundingClientRect();"
        "return [b.top + b.height / 3, b.left + b.width / 2].map(Math.round); })()"
    )
    colors = {}
    for value in (0, 50, 100):
        move(browser, "opacity", value)
        colors[value] = picture_of(browser)[box[0], box[1]].astype(float)
    assert np.ptp(colors[0]) <= 3  # grey
    np.testing.assert_allclose(colors[50], (colors[0] + colors[100]) / 2, atol=3)
    assert np.ptp(colors[100]) > 60


def test_a_click_hides_a_label_and_shows_it_again(browser, page_file, page):
    browser.open(page_file)
    before = shown(browser)
    labels = page.sample.panels[0].labels
    button = "document.querySelector('[data-label=\"3\"]')"
    browser.evaluate(f"{button}.click()")
    browser.settle()
    assert browser.evaluate(f"{button}.ariaPressed") == "false"
    hidden = shown(browser)
    assert (hidden[labels == 3][:, 3] == 0).all()
    np.testing.assert_array_equal(hidden[labels != 3], before[labels != 3])
    assert (shown(browser, ".cut canvas")[:, 30, 3] == 0).all()
    browser.evaluate(f"{button}.click()")
    browser.settle()
    np.testing.assert_array_equal(shown(browser), before)


def test_outlines_are_where_labels_touch(browser, page_file, page):
    browser.open(page_file)
    browser.evaluate("document.getElementById('outline').click()")
    browser.settle()
    visible = shown(browser)[..., 3] > 0
    labels = page.sample.panels[0].labels
    edge = np.zeros_like(visible)
    edge[:, :-1] |= labels[:, :-1] != labels[:, 1:]
    edge[:-1] |= labels[:-1] != labels[1:]
    np.testing.assert_array_equal(visible, edge & (labels >= 0))


def test_scale_bars_have_the_length_that_they_say(browser, page_file, page):
    browser.open(page_file)
    bars = browser.evaluate(
        "[...document.querySelectorAll('.scale')].map("
        "e => [e.offsetWidth / e.parentElement.offsetWidth, e.textContent])"
    )
    panels = [page.sample.panels[0], *page.sample.cuts]
    assert len(bars) == 3
    for (share, text), panel in zip(bars, panels, strict=True):
        length, unit = text.split()
        assert unit == "µm"
        assert share == pytest.approx(float(length) / panel.extent[1], abs=0.01)


def test_pictures_have_true_proportions(browser, page_file, page):
    browser.open(page_file, 1440)
    sizes = browser.evaluate(
        "[...document.querySelectorAll('.frame')].map(e => [e.offsetHeight, e.offsetWidth])"
    )
    panels = [page.sample.panels[0], *page.sample.cuts]
    for (height, width), panel in zip(sizes, panels, strict=True):
        assert height / width == pytest.approx(panel.extent[0] / panel.extent[1], rel=0.02)


def test_without_its_script_it_still_shows_labels(browser, page_file, tmp_path):
    text = page_file.read_text(encoding="utf-8").replace(
        'classList.add("live")', "classList.add('x')"
    )
    changed = tmp_path / "changed.html"  # the policy refuses a script with another digest
    changed.write_text(text, encoding="utf-8")
    browser.open(changed)
    assert browser.evaluate("document.documentElement.className") == ""
    assert (
        browser.evaluate("getComputedStyle(document.querySelector('.controls')).display") == "none"
    )
    assert browser.evaluate("document.querySelector('.stage .labels').naturalWidth") == 60


def test_the_command_is_copied_or_marked(browser, page_file, page):
    browser.open(page_file)
    browser.evaluate("document.getElementById('copy').click()")
    browser.settle()
    said = browser.evaluate("document.getElementById('copy').textContent")
    assert said in ("Copied", "Marked")
    if said == "Marked":
        assert browser.evaluate("getSelection().toString()") == page.record["command"]
