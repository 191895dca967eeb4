import dataclasses
import json
import math
import pickle
import re
import subprocess
import sys

import numpy as np
import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from sp_graph_seg.config import Config, config_to_yaml, read_config
from sp_graph_seg.errors import InputError
from sp_graph_seg.presets import MODEL_TYPES, PRESETS

FIELDS = [field.name for field in dataclasses.fields(Config)]

# One value of each field that is good but not the default.
OTHER = {
    "label_by": "phases",
    "num_labels": 3,
    "position_weight": 0.5,
    "memory": 0.25,
    "join_slices": True,
    "num_features": 7,
    "width": 8,
    "depth": 2,
    "head": "gcn",
    "head_layers": 1,
    "head_losses": "both",
    "max_size": 0,
    "hessian_scales": (1.0, 2.5),
    "nodes": "pixels",
    "radius": 1.5,
    "superpixel_method": "watershed",
    "n_segments": 1,
    "compactness": 0.5,
    "superpixel_size": 100,
    "tau_con": -2.0,
    "tau_cut": -0.5,
    "beta_rec": 0.0,
    "beta_cut": 1.5,
    "beta_sim": 0.0,
    "beta_con": 0.0,
    "loss_input": "softmax",
    "similarity_labels": "kmeans",
    "similarity_on": "pixels",
    "reconstruction": "none",
    "patches": ((1, 2, 3),),
    "redraw_patches": False,
    "foreground": 1.0,
    "epochs": 1,
    "minibatches": 1,
    "images_per_step": 2,
    "learning_rate": 1e-5,
    "min_labels": 3,
    "seed": 123,
    "accelerator": "cpu",
    "precision": "bf16-mixed",
}

COUNTS = ["num_features", "width", "depth", "n_segments", "epochs", "minibatches"]
BAD = [
    *((name, value) for name in COUNTS for value in (0, -1, 1.5, "3", True, None, math.nan, [1])),
    *(
        (name, value)
        for name in (
            "num_labels",
            "max_size",
            "superpixel_size",
            "seed",
            "head_layers",
            "images_per_step",
            "min_labels",
        )
        for value in (-1, 0.5, False, "0")
    ),
    *(("beta_" + name, value) for name in ("rec", "cut", "sim", "con") for value in (-0.1, "x")),
    *(("tau_con", value) for value in (math.nan, math.inf, -math.inf, "one", None, True)),
    *(("tau_cut", value) for value in (0, 1.0, math.nan, -math.inf, "-")),
    *(("learning_rate", value) for value in (0, -1e-3, math.inf, "fast")),
    *(("compactness", value) for value in (0, -1, math.nan, "square")),
    *(("hessian_scales", value) for value in (1.0, "1", (0.0,), (-1.0, 2.0), (math.nan,), None)),
    *(("position_weight", value) for value in (-0.1, math.nan, "far")),
    *(("memory", value) for value in (-0.1, 1.5, math.nan)),
    *(("radius", value) for value in (0, 0.9, -5, math.nan, "far")),
    *(("foreground", value) for value in (-0.1, 1.1, math.nan)),
    *(
        (name, value)
        for name in ("redraw_patches", "join_slices")
        for value in (0, 1, "yes", "true", None)
    ),
    *(
        (name, value)
        for name in (
            "label_by",
            "nodes",
            "superpixel_method",
            "loss_input",
            "head_losses",
            "similarity_labels",
            "similarity_on",
            "reconstruction",
            "head",
        )
        for value in ("other", "", None, 3, ["slic"])
    ),
    *(("accelerator", value) for value in ("cuda", "tpu", 0)),
    *(("precision", value) for value in (32, "16", "bf16")),
    *(
        ("patches", value)
        for value in (
            (),
            24,
            "24,64,64",
            [24, 64, 64],
            [[24, 64]],
            [[24, 64, 64, 1]],
            [[0, 64, 64]],
            [[1, 64, -64]],
            [[1, 64, 0.5]],
            ["123"],
            None,
        )
    ),
]


