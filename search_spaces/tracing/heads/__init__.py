"""Attention heads in a traced network, and numbers and widths that its code ties to them."""
