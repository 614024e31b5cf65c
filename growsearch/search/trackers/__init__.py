"""Trackers: where else a search can be followed; one file a tracker and one line in TRACKERS."""

from growsearch.search.trackers.following import followed
from growsearch.search.trackers.registry import TRACKERS, check_trackers
from growsearch.search.trackers.tracker import Tracked, Tracker

__all__ = ["TRACKERS", "Tracked", "Tracker", "check_trackers", "followed"]
