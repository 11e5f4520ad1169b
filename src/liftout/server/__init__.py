"""The HTTP application: `liftout serve`.

    application  the FastAPI application, made of everything below
    run          the socket, the page, one process or several
    serving      one process: uvicorn and signals
    processes    several server processes on one socket
    shared       what they share: limits, counts of keys
    settings     settings of a server
    service      what all routes share: admission, body, worker, result
    cutouts      POST and GET /v1/cutouts; negotiation reads the Accept header
    jobs         /v1/jobs and its runner; jobstore keeps them on disk
    results      finished cutouts on disk
    signing      signed URLs
    rembg        GET, POST /api/remove, for clients of rembg
    removebg     /v1.0/removebg, account and improve, for clients of remove.bg
    status       /v1/models, /healthz, /readyz, /metrics; metrics defines the last
    page, docs   / and /docs
    openapi/     the OpenAPI description of each route
    fields       form fields, JSON and OpenAPI from the options schema
    body         request bodies, limited while they arrive; forms and multipart parse them
    background   background pictures of requests
    memory       memory of requests
    fetch        photos by URL, without access to private networks
    pool         worker threads and their queue
    loaded       a bounded number of models in memory
    keys, rate   API keys and rate limits; keyfile reads and writes the key file
    hosts        host names under which the server answers
    problems     errors as problem+json
    telemetry    traces
    protocol     time limits of connections
    logs         log lines

Needs the extra `server`; the rest of liftout never imports this package.
"""
