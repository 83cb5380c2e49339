"""What ``to_coreml`` is told: pictures, labels, targets, layouts; and what the package says of itself."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytest.importorskip("torch", reason="PyTorch is not installed (extra 'torch')")
pytest.importorskip("coremltools", reason="coremltools is not installed (extra 'coreml')")

from tests.coreml.running import run_package, saved
from tests.pytorch.litert import Constant, Made, one_operator

import unlite
from unlite.errors import InvalidValueError, MissingExtraError, UnliteError, UnsupportedOperatorError

pytestmark = pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning", "ignore::ResourceWarning")
"""coremltools leaves a temporary folder to the garbage collector."""

PIXELS = np.random.default_rng(0).integers(0, 256, (1, 4, 6, 3)).astype("f4")
ADD = ("AddOptions", {})


def add_one(*shape: int) -> bytes:
    """A model that adds 1 to its input, FLOAT32."""
    zeros = np.zeros(shape, "f4")
    return one_operator("ADD", [zeros, Constant(np.ones(1, "f4"))], [Made("FLOAT32", shape)], ADD)


def test_image_input_is_scaled_by_the_program(tmp_path: Path) -> None:
    """Pixels go in with channels first; one scale is the image's, several are part of the program."""
    for scale, bias in ((1 / 255, [0.1, 0.2, 0.3]), ([0.1, 0.2, 0.3], [1, 2, 3])):
        images = {"input_0": {"scale": scale, "bias": bias, "color": "BGR"}}
        program = saved(add_one(1, 4, 6, 3), tmp_path, images=images, precision="float32")
        assert program.inputs == {"input_0": (1, 3, 4, 6)}
        (value,) = program.results(program.run({"input_0": PIXELS.transpose(0, 3, 1, 2)}))
        expected = PIXELS * np.array(scale) + np.array(bias) + 1
        np.testing.assert_allclose(value.reshape(expected.shape), expected, rtol=1e-5)
        reals = (expected - 1).astype("f4")
        np.testing.assert_allclose(program.feed([reals])["input_0"], PIXELS.transpose(0, 3, 1, 2), atol=1e-3)


def test_rows_of_grey_pixels_are_a_picture(tmp_path: Path) -> None:
    program = saved(add_one(1, 4, 6), tmp_path, images={"input_0": {"scale": 2.0}}, precision="float32")
    assert program.inputs == {"input_0": (1, 1, 4, 6)}
    grey = PIXELS[..., 0]
    (value,) = program.results(program.run({"input_0": grey[:, None]}))
    np.testing.assert_allclose(value, grey * 2 + 1, rtol=1e-6)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"images": ["input_0"]}, "nothing says what becomes of a pixel"),
        ({"images": {"input_0": {"scale": 1.0, "color": "GRAYSCALE"}}}, "3 channels; color is 'GRAYSCALE'"),
        ({"images": {"input_0": {"scale": [1.0, 2.0]}}}, "one number, or 3; given are 2"),
        ({"images": {"picture": {"scale": 1.0}}}, "no input 'picture'; the inputs are 'input_0'"),
        ({"class_labels": ["a", "b"]}, "2 labels are given.*has 72 elements"),
        ({"class_labels": True}, "no labels of the output"),
        ({"precision": "float64"}, "precision='float64' is not one of float16, float32"),
        ({"minimum_deployment_target": "iOS12"}, "minimum_deployment_target='iOS12' is not one of iOS16"),
    ],
)
def test_options_that_do_not_fit_are_told(options: dict[str, Any], message: str) -> None:
    with pytest.raises(InvalidValueError, match=message):
        unlite.to_coreml(add_one(1, 4, 6, 3), **options)


def test_labels_make_a_classifier(tmp_path: Path) -> None:
    scores = np.array([[0, 5, 2, 1]], "f4")
    file = tmp_path / "labels.txt"
    file.write_text("cat\ndog\ndog\nmouse\n\n", encoding="utf-8")
    program = saved(add_one(1, 4), tmp_path, class_labels=file, precision="float32")
    found = program.run({"input_0": scores})
    assert found["classLabel"].tolist() == ["dog"]
    np.testing.assert_allclose(program.results(found)[0], scores + 1)


def test_free_batch_stays_free(tmp_path: Path) -> None:
    shared = Path(__file__).parents[3] / "shared" / "models" / "mnist_conv_fc_fp32.tflite"
    if not shared.is_file():
        pytest.skip("../shared is not there")
    model = unlite.open(shared)
    program = saved(model, tmp_path, precision="float32")
    assert next(iter(program.inputs.values()))[0] is None
    pictures = np.random.default_rng(1).random((3, 28, 28, 1)).astype("f4")
    (value,) = run_package(program, model.main.inputs, [pictures])
    for one, row in zip(pictures, value, strict=True):
        expected = unlite.run(model, [one[None]], runtime="litert")
        np.testing.assert_allclose(row[None], next(iter(expected.values())), atol=1e-5)


def test_numbers_without_axes_go_in_and_out(tmp_path: Path) -> None:
    data = one_operator("NEG", [np.zeros((), "f4")], [Made("FLOAT32", ())], ("NegOptions", {}))
    program = saved(data, tmp_path, precision="float32")
    assert program.inputs == {"input_0": (1,)}
    (value,) = program.results(program.run(program.feed([np.array(2.5, "f4")])))
    assert value.shape == ()
    assert value == -2.5


