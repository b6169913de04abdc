"""Suites of queries in the form of VNN-COMP: run, store, score and compare."""
