"""``unlite show`` of a bundle: its parts, and the models among them."""

from __future__ import annotations

import sys
from json import dumps
from typing import TYPE_CHECKING

from unlite.cli.output import print_table, printable, strict
from unlite.cli.streams import input_source
from unlite.containers.litertlm import is_litertlm, read_bundle, section_source
from unlite.errors import UnliteError
from unlite.model.model import open_model

if TYPE_CHECKING:
    import argparse
    from collections.abc import Callable

    from unlite.containers.litertlm import Bundle
    from unlite.model.model import Model
    from unlite.storage.source import Source

    ShowModel = Callable[[Model, argparse.Namespace, list[UnliteError]], None]

COLUMNS = ("#", "name", "type", "offset", "bytes", "model type")


def show_bundle(arguments: argparse.Namespace, show_model: ShowModel) -> int | None:
    """Shows the parts of a bundle; None where the argument is no bundle, else the exit code.

    Args:
        arguments: Of the command.
        show_model: Writes a model as JSON.

    Raises:
        CorruptFileError: the header is damaged.
    """
    try:
        source = input_source(arguments.model)
        if not is_litertlm(source):
            return None
    except UnliteError:
        return None
    bundle = read_bundle(source)
    if arguments.json:
        return _show_json(source, bundle, arguments, show_model)
    version = ".".join(map(str, bundle.version))
    rows = [
        (i, part.name, part.type, part.offset, part.nbytes, part.model_type or "")
        for i, part in enumerate(bundle.sections)
    ]
    print_table(f"{printable(source.name)}: .litertlm {version}", COLUMNS, rows)
    models = [part.name for part in bundle.sections if part.is_model]
    if models:
        sys.stdout.flush()
        name = printable(f"{source.name}#{models[0]}")
        print(f"For what is in a model: unlite show '{name}'", file=sys.stderr)
    return 0


def _show_json(source: Source, bundle: Bundle, arguments: argparse.Namespace, show_model: ShowModel) -> int:
    damage: list[UnliteError] = []
    write = sys.stdout.write
    write('{"parts": [')
    before = "\n"
    for part in bundle.sections:
        facts = {
            "name": part.name,
            "type": part.type,
            "offset": part.offset,
            "nbytes": part.nbytes,
            "model_type": part.model_type,
        }
        write(before + strict(dumps(facts)[:-1]) + ', "model": ')
        before = ",\n"
        model = None
        if part.is_model:
            try:
                model = open_model(section_source(source, part))
            except UnliteError as error:
                damage.append(error)
        if model is None:
            write("null")
        else:
            inside: list[UnliteError] = []
            show_model(model, arguments, inside)
            damage += inside
        write("}")
    write("]}\n")
    for found in damage:
        print(f"{type(found).__name__}: {found}", file=sys.stderr)
    return 1 if damage else 0
