"""Training of the pocket model: the small network that ships inside the package."""
