# BackStream: `make demo` shows it, `make check` tests it, `make && make install` installs it.
#
# On a machine without PostgreSQL's development files only the targets that install them work: demo,
# check, bench, deps.  Everything that needs no server (engine, receiver, tools, unit tests, fuzzers)
# is in mk/inner.mk; the extension itself in mk/extension.mk, which is run by a make of its own
# because PGXS brings rules and targets (check, clean, %.o) that must not meet ours.

PG_CONFIG ?= pg_config

.DEFAULT_GOAL := all

EXTENSION_TARGETS = all install uninstall installdirs

.PHONY: $(EXTENSION_TARGETS) clean
$(EXTENSION_TARGETS):
	+@$(MAKE) --no-print-directory -f mk/extension.mk PG_CONFIG='$(PG_CONFIG)' $@

clean:
	+@if command -v '$(PG_CONFIG)' >/dev/null; then \
		$(MAKE) --no-print-directory -f mk/extension.mk PG_CONFIG='$(PG_CONFIG)' clean; fi
	rm -rf build

include mk/inner.mk
