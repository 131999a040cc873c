# Usher's tasks. GNU Make 3.81, POSIX sh. `make` alone says what there is.

# How many tests run at once, each worker on a broker of its own. Tests mostly wait, so it is more than there are cores.
WORKERS = 4
PYTEST = .venv/bin/pytest -n $(WORKERS) --dist worksteal

.PHONY: help up demo check test test-all test-long storm guards simulate planted lint model bench lock env clean

help: ## say what can be made
	@echo 'make …'
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  %-9s %s\n", $$1, $$2 }' Makefile

up: ## run Usher: a broker if none is configured, three services, one log; Ctrl-C stops all
	@sh make/environment up
	@sh make/broker
	@.venv/bin/usher up

demo: ## watch a storm of moves become four deploys, in a minute, on a throw-away Usher
	@sh make/environment up
	@sh make/broker
	@.venv/bin/usher demo

check: lint test-all ## run every gate, as CI does

test: ## run all tests but the slow ones, on one broker
	@sh make/environment develop
	@sh make/broker
	$(PYTEST) -m 'not slow'

test-all: test ## run all tests but the longest: on an installed RabbitMQ and on one in a container; simulator, model, compose
	@sh make/broker node container
	@sh make/spin
	$(PYTEST) --broker=node -m 'slow and not long and not alone'
	$(PYTEST) --broker=container -m 'not quick and not programs and not long and not alone'
	.venv/bin/pytest --broker=node -m alone
	.venv/bin/pytest --broker=container -m alone

test-long: ## run the longest tests: storms of kills, broken lines, a cluster, 10,000 new seeds, the largest searches of the model
	@sh make/environment develop
	@sh make/broker node
	@sh make/spin
	.venv/bin/pytest --broker=node -m long -s

storm: ## kill every part of a whole Usher for ten minutes, then of a cluster; prints figures
	@sh make/environment develop
	.venv/bin/pytest --storm=10 tests/faults/test_storm.py tests/faults/test_cluster.py

guards: ## take away, one by one, what each test of a fault stands for, and see it fail; an hour
	@sh make/environment develop
	@sh make/broker node
	.venv/bin/python tests/faults/unguarded.py -- --broker=node --storm=1

simulate: ## run crash schedules in virtual time and check what always holds; SEEDS=10000, or SEED=17 alone
	@sh make/environment develop
	.venv/bin/python tests/simulator/simulate.py $(if $(SEED),--seed $(SEED) --shrink,--seeds $(or $(SEEDS),1000))

planted: ## find the seeds anew in which the simulator sees each planted bug; after a change of the product
	@sh make/environment develop
	.venv/bin/python tests/simulator/simulate.py --record

lint: ## check style, format, types and imports
	@sh make/environment develop
	.venv/bin/ruff check
	.venv/bin/ruff format --check
	.venv/bin/mypy
	.venv/bin/lint-imports

model: ## check the model of the turn protocol, as it is and without each of its rules
	@sh make/environment develop
	@sh make/spin
	.venv/bin/python model/check.py

bench: ## measure how fast it is, as ratios within one run
	@sh make/environment develop
	@sh make/broker
	.venv/bin/python bench/journal.py

lock: ## resolve the dependencies again, to the newest that fit, into requirements/*.txt
	@sh make/environment develop
	@sh make/lock

env: ## write .env with random passwords, for docker compose
	@sh make/env

clean: ## remove the environment and all caches; your data and settings stay
	rm -rf .venv .venv.new .venv.old .env.new build dist
	rm -rf .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache
	find services shared tests -name __pycache__ -type d -prune -exec rm -rf {} +
