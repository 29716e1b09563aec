# BackStream: `make demo` shows it, `make check` tests it, `make && make install` installs it.
#
# On a machine without PostgreSQL's development files only the targets that install them work: demo,
# check, bench, deps.  Everything that needs no server (engine, receiver, tools, unit tests, fuzzers)
# is in mk/inner.mk.

PG_CONFIG ?= pg_config

include mk/inner.mk
