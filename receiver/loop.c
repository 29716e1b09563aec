/* SPDX-License-Identifier: PostgreSQL */
/*
 * loop.c: wait for datagrams and receive them.  See loop.h.
 *
 * Listener i writes stats slot i.  The loop's watchers lie in the receiver, which never moves.
 */
#define _GNU_SOURCE 1 /* ppoll */
#include "loop.h"

#include <errno.h>
#include <ev.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "udp.h"

/* A socket that only ever gives errors is closed and retried, or it would keep the loop busy. */
#define MAX_ERRORS_IN_A_ROW 16
#define MAX_LISTENING 256 /* that forwarding knows as its own */

typedef struct Listener
{
	BsListenAddress address; /* len 0: slot not in use */
	BsListenerStats *stats;
	int fd; /* -1: could not be opened */
	ev_io readable;
	bool ready;   /* something may be queued */
	bool touched; /* received from in the present drain */
	uint32_t drops_seen;
	uint32_t errors_in_a_row;
} Listener;

struct BsReceiver
{
	BsReceiverConfig config;
	struct ev_loop *loop;
	Listener *listeners; /* [config.max_listeners] */
	uint32_t turn;       /* the listener that is looked at first */
	BsUdpVector *vector;
	bool nap_due; /* the last drain received something */
	uint64_t drops;

	int wake_fd; /* eventfd: readable after bs_receiver_wake() */
	ev_io woken;
	ev_timer timeout;
	ev_io watched[BS_RECEIVER_MAX_WATCHED];
	uint32_t nwatched;

	BsAllowList allow;
	/* Datagrams of one exporter come in bursts: the last verdict saves most searches. */
	BsInet last_source;
	bool last_allowed;

	BsForward *forward; /* NULL: there are no targets */
};

/* ---- watchers ---- */

static void
on_readable(struct ev_loop *loop, ev_io *watcher, int events)
{
	(void) loop;
	(void) events;
	((Listener *) watcher->data)->ready = true;
}

/* That it came is all there is to know: it ended the wait. */
static void
on_end_of_wait(struct ev_loop *loop, ev_io *watcher, int events)
{
	(void) loop;
	(void) watcher;
	(void) events;
}

static void
on_timeout(struct ev_loop *loop, ev_timer *watcher, int events)
{
	(void) loop;
	(void) watcher;
	(void) events;
}

/* ---- sockets ---- */

static void
set_state(Listener *listener, BsListenerState state)
{
	__atomic_store_n(&listener->stats->state, (uint32_t) state, __ATOMIC_RELEASE);
}

static void
count_drops(BsReceiver *receiver, Listener *listener)
{
	uint32_t now;
	uint64_t drops;

	if (!bs_udp_get_drops(listener->fd, &now))
		return;
	drops = bs_udp_drops_since(&listener->drops_seen, now);
	listener->stats->kernel_drops += drops;
	receiver->drops += drops;
}

static bool
listener_open(BsReceiver *receiver, Listener *listener)
{
	const BsReceiverConfig *config = &receiver->config;
	BsListenerStats *stats = listener->stats;
	int error = 0;

	listener->fd = bs_udp_open(&listener->address, config->nworkers, &error);
	listener->drops_seen = 0;
	listener->errors_in_a_row = 0;
	listener->ready = false;
	listener->touched = false;
	stats->last_errno = error;
	if (listener->fd < 0)
	{
		stats->receive_buffer_bytes = 0;
		set_state(listener, BS_LISTENER_FAILED);
		return false;
	}
	stats->receive_buffer_bytes = bs_udp_set_buffer(listener->fd, config->receive_buffer_bytes);
	ev_io_init(&listener->readable, on_readable, listener->fd, EV_READ);
	listener->readable.data = listener;
	ev_io_start(receiver->loop, &listener->readable);
	set_state(listener, BS_LISTENER_OPEN);
	return true;
}

