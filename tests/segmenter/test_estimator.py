"""The Segmenter as scikit-learn wants its estimators, as far as they need not take tables."""

import numpy as np
import pytest
from sklearn.base import clone
from sklearn.exceptions import SkipTestWarning
from sklearn.model_selection import GridSearchCV
from sklearn.utils import estimator_checks

from sp_graph_seg import Config, Segmenter
from sp_graph_seg.errors import InputError
from sp_graph_seg.evaluation import unsupervised_score, unsupervised_scorer
from sp_graph_seg.transforms import ToRAG

#: The checks of scikit-learn that need no data. The others fit tables (n, features), which are no
#: images: a table has no channels and no neighbours, so that fit refuses it.
CHECKS = (
    "check_estimator_cloneable",
    "check_estimator_tags_renamed",
    "check_valid_tag_types",
    "check_estimator_repr",
    "check_no_attributes_set_in_init",
    "check_do_not_raise_errors_in_init_or_set_params",
    "check_mixin_order",
    "check_parameters_default_constructible",
    "check_get_params_invariance",
    "check_set_params",
)


@pytest.mark.parametrize("check", CHECKS)
@pytest.mark.parametrize("has_config", [False, True])
def test_checks_of_scikit_learn_that_need_no_table(check, has_config, config):
    run = getattr(estimator_checks, check, None)
    if run is None:
        pytest.skip("this scikit-learn has no such check")
    run("Segmenter", Segmenter(config if has_config else None))


def test_check_estimator_leaves_out_what_needs_a_table():
    pytest.importorskip("sklearn", minversion="1.6")
    with pytest.warns(SkipTestWarning, match="two_d_array=False"):
        estimator_checks.check_estimator(Segmenter())
    tags = Segmenter().__sklearn_tags__()
    assert (tags.estimator_type, tags.target_tags.required) == ("clusterer", False)
    assert tags.input_tags.three_d_array
    assert tags.input_tags.allow_nan


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
    with pytest.raises(InputError, match="config, head: dict and NoneType are not a Config"):
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
