"""Losses of a comparison whose margin is that of the policy alone, without a reference in it."""
