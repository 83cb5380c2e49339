"""PyTorch calls that coremltools does not translate: our translations, in force during our conversions alone."""

from __future__ import annotations

from contextlib import contextmanager
from copy import copy
from typing import TYPE_CHECKING, Any

import numpy as np

from unlite.coreml import bits, control_flow, rearranging
from unlite.coreml.marks import MARK

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from torch import fx

    from unlite.coreml.marks import Marks


@contextmanager
def translations(marks: Marks, functions: Sequence[fx.GraphModule] = ()) -> Iterator[None]:
    """Within it coremltools knows our translations; ``functions`` are those of loops and branches."""
    from coremltools.converters.mil.frontend.torch.torch_op_registry import _TORCH_OPS_REGISTRY

    table: dict[str, Callable[..., Any]] = _TORCH_OPS_REGISTRY.name_to_func_mapping
    before = dict(table)

    def mark(context: Any, node: Any) -> None:
        var = context[node.inputs[0]]
        marks.note(int(node.inputs[1]), var)
        context.add(var, torch_name=node.name)

    table.update({MARK: mark, **_own(), **_amended(before), **control_flow.translations(functions)})
    try:
        yield
    finally:
        table.clear()
        table.update(before)


def _own() -> dict[str, Callable[..., Any]]:
    """By the name under which coremltools looks for them: a PyTorch call without ``aten`` and the usual endings."""
    return {
        "alias": _same,
        "clone": _copied,
        "fake_quantize_per_tensor_affine": _on_grid,
        "fake_quantize_per_tensor_affine_cachemask": _on_grid,
        "sort.stable": _sort,
        "_upsample_nearest_exact2d.vec": _nearest,
        "where.scalar": _where,
        "where.scalarself": _where,
        "where.scalarother": _where,
        "fft_rfft2": _rfft2,
        "_log_softmax": _log_softmax,
        "log_softmax": _log_softmax,
        "prod.dim_int": _product,
        "index_add": _index_add,
        "scatter_reduce.two": _scatter_reduce,
        "sym_max": _largest,
        "mod": _remainder,
        "new_zeros": _zeros,
        **bits.TRANSLATIONS,
        **rearranging.TRANSLATIONS,
    }


def _amended(known: Mapping[str, Callable[..., Any]]) -> dict[str, Callable[..., Any]]:
    """The library's own translations, given what they can take."""
    found: dict[str, Callable[..., Any]] = {}
    for name in ("pixel_shuffle", "pixel_unshuffle"):
        if name in known:
            found[name] = _in_float(known[name])
    for name in ("constant_pad_nd", "pad"):
        if name in known:
            found[name] = rearranging.padding(known[name])
    for name in ("index", "index_put"):
        if name in known:
            found[name] = _broadcast_indices(known[name])
    return found


def _in_float(translate: Callable[..., Any]) -> Callable[[Any, Any], None]:
    """Integers through float32, for operators that move real numbers only."""

    def through(context: Any, node: Any) -> None:
        from coremltools.converters.mil.mil import Builder, types

        x = context[node.inputs[0]]
        if types.is_float(x.dtype):
            translate(context, node)
            return
        changed = copy(node)
        changed.name, given = f"{node.name}_float", f"{node.name}_input"
        changed.inputs = [given, *node.inputs[1:]]
        context.add(Builder.cast(x=x, dtype="fp32", name=given), torch_name=given)
        translate(context, changed)
        context.add(Builder.cast(x=context[changed.name], dtype="int32", name=node.name))

    return through


def _broadcast_indices(translate: Callable[..., Any]) -> Callable[[Any, Any], None]:
    """Tensors of indices in the one shape that they broadcast to."""

    def through(context: Any, node: Any) -> None:
        given = [context[name] if isinstance(name, str) else None for name in node.inputs[1]]
        shapes = {tuple(var.shape) for var in given if var is not None}
        if len(shapes) < 2 or any(not isinstance(size, (int, np.integer)) for shape in shapes for size in shape):
            translate(context, node)
            return
        whole = np.broadcast_shapes(*shapes)
        names = []
        for place, (name, var) in enumerate(zip(node.inputs[1], given, strict=True)):
            if var is None or tuple(var.shape) == whole:
                names.append(name)
                continue
            made = f"{node.name}_index_{place}"
            context.add(rearranging.spread(var, whole, made), torch_name=made)
            names.append(made)
        changed = copy(node)
        changed.inputs = [node.inputs[0], names, *node.inputs[2:]]
        translate(context, changed)

    return through


