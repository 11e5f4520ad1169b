"""Drop-in faces of other tools: their names and arguments over liftout's pipeline."""
