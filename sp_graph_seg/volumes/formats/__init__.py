"""The formats of volumes, one module each: where the slices are stored and how to decode them."""

__all__: list[str] = []