def _where(context: Any, node: Any) -> None:
    """One of two numbers, or of elements, by a condition."""
    from coremltools.converters.mil.mil import Builder, types

    condition, *sides = node.inputs[:3]
    given = [context[side] if isinstance(side, str) else side for side in sides]
    kinds = [side.dtype for side in given if hasattr(side, "sym_type")]
    kind: Any = types.nptype_from_builtin(kinds[0]) if kinds else np.float32
    a, b = (side if hasattr(side, "sym_type") else kind(side) for side in given)
    context.add(Builder.select(cond=context[condition], a=a, b=b, name=node.name))


def _log_softmax(context: Any, node: Any) -> None:
    """The difference x - log(sum(exp(x))) along an axis, which keeps what a softmax rounds to zero."""
    from coremltools.converters.mil.mil import Builder

    x, axis = context[node.inputs[0]], int(node.inputs[1])
    total = Builder.reduce_log_sum_exp(x=x, axes=[axis], keep_dims=True)
    context.add(Builder.sub(x=x, y=total, name=node.name))


def _product(context: Any, node: Any) -> None:
    """The product along one axis; bools count as 0 and 1."""
    from coremltools.converters.mil.mil import Builder, types

    x = context[node.inputs[0]]
    x = Builder.cast(x=x, dtype="int32") if x.dtype == types.bool else x
    keep = bool(node.inputs[2]) if len(node.inputs) > 2 else False
    context.add(Builder.reduce_prod(x=x, axes=[int(node.inputs[1])], keep_dims=keep, name=node.name))


def _index_add(context: Any, node: Any) -> None:
    """Slices added where the indices say along an axis."""
    from coremltools.converters.mil.mil import Builder, types

    data, indices, updates = (context[node.inputs[place]] for place in (0, 2, 3))
    if _keywords(node).get("alpha", 1) != 1:
        raise NotImplementedError("index_add with a factor")
    if data.dtype != updates.dtype:  # zeros, which the library takes for real numbers
        data = Builder.cast(x=data, dtype=types.builtin_to_string(updates.dtype))
    axis = int(node.inputs[1])
    context.add(Builder.scatter(data=data, indices=indices, updates=updates, axis=axis, mode="add", name=node.name))


def _scatter_reduce(context: Any, node: Any) -> None:
    """Elements joined with those where their indices say along an axis."""
    from coremltools.converters.mil.mil import Builder

    data, indices, updates = (context[node.inputs[place]] for place in (0, 2, 3))
    alone = [*node.inputs[5:], _keywords(node).get("include_self", True)]
    mode = {"sum": "add", "prod": "mul", "amax": "max", "amin": "min"}.get(node.inputs[4])
    if mode is None or not alone[0]:
        raise NotImplementedError(f"scatter_reduce {node.inputs[4]!r}, include_self={alone[0]}")
    made = Builder.scatter_along_axis(
        data=data, indices=indices, updates=updates, axis=int(node.inputs[1]), mode=mode, name=node.name
    )
    context.add(made)


def _same(context: Any, node: Any) -> None:
    """The value itself."""
    context.add(context[node.inputs[0]], torch_name=node.name)


def _copied(context: Any, node: Any) -> None:
    """The value once more: an input of the program cannot bear an output's name as well."""
    from coremltools.converters.mil.mil import Builder

    context.add(Builder.identity(x=context[node.inputs[0]], name=node.name))


def _on_grid(context: Any, node: Any) -> None:
    """Real numbers rounded to steps of a scale, within what the integers hold.

    Where there are such operators, for 8 bits from iOS 17 on, as quantize and dequantize, which Apple's devices know as
    quantized arithmetic; else as a division, a rounding and a product.
    """
    from coremltools.converters.mil._deployment_compatibility import AvailableTarget
    from coremltools.converters.mil.mil import Builder
    from coremltools.converters.mil.mil.block import is_current_opset_version_compatible_with

    x = context[node.inputs[0]]
    scale, zero = float(_number(context, node.inputs[1])), int(_number(context, node.inputs[2]))
    low, high = int(node.inputs[3]), int(node.inputs[4])
    kinds: dict[tuple[int, int], Any] = {(-128, 127): np.int8, (0, 255): np.uint8}
    if (low - zero, high - zero) in kinds:
        # The other 8 bits need no zero point. coremltools would find that too, and give the value another name.
        low, high, zero = low - zero, high - zero, 0
    kind = kinds.get((low, high))
    if kind is not None and is_current_opset_version_compatible_with(AvailableTarget.iOS17):
        zero_point = {} if zero == 0 else {"zero_point": kind(zero)}
        stored = Builder.quantize(input=x, scale=np.float32(scale), output_dtype=np.dtype(kind).name, **zero_point)
        made = Builder.dequantize(input=stored, scale=np.float32(scale), **zero_point, name=node.name)
    else:
        steps = Builder.round(x=Builder.real_div(x=x, y=np.float32(scale)))
        kept = Builder.clip(x=steps, alpha=np.float32(low - zero), beta=np.float32(high - zero))
        made = Builder.mul(x=kept, y=np.float32(scale), name=node.name)
    context.add((made, made) if "cachemask" in node.kind else made, torch_name=node.name)


