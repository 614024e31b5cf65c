"""Streamed data are read in the tests' own process, unless GROWSEARCH_WORKER_TESTS is 1.

Forked loaders have ended workers of pytest-xdist without a word, for a cause that is not yet known.
Alone, `GROWSEARCH_WORKER_TESTS=1 pytest tests/datasets/test_streams.py`, they pass.
"""

import os

from growsearch.datasets.streams.loading import read_without_workers

if os.environ.get("GROWSEARCH_WORKER_TESTS") != "1":
    read_without_workers()
