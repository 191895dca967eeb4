"""The Segmenter: train on a few images without labels, then label similar images."""

import copy
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from sp_graph_seg.config import Config
from sp_graph_seg.errors import InputError
from sp_graph_seg.io.record import make_record
from sp_graph_seg.labels.relabel import Relabel
from sp_graph_seg.nn import SuperpixelNet
from sp_graph_seg.parallel import map_images
from sp_graph_seg.segmenter.estimator import ImageEstimator
from sp_graph_seg.segmenter.graphs import refuse_superpixels, training_image
from sp_graph_seg.segmenter.labellers import Labeller, fit_labeller
from sp_graph_seg.segmenter.model_file import ModelFile, read_model, write_model
from sp_graph_seg.segmenter.network import check_any_image_head, make_net
from sp_graph_seg.segmenter.prediction import Prediction
from sp_graph_seg.segmenter.saving import Trained, from_file, identify_training, to_file
from sp_graph_seg.training import (
    History,
    as_it_is,
    checkpoints,
    count_steps,
    each_step,
    fit,
    plain_torch,
    show_steps,
)
from sp_graph_seg.training.history import Step
from sp_graph_seg.transforms.prepare import (
    Image,
    as_image_list,
    check_image,
    check_range,
    find_data_of_each,
    is_one_image,
    match_images,
    measure_intensity_range,
    scale_intensities,
    warn_of_slices,
    warn_of_uniform_images,
)


