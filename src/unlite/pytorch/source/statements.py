"""The body of a written ``forward``: nodes of a graph as lines that a person would write.

What is used once is nested into its user while that reads well; variables are called x, y, z while they are passed on,
and by their tensor's name where they live longer.
"""

from __future__ import annotations

import operator
from typing import TYPE_CHECKING, Any

import torch
from torch import fx
from torch.fx.node import map_arg

from unlite.pytorch.source.call_text import POOLS, plain_pool, torch_name, without_defaults, without_last_defaults
from unlite.pytorch.source.lines import WIDTH, Line, wrapped
from unlite.pytorch.source.naming import Identifiers, Symbol, literal
from unlite.pytorch.source.permutes import REDUCTIONS, is_impure

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

NESTED = 3  # calls in one statement
WIDE = 88  # characters of an expression that others are nested into
LONG = 12  # statements that a variable lives before it has a name of its own
POOL = ("x", "y", "z")

_OPERATORS: dict[Any, tuple[str, int]] = {
    operator.pow: ("**", 8),
    operator.mul: ("*", 6),
    operator.truediv: ("/", 6),
    operator.floordiv: ("//", 6),
    operator.mod: ("%", 6),
    operator.matmul: ("@", 6),
    operator.add: ("+", 5),
    operator.sub: ("-", 5),
    operator.lshift: ("<<", 4),
    operator.rshift: (">>", 4),
    operator.and_: ("&", 3),
    operator.xor: ("^", 2),
    operator.or_: ("|", 1),
    operator.eq: ("==", 0),
    operator.ne: ("!=", 0),
    operator.lt: ("<", 0),
    operator.le: ("<=", 0),
    operator.gt: (">", 0),
    operator.ge: (">=", 0),
}
"""Function -> its sign and how tightly that binds."""
_SIGNS: dict[Any, str] = {operator.neg: "-", operator.pos: "+", operator.invert: "~"}
SIGN, ATOM, LOOSE = 7, 9, -2


