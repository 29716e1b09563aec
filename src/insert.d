src/insert.o: src/insert.c src/backstream.h src/feed.h src/insert.h \
 src/viewdef.h src/options.h src/pinned.h
src/backstream.h:
src/feed.h:
src/insert.h:
src/viewdef.h:
src/options.h:
src/pinned.h:
