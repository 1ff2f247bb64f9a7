"""Composition over time: what is tried when, from one stage of a study to the next.

A strategy is a sampler made of others: chosen by name as any sampler is, e.g. ``sampler="coarse_to_fine"``.
"""