/* Close the socket, if there is one, with its last counts. */
static void
listener_close(BsReceiver *receiver, Listener *listener)
{
	uint64_t discarded;

	if (listener->fd < 0)
		return;
	ev_io_stop(receiver->loop, &listener->readable);
	discarded = bs_udp_discard(listener->fd);
	listener->stats->discarded += discarded;
	receiver->drops += discarded;
	count_drops(receiver, listener);
	close(listener->fd);
	listener->fd = -1;
	listener->ready = false;
	listener->touched = false;
}

static bool
in_use(const Listener *listener)
{
	return listener->address.sockaddr.len != 0;
}

static bool
forwards(const BsReceiver *receiver)
{
	return receiver->forward != NULL && bs_forward_any(receiver->forward);
}

static bool
same_address(const BsListenAddress *a, const BsListenAddress *b)
{
	return memcmp(&a->sockaddr, &b->sockaddr, sizeof(a->sockaddr)) == 0;
}

static Listener *
find_listener(BsReceiver *receiver, const BsListenAddress *address)
{
	for (uint32_t i = 0; i < receiver->config.max_listeners; i++)
		if (in_use(&receiver->listeners[i]) &&
			same_address(&receiver->listeners[i].address, address))
			return &receiver->listeners[i];
	return NULL;
}

static bool
is_listed(const BsListenAddress *address, const BsListenAddress *list, int n)
{
	for (int i = 0; i < n; i++)
		if (same_address(address, &list[i]))
			return true;
	return false;
}

/* A slot for a new address: the one that has its counts, else a fresh one, else any. */
static Listener *
find_slot(BsReceiver *receiver, const BsListenAddress *address)
{
	Listener *fresh = NULL;
	Listener *any = NULL;

	for (uint32_t i = 0; i < receiver->config.max_listeners; i++)
	{
		Listener *listener = &receiver->listeners[i];

		if (in_use(listener))
			continue;
		if (strcmp(listener->stats->address, address->text) == 0)
			return listener;
		if (listener->stats->address[0] == '\0')
			fresh = fresh != NULL ? fresh : listener;
		else
			any = any != NULL ? any : listener;
	}
	return fresh != NULL ? fresh : any;
}

/* Take a slot for an address, with the counts that it left or with none.  NULL: all are in use. */
static Listener *
add_listener(BsReceiver *receiver, const BsListenAddress *address)
{
	Listener *listener = find_slot(receiver, address);
	BsListenerStats *stats;

	if (listener == NULL)
		return NULL;
	stats = listener->stats;
	if (strcmp(stats->address, address->text) != 0)
	{
		memset(stats, 0, sizeof(*stats));
		memcpy(stats->address, address->text, sizeof(stats->address));
	}
	stats->worker = receiver->config.worker;
	listener->address = *address;
	return listener;
}

static void
remove_unlisted(BsReceiver *receiver, const BsListenAddress *addresses, int naddresses)
{
	for (uint32_t i = 0; i < receiver->config.max_listeners; i++)
	{
		Listener *listener = &receiver->listeners[i];

		if (!in_use(listener) || is_listed(&listener->address, addresses, naddresses))
			continue;
		listener_close(receiver, listener);
		memset(&listener->address, 0, sizeof(listener->address));
		set_state(listener, BS_LISTENER_UNUSED);
	}
}

int
bs_receiver_listen(BsReceiver *receiver, const BsListenAddress *addresses, int naddresses)
{
	int nwithout_slot = 0;

	/* The old ones go first: a new one may be a wildcard of the same port. */
	remove_unlisted(receiver, addresses, naddresses);
	for (int i = 0; i < naddresses; i++)
		if (find_listener(receiver, &addresses[i]) == NULL &&
			add_listener(receiver, &addresses[i]) == NULL)
			nwithout_slot++;
	return nwithout_slot + bs_receiver_retry(receiver);
}

int
bs_receiver_retry(BsReceiver *receiver)
{
	int nfailed = 0;

	for (uint32_t i = 0; i < receiver->config.max_listeners; i++)
	{
		Listener *listener = &receiver->listeners[i];

		if (in_use(listener) && listener->fd < 0 && !listener_open(receiver, listener))
			nfailed++;
	}
	return nfailed;
}

