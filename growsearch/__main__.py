"""Run the command line as ``python -m growsearch``."""

from growsearch.cli import main

main()
