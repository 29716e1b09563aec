src/feed.o: src/feed.c src/backstream.h src/delta.h src/engine/batch.h \
 src/engine/types.h src/feed.h
src/backstream.h:
src/delta.h:
src/engine/batch.h:
src/engine/types.h:
src/feed.h:
