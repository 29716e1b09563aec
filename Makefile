# BackStream: `make demo` shows it, `make check` tests it, `make && make install` installs it.
#
# On a machine without PostgreSQL's development files only the targets that install them work: demo,
# check, bench, deps.  Everything that needs no server (engine, receiver, tools, unit tests, fuzzers)
# is in mk/inner.mk; the extension itself in mk/extension.mk, which is run by a make of its own
# because PGXS brings rules and targets (check, clean, %.o) that must not meet ours.

# Debian's pg_config speaks for the newest server that is there, which may be another one.
PG_CONFIG ?= $(firstword $(wildcard /usr/lib/postgresql/15/bin/pg_config) pg_config)

.DEFAULT_GOAL := all

EXTENSION_TARGETS = all install uninstall installdirs installcheck

.PHONY: $(EXTENSION_TARGETS) clean
$(EXTENSION_TARGETS):
	+@$(MAKE) --no-print-directory -f mk/extension.mk PG_CONFIG='$(PG_CONFIG)' $@

# dist: the source as an archive, for PGXN and others.  deb: Debian packages of it.  Both into build/dist.
# check-deb: builds, installs, tests and removes them in a Debian that has nothing else (as root, minutes).
.PHONY: dist deb check-deb
dist:
	@scripts/dist.sh
deb:
	@scripts/deps.sh deb
	@scripts/deb.sh
check-deb:
	@scripts/check-deb.sh

# deps: install what a job needs (SET=build, check, demo or bench).
# demo: KEEP=1 leaves the server running, to look around.
# demo-backbone: three nodes and a reader; its settings are in scripts/demo-backbone.sh.
# check: PARTS="unit regress" runs only these (scripts/check.sh lists them).
# bench: QUICK=1 takes less than three minutes; ARGS="--only matrix,hand --rounds 5" and the like.
.PHONY: deps demo demo-backbone check bench
deps:
	@scripts/deps.sh $(or $(SET),build)
demo:
	@KEEP='$(KEEP)' scripts/demo.sh
demo-backbone:
	@scripts/demo-backbone.sh
check:
	@scripts/check.sh $(PARTS)
bench:
	@scripts/deps.sh bench
	+@$(MAKE) --no-print-directory tools yards benches >/dev/null
	@bench/run.py $(if $(QUICK),--quick) $(ARGS)

clean:
	+@if command -v '$(PG_CONFIG)' >/dev/null; then \
		$(MAKE) --no-print-directory -f mk/extension.mk PG_CONFIG='$(PG_CONFIG)' clean; fi
	rm -rf build

include mk/inner.mk
