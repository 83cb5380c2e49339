"""Fixtures for tests of the zoo's schema. Files that judge by another schema have a ``flatc`` of their own."""

from __future__ import annotations

import json
from typing import Any

import pytest
from tests.flatbuffers.flatc_judge import Flatc
from tests.flatbuffers.zoo import DECLARATIONS, FULL


@pytest.fixture(scope="module")
def flatc(tmp_path_factory: pytest.TempPathFactory) -> Flatc:
    return Flatc.of(tmp_path_factory.mktemp("flatc"), DECLARATIONS)


@pytest.fixture(scope="module")
def full(flatc: Flatc) -> bytes:
    return flatc.to_binary(json.dumps(FULL).encode())


@pytest.fixture
def cage(flatc: Flatc, full: bytes) -> Any:
    return flatc.root(full)
