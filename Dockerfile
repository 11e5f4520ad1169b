# A slim image that serves as a user of its own.
#   docker build -t liftout .
#   docker run --rm --stop-timeout 45 -p 127.0.0.1:7000:7000 liftout
#   PYTHON, NODE  images to start from; give a digest (NAME@sha256:...) to pin their content too
#   MODELS        names of models to fetch while building, so that the container needs no network
#   LICENSES      names of models whose licence you accept
ARG PYTHON=python:3.12.11-slim-bookworm
ARG NODE=node:22.17.0-bookworm-slim

FROM ${NODE} AS page
WORKDIR /source/web
COPY web/package.json web/package-lock.json ./
RUN npm ci --ignore-scripts --loglevel=error
COPY web ./
RUN mkdir -p ../src/liftout && node build.mjs

FROM ${PYTHON} AS build
WORKDIR /source
RUN python3 -m venv /opt/liftout
# What liftout needs, in a layer of its own: it stays as it is until these files change.
COPY pyproject.toml tests/constraints.txt packaging/requirements.py ./
RUN python3 requirements.py server > requirements.txt \
    && /opt/liftout/bin/pip install --no-cache-dir -r requirements.txt -c constraints.txt
COPY hatch_build.py README.md LICENSE NOTICE ./
COPY examples ./examples
COPY src ./src
COPY --from=page /source/src/liftout/web ./src/liftout/web
RUN /opt/liftout/bin/pip install --no-cache-dir --no-deps .

FROM ${PYTHON}
ARG MODELS=""
ARG LICENSES=""
RUN useradd --system --uid 10001 --user-group --create-home --home-dir /var/lib/liftout liftout
COPY --from=build /opt/liftout /opt/liftout
COPY packaging/healthcheck.sh /opt/liftout/healthcheck.sh
ENV PATH=/opt/liftout/bin:$PATH LIFTOUT_HOME=/var/lib/liftout/cache PYTHONDONTWRITEBYTECODE=1 PYTHONUNBUFFERED=1
# By number, so that a cluster can see that it is not root.
USER 10001:10001
RUN mkdir -p "$LIFTOUT_HOME" \
    && for model in $MODELS; do LIFTOUT_ACCEPT_LICENSE="$LICENSES" liftout models pull "$model" || exit 1; done
VOLUME /var/lib/liftout/cache
EXPOSE 7000
STOPSIGNAL SIGTERM
HEALTHCHECK --interval=30s --timeout=5s --start-period=60s CMD ["bash", "/opt/liftout/healthcheck.sh"]
ENTRYPOINT ["liftout", "serve", "--host", "0.0.0.0", "--log-format", "json"]
