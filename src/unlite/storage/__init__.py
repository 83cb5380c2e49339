"""Bytes: where from, where to, safely. Knows no format."""
