"""From the votes of many to one probability for each comparison, and how reliable each annotator is."""
