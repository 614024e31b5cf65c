"""Gates: indicators that switch channels, units and recurrent states on and off."""
