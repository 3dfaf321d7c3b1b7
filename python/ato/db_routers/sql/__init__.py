"""Runs in an SQL database: `manager` writes and finds them, `reading` loads one whole.

Nothing is imported here: SQLAlchemy takes 0.4 s to import and loads with the first run or query.
"""
