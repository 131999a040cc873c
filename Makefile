# Usher's tasks. GNU Make 3.81, POSIX sh. `make` alone says what there is.

.PHONY: help up demo test test-all test-more test-long storm guards crashes lint model bench lock env clean

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

test: ## run all tests but the slow ones, on one broker
	@sh make/environment develop
	@sh make/broker
	.venv/bin/pytest -m 'not slow'

test-all: test test-more ## run all tests, on an installed RabbitMQ and on one in a container; compose too

test-more: ## run what `make test` leaves out: the slow tests, and all on the other RabbitMQ
	@sh make/environment develop
	@sh make/broker node container
	@sh make/spin
	.venv/bin/pytest --broker=node -m 'slow and not long'
	.venv/bin/pytest --broker=container -m 'not quick and not programs and not long'

test-long: ## run the tests that take longer still: storms of kills, broken lines, a cluster, the largest searches of the model
	@sh make/environment develop
	@sh make/broker node
	@sh make/spin
	.venv/bin/pytest --broker=node -m long

storm: ## kill every part of a whole Usher for ten minutes, then of a cluster; prints figures
	@sh make/environment develop
	.venv/bin/pytest --storm=10 tests/faults/test_storm.py tests/faults/test_cluster.py

guards: ## take away, one by one, what each test of a fault stands for, and see it fail; an hour
	@sh make/environment develop
	@sh make/broker node
	.venv/bin/python tests/faults/unguarded.py -- --broker=node --storm=1

crashes: ## run crash schedules in virtual time and check what always holds; SEEDS=10000, or SEED=17 alone
	@sh make/environment develop
	.venv/bin/python tests/crashes/run.py $(if $(SEED),--seed $(SEED) --shrink,--seeds $(or $(SEEDS),1000))

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
