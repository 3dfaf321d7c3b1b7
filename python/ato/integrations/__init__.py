"""Ato as a guest of other programs; each module is imported by the program that asks for it."""
