"""Makes HTML in which all text is escaped. Only :func:`element` makes markup."""

from html import escape

Attribute = str | float | bool | None

#: Elements without an end tag.
_VOID = frozenset({"img", "input", "meta"})


class Markup(str):
    """Text that is already HTML. Any other text is escaped when it is put into an element."""

    __slots__ = ()


def element(tag: str, *children: str, **attributes: Attribute) -> Markup:
    """Makes an HTML element.

    Args:
        tag: The name of the element.
        children: The content of the element. Texts are escaped, but :class:`Markup` is not.
        attributes: The attributes of the element. Underscores in names become hyphens, but an
            underscore at the end, as in ``class_``, is dropped. An attribute with the value True is
            written without a value. An attribute with the value False or None is left out.

    Example:
        >>> element("p", "a < b ", element("b", "and"), class_="note")
        '<p class="note">a &lt; b <b>and</b></p>'
    """
    opened = tag + "".join(_attribute(*item) for item in attributes.items())
    if tag in _VOID:
        return Markup(f"<{opened}>")
    return Markup(f"<{opened}>{join(*children)}</{tag}>")


def join(*children: str) -> Markup:
    """Joins texts and markup into one :class:`Markup`. Only the texts are escaped."""
    return Markup("".join(c if isinstance(c, Markup) else escape(c) for c in children))


def _attribute(name: str, value: Attribute) -> str:
    name = name.rstrip("_").replace("_", "-")
    if value is None or value is False:
        return ""
    return f" {name}" if value is True else f' {name}="{escape(str(value))}"'
