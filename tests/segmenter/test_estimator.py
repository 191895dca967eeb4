"""The Segmenter as scikit-learn wants its estimators, as far as they need not take tables."""

import pickle

import numpy as np
import pytest
import torch
from sklearn.base import clone
from sklearn.exceptions import SkipTestWarning
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer
from sklearn.utils import estimator_checks
from sklearn.utils.validation import check_is_fitted

from sp_graph_seg import Config, Segmenter
from sp_graph_seg.errors import InputError
from sp_graph_seg.evaluation import unsupervised_score, unsupervised_scorer
from sp_graph_seg.transforms import ToRAG


class ForTables(Segmenter):
    """A Segmenter that says that it takes tables, so that scikit-learn runs all of its checks."""

    def __sklearn_tags__(self):
        tags = super().__sklearn_tags__()
        tags.input_tags.two_d_array = True
        return tags


_SAME = "fits a table (n, features), which is no image; the same of images: "
#: The checks of scikit-learn that cannot pass, and why.
EXPECTED_FAILURES = {
    "check_fit_score_takes_y": _SAME + "test_fit_takes_y_and_returns_itself",
    "check_estimators_overwrite_params": _SAME + "test_fit_keeps_the_parameters",
    "check_dont_overwrite_parameters": _SAME + "test_fit_keeps_the_parameters",
    "check_estimators_fit_returns_self": _SAME + "test_fit_takes_y_and_returns_itself",
    "check_readonly_memmap_input": _SAME + "test_any_array_gives_the_same_labels",
    "check_n_features_in_after_fitting": "an image has channels, in_channels_, and no features",
    "check_positive_only_tag_during_fit": _SAME + "test_any_array_gives_the_same_labels",
    "check_estimators_dtypes": _SAME + "test_any_array_gives_the_same_labels",
    "check_complex_data": _SAME + "test_what_is_no_number_is_refused",
    "check_dtype_object": _SAME + "test_what_is_no_number_is_refused",
    "check_estimators_empty_data_messages": _SAME + "test_what_is_no_number_is_refused",
    "check_pipeline_consistency": _SAME + "test_it_works_in_a_pipeline",
    "check_estimator_sparse_array": "a sparse table is refused for its shape, not as sparse",
    "check_estimator_sparse_matrix": "a sparse table is refused for its shape, not as sparse",
    "check_estimators_pickle": _SAME + "test_a_pickle_predicts_the_same",
    "check_f_contiguous_array_estimator": _SAME + "test_any_array_gives_the_same_labels",
    "check_transformer_data_not_an_array": "an image is an array, a tensor or a list",
    "check_transformer_general": "transform returns a graph, not a table",
    "check_methods_sample_order_invariance": _SAME + "test_every_image_is_labelled_by_itself",
    "check_methods_subset_invariance": _SAME + "test_every_image_is_labelled_by_itself",
    "check_fit2d_1sample": "a table of one row is refused for its shape",
    "check_fit2d_1feature": "a table of one column is refused for its shape",
    "check_dict_unchanged": _SAME + "test_a_pickle_predicts_the_same",
    "check_fit_idempotent": _SAME + "test_any_array_gives_the_same_labels",
    "check_fit_check_is_fitted": _SAME + "test_a_pickle_predicts_the_same",
    "check_n_features_in": "an image has channels, in_channels_, and no features",
    "check_fit2d_predict1d": "a table is refused before a row can be",
}


@pytest.mark.parametrize("has_config", [False, True])
def test_check_estimator(has_config, config):
    pytest.importorskip("sklearn", minversion="1.6")
    estimator = ForTables(config if has_config else None)
    results = estimator_checks.check_estimator(
        estimator, expected_failed_checks=EXPECTED_FAILURES, on_skip=None
    )
    found = {status: set() for status in ("passed", "xfail", "skipped", "failed")}
    for result in results:
        found[result["status"]].add(result["check_name"])
    assert found["xfail"] == set(EXPECTED_FAILURES)
    assert found["skipped"] <= {"check_array_api_input"}  # where scipy does not take such arrays
    assert len(found["passed"]) >= 15
    for reason in EXPECTED_FAILURES.values():
        assert not reason.startswith(_SAME) or reason.removeprefix(_SAME) in globals()


def test_check_estimator_leaves_out_what_needs_a_table():
    pytest.importorskip("sklearn", minversion="1.6")
    with pytest.warns(SkipTestWarning, match="two_d_array=False"):
        estimator_checks.check_estimator(Segmenter())
    tags = Segmenter().__sklearn_tags__()
    assert (tags.estimator_type, tags.target_tags.required) == ("clusterer", False)
    assert tags.input_tags.three_d_array
    assert tags.input_tags.allow_nan


@pytest.fixture
def fitted(config, image):
    return Segmenter(config).fit(image)


def test_fit_takes_y_and_returns_itself(config, image):
    segmenter = Segmenter(config)
    assert segmenter.fit(image, None) is segmenter


def test_fit_keeps_the_parameters(config, image):
    segmenter = Segmenter(config)
    before = segmenter.get_params()
    public = set(vars(segmenter))
    segmenter.fit(image)
    assert segmenter.get_params() == before
    assert segmenter.config is config
    assert all(name.endswith("_") for name in set(vars(segmenter)) - public)


