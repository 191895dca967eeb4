"""Flags for the configuration, with the names, help, types and defaults of its fields."""

import dataclasses
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any, Literal, TypeVar, get_type_hints

from cyclopts import Group, Parameter

from sp_graph_seg.config import SUPERPIXEL_FIELDS, Config, read_config
from sp_graph_seg.errors import InputError
from sp_graph_seg.presets import PRESETS

T = TypeVar("T")

CONFIGURATION = Group(
    "Configuration",
    help="Flags override the keys of --config, which override the preset. The defaults shown here "
    "belong to the preset fast. Other presets have other defaults.",
    sort_key=1,
)


@dataclasses.dataclass(frozen=True, kw_only=True)
class ConfigSource:
    """The flags that choose a preset and a configuration file.

    Attributes:
        preset: Preset to start from. tomogram (also for micrographs), photo and video each scored
            best on the kind of data that they are named after. paper is the model of the paper's
            section 3.1, which takes far longer to train. fast is a smaller version of the paper's
            model. auto chooses tomogram, photo or video from the input. In the commands benchmark,
            graph and tune, auto means fast.
        config: YAML file with keys of the configuration, in lines such as "n_segments: 1000". You
            can give the config.yaml of an earlier run.
    """

    preset: Literal["auto", "tomogram", "photo", "video", "paper", "fast"] = "auto"
    config: Annotated[Path | None, Parameter(metavar="FILE")] = None

    def resolve(self, kind: str = "fast", for_volume: bool = False) -> Config:
        """Combines the preset, the file and the flags.

        The file overrides the preset, and the flags override both.

        If the preset is ``auto``, the preset ``kind`` is used instead.

        If ``for_volume`` is true, superpixels are by default computed in the image that the network
        sees, which is scaled down to ``max_size``. At full resolution, superpixels would take most
        of the time.
        """
        values = PRESETS[kind if self.preset == "auto" else self.preset]
        if self.config is not None:
            values = {**values, **read_config(self.config)}
            try:
                Config.from_dict(values)
            except InputError as error:
                raise InputError(f"{self.config}: {error}") from error
        flags = {name: getattr(self, name, None) for name in _CONFIG_FIELDS}
        given = {name: value for name, value in flags.items() if value is not None}
        merged = {**values, **given}
        config = Config.from_dict(merged)
        if for_volume and config.label_by == "argmax" and "superpixel_size" not in merged:
            config = config.replace(superpixel_size=config.max_size)
        return config


_CONFIG_FIELDS = {field.name: field for field in dataclasses.fields(Config)}


def _with_flags_for(*names: str) -> Callable[[type[T]], type[T]]:
    """Returns a decorator that adds an optional field for each named configuration field."""
    hints = get_type_hints(Config)

    def flag(name: str) -> Any:
        shown = _show_default(_CONFIG_FIELDS[name].default)
        names = ("--labels", "--num-labels") if name == "num_labels" else None
        parameter = Parameter(name=names, show_default=shown, negative_iterable=())
        return Annotated[hints[name] | None, parameter]

    def add(cls: type[T]) -> type[T]:
        return dataclasses.make_dataclass(
            cls.__name__,
            [(name, flag(name), None) for name in names],
            bases=(cls,),
            namespace={"__doc__": Config.__doc__, "__module__": __name__},
            frozen=True,
            kw_only=True,
        )

    return add


def _show_default(value: Any) -> str:
    """Formats a default as a user would type it, such as ``24 64 64, 40 48 48`` for patches."""
    if not isinstance(value, tuple):
        return str(value)
    return ", ".join(" ".join(map(str, entry)) for entry in value)


@Parameter(name="*", group=CONFIGURATION)
@_with_flags_for(*_CONFIG_FIELDS)
class TrainingFlags(ConfigSource):
    """The flags of the commands that train a model, one for every field of the configuration."""


@Parameter(name="*", group=CONFIGURATION)
@_with_flags_for(*SUPERPIXEL_FIELDS, "tau_con")
class GraphFlags(ConfigSource):
    """The flags of the command ``graph``, one for every field that changes a graph."""
