# Everything one does with Ringdex. Each target gets what it needs: npm packages, the build, and a
# nats-server (found on PATH, else built with Go, else downloaded; see infra/nats-server/nats-binary.ts).
#
# Settings are variables, as in `make run RINGDEX_PORT=5000`; `make help` lists the targets, and
# `node dist/infra/cli/ringdex.js up --help` the settings.

BIN     := node_modules/.bin
RINGDEX := node dist/infra/cli/ringdex.js
SOURCES := $(shell find protocol actors infra test -name '*.ts')
# Files of tests side by side. Together they keep two cores busy; each alone waits for a third of
# its time.
JOBS    ?= 3
# The slowest files (`make test` prints them) start first: one that starts last would run alone.
FIRST   := simulation/simulation cluster/repair chaos/chaos cluster/cli programs/demo/demo \
	cluster/python infra/main/server/supervisor hostile/hostile infra/nats/credentials \
	cluster/package security/role-tasks power-cut/power-cut infra/rocksdb/rocks-store \
	damage/rocks-damage infra/main/node cluster/restart-all cluster/kill-node overload/overload
TESTS   ?= $(FIRST:%=dist/test/%.test.js) \
	$(shell find dist/test -name '*.test.js' $(FIRST:%=! -path dist/test/%.test.js))

.DEFAULT_GOAL := help
.PHONY: help demo run cluster stop status test test-install bench bench-burst record-cost hostile fuzz pack structure simulate mutants chaos damage powercut overload lint format build clean nats-server FORCE

help: ## print this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "%-13s%s\n", $$1, $$2 }' Makefile

demo: build nats-server ## load the cities of the world, query them, kill a node, check all data
	@node dist/test/programs/demo/demo.js

run: build ## start a cluster in the foreground; Ctrl-C stops it
	@$(RINGDEX) up

cluster: build ## start a cluster in the background
	@$(RINGDEX) up --background

stop: build ## stop the cluster, started by run or cluster
	@$(RINGDEX) down

status: build ## show nodes, shards, replicas and warnings
	@$(RINGDEX) status

test: build nats-server ## run linter, format check and all tests; name the slowest; TESTS=... for some
	@$(BIN)/oxlint --type-aware
	@$(BIN)/prettier --check --log-level warn .
	@$(BIN)/mocha --exit --parallel --jobs $(JOBS) \
		--reporter dist/test/support/plain-reporter.js $(foreach each,$(TESTS),'$(each)')

pack: build ## pack both npm packages into .build/: the client, and the server with everything
	@node dist/test/programs/pack/pack-program.js

test-install: pack nats-server ## install both packages in every way, from empty folders, and use them
	@$(BIN)/mocha --exit --reporter dist/test/support/plain-reporter.js dist/test/install/install-checks.js

structure: build ## print how the folders import one another: rooms, floors, imports, circles
	@node dist/test/programs/structure/structure-program.js

simulate: build ## simulate whole clusters in one process; SEEDS=1000 SEED=1 WORKERS=... TRACE=1
	@node dist/test/simulation/run.js $(if $(SEEDS),--seeds $(SEEDS)) \
		$(if $(SEED),--seed $(SEED)) $(if $(WORKERS),--workers $(WORKERS)) $(if $(TRACE),--trace)

mutants: build ## plant defects in copies of the code: the simulation must notice; ONLY=... SEEDS=...
	@node dist/test/mutants/run.js

bench: build nats-server ## measure operations a second, next to NATS KV on the same server
	@node dist/test/programs/bench/side-by-side.js

bench-burst: build nats-server ## set 50,000 keys at once, next to ioredis on Redis with fsync
	@node dist/test/programs/bench/burst.js

record-cost: build nats-server ## measure the log, store and memory bytes that a record takes
	@node dist/test/programs/bench/record-cost.js

chaos: build nats-server ## kill, pause and cut off processes under load, check the history; SECONDS=120 SEED=... PORCUPINE=no
	@node dist/test/chaos/chaos.js $(if $(SECONDS),--seconds $(SECONDS)) $(if $(SEED),--seed $(SEED)) \
		$(if $(JSON),--json) $(if $(filter no,$(PORCUPINE)),--without-porcupine)

damage: build nats-server ## damage every file of a cluster in turn, ten minutes; FILES=pattern
	@node dist/test/damage/damage.js $(FILES)

powercut: build nats-server ## cut the power of machines under load, compare what the disks kept; SEED=... ROW=...
	@node dist/test/power-cut/power-cut.js $(if $(SEED),--seed $(SEED)) \
		$(if $(ROUNDS),--rounds $(ROUNDS)) $(if $(ROW),--row $(ROW))

overload: build nats-server ## overload test: more requests than the cluster can handle; BURST=50000 SECONDS=60
	@$(if $(BURST),BURST=$(BURST)) $(if $(SECONDS),SECONDS=$(SECONDS)) node dist/test/overload/run.js

hostile: build nats-server ## send random and mutated messages to every subject; COUNT=100000 SEED=…
	@node dist/test/hostile/hostile-program.js

fuzz: build ## fuzz every decoder with inputs that reach new code; SECONDS=60 SEED=…
	@node dist/test/fuzz/fuzz-program.js

lint: build ## run the linter
	@$(BIN)/oxlint --type-aware

format: node_modules/.installed ## format all files
	@$(BIN)/prettier --write --log-level warn .

build: dist/.built ## compile to dist/

nats-server: build ## find a nats-server, or build or download one
	@$(RINGDEX) nats-server > /dev/null

clean: ## remove the build; data and packages stay
	rm -rf dist .build .cache

# The locked versions, with their checksums. Not `npm ci`: that also wants the linter's and the
# compiler's packages for all other platforms, which not every registry mirror has.
node_modules/.installed: package.json package-lock.json
	npm install --no-save --no-audit --no-fund
	@touch $@

dist/.built: node_modules/.installed tsconfig.json .cache/sources $(SOURCES)
	@$(BIN)/tsc -p tsconfig.json
	@chmod +x dist/infra/cli/ringdex.js
	@touch $@

# The names of all sources. When one is gone, what was compiled from it must go too, or its tests
# would go on running.
.cache/sources: FORCE
	@mkdir -p .cache
	@printf '%s\n' $(sort $(SOURCES)) > $@.new
	@if cmp -s $@.new $@; then rm $@.new; else rm -rf dist; mv $@.new $@; fi
