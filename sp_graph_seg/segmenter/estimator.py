"""The interface that scikit-learn expects of an estimator: parameters by name, and tags."""

import dataclasses
from typing import Any

from sklearn.base import BaseEstimator

from sp_graph_seg.config import Config
from sp_graph_seg.errors import InputError

_PREFIX = "config__"


class ImageEstimator(BaseEstimator):
    """The base class of estimators for images whose parameter ``config`` is a :class:`Config`.

    ``get_params`` and ``set_params`` also get and set the fields of the configuration, under names
    such as ``config__width``. So :class:`sklearn.model_selection.GridSearchCV` can vary the fields.
    """

    config: Config | None

    def get_params(self, deep: bool = True) -> dict[str, Any]:
        """Returns the parameters, and also the fields of the configuration if ``deep`` is true."""
        params = super().get_params(deep=False)
        if deep and isinstance(self.config, Config):
            fields = dataclasses.fields(self.config)
            params |= {_PREFIX + f.name: getattr(self.config, f.name) for f in fields}
        return params

    def set_params(self, **params: Any) -> "ImageEstimator":
        """Sets parameters. A name that begins with ``config__`` sets a field of the configuration.

        Raises:
            InputError: If a value is invalid, or if a field of the configuration is set while
                ``config`` is ``None``. (``None`` leaves the choice of the configuration to the
                training.)
        """
        fields = {
            name.removeprefix(_PREFIX): value
            for name, value in params.items()
            if name.startswith(_PREFIX)
        }
        others = {name: value for name, value in params.items() if not name.startswith(_PREFIX)}
        super().set_params(**others)
        if fields:
            if not isinstance(self.config, Config):
                raise InputError(
                    f"config: is {self.config!r}, so the field {next(iter(fields))} cannot be set; "
                    "set config to a Config first, such as Config.preset('tomogram')."
                )
            self.config = self.config.replace(**fields)
        return self

    def __sklearn_tags__(self) -> Any:
        from sklearn.utils import TransformerTags  # since 1.6, as is the caller

        tags = super().__sklearn_tags__()
        tags.estimator_type = "clusterer"
        tags.transformer_tags = TransformerTags(preserves_dtype=[])
        tags.input_tags.two_d_array = False
        tags.input_tags.three_d_array = True
        tags.input_tags.allow_nan = True
        return tags
