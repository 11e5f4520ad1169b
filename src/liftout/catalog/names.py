"""Names that must be known before anything is loaded."""

DEFAULT_MODEL = "pocket"
"""The model that ships inside the package and the default of every command."""
