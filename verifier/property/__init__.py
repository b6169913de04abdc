"""Queries: exact expressions, readers, and the violation region as disjuncts."""
