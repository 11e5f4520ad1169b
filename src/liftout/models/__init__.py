"""Files of models: where they live, and how they get there whole."""
