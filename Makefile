# Usher's tasks, for GNU Make 3.81 and POSIX sh. `make` without a target lists them.

# How many tests run at once, each worker on a broker of its own. Tests mostly wait, so it is more than there are cores.
WORKERS = 3
PYTEST = .venv/bin/pytest -n $(WORKERS) --dist worksteal

.PHONY: help up demo check test test-all test-long storm guards crashes planted lint model bench lock env clean

help: ## list these tasks
	@echo 'make …'
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  %-9s %s\n", $$1, $$2 }' Makefile

up: ## run Usher: the three services, and a broker if none is configured; Ctrl-C stops everything
	@sh make/environment up
	@sh make/broker
	@.venv/bin/usher up

demo: ## watch a burst of moves become four deploys, on a temporary Usher that leaves nothing behind
	@sh make/environment up
	@sh make/broker
	@.venv/bin/usher demo

check: lint test-all ## run every check, as CI does

test: ## run all tests except the slow ones, on one broker
	@sh make/environment develop
	@sh make/broker
	$(PYTEST) -m 'not slow'

test-all: test ## run all tests except the longest, on an installed RabbitMQ and on one in a container
	@sh make/broker node container
	@sh make/spin
	$(PYTEST) --broker=node -m 'slow and not long and not alone'
	$(PYTEST) --broker=container -m 'not quick and not programs and not long and not alone'
	.venv/bin/pytest --broker=node -m alone
	.venv/bin/pytest --broker=container -m alone

test-long: ## run the longest tests: repeated kills, broken networks, a cluster, new seeds, the largest model searches
	@sh make/environment develop
	@sh make/broker node
	@sh make/spin
	.venv/bin/pytest --broker=node -m long -s

storm: ## keep killing parts of a whole Usher for ten minutes, then of a cluster; print figures
	@sh make/environment develop
	.venv/bin/pytest --storm=10 tests/faults/test_storm.py tests/faults/test_cluster.py

guards: ## remove the safeguards one by one and see that their tests fail; takes an hour
	@sh make/environment develop
	@sh make/broker node
	.venv/bin/python tests/faults/unguarded.py -- --broker=node --storm=1

crashes: ## simulate crashes in virtual time and check the guarantees; SEEDS=10000, or replay SEED=17
	@sh make/environment develop
	.venv/bin/python tests/crashes/run.py $(if $(SEED),--seed $(SEED) --shrink,--seeds $(or $(SEEDS),1000))

planted: ## after a code change: record the first seed that finds each planted bug
	@sh make/environment develop
	.venv/bin/python tests/crashes/run.py --record

lint: ## check style, format, types, imports and dependencies
	@sh make/environment develop
	.venv/bin/ruff check
	.venv/bin/ruff format --check
	.venv/bin/mypy
	.venv/bin/lint-imports
	.venv/bin/deptry .

model: ## check the model of the turn protocol, complete and with each rule removed
	@sh make/environment develop
	@sh make/spin
	.venv/bin/python model/check.py

bench: ## measure how fast Usher is, beside its peers; ONLY="accept small", ROUNDS=5, MINUTES=30
	@sh make/environment develop
	@sh make/broker node
	@sh make/peers
	.venv/bin/python bench $(ONLY) $(if $(ROUNDS),--rounds $(ROUNDS)) $(if $(MINUTES),--minutes $(MINUTES))

lock: ## resolve the dependencies to their newest compatible versions, into requirements/*.txt
	@sh make/environment develop
	@sh make/lock

env: ## write .env with random passwords, for docker compose
	@sh make/env

clean: ## remove the environment and all caches; keep your data and settings
	rm -rf .venv .venv.new .venv.old .venv.lock .bench .env.new build dist
	rm -rf .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache
	find services shared tests -name __pycache__ -type d -prune -exec rm -rf {} +
