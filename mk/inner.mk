# Engine, receiver, tools and their tests: no PostgreSQL needed.  Objects go to build/VARIANT, where
# VARIANT is release, asan or fuzz.

INNER_CFLAGS = -std=gnu11 -O2 -g -Wall -Wextra -Wshadow -Wmissing-prototypes -Wconversion \
	-Wno-sign-conversion -Werror=implicit-function-declaration -fvisibility=hidden $(INNER_WERROR) \
	$(CPPFLAGS) $(CFLAGS)

ENGINE_SRCS = $(wildcard src/engine/*.c)
RECEIVER_SRCS = $(wildcard receiver/*.c)
TOOL_NAMES = $(patsubst receiver/tools/%.c,%,$(wildcard receiver/tools/bs-*.c))
# What the tools share; unit tests may use it too.
TOOL_SRCS = $(filter-out receiver/tools/bs-%,$(wildcard receiver/tools/*.c))
YARD_NAMES = $(patsubst bench/%.c,%,$(wildcard bench/yard_*.c))
BENCH_NAMES = $(patsubst bench/%.c,%,$(wildcard bench/bench_*.c))
UNIT_NAMES = $(patsubst test/unit/%.c,%,$(wildcard test/unit/test_*.c))
FUZZ_NAMES = $(patsubst test/fuzz/%.c,%,$(wildcard test/fuzz/fuzz_*.c))

comma = ,

INNER_LIBS = -lev -Wl,--as-needed -lmaxminddb -lm
TOOL_LIBS = -lpcap -lpthread
TEST_LIBS = -lcmocka -lpcap -ljansson

# $(1) variant, $(2) compiler, $(3) flags
define inner_variant
build/$(1)/%.o: %.c
	@mkdir -p $$(@D)
	$(2) $$(INNER_CFLAGS) $(3) -MMD -MP -c $$< -o $$@

build/$(1)/libinner.a: $$(ENGINE_SRCS:%.c=build/$(1)/%.o) $$(RECEIVER_SRCS:%.c=build/$(1)/%.o)
	@rm -f $$@
	ar rcs $$@ $$^

build/$(1)/libtools.a: $$(TOOL_SRCS:%.c=build/$(1)/%.o)
	@rm -f $$@
	ar rcs $$@ $$^

build/$(1)/test_%: build/$(1)/test/unit/test_%.o build/$(1)/libtools.a build/$(1)/libinner.a
	$(2) $(3) -o $$@ $$^ $$(INNER_LIBS) $$(TEST_LIBS)

build/$(1)/bs-%: build/$(1)/receiver/tools/bs-%.o build/$(1)/libtools.a build/$(1)/libinner.a
	$(2) $(3) $$(LDFLAGS) -o $$@ $$^ $$(INNER_LIBS) $$(TOOL_LIBS)

build/$(1)/bench_%: build/$(1)/bench/bench_%.o build/$(1)/libinner.a
	$(2) $(3) -o $$@ $$^ $$(INNER_LIBS)

build/$(1)/make_corpus: build/$(1)/test/fuzz/make_corpus.o
	$(2) $(3) -o $$@ $$^

build/$(1)/yard_%: build/$(1)/bench/yard_%.o build/$(1)/bench/drain.o build/$(1)/libtools.a
	$(2) $(3) -o $$@ $$^ $$(INNER_LIBS)
endef

SANITIZE = -fsanitize=address,undefined -fno-sanitize-recover=all -fno-omit-frame-pointer
$(eval $(call inner_variant,release,gcc,))
$(eval $(call inner_variant,asan,gcc,$(SANITIZE) -O1))
$(eval $(call inner_variant,fuzz,clang,-fsanitize=fuzzer-no-link$(comma)address$(comma)undefined -O1))

build/fuzz/fuzz_%: build/fuzz/test/fuzz/fuzz_%.o build/fuzz/libinner.a
	clang -fsanitize=fuzzer,address,undefined -o $@ $^ $(INNER_LIBS)

-include $(wildcard build/*/*.d build/*/*/*.d build/*/*/*/*.d)

.PRECIOUS: build/%.o
.PHONY: tools yards benches unit unit-asan fuzzers check-rings
tools: $(TOOL_NAMES:%=build/release/%)
yards: $(YARD_NAMES:%=build/release/%)
benches: $(BENCH_NAMES:%=build/release/%)
unit: $(UNIT_NAMES:%=build/release/%)
unit-asan: $(UNIT_NAMES:%=build/asan/%)
fuzzers: $(FUZZ_NAMES:%=build/fuzz/%)
check-rings: $(ENGINE_SRCS:%.c=build/release/%.o)
	@scripts/check-rings.sh
