"""Where runs are kept. One router so far: `sql`, through SQLAlchemy."""
