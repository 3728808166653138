"""Search for settings: many runs, what each is worth, and which of them nothing else beats."""
