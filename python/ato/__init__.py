"""Ato: why did this result change?"""
