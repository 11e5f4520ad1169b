"""The network that reads prompts: how it is made from the built-in one, and taught."""
