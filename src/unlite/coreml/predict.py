"""``predict``: a saved package in Apple's own runtime, which is on Macs alone."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

import numpy as np

from unlite.coreml.library import load_coremltools, quiet
from unlite.errors import UnliteError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

    from unlite.coreml.evaluate import Program

    Array = NDArray[Any]


def can_predict() -> bool:
    """Whether this machine has Apple's runtime."""
    return sys.platform == "darwin"


def predict(program: Program, inputs: Mapping[str, Array]) -> dict[str, Array]:
    """What Apple's runtime makes of a package, on the processor; states begin as zeros.

    Args:
        program: The package.
        inputs: As for ``Program.run``; an image's pixels are rounded, as pictures have whole ones.

    Returns:
        Array by name, of the outputs that are numbers. A classifier's scores come in the order of its labels.

    Raises:
        UnliteError: the runtime does not load the package, or does not run it.
    """
    coremltools = load_coremltools("running a Core ML package")
    try:
        with quiet():
            model = coremltools.models.MLModel(program.path, compute_units=coremltools.ComputeUnit.CPU_ONLY)
            description = model.get_spec().description
            pictures = {each.name for each in description.input if each.type.WhichOneof("Type") == "imageType"}
            given = {name: _picture(value) if name in pictures else value for name, value in inputs.items()}
            states = {"state": model.make_state()} if len(description.state) else {}
            found: dict[str, Any] = model.predict(given, **states)
    except Exception as error:  # a runtime that fails in its own ways
        first = (str(error).strip().splitlines() or [""])[0]
        raise UnliteError(f"Core ML does not run it: {type(error).__name__}: {first}", file=program.path) from error
    scores = [value for value in found.values() if isinstance(value, dict)]
    results: dict[str, Array] = {}
    for name in program.outputs:
        if name in found:
            results[name] = np.asarray(found[name])
        elif scores:
            results[name] = np.asarray(list(scores[0].values()), np.float32)
    return results


def _picture(pixels: Array) -> Any:
    """A picture of pixels [1, C, H, W], 0..255."""
    from PIL import Image

    whole = np.clip(np.round(pixels[0]), 0, 255).astype(np.uint8).transpose(1, 2, 0)
    return Image.fromarray(whole if whole.shape[2] == 3 else whole[:, :, 0])