def _number(context: Any, given: Any) -> Any:
    """A number, or the constant of a name."""
    return context[given].val if isinstance(given, str) else given


def _sort(context: Any, node: Any) -> None:
    """Values in order along an axis, and where they came from."""
    from coremltools.converters.mil.mil import Builder

    x = context[node.inputs[0]]
    given = {**dict(zip(("stable", "dim", "descending"), node.inputs[1:], strict=False)), **_keywords(node)}
    axis, descending = int(given.get("dim", -1)), bool(given.get("descending", False))
    order = Builder.argsort(x=x, axis=axis, ascending=not descending)
    context.add((Builder.gather_along_axis(x=x, indices=order, axis=axis), order), torch_name=node.name)


def _rfft2(context: Any, node: Any) -> None:
    """The Fourier transform of real numbers over two axes: over the last one, then over the one before."""
    from coremltools.converters.mil.mil import Builder

    x = context[node.inputs[0]]
    given = {**dict(zip(("s", "dim", "norm"), node.inputs[1:], strict=False)), **(node.kwinputs or {})}
    height, width = (int(size) for size in given.get("s") or x.shape[-2:])
    if x.shape[-1] == width:  # half of the library's own matrices, which give what is symmetric as well
        angles = 2 * np.pi / width * (np.outer(np.arange(width), np.arange(width // 2 + 1)) % width)
        real, imaginary = (Builder.matmul(x=x, y=part.astype(np.float32)) for part in (np.cos(angles), -np.sin(angles)))
        made = Builder.complex(real_data=real, imag_data=imaginary)
    else:
        made = Builder.complex_rfft(data=x, n=np.int32(width), dim=np.int32(-1))
    if height != 1 or x.shape[-2] != 1:  # of one row it is the row
        made = Builder.complex_fft(data=made, n=np.int32(height), dim=np.int32(-2))
    context.add(made, torch_name=node.name)


def _nearest(context: Any, node: Any) -> None:
    """A picture of another size, each cell the one of x that its middle lies in."""
    from coremltools.converters.mil.mil import Builder

    made = context[node.inputs[0]]
    for axis, size in zip((2, 3), node.inputs[1], strict=True):
        if not isinstance(size, int) or not isinstance(made.shape[axis], (int, np.integer)):
            raise NotImplementedError("nearest neighbours where sizes are free")
        middles = (np.arange(size, dtype=np.float32) + np.float32(0.5)) * np.float32(made.shape[axis] / size)
        cells = np.minimum(middles.astype(np.int32), made.shape[axis] - 1)
        made = Builder.gather(x=made, indices=cells, axis=axis)
    context.add(Builder.identity(x=made, name=node.name))


def _largest(context: Any, node: Any) -> None:
    """The larger of two sizes."""
    from coremltools.converters.mil.mil import Builder

    sizes = [context[given] if isinstance(given, str) else np.int32(given) for given in node.inputs]
    context.add(Builder.maximum(x=sizes[0], y=sizes[1], name=node.name))


def _remainder(context: Any, node: Any) -> None:
    """What a division of sizes leaves."""
    from coremltools.converters.mil.mil import Builder

    sizes = [context[given] if isinstance(given, str) else np.int32(given) for given in node.inputs]
    context.add(Builder.mod(x=sizes[0], y=sizes[1], name=node.name))


def _zeros(context: Any, node: Any) -> None:
    """Zeros of a shape."""
    from coremltools.converters.mil.mil import Builder, types

    like = context[node.inputs[0]]
    sizes = [context[size] if isinstance(size, str) else np.int32(size) for size in node.inputs[1]]
    kind: Any = types.nptype_from_builtin(like.dtype)
    if all(isinstance(size, np.integer) for size in sizes):
        context.add(Builder.const(val=np.zeros([int(size) for size in sizes], kind), name=node.name))
        return
    shape = Builder.concat(values=[Builder.reshape(x=size, shape=[1]) for size in sizes], axis=0)
    context.add(Builder.fill(shape=shape, value=kind(0), name=node.name))


def _keywords(node: Any) -> dict[str, Any]:
    """Keyword arguments, each out of the list that coremltools puts it in."""
    found = node.kwinputs or {}
    return {name: value[0] if isinstance(value, (list, tuple)) else value for name, value in found.items()}
