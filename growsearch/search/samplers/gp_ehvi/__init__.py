"""GP-EHVI: expected hypervolume improvement over Gaussian-process surrogates."""

from growsearch.search.samplers.gp_ehvi.candidates import KnownCosts
from growsearch.search.samplers.gp_ehvi.sampler import GPEHVISampler, GPEHVISettings

__all__ = ["GPEHVISampler", "GPEHVISettings", "KnownCosts"]
