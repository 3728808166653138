"""What is wrong with preference data, before it costs a training run: one file per kind of finding. No torch."""
