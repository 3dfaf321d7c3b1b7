"""Configs in the forms of other tools, as plain values with the origin of each."""
