"""What every view of a model shows: overviews, listings, HTML."""
