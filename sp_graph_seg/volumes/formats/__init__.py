"""Opens and reads the formats of volumes. Each module reads one format."""

__all__: list[str] = []
