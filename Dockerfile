# A slim image that serves as a user of its own. The page has to be built before: `make web`.
#   docker build -t liftout .
#   docker run --rm -p 127.0.0.1:7000:7000 liftout
#   MODELS        names of models to fetch while building, so that the container needs no network
#   LICENSES      names of models whose licence you accept
FROM python:3.12-slim AS build
WORKDIR /source
RUN python -m venv /opt/liftout
COPY pyproject.toml hatch_build.py README.md LICENSE NOTICE ./
COPY src ./src
COPY examples ./examples
RUN /opt/liftout/bin/pip install --no-cache-dir ".[server]"

FROM python:3.12-slim
ARG MODELS=""
ARG LICENSES=""
RUN useradd --system --uid 10001 --create-home --home-dir /var/lib/liftout liftout
COPY --from=build /opt/liftout /opt/liftout
ENV PATH=/opt/liftout/bin:$PATH LIFTOUT_HOME=/var/lib/liftout/cache PYTHONDONTWRITEBYTECODE=1 PYTHONUNBUFFERED=1
USER liftout
RUN mkdir -p "$LIFTOUT_HOME" \
    && for model in $MODELS; do LIFTOUT_ACCEPT_LICENSE="$LICENSES" liftout models pull "$model" || exit 1; done
EXPOSE 7000
STOPSIGNAL SIGTERM
HEALTHCHECK --interval=30s --timeout=5s --start-period=60s \
    CMD ["python", "-c", "import urllib.request; urllib.request.urlopen('http://127.0.0.1:7000/readyz', timeout=4)"]
ENTRYPOINT ["liftout", "serve", "--host", "0.0.0.0", "--log-format", "json"]
