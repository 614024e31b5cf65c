"""Devices that costs can be asked of, one file each."""
