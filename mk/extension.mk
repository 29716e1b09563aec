# The extension, by PGXS.  Called by the root Makefile; needs pg_config.
#
#   BS_ASSERT=1   with assertions, as the tests build it

MODULE_big = backstream
EXTENSION = backstream
DATA = $(wildcard sql/backstream--*.sql) detectors/backstream_detectors.sql $(wildcard packs/*.sql)
OBJS = $(patsubst %.c,%.o,$(wildcard src/*.c src/engine/*.c receiver/*.c))
# installcheck: the scripts of sql/ and specs/ against a running server, in a database of its own.
REGRESS = $(filter-out backstream--%,$(patsubst sql/%.sql,%,$(wildcard sql/*.sql)))
REGRESS_OPTS = --use-existing
REGRESS_PREP = installcheck-prepare
ISOLATION = $(patsubst specs/%.spec,%,$(wildcard specs/*.spec))
ISOLATION_OPTS = --use-existing
override ISOLATION_TESTDB = contrib_regression
SHLIB_LINK = -lpq -lev -lmaxminddb -lm

# Only what SQL calls is visible; PostgreSQL 15 leaves PGDLLEXPORT empty here.  The server's headers
# are searched as system headers, so that the warnings are about our code.
PG_CPPFLAGS = -DPGDLLEXPORT='__attribute__((visibility("default")))' \
	-isystem $(shell $(PG_CONFIG) --includedir-server) -isystem $(shell $(PG_CONFIG) --includedir)
PG_CFLAGS = -std=gnu11 -Wextra -Wshadow -Wmissing-prototypes -Wno-declaration-after-statement \
	-Wno-unused-parameter -Wno-missing-field-initializers -Werror=implicit-function-declaration \
	-fvisibility=hidden -MMD -MP
ifdef BS_ASSERT
PG_CFLAGS += -DUSE_ASSERT_CHECKING
endif
EXTRA_CLEAN = $(OBJS:.o=.d) build/extension.flags build/extension.objects

# No bitcode: what the executor could inline from here is hidden.
override with_llvm = no

# This file is not in the folder that it builds.
VPATH = .

PGXS := $(shell $(PG_CONFIG) --pgxs)
ifeq ($(PGXS),)
$(error pg_config was not found: install postgresql-server-dev-15, or say PG_CONFIG=/path/to/pg_config)
endif
include $(PGXS)

# Other flags make other objects, and other objects another library.
build/extension.flags: export STAMP = $(CC) $(CFLAGS) $(CPPFLAGS)
build/extension.objects: export STAMP = $(OBJS)
build/extension.flags build/extension.objects: FORCE
	@mkdir -p build
	@printf '%s\n' "$$STAMP" | cmp -s - $@ || printf '%s\n' "$$STAMP" >$@
.PHONY: FORCE installcheck-prepare
installcheck-prepare:
	@scripts/installcheck-prepare.sh '$(bindir)'
FORCE:
$(OBJS): build/extension.flags
backstream.so: build/extension.objects

-include $(OBJS:.o=.d)
