"""What a model carries beside its graphs: metadata entries and associated files."""
