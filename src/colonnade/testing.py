"""Checks for layers and models, your own included."""