class Segmenter(Prediction, ImageEstimator):
    """Unsupervised few-shot segmentation of images, after Leng et al. (VISAPP 2024).

    Images may be in any units, but the training images and the images to label must have the same
    units. Integers are not scaled by their type. A pixel has no data if it is NaN or outside the
    mask, or if its value in a given label map is negative. Pixels without data are ignored in the
    intensity range, superpixels and losses. For the network, they get the mean of the data pixels.

    Args:
        config: The hyperparameters. By default, a preset is used: ``fast`` if a ``head`` is given,
            otherwise ``photo`` if the training images have three channels, otherwise ``tomogram``.
        head: A graph network that replaces ``config.head``, such as a layer of PyG. It takes node
            features ``(N, num_features)``, and :func:`~sp_graph_seg.nn.call_head` must be able to
            call it with the fields of :func:`~sp_graph_seg.nn.graph_of_head`. Each training starts
            with a copy of the head. :meth:`save` writes the weights of the head, but not its code.
            So :meth:`load` needs an equal module.

    Raises:
        InputError: If the head cannot be called.

    Attributes:
        net_: The trained network, if the largest feature of a node is its label
            (``label_by="argmax"``); otherwise ``None``.
        labeller_: The model that labels by prototypes. It is a
            :class:`~sp_graph_seg.prototypes.Phases`, :class:`~sp_graph_seg.prototypes.Appearance`
            or :class:`~sp_graph_seg.prototypes.RegionColors`; ``None`` if there is a ``net_``.
        config_: The hyperparameters of the training.
        in_channels_: Number of channels of the training images.
        intensity_range_: The two intensities that are mapped to 0 and 1 in every image. They are
            given to :meth:`fit`, or measured on the data pixels of all training images and channels
            by :class:`~sp_graph_seg.volumes.intensity.IntensitySample`, which ignores dead and hot
            pixels.
        history_: The losses of every step; ``None`` in a loaded model.
        relabel_: Post-processing of all labels, which is saved with the model. It is ``None`` after
            training, and can be set to a :class:`~sp_graph_seg.labels.relabel.Relabel`.
        seen_labels_: If there is a ``net_``, the labels that occur in the training images; their
            colours are the farthest apart. Empty for models that label by prototypes.

    Example:
        >>> import torch
        >>> image = torch.zeros(3, 64, 64)
        >>> image[0, 16:48, 16:48] = 1.0
        >>> config = Config(width=4, depth=2, num_features=4, n_segments=50, epochs=1)
        >>> labels = Segmenter(config).fit(image).predict(image)
        >>> labels.shape
        (64, 64)
    """

    net_: SuperpixelNet | None
    labeller_: Labeller | None
    config_: Config
    in_channels_: int
    intensity_range_: tuple[float, float]
    history_: History | None
    relabel_: Relabel | None
    seen_labels_: tuple[int, ...]

    def __init__(self, config: Config | None = None, head: nn.Module | None = None) -> None:
        self.config = config
        self.head = head
        if isinstance(head, nn.Module):
            check_any_image_head(copy.deepcopy(head), (config or Config()).num_features)

    @plain_torch()
    def fit(
        self,
        images: Image | Sequence[Image],
        y: None = None,
        *,
        masks: Image | Sequence[Image | None] | None = None,
        superpixels: Image | Sequence[Image | None] | None = None,
        intensity_range: tuple[float, float] | None = None,
        progress: bool = False,
        on_step: Callable[[Step, Callable[[], "Segmenter"]], None] | None = None,
        checkpoint_folder: Path | None = None,
    ) -> "Segmenter":
        """Trains the model on images. An earlier training is replaced.

        Args:
            images: One image ``(C, H, W)``, or a sequence of images, whose sizes may differ. To
                train on all slices of a volume ``(D, H, W)``, give ``volume[:, None]``.
            y: Ignored. Pipelines of scikit-learn pass it.
            masks: The mask ``(H, W)`` of the image. For a sequence of images, a sequence of masks.
                ``None`` stands for an image without a mask: all its pixels except NaN have data.
            superpixels: Label maps ``(H, W)`` whose components are used as superpixels, given in
                the same form as ``masks``. They are negative for pixels without data.
            intensity_range: The two intensities that are mapped to 0 and 1, such as the range of a
                volume whose slices are the images. By default, they are measured on the images.
            progress: Whether to show a progress bar on standard error.
            on_step: Function that is called after every step with the losses of the step, and with
                a function that returns a Segmenter with the model so far. If ``on_step`` raises
                an exception, the training ends, and the model of an earlier training is kept.
            checkpoint_folder: Folder in which the training saves its state, which takes at most 5 %
                of the time. After an interruption, the same call continues from this state. With
                the same number of threads, the result is the same to the last bit as without the
                interruption. The caller must remove the folder.

        Raises:
            InputError: If an image is not ``(C, H, W)``, is too small for the network, contains
                Inf, has no data, or has another number of channels than the first image. Also if a
                mask or a label map has another size than its image, or if the training fails, see
                :func:`sp_graph_seg.training.fit`.

        Warns:
            ManyChannelsWarning: If a single array has so many channels that they may be slices.
        """
        arrays = as_image_list(images)
        channels = arrays[0].shape[0]
        if len(arrays) == 1 and hasattr(images, "ndim"):
            warn_of_slices("images", channels)
        config = self._resolve_config(channels)
        for number, array in enumerate(arrays):
            check_image(array, f"images[{number}]", channels, config)
        label_maps = match_images(superpixels, arrays, "superpixels")
        insides = find_data_of_each(arrays, match_images(masks, arrays, "masks"), label_maps)
        warn_of_uniform_images(arrays, insides)
        low, high = intensity_range or measure_intensity_range(arrays, insides)
        if intensity_range is not None:
            check_range(low, high, arrays, insides)
        scaled = [
            scale_intensities(array, inside, low, high)
            for array, inside in zip(arrays, insides, strict=True)
        ]
        identity = ""
        if checkpoint_folder is not None:
            identity = identify_training(config, self.head, scaled, label_maps)
        trained = Trained(config, channels, (low, high))

        def follow(row: Step, model_so_far: Callable[[], Any]) -> None:
            if bar is not None:
                bar(row)
            if on_step is not None:
                on_step(row, lambda: type(self)(config, self.head)._take(model_so_far()))

        with (
            checkpoints(checkpoint_folder, identity),
            show_steps(count_steps(config, len(arrays)), progress) as bar,
        ):
            if config.label_by == "argmax":
                net = make_net(channels, config, self.head)
                pairs = list(zip(scaled, label_maps, strict=True))
                subjects = list(map_images(partial(training_image, config=config), pairs))
                so_far = each_step(follow, lambda: trained._replace(net=as_it_is(net)))
                history = fit(net, subjects, config, so_far)
                trained = trained._replace(net=net, seen_labels=history.labels)
            else:
                refuse_superpixels(superpixels, config)
                labeller, history = fit_labeller(
                    scaled,
                    config,
                    lambda row, so_far: follow(row, lambda: trained._replace(labeller=so_far())),
                )
                trained = trained._replace(labeller=labeller)
        self.history_ = history
        return self._take(trained)

    def fit_predict(
        self,
        images: Image | Sequence[Image],
        y: None = None,
        *,
        masks: Image | Sequence[Image | None] | None = None,
        superpixels: Image | Sequence[Image | None] | None = None,
        intensity_range: tuple[float, float] | None = None,
        progress: bool = False,
    ) -> NDArray[np.int64] | list[NDArray[np.int64]]:
        """Trains on images and labels them.

        The arguments are those of :meth:`fit` except ``checkpoint_folder``. The errors are the same
        as in :meth:`fit`.

        Returns:
            The labels ``(H, W)`` of one image, or a list of the labels of each image of a sequence.
        """
        self.fit(
            images,
            masks=masks,
            superpixels=superpixels,
            intensity_range=intensity_range,
            progress=progress,
        )
        arrays = as_image_list(images)
        given = [
            match_images(values, arrays, name)
            for values, name in ((superpixels, "superpixels"), (masks, "masks"))
        ]
        labels = [self.predict(*parts) for parts in zip(arrays, *given, strict=True)]
        return labels[0] if is_one_image(images) else labels

    def merge_labels(self, num_labels: int) -> "Segmenter":
        """Merges the most similar labels of a model with prototypes. No network is run.

        ``relabel_`` is replaced by a description of the merging, which is saved with the model.

        Args:
            num_labels: Number of labels after merging.

        Raises:
            InputError: If ``num_labels`` is below 1 or above the number of labels of the model, or
                if the model has no prototypes.
        """
        labeller = self._labeller
        if labeller is None or not 1 <= num_labels <= labeller.num_labels:
            raise InputError(
                f"num_labels={num_labels}: the model has no prototypes to merge; use a model with "
                "label_by='phases', 'regions' or 'appearance'."
                if labeller is None
                else f"num_labels={num_labels}: the model has {labeller.num_labels} labels; use "
                f"a number from 1 to {labeller.num_labels}."
            )
        self.relabel_ = Relabel.from_groups(labeller.merge(num_labels))
        return self

    def save(
        self,
        path: str | Path,
        notes: Mapping[str, Any] | None = None,
        record: Mapping[str, Any] | None = None,
    ) -> None:
        """Writes weights, configuration, intensity range, post-processing and version to a file.

        Args:
            path: The safetensors file. An existing file is replaced.
            notes: JSON values to keep with the model, such as the names of the training images;
                :func:`~sp_graph_seg.segmenter.model_file.read_model` returns them.
            record: JSON values that say how the model was made. By default, it is the result of
                :func:`~sp_graph_seg.io.record.make_record` without inputs. If this process trained
                the model, the number of threads and the stability of each label are added.
        """
        config = self.trained_config
        trained = Trained(
            config,
            self.in_channels_,
            self.intensity_range_,
            self.net_,
            self.labeller_,
            self.relabel_,
            self.seen_labels_,
        )
        made = make_record() if record is None else dict(record)
        if self.history_ is not None:  # trained by this process
            made["threads"] = torch.get_num_threads()
            made["stability"] = list(self.label_stability_)
        write_model(path, *to_file(trained, notes), made)

    @classmethod
    def load(cls, path: str | Path, head: nn.Module | None = None) -> "Segmenter":
        """Reads a model that :meth:`save` wrote. It predicts the same labels as the saved model.

        Args:
            path: The file.
            head: A module equal to the ``head`` of the Segmenter that was saved. Its weights are
                read from the file. ``None`` if that Segmenter had no ``head``. A head that
                ``config.head`` names is made automatically.

        Raises:
            InputError: If the file is missing, truncated or not a model, or if the head is missing
                or differs from the head of the training.
        """
        return cls.from_file(read_model(path), path, head)

    @classmethod
    def from_file(
        cls, file: ModelFile, path: str | Path, head: nn.Module | None = None
    ) -> "Segmenter":
        """Makes a Segmenter from the contents of a model file. Messages name the ``path``."""
        trained = from_file(file, path, head)
        segmenter = cls(trained.config, head)
        segmenter.history_ = None
        return segmenter._take(trained)

    def _take(self, trained: Trained) -> "Segmenter":
        """Takes over the state after a training."""
        self.config_, self.in_channels_, self.intensity_range_ = trained[:3]
        self.net_, self.labeller_ = trained.net, trained.labeller
        self.relabel_, self.seen_labels_ = trained.relabel, trained.seen_labels
        return self

    def _resolve_config(self, channels: int) -> Config:
        """Chooses the hyperparameters. The argument ``head`` replaces ``config.head``."""
        if not isinstance(self.config, Config | None):
            name = type(self.config).__name__
            raise InputError(f"config: has the type {name}; give a Config or None.")
        if not isinstance(self.head, nn.Module | None):
            name = type(self.head).__name__
            raise InputError(f"head: has the type {name}; give an nn.Module or None.")
        if self.head is not None:
            config = (self.config or Config()).replace(head="identity")
        else:
            config = self.config or Config.preset("photo" if channels == 3 else "tomogram")
        has_head = self.head is not None or config.head != "identity"
        if config.label_by != "argmax" and (has_head or config.hessian_scales):
            name = "head" if has_head else "hessian_scales"
            raise InputError(
                f"{name}: has no effect on labels by prototypes (label_by={config.label_by!r}); "
                f"leave out {name}, or use the preset fast or paper."
            )
        return config
