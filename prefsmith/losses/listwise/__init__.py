"""Losses of several completions of one prompt, ranked or scored."""
