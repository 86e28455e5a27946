"""Cascades: one coordinated change, carried out step by step, staged in a hidden generation, promoted by one flip."""
