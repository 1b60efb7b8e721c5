"""A stand-in for a partner on this machine, made from its definition or by a plugin."""