def test_any_array_gives_the_same_labels(config, image, fitted, tmp_path):
    """Also if it is trained on again, or if all its values are negative."""
    expected = fitted.predict(image)
    fitted.fit(image)
    np.testing.assert_array_equal(fitted.predict(image), expected)
    np.save(tmp_path / "image.npy", image)
    fixed = image.copy()
    fixed.flags.writeable = False
    for given in (
        np.load(tmp_path / "image.npy", mmap_mode="r"),
        fixed,
        np.asfortranarray(image),
        image.astype(np.float64),
        torch.from_numpy(image),
    ):
        found = Segmenter(config).fit(given).predict(given)
        np.testing.assert_array_equal(found, expected)
    below = np.round(image) - 1000
    np.testing.assert_array_equal(
        Segmenter(config).fit(below).predict(below),
        Segmenter(config).fit(below.astype(np.int32)).predict(below.astype(np.int32)),
    )


@pytest.mark.parametrize(
    "bad",
    [
        np.ones((3, 40, 32), complex),
        np.full((3, 40, 32), "a", object),
        np.full((3, 40, 32), np.inf),
        np.zeros((3, 0, 32)),
        np.zeros((0, 40, 32)),
    ],
    ids=["complex", "object", "inf", "no rows", "no channels"],
)
def test_what_is_no_number_is_refused(config, bad):
    with pytest.raises(InputError, match="image"):
        Segmenter(config).fit(bad)


def test_it_works_in_a_pipeline(config, image, fitted):
    pipeline = make_pipeline(FunctionTransformer(np.negative), Segmenter(config)).fit(image)
    np.testing.assert_array_equal(
        pipeline.predict(image), Segmenter(config).fit(-image).predict(-image)
    )


def test_a_pickle_predicts_the_same(fitted, image):
    check_is_fitted(fitted)
    before = dict(vars(fitted))
    again = pickle.loads(pickle.dumps(fitted))
    np.testing.assert_array_equal(again.predict(image), fitted.predict(image))
    assert vars(fitted).keys() == before.keys()
    assert all(vars(fitted)[name] is value for name, value in before.items())


def test_every_image_is_labelled_by_itself(config, image, blocks):
    images = [image, blocks(40, 32, seed=1)]
    segmenter = Segmenter(config).fit(images)
    one, other = (segmenter.predict(each) for each in images)
    np.testing.assert_array_equal(segmenter.predict(images[1]), other)
    np.testing.assert_array_equal(segmenter.predict(images[0]), one)


def test_parameters_reach_the_configuration(config):
    segmenter = Segmenter(config)
    params = segmenter.get_params()
    assert params["config"] is config
    assert params["config__width"] == config.width
    assert set(segmenter.get_params(deep=False)) == {"config", "head"}
    assert segmenter.set_params(config__width=9, config__seed=3) is segmenter
    assert segmenter.config == config.replace(width=9, seed=3)
    assert config.width != 9
    other = segmenter.set_params(config=config, config__depth=1).config
    assert other == config.replace(depth=1)
    assert clone(segmenter).config == other


@pytest.mark.parametrize(
    ("config", "params", "message"),
    [
        (Config(), {"config__widht": 1}, "unknown configuration key; use 'width'"),
        (Config(), {"config__width": 0}, "width=0 is too small"),
        (None, {"config__width": 4}, "config: is None, so the field width cannot be set"),
    ],
)
def test_wrong_parameters_are_refused_by_name(config, params, message):
    with pytest.raises(InputError, match=message):
        Segmenter(config).set_params(**params)
    with pytest.raises(ValueError, match="Invalid parameter 'widht'"):
        Segmenter(config).set_params(widht=4)


def test_what_is_no_config_is_refused_by_fit(image):
    with pytest.raises(InputError, match=r"^config: has the type dict; give a Config"):
        Segmenter({"width": 4}).fit(image)


def test_fit_predict_is_fit_and_predict(config, image, blocks):
    expected = Segmenter(config).fit(image).predict(image)
    np.testing.assert_array_equal(Segmenter(config).fit_predict(image), expected)
    other = blocks(40, 32, seed=1)
    mask = np.arange(32) < 20
    masks = [None, np.broadcast_to(mask, (40, 32))]
    segmenter = Segmenter(config)
    labels = segmenter.fit_predict([image, other], masks=masks)
    assert isinstance(labels, list)
    np.testing.assert_array_equal(labels[0], segmenter.predict(image))
    np.testing.assert_array_equal(labels[1], segmenter.predict(other, mask=masks[1]))
    assert ((labels[1] == -1) == ~mask).all()


def test_the_score_without_truth_is_the_mean_over_the_images(config, image, blocks):
    images = [image, blocks(40, 32, seed=1)]
    segmenter = Segmenter(config).fit(images)
    own = [
        unsupervised_score(
            segmenter.predict(one), ToRAG(n_segments=500)(segmenter.normalize(one).values)
        )
        for one in images
    ]
    assert unsupervised_scorer(segmenter, images) == pytest.approx(np.mean(own))
    assert unsupervised_scorer(segmenter, image) == pytest.approx(own[0])


def test_a_grid_search_finds_the_best_by_the_score_without_truth(config, image, blocks):
    images = [image, blocks(40, 32, seed=1), blocks(32, 40, seed=2)]
    grid = {"config__num_features": [1, 6], "config__seed": [0]}
    search = GridSearchCV(Segmenter(config), grid, scoring=unsupervised_scorer, cv=3).fit(images)
    assert search.best_params_ == {"config__num_features": 6, "config__seed": 0}
    assert search.cv_results_["mean_test_score"][0] == 0  # one label explains nothing
    assert search.predict(image).shape == image.shape[1:]
    alone = GridSearchCV(Segmenter(config), grid, scoring=unsupervised_scorer, cv=[([0], [0])]).fit(
        [image]
    )
    np.testing.assert_array_equal(
        alone.predict(image), Segmenter(alone.best_estimator_.config).fit(image).predict(image)
    )