/* ---- life ---- */

static void
init_listeners(BsReceiver *receiver)
{
	for (uint32_t i = 0; i < receiver->config.max_listeners; i++)
	{
		Listener *listener = &receiver->listeners[i];

		listener->stats = &receiver->config.listener_stats[i];
		listener->fd = -1;
		listener->stats->address[BS_ADDRESS_TEXT - 1] = '\0';
		set_state(listener, BS_LISTENER_UNUSED); /* a predecessor may have died with it open */
	}
}

BsReceiver *
bs_receiver_create(const BsReceiverConfig *config)
{
	BsReceiver *receiver = calloc(1, sizeof(BsReceiver));

	if (receiver == NULL)
		return NULL;
	receiver->config = *config;
	receiver->wake_fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
	/* Not governed by LIBEV_FLAGS in somebody's environment. */
	receiver->loop = ev_loop_new(EVFLAG_AUTO | EVFLAG_NOENV);
	receiver->vector = bs_udp_vector_create();
	receiver->listeners =
		calloc(config->max_listeners ? config->max_listeners : 1, sizeof(Listener));
	if (receiver->wake_fd < 0 || receiver->loop == NULL || receiver->vector == NULL ||
		receiver->listeners == NULL)
	{
		bs_receiver_free(receiver);
		return NULL;
	}
	init_listeners(receiver);
	ev_io_init(&receiver->woken, on_end_of_wait, receiver->wake_fd, EV_READ);
	ev_io_start(receiver->loop, &receiver->woken);
	ev_timer_init(&receiver->timeout, on_timeout, 0., 0.);
	return receiver;
}

void
bs_receiver_free(BsReceiver *receiver)
{
	if (receiver == NULL)
		return;
	if (receiver->loop != NULL && receiver->listeners != NULL)
		remove_unlisted(receiver, NULL, 0);
	if (receiver->loop != NULL)
		ev_loop_destroy(receiver->loop);
	if (receiver->wake_fd >= 0)
		close(receiver->wake_fd);
	bs_udp_vector_free(receiver->vector);
	bs_allow_free(&receiver->allow);
	bs_forward_free(receiver->forward);
	free(receiver->listeners);
	free(receiver);
}

bool
bs_receiver_set_allow(BsReceiver *receiver, const BsAllowList *allow)
{
	BsAllowList copy;

	if (!bs_allow_copy(allow, &copy))
		return false;
	bs_allow_free(&receiver->allow);
	receiver->allow = copy;
	memset(&receiver->last_source, 0, sizeof(receiver->last_source));
	return true;
}

bool
bs_receiver_set_forward(BsReceiver *receiver, const char *list, char *error, size_t error_size)
{
	if (!bs_forward_check(list, error, error_size))
		return false;
	if (receiver->forward == NULL && receiver->config.forward_stats != NULL)
		receiver->forward = bs_forward_create(receiver->config.forward_stats);
	if (receiver->forward != NULL)
		return bs_forward_set(receiver->forward, list, error, error_size);
	snprintf(error, error_size, "out of memory");
	return false;
}

void
bs_receiver_tend_forward(BsReceiver *receiver, int64_t now_usec)
{
	BsListenAddress open[MAX_LISTENING];
	int nopen = 0;

	if (!forwards(receiver))
		return;
	for (uint32_t i = 0; i < receiver->config.max_listeners && nopen < MAX_LISTENING; i++)
		if (in_use(&receiver->listeners[i]))
			open[nopen++] = receiver->listeners[i].address;
	bs_forward_tend(receiver->forward, open, nopen, now_usec);
}

void
bs_receiver_set_batch(BsReceiver *receiver, BsBatch *batch)
{
	receiver->config.batch = batch;
}

void
bs_receiver_set_nap(BsReceiver *receiver, double nap_seconds)
{
	receiver->config.nap_seconds = nap_seconds;
}

