"""growsearch: which network should I train for this budget on this hardware?"""

__version__ = "0.1.0"
