"""Properties by kind: records that Python code makes from arrays and `reader` from YAML, and that become the same `Property` as a query.

All numbers are exact rationals: a decimal text means itself, a float its binary value.
"""
