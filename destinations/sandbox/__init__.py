"""A stand-in for a partner on this machine: made from a definition, or by a plugin on the same parts."""
