"""Before a run: what it would do and meet, shown without training and without writing anything."""
