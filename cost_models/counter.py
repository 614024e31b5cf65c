"""Which parts of fvcore are used? Only these, imported without the warnings of their import."""

import warnings

with warnings.catch_warnings():
    # fvcore scripts a function at import, which torch has deprecated.
    warnings.simplefilter("ignore")
    from fvcore.nn import FlopCountAnalysis
    from fvcore.nn.jit_handles import conv_flop_count, get_shape, linear_flop_jit

__all__ = ["FlopCountAnalysis", "conv_flop_count", "get_shape", "linear_flop_jit"]
