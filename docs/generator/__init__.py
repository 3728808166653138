"""The pages of docs/ that are written from the package itself: `make docs` writes them, a test finds stale ones."""
