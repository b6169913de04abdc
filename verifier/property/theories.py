"""What of VNN-LIB 2 is read and decided, in the names of the standard (chapter 5)."""

VERSIONS = ("2.0", "2.1")
HIDDEN_NODES = ("NH", "H")
INPUTS_OUTPUTS = ("SIO", "MIO")
NETWORKS = ("SNET", "MENET", "MINET", "MNET")
NODE_COMPARISONS = ("SNC", "MNC")
ARITHMETIC = ("BND", "OUTC", "LIN", "POLY")
ELEMENT_TYPES = ("real",)
"""Types that an `unsat` is sound for: bounds enclose the network over the reals. Queries about float32 and float64 are answered too, with
a warning: their `sat` is confirmed in the network's own arithmetic, their `unsat` is proved over the reals."""
OPTIMISED_DISJUNCTIONS = False
"""Queries are put into disjunctive normal form."""