def test_an_input_goes_through_as_an_output(tmp_path: Path) -> None:
    """A sum over no axes is the number itself."""
    numbers = np.random.default_rng(2).random((3, 4)).astype("f4")
    none = Constant(np.zeros(0, np.int32))
    data = one_operator("SUM", [numbers, none], [Made("FLOAT32", (3, 4))], ("ReducerOptions", {}))
    program = saved(data, tmp_path, precision="float32")
    (value,) = program.results(program.run(program.feed([numbers])))
    np.testing.assert_array_equal(value, numbers)


def test_sums_before_each_place(tmp_path: Path) -> None:
    numbers = np.random.default_rng(3).integers(0, 9, (2, 4, 3)).astype("f4")
    data = one_operator(
        "CUMSUM",
        [numbers, Constant(np.int32(-2))],
        [Made("FLOAT32", (2, 4, 3))],
        ("CumsumOptions", {"exclusive": True}),
    )
    program = saved(data, tmp_path, precision="float32")
    (value,) = program.results(program.run(program.feed([numbers])))
    np.testing.assert_array_equal(value, numbers.cumsum(1) - numbers)


def test_memory_is_a_state_and_needs_its_target(tmp_path: Path) -> None:
    shared = Path(__file__).parents[3] / "shared" / "models" / "microwakeword_hey_jarvis_int8.tflite"
    if not shared.is_file():
        pytest.skip("../shared is not there")
    with pytest.raises(UnsupportedOperatorError, match="Core ML has states from iOS18 on") as error:
        unlite.to_coreml(shared, minimum_deployment_target="iOS17")
    assert "stream" in str(error.value)
    model = unlite.open(shared)
    program = saved(model, tmp_path, precision="float32", requantize="none")  # rounded, both probabilities are 0
    values = [
        np.random.default_rng(seed).integers(-128, 128, model.main.inputs[0].shape).astype("i1") for seed in (0, 1)
    ]
    first, second = (run_package(program, model.main.inputs, [value])[0] for value in values)
    program.reset_state()
    again = run_package(program, model.main.inputs, [values[1]])[0]
    assert not np.array_equal(second, again), "the second run knows of the first"
    program.reset_state()
    np.testing.assert_array_equal(run_package(program, model.main.inputs, [values[0]])[0], first)


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("mobilenet_v1_025_uint8", "constexpr_affine_dequantize"),
        ("hand_landmark_lite_fp16", "constexpr_cast"),
        ("face_full_range_sparse_fp16", "constexpr_sparse_to_dense"),
    ],
)
def test_weights_stay_compressed(name: str, kind: str, tmp_path: Path) -> None:
    path = Path(__file__).parents[3] / "shared" / "models" / f"{name}.tflite"
    if not path.is_file():
        pytest.skip("../shared is not there")
    made = unlite.to_coreml(path, precision="float32" if kind == "constexpr_cast" else "float16")
    package = tmp_path / "model.mlpackage"
    made.save(str(package))
    size = sum(file.stat().st_size for file in package.rglob("*") if file.is_file())
    assert size <= 1.2 * path.stat().st_size
    main = made.get_spec().mlProgram.functions["main"]
    kinds = {op.type for block in main.block_specializations.values() for op in block.operations}
    assert kind in kinds


def test_package_says_what_its_values_are(tmp_path: Path) -> None:
    """Every named value is the file's tensor: compared with what the module computes."""
    path = Path(__file__).parents[3] / "shared" / "models" / "hand_recrop_fp32.tflite"
    if not path.is_file():
        pytest.skip("../shared is not there")
    comparison_of = unlite.compare
    unlite.to_coreml(path, precision="float32").save(str(tmp_path / "hand.mlpackage"))
    found = comparison_of(path, str(tmp_path / "hand.mlpackage"))
    assert found.verdict == "same", found.reason
    assert len(found.tensors) > 40


def test_metadata_is_carried_over() -> None:
    path = Path(__file__).parents[3] / "shared" / "models" / "ssd_mobilenet_v1_uint8.tflite"
    if not path.is_file():
        pytest.skip("../shared is not there")
    made = unlite.to_coreml(path)
    assert made.author == "TensorFlow"
    assert "Apache" in made.license
    ends = json.loads(made.user_defined_metadata["unlite.io"])
    assert (ends[0]["scale"], ends[0]["zero_point"]) == (0.0078125, 128)
    assert made.input_description[ends[0]["feature"]]


def test_missing_library_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    import sys

    monkeypatch.setitem(sys.modules, "coremltools", None)
    with pytest.raises(MissingExtraError, match=r"pip install 'unlite\[coreml\]'"):
        unlite.to_coreml(add_one(1, 4))


def test_coremltools_is_as_it_was_afterwards() -> None:
    """Our translations and passes are in force during a conversion alone."""
    from coremltools.converters.mil.frontend.torch.torch_op_registry import _TORCH_OPS_REGISTRY
    from coremltools.converters.mil.mil.passes.pass_registry import PASS_REGISTRY

    before = dict(_TORCH_OPS_REGISTRY.name_to_func_mapping), dict(PASS_REGISTRY.passes)
    unlite.to_coreml(add_one(1, 4))
    with pytest.raises(UnliteError):
        unlite.to_coreml(add_one(1, 1, 1, 1, 1, 4))
    assert (dict(_TORCH_OPS_REGISTRY.name_to_func_mapping), dict(PASS_REGISTRY.passes)) == before
