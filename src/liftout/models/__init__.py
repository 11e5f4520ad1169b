"""All that is known of a model, and its files on this machine. Nothing here loads an engine.

spec        the facts about a model, as data
catalog     the models by name, from TOML files
packs       converted models with their manifests; `built_in` holds the one that ships
resolve     from a name or a folder to the network on this machine
download    a published file into the cache; `transfer` brings it over HTTP
cache       where files and packs lie, and what they must be
hashes      size and hashes of a file; `hash_cache` remembers those of files that were read whole
licence     consent to licences that restrict use
verify      what is here, compared with its hashes
add         models of the user's own
"""
