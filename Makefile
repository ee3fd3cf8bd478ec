# The lab, its tests, and what developers need.  `make` alone prints this list.

PYTHON   := .venv/bin/python
SOURCES  := labkit tests bench
# Debian's plain `su` keeps the PATH of a user, without nft, losetup, dockerd.
export PATH := $(PATH):/usr/local/sbin:/usr/sbin:/sbin

.PHONY: help lab demos stop clean test check fmt bench lock test-v2 test-rootless test-storm \
    test-dockerfiles test-class test-nbgrader test-cluster test-demos test-replay test-bare \
    test-clients test-vagrant test-arm64 site print test-pages

help: ## this list
	@grep -E '^[a-z0-9-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/^([a-z0-9-]+):.*## /  make \1\t/' | expand -t 22

lab: ## open the lab: install what is missing, start labkitd and JupyterLab, print the link
	@bash vagrant/provision.sh lab

demos: ## open the lab's demos as pages without code (Voila)
	@LAB_PAGE=voila/tree/demos bash vagrant/provision.sh lab

stop: ## end the lab's containers, labkitd and JupyterLab
	@bash vagrant/lab.sh stop

clean: ## stop, then remove all that the lab made (your pages and Debian packages stay)
	@bash vagrant/lab.sh clean

test: ## install what the tests need, then run every test
	@bash vagrant/provision.sh test
	@$(MAKE) --no-print-directory check

check: ## every test: format, lint, types, unit, integration (as root), notebooks
	$(PYTHON) -m ruff format --check $(SOURCES)
	$(PYTHON) -m ruff check $(SOURCES)
	$(PYTHON) -m mypy
	$(PYTHON) -m pytest --durations=25

fmt: ## format the sources and mend what ruff can mend
	$(PYTHON) -m ruff format $(SOURCES)
	$(PYTHON) -m ruff check --fix $(SOURCES)

bench: ## measure against crun, docker and podman; writes bench/RESULTS.md
	$(PYTHON) -m bench

lock: ## resolve requirements.lock again, for each Python and both architectures
	@bash vagrant/lock.sh

KERNEL_TESTS = $(addprefix tests/integration/,$(addprefix limits/test_,cgroups.py \
    limit_effects.py limits.py) machine/test_doctor.py machine/test_rootless_v2.py \
    networks/test_network_matrix.py $(addprefix containers/test_,containers.py container_life.py \
    devices.py exec_and_terminals.py namespaces.py shim.py survival.py user_namespaces.py \
    without.py))

test-v2: ## the tests of limits and every notebook on a kernel with cgroup v2, in a small QEMU machine
	@folder=$$(mktemp -d); trap 'rm -rf "$$folder"' EXIT; \
	$(PYTHON) -m tests.notebooks.debian "$$folder/debian.tar" && \
	LABKIT_TEST_DEBIAN="$$folder/debian.tar" $(PYTHON) -m tests.machine --timeout 14400 \
	    --memory 3072 --scratch 4096 'PYTEST_DISABLE_PLUGIN_AUTOLOAD=1 $(PYTHON) -m pytest \
	    -p pytest_timeout -p no:cacheprovider -o timeout=3600 -v --durations=30 \
	    $(KERNEL_TESTS) tests/notebooks/test_run.py'

test-rootless: ## the integration tests with an ordinary user's engine; lists what needs root, and why
	@folder=$$(mktemp -d); trap 'rm -rf "$$folder"' EXIT; \
	LABKIT_TEST_ROOTLESS=1 $(PYTHON) -m pytest -p no:cacheprovider --basetemp "$$folder/tests" \
	    $(or $(TESTS),tests/integration)

test-storm: ## 20,000 random operations while daemons, spawners and shims are killed, disks filled
	$(PYTHON) -m tests.storm --operations $(or $(OPERATIONS),20000) --seed $(or $(SEED),1)

