"""Ambient air: whose it is, for an officer who asks about one station and time."""
