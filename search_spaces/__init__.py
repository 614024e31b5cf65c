"""Search spaces by name (SEARCH_SPACES): which networks are legal, and how are they built?"""

from search_spaces.axes.axis_parts import Member
from search_spaces.channel_groups import ChannelGroup, channel_groups, resize
from search_spaces.errors import SearchSpaceError
from search_spaces.randomness import seeded
from search_spaces.registry import SEARCH_SPACES, search_space
from search_spaces.space import Architecture, Choice, SearchSpace
from search_spaces.unit_space import ChoosesUnits
from search_spaces.units import Unit, units

__all__ = [
    "SEARCH_SPACES",
    "Architecture",
    "ChannelGroup",
    "Choice",
    "ChoosesUnits",
    "Member",
    "SearchSpace",
    "SearchSpaceError",
    "Unit",
    "channel_groups",
    "resize",
    "search_space",
    "seeded",
    "units",
]
