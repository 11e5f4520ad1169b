"""The HTTP application: `liftout serve`.

    application  builds the FastAPI application out of everything below
    settings     what the operator chooses
    cutouts      POST /v1/cutouts
    rembg        GET, POST /api/remove, for clients of rembg
    removebg     POST /v1.0/removebg, for clients of remove.bg
    status       /v1/models, /healthz, /readyz, /metrics
    page         / and /docs
    fields       form fields, JSON and OpenAPI from the options schema
    body         request bodies: under limits while they stream, never on disk
    fetch        photos by address, guarded
    places       a bounded number of runs, a bounded queue
    loaded       a bounded number of models in memory
    keys, rate   who may call, and how often
    hosts        which names of this server they may use
    problems     errors as problem+json
    protocol     clients that send or read too slowly
    journal      log lines

Needs the extra `server`; the rest of liftout never imports this package.
"""
