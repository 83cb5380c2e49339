"""``unlite convert --to coreml``: an ``.mlpackage``, an ML program."""

from __future__ import annotations

from typing import TYPE_CHECKING

from unlite.errors import InvalidValueError

if TYPE_CHECKING:
    import argparse
    from collections.abc import Callable

    from unlite.comparison.compare import Reference
    from unlite.comparison.result import Comparison
    from unlite.model.model import Model

EXTRA = "coreml"
LIBRARIES = ("torch", "coremltools")
SUFFIX = ".mlpackage"


def is_own(path: str) -> bool:
    """Whether a package says in its metadata that ``to_coreml`` made it."""
    from unlite.coreml.library import is_marked

    return is_marked(path)


def write(model: Model, arguments: argparse.Namespace, path: str) -> Callable[[Reference], Comparison]:
    """Writes the package, and loads what was written."""
    from unlite.coreml.evaluate import Program
    from unlite.coreml.images import ImageInput
    from unlite.coreml.module import to_coreml

    if not path.endswith(SUFFIX):
        raise InvalidValueError(f"Core ML's packages end in {SUFFIX}.", file=arguments.output)
    if arguments.image_input is None and (arguments.image_color or arguments.image_scale or arguments.image_bias):
        raise InvalidValueError("which input takes pictures? --image-input NAME tells.")
    each = ImageInput(arguments.image_color, arguments.image_scale, arguments.image_bias)
    made = to_coreml(
        model,
        images=dict.fromkeys(arguments.image_input, each) if arguments.image_input else None,
        class_labels=arguments.labels,
        precision=arguments.precision or "float16",
        minimum_deployment_target=arguments.minimum_deployment_target,
        io_layout=arguments.io_layout or "auto",
        requantize=arguments.requantize,
        signature=arguments.signature,
    )
    made.save(path)
    Program(path)
    if arguments.mac_script:
        from unlite.coreml.mac_script import write_script

        write_script(model, path, arguments.mac_script, package=arguments.output, signature=arguments.signature)

    def compare(reference: Reference) -> Comparison:
        """What was written, evaluated, against LiteRT."""
        return reference.compare(path)

    return compare