void
bs_receiver_set_buffer(BsReceiver *receiver, uint32_t receive_buffer_bytes)
{
	receiver->config.receive_buffer_bytes = receive_buffer_bytes;
	for (uint32_t i = 0; i < receiver->config.max_listeners; i++)
	{
		Listener *listener = &receiver->listeners[i];

		if (listener->fd >= 0)
			listener->stats->receive_buffer_bytes =
				bs_udp_set_buffer(listener->fd, receive_buffer_bytes);
	}
}

/* ---- waiting ---- */

bool
bs_receiver_watch(BsReceiver *receiver, int fd)
{
	ev_io *watcher;

	if (receiver->nwatched == BS_RECEIVER_MAX_WATCHED)
		return false;
	watcher = &receiver->watched[receiver->nwatched++];
	ev_io_init(watcher, on_end_of_wait, fd, EV_READ);
	ev_io_start(receiver->loop, watcher);
	return true;
}

void
bs_receiver_wake(BsReceiver *receiver)
{
	const uint64_t one = 1;
	int saved_errno = errno;

	(void) !write(receiver->wake_fd, &one, sizeof(one));
	errno = saved_errno;
}

/* Whatever ended the wait, wake-ups up to here are answered by its return. */
static void
clear_wake(const BsReceiver *receiver)
{
	uint64_t count;

	(void) !read(receiver->wake_fd, &count, sizeof(count));
}

static bool
any_ready(const BsReceiver *receiver)
{
	for (uint32_t i = 0; i < receiver->config.max_listeners; i++)
		if (receiver->listeners[i].ready)
			return true;
	return false;
}

/*
 * Sleep without looking at the sockets.  libev's own way, ev_set_io_collect_interval(), sleeps deaf
 * to everything; this one ends at once on a wake-up or a watched descriptor.  True when it ended
 * early.
 */
static bool
nap(const BsReceiver *receiver, double seconds)
{
	struct pollfd fds[1 + BS_RECEIVER_MAX_WATCHED];
	struct timespec span;

	fds[0] = (struct pollfd){.fd = receiver->wake_fd, .events = POLLIN};
	for (uint32_t i = 0; i < receiver->nwatched; i++)
		fds[i + 1] = (struct pollfd){.fd = receiver->watched[i].fd, .events = POLLIN};
	span.tv_sec = (time_t) seconds;
	span.tv_nsec = (long) ((seconds - (double) span.tv_sec) * 1e9);
	return ppoll(fds, 1 + receiver->nwatched, &span, NULL) != 0;
}

/* Nap when it is time for one.  Returns what is left of the timeout. */
static double
nap_if_due(BsReceiver *receiver, double timeout_seconds)
{
	double seconds = receiver->config.nap_seconds;

	if (!receiver->nap_due || !(seconds > 0))
		return timeout_seconds;
	if (seconds > timeout_seconds)
		seconds = timeout_seconds;
	receiver->nap_due = false;
	return nap(receiver, seconds) ? 0 : timeout_seconds - seconds;
}

void
bs_receiver_wait(BsReceiver *receiver, double timeout_seconds)
{
	if (any_ready(receiver))
		timeout_seconds = 0;
	if (timeout_seconds > 0)
		timeout_seconds = nap_if_due(receiver, timeout_seconds);
	if (timeout_seconds > 0)
	{
		ev_now_update(receiver->loop);
		ev_timer_set(&receiver->timeout, timeout_seconds, 0.);
		ev_timer_start(receiver->loop, &receiver->timeout);
		ev_run(receiver->loop, EVRUN_ONCE);
		ev_timer_stop(receiver->loop, &receiver->timeout);
	}
	else
		ev_run(receiver->loop, EVRUN_NOWAIT); /* only to see which sockets are readable */
	clear_wake(receiver);
}

/* ---- receiving ---- */

