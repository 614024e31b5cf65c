"""Gates: indicators that switch channels, units and recurrent states on and off."""

from growsearch.growth.gates.gate import Gate
from growsearch.growth.gates.insertion import insert_gates

__all__ = ["Gate", "insert_gates"]
