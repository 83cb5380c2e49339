"""What the package promises under its own name."""

from __future__ import annotations

import unlite

PUBLIC = {
    *("Model", "Quantization", "UnliteError", "__version__", "compare", "flatbuffers", "from_c_array", "from_json"),
    *("load_weights", "open", "run", "store_weights", "to_c_array", "to_json", "to_torch"),
}


def test_the_public_list() -> None:
    assert set(unlite.__all__) >= PUBLIC
    assert list(unlite.__all__) == sorted(unlite.__all__)


def test_every_public_name_is_there() -> None:
    for name in unlite.__all__:
        assert getattr(unlite, name) is not None
