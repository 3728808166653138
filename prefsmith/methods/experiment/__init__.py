"""Methods compared in a world whose true reward is known."""
