"""Readers of files and of values that others wrote: strict YAML and JSON, bounds, one boundary.

Whatever is wrong with a file ends as one `GrowsearchError` with file, place and remedy.
"""

from __future__ import annotations

from growsearch.reading.boundary import read_limited, reading, reason
from growsearch.reading.plain_data import PlainValueError, check_finite, check_plain
from growsearch.reading.strict_json import check_json, check_text, parse_json, read_json
from growsearch.reading.strict_yaml import Document, parse_yaml, write_yaml

__all__ = [
    "Document",
    "PlainValueError",
    "check_finite",
    "check_json",
    "check_plain",
    "check_text",
    "parse_json",
    "parse_yaml",
    "read_json",
    "read_limited",
    "reading",
    "reason",
    "write_yaml",
]
