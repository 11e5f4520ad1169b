# make demo   cut out the example photos and draw a contact sheet (installs what it needs into .venv)
# make gallery  make docs/gallery.md and its pictures from the example photos
# make screenshots  make the pictures of docs/page.md from the example photos (needs Chromium)
# make docs   build the manual into build/manual (installs what it needs into .venv; then offline)
# make test   every check that CI runs (installs what it needs into .venv)
# make release  build what a release consists of twice, compare, try it in fresh environments, say what would be uploaded

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip install --quiet --disable-pip-version-check

DEMO := astronaut cat coffee officer

.PHONY: docs release gallery screenshots demo test lint check-long verify-real graphs options browser web npm clean

demo: $(VENV)/.installed
	$(BIN)/liftout cut $(DEMO:%=examples/%.jpg) -o demo/ --overwrite
	$(BIN)/python examples/contact_sheet.py demo/contact-sheet.png $(foreach name,$(DEMO),examples/$(name).jpg=demo/$(name)-cutout.png)

gallery: $(VENV)/.installed
	$(BIN)/python benchmarks/gallery.py

screenshots: $(VENV)/.dev browser
	$(BIN)/python benchmarks/screenshots.py

# The browsers' tests wait much and run beside the others; what they print comes at the end.
test: $(VENV)/.dev browser lint
	$(BIN)/python -m pytest -m "not long" tests/web > $(VENV)/web-tests.log 2>&1 & web=$$!; \
	trap 'kill $$web' INT TERM; \
	$(BIN)/python -m pytest -m "not long" --ignore=tests/web; others=$$?; \
	wait $$web; web=$$?; cat $(VENV)/web-tests.log; [ $$others -eq 0 ] && [ $$web -eq 0 ]

check-long: $(VENV)/.dev browser
	$(BIN)/python -m pytest -m long

lint: $(VENV)/.dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

docs: $(VENV)/.dev
	NO_MKDOCS_2_WARNING=1 $(BIN)/python -m mkdocs build --strict --quiet
	@echo "to read it: python -m http.server -d build/manual"

release: $(VENV)/.dev
	$(BIN)/python packaging/release.py

# Pulls the published files of 14 models (6 GB) and compares them with alphas stored by rembg; needs the network and ../shared.
verify-real: $(VENV)/.dev
	$(BIN)/python benchmarks/verify_real.py

graphs: $(VENV)/.dev
	$(BIN)/python -m liftout.graphs.sources.build

# The browser's options, from liftout.options.
options: $(VENV)/.installed
	$(BIN)/python web/options.py

# The browser's files, from web/ into the package (needs Node; nobody who installs a wheel does).
web: src/liftout/web/liftout.js

src/liftout/web/liftout.js: web/node_modules/.installed web/build.mjs $(shell find web/src web/page web/wrappers web/licenses examples -type f)
	cd web && node build.mjs

web/node_modules/.installed: web/package.json web/package-lock.json
	cd web && npm ci --ignore-scripts --loglevel=error
	touch $@

# The npm package.
npm: web $(VENV)/.installed
	rm -rf web/dist
	$(BIN)/python -c "from pathlib import Path; from liftout import site; site.write_module(Path('web/dist'))"
	cd web && npm pack --loglevel=error

# Debian's Chromium, where this user may install packages; without it or Node the browser tests skip and say so.
browser:
	@if command -v npm >/dev/null 2>&1; then $(MAKE) --no-print-directory web; fi
	@command -v chromium >/dev/null 2>&1 || { [ "$$(id -u)" = 0 ] && command -v apt-get >/dev/null 2>&1 \
		&& apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends chromium >/dev/null; } || true

$(VENV)/bin/python:
	$(PYTHON) -m venv $(VENV)

$(VENV)/.installed: $(VENV)/bin/python pyproject.toml
	$(PIP) -e .
	touch $@

$(VENV)/.dev: $(VENV)/.installed tests/constraints.txt
	$(PIP) -e ".[dev]" -c tests/constraints.txt
	touch $@

clean:
	rm -rf $(VENV) demo build dist .mypy_cache .ruff_cache .pytest_cache
