"""The formats of volumes, one file each: where slices lie, and how one of them is decoded."""

__all__: list[str] = []
