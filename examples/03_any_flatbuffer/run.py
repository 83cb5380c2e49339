"""How do I read another FlatBuffer lazily? Usage: run.py"""

from __future__ import annotations

import io
import json
import subprocess
import sys
from pathlib import Path

import unlite
from unlite.flatbuffers import open_schema
from unlite.flatbuffers.json_reader import read_json
from unlite.flatbuffers.write import build

SCHEMA = Path(__file__).with_name("weather.fbs")
SKIES = ["Clear", "Cloudy", "Rain", "Snow"]


class Counted(io.FileIO):
    """A file that counts what is read from it."""

    count = 0

    def read(self, size: int = -1, /) -> bytes:
        data = super().read(size)
        self.count += len(data)
        return data


def month_as_json() -> bytes:
    """Thirty days of a station, with a temperature every ten seconds."""
    days = [
        {
            "date": f"2024-06-{day + 1:02}",
            "sky": SKIES[day % 4],
            "temperatures": [10 + day % 7 + second % 3600 / 600 for second in range(0, 86400, 10)],
        }
        for day in range(30)
    ]
    station = {"name": "Kapellenberg", "place": {"latitude": 50.75, "longitude": 12.5}, "days": days}
    return json.dumps(station).encode()


def command(*arguments: str) -> None:
    """Runs ``unlite`` as a person would type it."""
    print("$ unlite", *arguments, flush=True)
    subprocess.run([sys.executable, "-m", "unlite", *arguments], check=True)


print("== A file of a format that unlite has never seen, made from JSON and its schema")
schema = open_schema(SCHEMA)
data = build(schema.root, read_json(month_as_json(), schema), schema.file_identifier.encode())
Path("june.bin").write_bytes(data)
Path("weather.fbs").write_bytes(SCHEMA.read_bytes())
print(f"june.bin: {len(data)} bytes")

print("\n== Opened, by field name; only what is asked for is read")
with Counted("june.bin") as file:
    station = unlite.flatbuffers.open(file, schema="weather.fbs")
    day = station.days[20]
    print(station.name, station.place.latitude, station.place.longitude, len(station.days))
    print(day.date, day.sky, len(day.temperatures), day.temperatures[4320])
    print(f"read so far: {file.count // 1000} of {len(data) // 1000} kB")

print("\n== The same from the shell")
command("flatbuffer", "june.bin", "--schema", "weather.fbs")
command("flatbuffer", "june.bin", "--schema", "weather.fbs", "days[20].sky")

print("\n== A file of another schema is refused")
Path("other.bin").write_bytes(data[:4] + b"MNST" + data[8:])
try:
    unlite.flatbuffers.open("other.bin", schema="weather.fbs")
except unlite.UnliteError as error:
    print(error)
