"""Reports of finished searches: run folders in; HTML, Markdown, CSV, JSON and PNG out."""

from growsearch.report.choice.study_choice import Choice, choose, study_choice, trial_of
from growsearch.report.choice_text import choice_lines, front_table, table_legend
from growsearch.report.formats import FORMATS, USUAL, write_report
from growsearch.report.run_data import Run, front_of_trials, read_run

__all__ = [
    "FORMATS",
    "USUAL",
    "Choice",
    "Run",
    "choice_lines",
    "choose",
    "front_of_trials",
    "front_table",
    "read_run",
    "study_choice",
    "table_legend",
    "trial_of",
    "write_report",
]
