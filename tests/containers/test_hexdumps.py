"""Dumps of bytes, read back. The texts are what the programs print; where they are installed, they are asked again."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import hypothesis.strategies as st
import pytest
from hypothesis import given

from unlite.containers.c_array import read_c_array
from unlite.containers.hexdumps import looks_like_dump, read_dump
from unlite.errors import TextError, UnliteError

DATA = bytes.fromhex("1c0000005446 4c33 0d0a 7c3e 3c7e ff80") + bytes(40) + b"\x41"
# What xxd 2024-12, util-linux hexdump 2.41 and coreutils od 9.7 print for DATA.
DUMPS = {
    "xxd": """\
00000000: 1c00 0000 5446 4c33 0d0a 7c3e 3c7e ff80  ....TFL3..|><~..
00000010: 0000 0000 0000 0000 0000 0000 0000 0000  ................
00000020: 0000 0000 0000 0000 0000 0000 0000 0000  ................
00000030: 0000 0000 0000 0000 41                   ........A
""",
    "xxd -e": """\
00000000: 0000001c 334c4654 3e7c0a0d 80ff7e3c  ....TFL3..|><~..
00000010: 00000000 00000000 00000000 00000000  ................
00000020: 00000000 00000000 00000000 00000000  ................
00000030: 00000000 00000000       41           ........A
""",
    "xxd -p": """\
1c00000054464c330d0a7c3e3c7eff800000000000000000000000000000
000000000000000000000000000000000000000000000000000041
""",
    "hexdump -C": """\
00000000  1c 00 00 00 54 46 4c 33  0d 0a 7c 3e 3c 7e ff 80  |....TFL3..|><~..|
00000010  00 00 00 00 00 00 00 00  00 00 00 00 00 00 00 00  |................|
*
00000030  00 00 00 00 00 00 00 00  41                       |........A|
00000039
""",
    "hexdump": """\
0000000 001c 0000 4654 334c 0a0d 3e7c 7e3c 80ff
0000010 0000 0000 0000 0000 0000 0000 0000 0000
*
0000030 0000 0000 0000 0000 0041
0000039
""",
    "od": """\
0000000 000034 000000 043124 031514 005015 037174 077074 100377
0000020 000000 000000 000000 000000 000000 000000 000000 000000
*
0000060 000000 000000 000000 000000 000101
0000071
""",
    "od -t x1": """\
0000000 1c 00 00 00 54 46 4c 33 0d 0a 7c 3e 3c 7e ff 80
0000020 00 00 00 00 00 00 00 00 00 00 00 00 00 00 00 00
*
0000060 00 00 00 00 00 00 00 00 41
0000071
""",
    "od -A x -t x1z": """\
000000 1c 00 00 00 54 46 4c 33 0d 0a 7c 3e 3c 7e ff 80  >....TFL3..|><~..<
000010 00 00 00 00 00 00 00 00 00 00 00 00 00 00 00 00  >................<
*
000030 00 00 00 00 00 00 00 00 41                       >........A<
000039
""",
    "od -A d -t u1": """\
0000000  28   0   0   0  84  70  76  51  13  10 124  62  60 126 255 128
0000016   0   0   0   0   0   0   0   0   0   0   0   0   0   0   0   0
*
0000048   0   0   0   0   0   0   0   0  65
0000057
""",
}
MORE = (
    "xxd -b",
    "xxd -c 7",
    "xxd -u",
    "xxd -a",
    "hexdump -b",
    "hexdump -v -C",
    "od -b",
    "od -v",
    "od -t d1",
    "od -t x4",
)
MORE_STILL = ("od -t x8", "od -t o4", "od -An -v -t x1", "od -A x -t x4z")


@pytest.mark.parametrize("command", DUMPS)
def test_dumps(command: str) -> None:
    text = DUMPS[command]
    assert looks_like_dump(text.encode())
    assert read_dump(text) == DATA
    assert read_dump(text.encode("utf-16")) == DATA
    assert read_dump(text.replace("\n", "\r\n").rstrip().encode()) == DATA


@pytest.mark.parametrize("command", [*DUMPS, *MORE, *MORE_STILL])
def test_what_the_programs_print(tmp_path: Path, command: str) -> None:
    program, *options = command.split()
    if shutil.which(program) is None:
        pytest.skip(f"{program} is not installed")
    for data in (DATA, bytes(range(256)) * 3 + b"\x01"):
        (tmp_path / "data").write_bytes(data)
        done = subprocess.run([program, *options, tmp_path / "data"], capture_output=True, check=True)
        if data is DATA and command in DUMPS:
            assert done.stdout.decode().split() == DUMPS[command].split()
        assert read_dump(done.stdout) == data


REFUSED = {
    "a line is missing": (DUMPS["xxd"].replace("00000010: 0000", "00000020: 0000", 1), 2, "16 bytes stand before"),
    "cut short": (DUMPS["hexdump -C"][:-10], 4, "states its length"),
    "cut short at a star": (DUMPS["od"].partition("*")[0] + "*\n", 3, "states its length"),
    "an edited byte": (DUMPS["xxd"].replace("5446", "5447"), 1, "its characters"),
    "an edited byte of hexdump": (DUMPS["hexdump -C"].replace("54 46", "54 47"), 1, "its characters"),
    "no digit": (DUMPS["xxd"].replace("41  ", "4x  "), 4, "its digits"),
    "other text": (DUMPS["hexdump"] + "and more\n", 6, "no line of a dump"),
    "out of proportion": (DUMPS["hexdump -C"].replace("*\n00000030", "*\n70000000"), 4, "proportion"),
    "several readings": ("0000000 41 41 41 41\n*\n0000100\n", 1, "several ways"),
    "no dump": ("hello", 1, "no dump"),
}


@pytest.mark.parametrize(("text", "line", "says"), REFUSED.values(), ids=REFUSED)
def test_refused_with_its_line(text: str, line: int, says: str) -> None:
    with pytest.raises(TextError, match=says) as raised:
        read_dump(text, "net.txt")
    assert (raised.value.line, raised.value.file) == (line, "net.txt")


@given(st.sampled_from(sorted(DUMPS)), st.lists(st.tuples(st.integers(0, 299), st.integers(0, 255)), max_size=5))
def test_damaged_text_is_read_or_refused(command: str, changes: list[tuple[int, int]]) -> None:
    text = bytearray(DUMPS[command].encode())
    for position, value in changes:
        text[position % len(text)] = value
    try:
        read_dump(text)
    except UnliteError as error:
        assert str(error)


@pytest.mark.parametrize("name", ["xxd_dump.txt", "hexdump_C.txt"])
def test_dumps_of_a_model(shared: Path, name: str) -> None:
    text = (shared / "reports" / name).read_bytes()
    # By hand: the offset column of both says 512 bytes.
    data = read_dump(text)
    assert (len(data), data[4:8]) == (512, b"TFL3")
    assert data == read_c_array((shared / "reports/bare.txt").read_bytes())


@pytest.mark.parametrize("name", ["bare.txt", "xxd_i_stdin.txt", "std_byte.cc"])
def test_lists_of_a_model(shared: Path, name: str) -> None:
    assert read_c_array((shared / "reports" / name).read_bytes()) == read_dump(
        (shared / "reports/xxd_dump.txt").read_bytes()
    )