static bool
is_allowed(BsReceiver *receiver, const BsInet *source)
{
	if (receiver->allow.nentries == 0)
		return true;
	if (memcmp(source, &receiver->last_source, sizeof(*source)) != 0)
	{
		receiver->last_source = *source;
		receiver->last_allowed = bs_allow_matches(&receiver->allow, source);
	}
	return receiver->last_allowed;
}

static void
process_datagram(BsReceiver *receiver, BsListenerStats *stats, const BsDatagram *datagram)
{
	const BsReceiverConfig *config = &receiver->config;

	if (!is_allowed(receiver, &datagram->exporter))
	{
		stats->rejected++;
		return;
	}
	if (forwards(receiver))
		bs_forward_add(receiver->forward, datagram);
	if (config->decoder != NULL &&
		bs_decoder_decode(config->decoder, datagram, config->batch) == BS_DECODE_NOT_EXPORT)
		stats->not_export++;
}

static void
process_vector(BsReceiver *receiver, BsListenerStats *stats, uint32_t n)
{
	BsDatagram datagram;
	bool forward = forwards(receiver);

	memset(&datagram, 0, sizeof(datagram));
	if (forward)
		bs_forward_begin(receiver->forward);
	stats->datagrams += n;
	if (receiver->config.now_usec != NULL)
		datagram.received_usec = receiver->config.now_usec();
	for (uint32_t i = 0; i < n; i++)
	{
		bool whole = bs_udp_vector_get(receiver->vector, i, &datagram);

		stats->bytes += datagram.len_bytes;
		if (whole)
			process_datagram(receiver, stats, &datagram);
		else
			stats->truncated++;
	}
	if (forward)
		bs_forward_send(receiver->forward);
}

static void
receive_failed(BsReceiver *receiver, Listener *listener, int error)
{
	listener->stats->receive_errors++;
	listener->stats->last_errno = error;
	if (++listener->errors_in_a_row < MAX_ERRORS_IN_A_ROW)
		return;
	listener_close(receiver, listener);
	set_state(listener, BS_LISTENER_FAILED);
}

/* One turn of one listener.  Returns the number received. */
static uint32_t
receive_turn(BsReceiver *receiver, Listener *listener, uint32_t max)
{
	uint32_t wanted = max < BS_UDP_VECTOR ? max : BS_UDP_VECTOR;
	int n = bs_udp_vector_receive(receiver->vector, listener->fd, wanted);

	if (n < 0)
	{
		listener->ready = false;
		receive_failed(receiver, listener, -n);
		return 0;
	}
	listener->ready = (uint32_t) n == wanted;
	if (n > 0)
	{
		listener->touched = true;
		listener->errors_in_a_row = 0;
		process_vector(receiver, listener->stats, (uint32_t) n);
	}
	return (uint32_t) n;
}

/* Once per drain, not per recvmmsg: a drop needs a full queue, so that a later drain sees it. */
static void
count_all_drops(BsReceiver *receiver)
{
	for (uint32_t i = 0; i < receiver->config.max_listeners; i++)
	{
		Listener *listener = &receiver->listeners[i];

		if (listener->touched)
			count_drops(receiver, listener);
		listener->touched = false;
	}
}

uint64_t
bs_receiver_drops(const BsReceiver *receiver)
{
	return receiver->drops;
}

uint32_t
bs_receiver_drain(BsReceiver *receiver, uint32_t max_datagrams)
{
	uint32_t nlisteners = receiver->config.max_listeners;
	uint32_t nreceived = 0;
	uint32_t nidle = 0; /* listeners looked at since one had something */

	while (nidle < nlisteners && nreceived < max_datagrams)
	{
		Listener *listener = &receiver->listeners[receiver->turn];

		receiver->turn = (receiver->turn + 1) % nlisteners;
		nidle++;
		if (!listener->ready)
			continue;
		nreceived += receive_turn(receiver, listener, max_datagrams - nreceived);
		if (listener->ready)
			nidle = 0;
	}
	count_all_drops(receiver);
	if (nreceived > 0)
		receiver->nap_due = true;
	return nreceived;
}