class Forward:
    """The statements of a graph.

    Args:
        nodes: In the order of running.
        parameters: Names of the nodes that come from outside.
        results: What it returns: a node, or a list of them.
        name_of: What to call a value that lives long; "" for no idea.
        reserved: Names that variables may not have.
        helper_names: Helper function -> its name in the file.
        alone: Members whose calls are statements of their own.
    """

    def __init__(
        self,
        nodes: Iterable[fx.Node],
        parameters: dict[fx.Node, str],
        results: Any,
        name_of: Callable[[fx.Node], str],
        reserved: Iterable[str],
        helper_names: dict[Any, str],
        alone: Iterable[str] = (),
    ) -> None:
        self._nodes = [node for node in nodes if node.op in ("call_function", "call_method", "call_module")]
        self._results = results
        self._name_of = name_of
        self._helpers, self._alone = helper_names, frozenset(alone)
        self._names: dict[fx.Node, str] = dict(parameters)
        self._free = Identifiers({*reserved, *parameters.values(), *POOL})
        self._parameters = parameters
        self._nested: set[fx.Node] = set()
        self._impure = any(is_impure(node) for node in self._nodes)
        self._count_uses()
        self._find_parts()
        self._nest()
        self._name()

    def lines(self) -> list[Line]:
        """The body, without indentation."""
        made: list[Line] = []
        for node in self._statements:
            text = self._call(node)[0]
            if node in self._parts:
                texts = self._unpacked(node, text)
            else:
                texts = [text if is_impure(node) else f"{self._names[node]} = {text}"]
            places = sorted({n.meta["tflite"] for n in self._tree(node) if n.meta.get("tflite") is not None})
            made += [Line(line, places) for text in texts for line in wrapped(text)]
        several = isinstance(self._results, (list, tuple))
        given = literal(tuple(self._symbols(self._results))) if several else self._text(self._results, LOOSE)
        if several and len(self._results) > 1 and len(given) < WIDTH - 20:
            given = given[1:-1]
        last = [] if several else sorted({n.meta["tflite"] for n in self._tree(self._results) if n.meta.get("tflite")})
        return made + [Line(line, last) for line in wrapped(f"return {given}")]

    def _unpacked(self, node: fx.Node, call: str) -> list[str]:
        """Statements that take a tuple apart."""
        parts = self._parts[node]
        names = [self._names[part] if part is not None else "_" for part in parts]
        together = ", ".join(names) + ("," if len(names) == 1 else "")
        if len(together) <= WIDE:
            return [f"{together} = {call}"]
        whole = self._free.make("", "parts")
        return [
            f"{whole} = {call}",
            *(f"{name} = {whole}[{i}]" for i, name in enumerate(names) if parts[i] is not None),
        ]

    def _symbols(self, value: Any) -> Any:
        def symbol(node: fx.Node) -> Any:  # not what fx takes for an argument, but nothing that looks at it
            return Symbol(self._text(node, LOOSE))

        return map_arg(value, symbol)

    # -- which values are nested into others -----------------------------------------------------------------------

    def _count_uses(self) -> None:
        self._uses: dict[fx.Node, int] = {}
        for node in self._nodes:
            for operand in _operands((node.args, node.kwargs)):
                self._uses[operand] = self._uses.get(operand, 0) + 1
        self._returned = _operands(self._results)
        for node in self._returned:
            self._uses[node] = self._uses.get(node, 0) + 1

    def _nest(self) -> None:
        self._calls: dict[fx.Node, int] = {}
        size: dict[fx.Node, int] = {}
        own = set(self._nodes)
        for node in self._nodes:
            operands = [n for n in dict.fromkeys(_operands((node.args, node.kwargs))) if n in own]
            chosen = [n for n in operands if n in self._nested or self._may_nest(n, node)]
            weight = NESTED if node.op == "call_module" and str(node.target) in self._alone else 1
            weight = 0 if node.target is operator.getitem else weight
            length = len(str(node.target if node.op != "call_function" else node.name)) + 8 * len(node.args)
            while chosen and (
                weight + sum(self._calls[n] for n in chosen) > NESTED or length + sum(size[n] for n in chosen) > WIDE
            ):
                heaviest = max((n for n in chosen), key=lambda n: (self._calls[n], size[n]))
                if heaviest in self._nested:  # a part of a tuple: always written in place
                    break
                chosen.remove(heaviest)
            self._nested.update(chosen)
            self._calls[node] = weight + sum(self._calls[n] for n in chosen)
            size[node] = length + sum(size[n] for n in chosen)
            if node.target is operator.getitem and _is_tuple(node.args[0]) and node not in self._part_of:
                self._nested.add(node)
        last = self._results
        is_plain = isinstance(last, fx.Node) and last in own and not (last in self._part_of or self._impure)
        if is_plain and self._uses[last] == 1 and not is_unsteady(last):
            self._nested.add(last)
        self._statements = [node for node in self._nodes if node not in self._nested and node not in self._part_of]

    def _find_parts(self) -> None:
        """Tuples that are taken apart at once: ``a, b = x.split(2)``."""
        self._parts: dict[fx.Node, list[fx.Node | None]] = {}
        self._part_of: dict[fx.Node, fx.Node] = {}
        for node in self._nodes:
            users = list(node.users)
            if not _is_tuple(node) or not all(user.target is operator.getitem for user in users):
                continue
            places = [user.args[1] for user in users]
            count = len(node.meta["val"])
            if len(set(places)) == len(places) and all(isinstance(p, int) and 0 <= p < count for p in places):
                self._parts[node] = [users[places.index(p)] if p in places else None for p in range(count)]
                self._part_of.update((user, node) for user in users)

    def _may_nest(self, node: fx.Node, user: fx.Node) -> bool:
        if (
            self._uses.get(node, 0) != 1
            or node in self._returned
            or node in self._part_of
            or is_unsteady(node)
            or _is_tuple(node)
        ):
            return False
        if user.target in _CONTROL:
            return False
        # Branches that come together are statements of their own.
        joins = user.target in _OPERATORS and sum(isinstance(entry, fx.Node) for entry in user.args) > 1
        return not (joins or user.target is torch.cat) or self._calls[node] <= 1

    def _tree(self, node: Any) -> list[fx.Node]:
        """A value, with all that is nested into it."""
        if not isinstance(node, fx.Node):
            return []
        found, waiting = [], [node]
        while waiting:
            at = waiting.pop()
            found.append(at)
            waiting += [n for n in _operands((at.args, at.kwargs)) if n in self._nested]
        return found

    # -- what variables are called ---------------------------------------------------------------------------------

    def _name(self) -> None:
        last: dict[fx.Node, int] = {}
        statements = [*self._statements, None]
        for place, node in enumerate(statements):
            roots = [node] if node is not None else [n for n in self._returned if n in self._nested]
            used = [] if node is not None else [n for n in self._returned if n not in self._nested]
            for root in roots:
                for inner in self._tree(root):
                    used += [n for n in _operands((inner.args, inner.kwargs)) if n not in self._nested]
            for operand in used:
                last[operand] = place
        several = set(self._returned) if isinstance(self._results, (list, tuple)) else set()
        held = {name: last.get(node, -1) for node, name in self._parameters.items() if name in POOL}
        for place, statement in enumerate(self._statements):
            parts = [part for part in self._parts.get(statement, [statement]) if part is not None]
            for node in [] if is_impure(statement) else parts:
                short = None
                if node not in several and last.get(node, place) - place <= LONG and not _is_tuple(node):
                    short = next((name for name in POOL if held.get(name, -1) <= place), None)
                if short is None:
                    self._names[node] = self._free.make(self._name_of(node), "parts" if _is_tuple(node) else "hidden")
                else:
                    self._names[node] = short
                    held[short] = max(last.get(node, place), place + (statement in self._parts))

    # -- expressions -----------------------------------------------------------------------------------------------

    def _text(self, value: Any, binding: int = LOOSE) -> str:
        """Code for an argument, in brackets where it binds less tightly than what is around it."""
        if not isinstance(value, fx.Node):
            text = literal(self._symbols(value))
            return f"({text})" if text.startswith("-") and binding > SIGN else text
        if value.op == "get_attr":
            return f"self.{value.target}"
        if value not in self._nested:
            return self._names[value]
        text, own = self._call(value)
        return f"({text})" if own < binding else text

    def _call(self, node: fx.Node) -> tuple[str, int]:
        """Code for a node, and how tightly it binds."""
        args, kwargs = node.meta.get("written", (node.args, node.kwargs))
        if node.op == "call_module":
            return f"self.{node.target}({self._list(args, {})})", ATOM
        if node.op == "call_method":
            rest = args[1:]
            if node.target in _SPREAD and len(rest) == 1 and isinstance(rest[0], (list, tuple)) and rest[0]:
                rest = tuple(rest[0])
            elif node.target in REDUCTIONS and len(rest) == 2:
                rest, kwargs = rest[:1], {**({"keepdim": True} if rest[1] else {}), **kwargs}
            return f"{self._text(args[0], ATOM)}.{node.target}({self._list(rest, kwargs)})", ATOM
        if node.target in _OPERATORS and len(args) == 2:
            sign, own = _OPERATORS[node.target]
            return f"{self._text(args[0], own + (own in (0, 8)))} {sign} {self._text(args[1], own + 1)}", own
        if node.target in _SIGNS:
            return f"{_SIGNS[node.target]}{self._text(args[0], SIGN)}", SIGN
        if node.target is operator.getitem:
            return f"{self._text(args[0], ATOM)}[{self._index(args[1])}]", ATOM
        if node.target is getattr and isinstance(args[1], str) and args[1].isidentifier():
            return f"{self._text(args[0], ATOM)}.{args[1]}", ATOM
        if node.target in _CONTROL:
            return self._control(node)
        name = self._helpers.get(node.target) or torch_name(node.target)
        if name in POOLS:
            args, kwargs = plain_pool(args, kwargs)
        args = without_last_defaults(name, args)
        return f"{name}({self._list(args, without_defaults(node.target, kwargs))})", ATOM

    def _control(self, node: fx.Node) -> tuple[str, int]:
        if node.target is torch.ops.higher_order.cond:
            question, first, second, operands = node.args
            given = self._list(operands, {})
            branches = f"self.{first.target}({given}) if", f"else self.{second.target}({given})"  # type: ignore[union-attr]
            return f"{branches[0]} {self._text(question)} {branches[1]}", LOOSE + 1
        name = next(text for helper, text in self._helpers.items() if helper.__name__ == "repeat_while")
        return f"{name}({self._list(node.args, {})})", ATOM

    def _list(self, args: Any, kwargs: Any) -> str:
        parts = [self._text(value) for value in args]
        return ", ".join(parts + [f"{key}={self._text(value)}" for key, value in kwargs.items()])

    def _index(self, value: Any) -> str:
        if isinstance(value, (tuple, list)) and value:
            return ", ".join(map(self._index, value))
        if isinstance(value, slice):
            ends = f"{self._bound(value.start)}:{self._bound(value.stop)}"
            return ends if value.step is None else f"{ends}:{self._bound(value.step)}"
        return self._text(value)

    def _bound(self, value: Any) -> str:
        return "" if value is None else self._text(value)


_SPREAD = ("expand", "permute", "repeat", "reshape", "view")
"""Methods that take sizes one by one, too."""
_CONTROL = (torch.ops.higher_order.cond, torch.ops.higher_order.while_loop)


def _operands(value: Any) -> list[fx.Node]:
    """All nodes in arguments, with repetitions, but for constants."""
    found: list[fx.Node] = []
    map_arg(value, found.append)
    return [node for node in found if node.op != "get_attr"]


def _is_tuple(node: Any) -> bool:
    return isinstance(node, fx.Node) and isinstance(node.meta.get("val"), (tuple, list))


def is_unsteady(node: fx.Node) -> bool:
    """Whether it matters when a node runs: it reads memory that changes, or random numbers."""
    if is_impure(node) or (node.op == "call_method" and node.target == "clone"):
        return True
    return any(word in str(getattr(node.target, "__name__", node.target)) for word in ("rand", "multinomial", "normal"))