test-dockerfiles: ## every small Dockerfile, by buildx on labkit and on dockerd's BuildKit
	LABKIT_TEST_DOCKERFILES=all $(PYTHON) -m pytest tests/integration/build/test_dockerfiles.py

test-class: ## grade a class of 60 made-up submissions of 12 kinds, the table, and hostile ones
	$(PYTHON) -m tests.exercises.classroom --each 5
	LABKIT_TEST_HOSTILE=1 $(PYTHON) -m pytest -p no:cacheprovider tests/exercises/test_grading.py

# with PACKAGE: pytest with a package for this time.  What one proof alone needs is in no learner's
# environment.
with = folder=$$(mktemp -d); trap 'rm -rf "$$folder"' EXIT; \
	$(PYTHON) -m pip install --quiet --no-compile --disable-pip-version-check \
	    --target "$$folder/packages" $(1) && \
	PATH=$$folder/packages/bin:$$PATH PYTHONPATH=$$folder/packages \
	    $(PYTHON) -m pytest -s -p no:cacheprovider \
	    --basetemp "$$folder/tests"

test-nbgrader: ## nbgrader's own release, autograde, feedback and export on the exercises
	@$(call with,'nbgrader>=0.9') tests/exercises/test_nbgrader.py

test-cluster: ## submissions graded by a Dask cluster of 1, 2 and 4 workers, with the times
	@$(call with,'distributed>=2024.1') tests/exercises/test_cluster.py

test-demos: ## every demo in Chromium at two sizes, in JupyterLab and as a page; keeps screenshots
	LABKIT_TEST_DEMOS=$(or $(SHOTS),.lab/demos) $(PYTHON) -m pytest -p no:cacheprovider \
	    tests/notebooks/test_demo_pages.py $(if $(DEMO),-k "$(DEMO)")

test-replay: ## every chapter as learners use it: each cell twice, pages stopped and begun again
	$(PYTHON) -m tests.notebooks.replay

test-bare: ## the README's commands in a bare Debian root, with their times; SUITES="bookworm trixie"
	@bash tests/bare/prove.sh $(SUITES)

test-clients: ## clients' own tests and users' scripts, against dockerd and labkit; SUITE= for one
	$(PYTHON) -m tests.clients $(if $(SUITE),--suite $(SUITE))

test-vagrant: ## `vagrant up` with libvirt: a Debian 13 VM, its promises, and chapters inside
	@bash tests/vagrant/prove.sh

test-arm64: ## the lab in an emulated arm64 machine: containers, unit tests, chapters
	@bash tests/arm64/prove.sh

# Sphinx, for the editions: an environment of its own, so that the lab does not grow.
EDITIONS := .lab/editions

$(EDITIONS)/bin/sphinx-build: labkit/course/editions/requirements.txt
	@$(PYTHON) -m venv --clear $(EDITIONS)
	@$(EDITIONS)/bin/pip install --quiet --disable-pip-version-check -r $<
	@touch $@

site: $(EDITIONS)/bin/sphinx-build ## the executed chapters as pages that need no server, in .lab/site
	@$(PYTHON) -m labkit.course.editions site $(or $(TARGET),.lab/site) --python $(EDITIONS)/bin/python

print: $(EDITIONS)/bin/sphinx-build ## the course as one PDF (with Chromium), .lab/course.pdf
	@$(PYTHON) -m labkit.course.editions print $(or $(TARGET),.lab/course.pdf) --python $(EDITIONS)/bin/python

AXE := .lab/axe/node_modules/axe-core/axe.min.js

$(AXE):
	@npm install --silent --no-audit --no-fund --prefix .lab/axe axe-core@4.14.1

test-pages: site $(AXE) ## axe-core over the start page, a chapter and the web edition (needs npm)
	LABKIT_TEST_AXE=$(abspath $(AXE)) $(PYTHON) -m pytest -p no:cacheprovider \
	    tests/notebooks/test_accessibility.py tests/notebooks/test_editions.py
