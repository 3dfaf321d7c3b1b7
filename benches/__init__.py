"""How fast Ato is beside its rivals: `python -m benches` prints ratios and writes JSON."""