def test_the_docstring_documents_every_field_and_nothing_else():
    section = Config.__doc__.split("Attributes:\n")[1]
    assert re.findall(r"^ {8}(\w+): ", section, re.MULTILINE) == FIELDS


def test_every_field_has_another_good_value():
    assert list(OTHER) == FIELDS
    config, defaults = Config(**OTHER), Config()
    for name in FIELDS:
        assert getattr(config, name) == OTHER[name]
        assert getattr(config, name) != getattr(defaults, name)


@pytest.mark.parametrize(("name", "value"), BAD)
def test_bad_value_is_named(name, value):
    with pytest.raises(InputError, match=rf"^{name}=.*\.$") as caught:
        Config(**{name: value})
    assert "\n" not in str(caught.value)
    with pytest.raises(InputError, match=rf"^{name}="):
        Config().replace(**{name: value})


ANY = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=3), inner),
    max_leaves=12,
)
GOOD = st.sampled_from(FIELDS).flatmap(lambda name: st.tuples(st.just(name), st.just(OTHER[name])))


@given(st.dictionaries(st.sampled_from(FIELDS), ANY, max_size=2), st.lists(GOOD, max_size=6))
def test_any_values_make_a_configuration_or_are_refused_by_name(values, good):
    try:
        config = Config.from_dict(dict(good) | values)
    except InputError as error:
        reason = str(error)
    else:
        reason = "seed=: nothing"
        assert Config.from_dict(json.loads(json.dumps(config.to_dict()))) == config
        assert Config.from_dict(yaml.safe_load(config_to_yaml(config))) == config
    assert re.fullmatch(f"({'|'.join(FIELDS)})=.*", reason)


def test_every_field_is_tried_with_a_bad_value():
    assert {name for name, _ in BAD} == set(FIELDS)


def test_types_become_plain_python():
    config = Config(
        width=np.int64(8), depth=3.0, tau_con=1, seed=np.uint8(4), patches=np.array([[1, 2, 3]])
    )
    for name, value in dataclasses.asdict(config).items():
        assert type(value) is type(getattr(Config(), name))
    assert config.patches == ((1, 2, 3),)
    assert all(type(n) is int for patch in config.patches for n in patch)


@pytest.mark.parametrize("values", [{}, OTHER])
def test_round_trips(values, tmp_path):
    config = Config(**values)
    assert list(config.to_dict()) == FIELDS
    assert Config.from_dict(config.to_dict()) == config
    assert Config.from_dict(json.loads(json.dumps(config.to_dict()))) == config
    assert pickle.loads(pickle.dumps(config)) == config
    assert hash(Config(**values)) == hash(config)
    path = tmp_path / "config.yaml"
    path.write_text(config_to_yaml(config), encoding="utf-8")
    assert read_config(path) == config.to_dict()
    assert Config.from_dict(read_config(path)) == config


@pytest.mark.parametrize("text", ["1e-3", "1.0e-3", "0.001", "1E-3"])
def test_numbers_that_yaml_takes_for_text(text, tmp_path):
    path = tmp_path / "config.yaml"
    path.write_text(f"learning_rate: {text}\ntau_cut: -1e1\n", encoding="utf-8")
    config = Config.from_dict(read_config(path))
    assert config.learning_rate == 1e-3
    assert config.tau_cut == -10.0


def test_yaml_1_1_does_read_it_as_text():
    assert yaml.safe_load("1e-3") == "1e-3"


