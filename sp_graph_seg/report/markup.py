"""HTML that is escaped by construction: only :func:`element` makes markup."""

from html import escape

Attribute = str | float | bool | None

#: Elements without an end tag.
_VOID = frozenset({"img", "input", "meta"})


class Markup(str):
    """Text that is HTML already; any other text is escaped where it is put into an element."""

    __slots__ = ()


def element(tag: str, *children: str, **attributes: Attribute) -> Markup:
    """Makes an HTML element.

    Args:
        tag: Its name.
        children: What it holds: text, which is escaped, and markup.
        attributes: Its attributes. Underscores become hyphens, and one at the end, as in
            ``class_``, is left out. True writes the name alone; False and None write nothing.

    Example:
        >>> element("p", "a < b ", element("b", "and"), class_="note")
        '<p class="note">a &lt; b <b>and</b></p>'
    """
    opened = tag + "".join(_attribute(*item) for item in attributes.items())
    if tag in _VOID:
        return Markup(f"<{opened}>")
    return Markup(f"<{opened}>{join(*children)}</{tag}>")


def join(*children: str) -> Markup:
    """Joins text, which is escaped, and markup."""
    return Markup("".join(c if isinstance(c, Markup) else escape(c) for c in children))


def _attribute(name: str, value: Attribute) -> str:
    name = name.rstrip("_").replace("_", "-")
    if value is None or value is False:
        return ""
    return f" {name}" if value is True else f' {name}="{escape(str(value))}"'
