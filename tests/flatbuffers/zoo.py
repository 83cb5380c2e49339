"""A schema with everything that the schema language has, and a document that uses all of it."""

from __future__ import annotations

from typing import Any

# Everything that the schema language has, in one place.
DECLARATIONS = """
namespace zoo.animals;
enum Kind : byte { Cat = -1, Ant = 0, Dog = 3, Bird = 7 }
enum Legs : ushort (bit_flags) { Front, Back, Left, Right }
enum Big : ulong { Small = 0, Huge = 18446744073709551615 }
struct Point { x: short; y: double; }
struct Box { corners: [Point:2]; weights: [ubyte:3]; kind: Kind; }
table Leaf { value: int; }
table Inner { number: ulong; next: Inner; }
union Any { Leaf, Alias: Inner, Point, Text: string }
table Cage {
  flag: bool = true;
  optional_flag: bool = null;
  optional_int: int = null;
  optional_float: float = null;
  optional_kind: Kind = null;
  small: byte = -5;
  wide: ulong = 9223372036854775807;
  real: double = 2.5;
  kind: Kind = Dog;
  legs: Legs = Back;
  big: Big;
  box: Box;
  inner: Inner;
  name: string;
  any: Any;
  many: [Any];
  names: [string];
  points: [Point];
  numbers: [int];
  floats: [float];
  flags: [bool];
  kinds: [Kind];
  inners: [Inner];
  nested: [ubyte] (nested_flatbuffer: "Inner");
  aligned: [ubyte] (force_align: 32);
  class: int;
  import: string;
  old: int (deprecated);
  shorts: [short];
}
root_type Cage;
file_identifier "ZOO1";
"""
FULL: dict[str, Any] = {
    "flag": False,
    "optional_flag": False,
    "optional_int": 0,
    "optional_float": 0.0,
    "optional_kind": "Bird",
    "small": 1,
    "wide": 18446744073709551614,
    "real": -0.5,
    "kind": "Cat",
    "legs": "Front Right",
    "big": "Huge",
    "box": {"corners": [{"x": 1, "y": 2.0}, {"x": -3, "y": 4.5}], "weights": [7, 8, 255], "kind": "Bird"},
    "inner": {"number": 1, "next": {"number": 2, "next": {"number": 3}}},
    "name": "Löwe",
    "any_type": "Alias",
    "any": {"number": 9},
    "many_type": ["Text", "Leaf", "Point", "Alias"],
    "many": ["roar", {"value": -1}, {"x": 5, "y": 6.0}, {"number": 4}],
    "names": ["a", "", "ü"],
    "points": [{"x": 1, "y": 1.5}, {"x": 2, "y": 2.5}],
    "numbers": [1, -2, 2147483647],
    "floats": [0.5, -1.25],
    "flags": [True, False, True],
    "kinds": ["Dog", "Cat"],
    "inners": [{"number": 5}, {}, {"next": {"number": 6}}],
    "nested": {"number": 77},
    "aligned": [1, 2, 3],
    "class": 12,
    "import": "keyword",
    "shorts": [],
}
