"""GP-EHVI: expected hypervolume improvement over Gaussian-process surrogates."""
