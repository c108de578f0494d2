# `make run` and `make test` are all that a fresh clone needs; each makes the virtual environment first.
# WORKERS: test processes side by side; more than the cores, as most tests wait most of the time.
PYTHON ?= python3
VENV ?= .venv
ARGS ?=
WORKERS ?= 6
export PIP_DISABLE_PIP_VERSION_CHECK = 1

# Debian's packages for the tests that use the real thing.
TOOLS = binutils bpftrace buildah busybox chromium curl debootstrap gcc iproute2 iputils-ping libc6-dev lintian logrotate mtail \
	openssh-sftp-server openssl openvpn perl prometheus prometheus-alertmanager rpm rsyslog runit sshfs strace systemd systemd-container \
	util-linux victoria-metrics

.PHONY: deb rpm run test test-slow test-all test-release lint coverage bench tools clean

run: $(VENV)/.run
	$(VENV)/bin/openvpn-mq-exporter $(ARGS)

# Everything that needs neither real pace nor many repetitions: a few minutes.
test: lint
	$(VENV)/bin/python -m pytest -n $(WORKERS) --dist loadgroup -m "not slow" $(ARGS)

# The rest: real pace, hundreds of repetitions, every number of every rule changed, containers, packages.
test-slow: $(VENV)/.test
	$(VENV)/bin/python -m pytest -n $(WORKERS) --dist loadgroup -m slow $(ARGS)

test-all: test test-slow

# `make test` on another release of Debian, as in: sudo make test-release RELEASE=trixie
test-release:
	tests/support/on-release.sh $(RELEASE)

# The parsers and everything else that is pure, by their own fast tests; the floor is under [tool.coverage] in pyproject.toml.
coverage: $(VENV)/.test
	$(VENV)/bin/python -m pytest -q -n $(WORKERS) --dist loadgroup -m "not slow" --cov --cov-report=term-missing:skip-covered \
		tests/openvpn tests/exposition tests/sysv tests/trace tests/test_cli.py

lint: $(VENV)/.test
	$(VENV)/bin/ruff check .
	$(VENV)/bin/ruff format --check .
	$(VENV)/bin/mypy

bench: $(VENV)/.test
	$(VENV)/bin/python bench/scrape.py $(ARGS)
	$(VENV)/bin/python bench/hook.py
	$(VENV)/bin/python -m bench.log
	$(VENV)/bin/python bench/trace.py
	$(VENV)/bin/python bench/waiters.py
	$(VENV)/bin/python -m bench.scripts

# A package for the release of the distribution that this runs on, in dist/.
deb rpm: $(VENV)/.test
	@PATH="$(CURDIR)/$(VENV)/bin:$$PATH" $(VENV)/bin/python -m packages.build $@

tools:
	@test "$$(id -u)" = 0 || { echo "make tools installs Debian packages and has to run as root: sudo make tools"; exit 1; }
	@command -v apt-get > /dev/null || { echo "make tools knows apt-get only; install with your own: $(TOOLS)"; exit 1; }
	apt-get update -qq
	DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends $(TOOLS)
	tests/support/next-release.sh .tools

$(VENV)/.run: pyproject.toml | $(VENV)/bin/pip
	$(VENV)/bin/pip install --quiet --editable '.[log-rules]'
	@touch $@

$(VENV)/.test: pyproject.toml | $(VENV)/bin/pip
	$(VENV)/bin/pip install --quiet --editable '.[dev]'
	@touch $@ $(VENV)/.run

$(VENV)/bin/pip:
	@command -v $(PYTHON) > /dev/null || { echo "$(PYTHON) is not there: install Python 3.11 or newer, or name one: make PYTHON=..."; exit 1; }
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo "$(PYTHON) is older than 3.11: install a newer one, or name one: make PYTHON=..."; exit 1; }
	@$(PYTHON) -c 'import ensurepip, venv' 2> /dev/null || { echo "$(PYTHON) cannot make virtual environments: install python3-venv (apt-get install python3-venv)"; exit 1; }
	$(PYTHON) -m venv $(VENV)

clean:
	rm -rf $(VENV) .tools
