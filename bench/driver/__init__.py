"""Runs the benchmark programs of this folder by turns and sums up what they measured."""
