"""What is known to differ from LiteRT on purpose, what is limited, and what is refused: the notes of docs/operators.md.

Both sides were measured, LiteRT's with its reference kernels. A difference is left where the same
value would cost a check in every model for a case that hardly any has, or where LiteRT's own kernels disagree.
"""

from __future__ import annotations

from typing import NamedTuple


class Difference(NamedTuple):
    """One way in which a converted model differs from LiteRT.

    Attributes:
        operators: Their names.
        when: Which inputs show it.
        here: What the module gives.
        litert: What LiteRT gives.
        source: The kernel that decides, in LiteRT's repository.
    """

    operators: tuple[str, ...]
    when: str
    here: str
    litert: str
    source: str


DIFFERENCES = (
    Difference(
        ("CAST",),
        "real numbers outside of the range of INT32 or INT64, and NaN",
        "what the processor makes of them",
        "the end of the range",
        "tflite/kernels/cast.cc",
    ),
    Difference(
        ("DIV",),
        "real numbers divided by 0",
        "infinity",
        "the largest finite number; infinity with XNNPACK",
        "tflite/kernels/internal/reference/div.h",
    ),
    Difference(
        ("FLOOR_DIV",),
        "real numbers divided by 0",
        "infinity or NaN",
        "refused at run time",
        "tflite/kernels/floor_div.cc",
    ),
    Difference(
        ("MAXIMUM", "MINIMUM"),
        "NaN",
        "NaN where either operand is",
        "NaN where the second operand is",
        "tflite/kernels/maximum_minimum.cc",
    ),
    Difference(
        ("REDUCE_MAX", "REDUCE_MIN"),
        "NaN",
        "NaN where any element is",
        "mostly that of the other elements",
        "tflite/kernels/internal/reference/reduce.h",
    ),
    Difference(
        ("MAX_POOL_2D",),
        "NaN",
        "NaN where any cell of the window is",
        "the largest of the other cells",
        "tflite/kernels/internal/reference/pooling.h",
    ),
    Difference(
        ("ARG_MAX", "ARG_MIN"),
        "NaN",
        "the place of the first NaN",
        "a place that depends on the order",
        "tflite/kernels/internal/reference/arg_min_max.h",
    ),
    Difference(("TOPK_V2",), "NaN", "NaN comes first", "NaN comes last", "tflite/kernels/topk_v2.cc"),
    Difference(
        ("UNIQUE",),
        "NaN",
        "each NaN is a value of its own",
        "a NaN takes what follows it for its equal",
        "tflite/kernels/unique.cc",
    ),
    Difference(
        ("GELU",),
        "infinity, and numbers above 1.7e38",
        "NaN or infinity, as PyTorch computes it on the processor",
        "the number itself",
        "tflite/kernels/internal/reference/gelu.h",
    ),
    Difference(("SIGN",), "NaN", "0", "NaN", "tflite/kernels/sign.cc"),
    Difference(
        ("POW",),
        "INT32 results that are no INT32, where the exponent is a single number",
        "-2^31",
        "the product, wrapped around",
        "tflite/kernels/internal/reference/reference_ops.h",
    ),
    Difference(
        ("STABLEHLO_SHIFT_LEFT",),
        "shifts by less than 0, or by the number of bits or more",
        "0, as StableHLO says",
        "what the processor does",
        "tflite/kernels/stablehlo_shift_left.cc",
    ),
    Difference(
        ("LOCAL_RESPONSE_NORMALIZATION",),
        "always, against the default kernels",
        "channels c - radius to c + radius - 1, as the reference kernel has it",
        "the default kernels add channel c + radius",
        "tflite/kernels/internal/reference/reference_ops.h",
    ),
    Difference(
        ("NON_MAX_SUPPRESSION_V4", "NON_MAX_SUPPRESSION_V5"),
        "equal scores",
        "the first box comes first",
        "the order of the heap",
        "tflite/kernels/internal/reference/non_max_suppression.h",
    ),
    Difference(
        ("TFLite_Detection_PostProcess",),
        "outputs behind the last detection",
        "0",
        "memory that nobody wrote",
        "tflite/kernels/detection_postprocess.cc",
    ),
    Difference(
        ("EMBEDDING_LOOKUP_SPARSE",),
        "rows of one cell that do not follow one another",
        "combined",
        "only the last of them count",
        "tflite/kernels/embedding_lookup_sparse.cc",
    ),
    Difference(
        ("RANDOM_UNIFORM", "RANDOM_STANDARD_NORMAL", "MULTINOMIAL"),
        "always",
        "PyTorch's generator; torch.manual_seed decides",
        "a generator of its own, seeded by the file or the machine; the distribution is the same",
        "tflite/kernels/random_ops.cc",
    ),
    Difference(
        ("RFFT2D",),
        "lengths that are no power of 2",
        "the transform",
        "refused",
        "tflite/kernels/rfft2d.cc",
    ),
    Difference(
        ("SPACE_TO_BATCH_ND", "BATCH_TO_SPACE_ND"),
        "tensors of other than 3 or 4 dimensions",
        "any number of dimensions",
        "refused",
        "tflite/kernels/space_to_batch_nd.cc",
    ),
)
"""Where a module made with ``quantized="float"`` gives something else than LiteRT, noise in the last digits aside."""

EXACT_DIFFERENCES = (
    Difference(
        ("SUM",),
        "INT8 and INT16 that are quantized",
        "the sums, as LiteRT's other kernels give them",
        "sums of the bytes, read as if they were UINT8",
        "tflite/kernels/internal/reference/reduce.h",
    ),
    Difference(
        ("RSQRT",),
        "INT8 that stands for numbers below 0",
        "the largest integer",
        "refused at run time",
        "tflite/kernels/elementwise.cc",
    ),
    Difference(
        ("DIV",),
        "UINT8 divided by 0",
        "0",
        "the process stops",
        "tflite/kernels/div.cc",
    ),
)
"""Where a module made with ``quantized="exact"`` gives other integers than LiteRT's reference kernels."""

LIMITS = {
    "WHILE": "a loop that carries a tensor whose shape changes runs eagerly only; torch.export refuses it",
    "STABLEHLO_WHILE": "as WHILE",
}
"""Operator -> what a module with it cannot do."""

REFUSED = {
    "HASHTABLE": "PyTorch has no hash tables",
    "HASHTABLE_FIND": "PyTorch has no hash tables",
    "HASHTABLE_IMPORT": "PyTorch has no hash tables",
    "HASHTABLE_LOOKUP": "PyTorch has no hash tables",
    "HASHTABLE_SIZE": "PyTorch has no hash tables",
    "SKIP_GRAM": "it works on strings, which PyTorch has no values for",
}
"""Operators with a kernel in LiteRT that are not converted -> why."""
