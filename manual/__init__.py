"""What MkDocs makes of docs/ besides copying it: sections, reference pages from the code, documents from outside docs/.

hooks         called by MkDocs: everything below, put into its pages
sections      which page stands where; pages that no section names come last among the guides
outside       documents of the repository that are pages too, and links between all of them
python        reference of the Python API, from signatures and docstrings
command_line  reference of the commands, from click
http          reference of the HTTP API and its OpenAPI document, from the server
environment   environment variables, and where the code reads them
formats       keys of the catalogue and of a pack's manifest, from their dataclasses
browser       exported declarations of the browser's module, from its TypeScript
"""
