"""All that is known of a model, and its files on this machine. Nothing here loads an engine.

spec        the facts about a model, as data
catalog     the models by name, from TOML files
packs       converted models with their manifests; `built_in` holds the one that ships
local       the networks on this machine
resolve     from a name, a purpose or a folder to a network, downloaded and converted where necessary
purposes    names such as `best`, each a list of models; the default
sources     where a file can be downloaded; `hub`, `packages` and `reach` know hubs, registries and what answers
download    a published file into the cache; `transfer` brings it over HTTP
cache       where files and packs lie, and what they must be
hashes      size and hashes of a file; `hash_cache` remembers those of files that were read whole
licence     consent to licences that restrict use
usage       what the cache takes, and what of it no longer serves
verify      what is here, compared with its hashes
add         models of the user's own
"""