@pytest.mark.parametrize("text", ["", "# nothing\n", "---\n"])
def test_an_empty_file_changes_nothing(text, tmp_path):
    (tmp_path / "config.yaml").write_text(text, encoding="utf-8")
    assert read_config(tmp_path / "config.yaml") == {}


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"epochs: [1,", "is not YAML"),
        (b"a: b: c", "is not YAML"),
        (b"\xff\xfe\x00epochs", "is not YAML"),
        (b"- epochs", "is not a mapping"),
        (b"epochs", "is not a mapping"),
        (b"!!python/object/apply:os.getcwd []", "is not YAML"),
    ],
)
def test_bad_files_are_named(content, reason, tmp_path):
    path = tmp_path / "config.yaml"
    path.write_bytes(content)
    with pytest.raises(InputError, match=rf"config\.yaml: {reason}") as caught:
        read_config(path)
    assert "\n" not in str(caught.value)


def test_missing_file_is_named(tmp_path):
    with pytest.raises(InputError, match=r"none\.yaml: cannot be read \(No such file"):
        read_config(tmp_path / "none.yaml")


@pytest.mark.parametrize(
    ("key", "hint"),
    [
        ("epoch", "use 'epochs'"),
        ("learningrate", "use 'learning_rate'"),
        ("tau_sim", "use '"),
        ("superpixels", "use 'superpixel_method'"),
        ("zzz", "use one of label_by, num_labels"),
        (3, "use one of"),
    ],
)
def test_unknown_key(key, hint):
    with pytest.raises(InputError, match=f"^{key!r} is an unknown configuration key; {hint}"):
        Config.from_dict({"epochs": 2, key: 1})


def test_replace_leaves_the_rest_and_refuses_unknown_keys():
    config = Config(width=8)
    changed = config.replace(epochs=9)
    assert (changed.width, changed.epochs, config.epochs) == (8, 9, Config().epochs)
    with pytest.raises(InputError, match="'epoch' is an unknown configuration key"):
        config.replace(epoch=9)


@pytest.mark.parametrize("name", FIELDS)
def test_frozen(name):
    with pytest.raises(dataclasses.FrozenInstanceError):
        setattr(Config(), name, OTHER[name])


def test_presets():
    assert Config.preset("fast") == Config()
    paper = Config.preset("paper")
    assert paper.patches == ((32, 96, 96), (72, 64, 64), (128, 48, 48))
    assert (paper.n_segments, paper.epochs, paper.num_features) == (4000, 50, 32)
    for name, changes in PRESETS.items():
        assert Config.preset(name) == Config(**changes)
    with pytest.raises(InputError, match=r"^preset='slow' is unknown; use tomogram or photo"):
        Config.preset("slow")


def test_configuration_does_not_wait_for_torch():
    code = "import sys, sp_graph_seg.config; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_the_nine_model_types_of_the_paper():
    assert set(MODEL_TYPES) == {
        "Dense-SimCon-NoRec",
        *(
            f"{graph}-{loss}-{rec}"
            for graph in ("Dense", "Sparse")
            for loss in ("NCut", "SimCon")
            for rec in ("Image", "Patch")
        ),
    }


@pytest.mark.parametrize("name", MODEL_TYPES)
def test_a_model_type_has_its_nodes_its_losses_and_its_reconstruction(name):
    graph, loss, reconstruction = name.split("-")
    config = Config(beta_cut=5, beta_con=7).as_type(name, beta=0.5)
    assert config.nodes == {"Dense": "pixels", "Sparse": "superpixels"}[graph]
    assert config.reconstruction == {"NoRec": "none"}.get(reconstruction, reconstruction.lower())
    betas = (config.beta_cut, config.beta_sim, config.beta_con)
    assert betas == {"NCut": (0.5, 0, 0), "SimCon": (0, 0.5, 0.5)}[loss]


def test_a_model_type_keeps_the_other_settings():
    config = Config(epochs=9, seed=4)
    assert config.as_type("Sparse-SimCon-Patch", 3) == config


@pytest.mark.parametrize(
    ("name", "beta", "named"),
    [("Sparse", 1, "type='Sparse'"), ("Sparse-NCut-Patch", 0, "beta=0"), ("", -1, "type=''")],
)
def test_no_model_type(name, beta, named):
    with pytest.raises(InputError, match=re.escape(named)):
        Config().as_type(name, beta)
