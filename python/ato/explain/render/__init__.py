"""Renderings of an explanation."""
