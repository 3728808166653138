"""Losses of a completion that was judged on its own."""
