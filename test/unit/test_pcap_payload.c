/* SPDX-License-Identifier: PostgreSQL */
/*
 * test_pcap_payload.c: UDP payloads are found under every link header, and no frame, however cut or
 * damaged, is read beyond its end (each lies in memory of exactly its length).
 */
#include "../../receiver/tools/pcap_payload.h"
#include "../../receiver/tools/pcap_write.h"

#include "../../receiver/tools/population.h"

#include <pcap/dlt.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>

#define PAYLOAD     "\0\5payload"
#define PAYLOAD_LEN 9u

typedef struct Frame
{
	uint8_t bytes[256];
	uint32_t len;
	bool intact;
} Frame;

static void
add(Frame *frame, const void *bytes, uint32_t len)
{
	memcpy(frame->bytes + frame->len, bytes, len);
	frame->len += len;
}

static void
add_udp(Frame *frame)
{
	add(frame, "\x9c\x40\x08\x07\0\x11\0\0", 8); /* 40000 to 2055 */
	add(frame, PAYLOAD, PAYLOAD_LEN);
}

/* options_words: 32-bit words of IP options. */
static void
add_ipv4(Frame *frame, uint32_t options_words, uint16_t fragment)
{
	uint8_t header[20] = {(uint8_t) (0x45 + options_words),
						  0,
						  0,
						  0,
						  0,
						  0,
						  0,
						  0,
						  64,
						  17,
						  0,
						  0,
						  192,
						  0,
						  2,
						  1,
						  127,
						  0,
						  0,
						  1};

	header[6] = (uint8_t) (fragment >> 8);
	header[7] = (uint8_t) fragment;
	add(frame, header, 20);
	for (uint32_t i = 0; i < options_words; i++)
		add(frame, "\1\1\1\1", 4);
	add_udp(frame);
}

static void
add_ipv6(Frame *frame, uint8_t next)
{
	uint8_t header[40] = {0x60, 0, 0, 0, 0, 0, next, 64, 0x20, 0x01, 0x0d, 0xb8};

	header[23] = 9; /* 2001:db8::9 */
	add(frame, header, 40);
	if (next == 0)
	{
		/* Hop by hop of 8 bytes, then destination options of 16. */
		add(frame, "\x3c\0\1\4\0\0\0\0", 8);
		add(frame, "\x11\1\1\4\0\0\0\0\1\6\0\0\0\0\0\0", 16);
	}
	else if (next == 44)
		add(frame, "\x11\0\0\1\0\0\0\1", 8);
	add_udp(frame);
}

/* In memory of its own, so that the sanitizer sees one byte too many. */
static BsPayloadResult
find(int link_type, const Frame *frame, uint32_t len, BsPayload *payload)
{
	uint8_t *copy = malloc(len > 0 ? len : 1);
	BsPayloadResult result;

	memcpy(copy, frame->bytes, len);
	result = bs_payload_find(link_type, copy, len, payload);
	if (result == BS_PAYLOAD_FOUND)
		assert_true(payload->data >= copy && payload->data + payload->len_bytes <= copy + len);
	/* Undamaged, it is ours. */
	if (result == BS_PAYLOAD_FOUND && len == frame->len && frame->intact)
		assert_memory_equal(payload->data, PAYLOAD, PAYLOAD_LEN);
	free(copy);
	return result;
}

/* The whole frame is found; each shorter one is cut, never anything else. */
static void
assert_found(int link_type, const Frame *frame, bool is_ipv6)
{
	BsPayload payload;

	assert_true(bs_payload_link_known(link_type));
	assert_int_equal(find(link_type, frame, frame->len, &payload), BS_PAYLOAD_FOUND);
	assert_int_equal(payload.len_bytes, PAYLOAD_LEN);
	assert_int_equal(payload.src_port, 40000);
	assert_int_equal(payload.dst_port, 2055);
	assert_int_equal(payload.is_ipv6, is_ipv6);
	if (is_ipv6)
		assert_memory_equal(payload.src_addr, "\x20\1\x0d\xb8\0\0\0\0\0\0\0\0\0\0\0\x09", 16);
	else
		assert_memory_equal(payload.src_addr, "\xc0\0\2\1\0\0\0\0\0\0\0\0\0\0\0\0", 16);
	for (uint32_t len = 0; len < frame->len; len++)
		assert_int_equal(find(link_type, frame, len, &payload), BS_PAYLOAD_TRUNCATED);
}

static const struct
{
	int type;
	const char *ipv4;
	const char *ipv6;
	uint32_t len;
} headers[] = {
	{DLT_EN10MB, "123456abcdef\x08\x00", "123456abcdef\x86\xdd", 14},
	{DLT_EN10MB, "123456abcdef\x81\x00\x00\x07\x08\x00", "123456abcdef\x81\x00\x00\x07\x86\xdd",
	 18},
	{DLT_EN10MB, "123456abcdef\x88\xa8\x00\x07\x81\x00\x00\x08\x08\x00",
	 "123456abcdef\x88\xa8\x00\x07\x81\x00\x00\x08\x86\xdd", 22},
	{DLT_LINUX_SLL, "0123456789abcd\x08\x00", "0123456789abcd\x86\xdd", 16},
	{276,
	 "\x08\x00"
	 "23456789abcdefghij",
	 "\x86\xdd"
	 "23456789abcdefghij",
	 20},
	{DLT_RAW, "", "", 0},
	{101, "", "", 0},
	{DLT_NULL, "\2\0\0\0", "\x1e\0\0\0", 4},
};

static void
test_link_types(void **state)
{
	(void) state;
	for (uint32_t i = 0; i < sizeof(headers) / sizeof(headers[0]); i++)
	{
		Frame frame = {.intact = true};

		add(&frame, headers[i].ipv4, headers[i].len);
		add_ipv4(&frame, i % 3, 0x4000);
		assert_found(headers[i].type, &frame, false);
		frame.len = 0;
		add(&frame, headers[i].ipv6, headers[i].len);
		add_ipv6(&frame, i % 2 == 0 ? 17 : 0);
		assert_found(headers[i].type, &frame, true);
	}
}

static void
test_padding_is_left_out(void **state)
{
	Frame frame = {.intact = true};
	BsPayload payload;

	(void) state;
	add_ipv4(&frame, 0, 0);
	add(&frame, "\0\0\0\0\0\0", 6);
	assert_int_equal(find(DLT_RAW, &frame, frame.len, &payload), BS_PAYLOAD_FOUND);
	assert_int_equal(payload.len_bytes, PAYLOAD_LEN);
}

static void
test_what_is_not_ours(void **state)
{
	Frame frame = {.intact = true};
	BsPayload payload;

	(void) state;
	add_ipv4(&frame, 0, 0x2000); /* more fragments */
	assert_int_equal(find(DLT_RAW, &frame, frame.len, &payload), BS_PAYLOAD_FRAGMENT);
	frame.len = 0;
	add_ipv4(&frame, 0, 0x0010); /* a later one */
	assert_int_equal(find(DLT_RAW, &frame, frame.len, &payload), BS_PAYLOAD_FRAGMENT);
	frame.len = 0;
	add_ipv6(&frame, 44);
	assert_int_equal(find(DLT_RAW, &frame, frame.len, &payload), BS_PAYLOAD_FRAGMENT);
	frame.len = 0;
	add_ipv4(&frame, 0, 0);
	frame.bytes[9] = 6;
	assert_int_equal(find(DLT_RAW, &frame, frame.len, &payload), BS_PAYLOAD_OTHER);
	frame.bytes[9] = 17;
	frame.bytes[25] = 7; /* UDP length shorter than its header */
	assert_int_equal(find(DLT_RAW, &frame, frame.len, &payload), BS_PAYLOAD_TRUNCATED);
	frame.bytes[0] = 0x44; /* IP header of 16 bytes */
	assert_int_equal(find(DLT_RAW, &frame, frame.len, &payload), BS_PAYLOAD_OTHER);
	assert_false(bs_payload_link_known(127));
	assert_int_equal(find(127, &frame, frame.len, &payload), BS_PAYLOAD_OTHER);
}

/* Nothing to be asserted but what the sanitizers and find() do. */
static void
test_damaged_frames(void **state)
{
	BsRandom random = {1};

	(void) state;
	for (uint32_t round = 0; round < 200000; round++)
	{
		uint32_t i = round % (sizeof(headers) / sizeof(headers[0]));
		uint64_t bits = bs_random(&random);
		Frame frame = {.intact = false};
		BsPayload payload;

		add(&frame, bits & 1 ? headers[i].ipv4 : headers[i].ipv6, headers[i].len);
		if (bits & 1)
			add_ipv4(&frame, bits >> 1 & 3, 0);
		else
			add_ipv6(&frame, bits >> 1 & 1 ? 17 : 0);
		for (uint32_t n = 0; n < 1 + (bits >> 3 & 3); n++)
		{
			uint64_t damage = bs_random(&random);

			frame.bytes[damage % frame.len] = (uint8_t) (damage >> 32);
		}
		find(headers[i].type, &frame, (uint32_t) (bits >> 8) % (frame.len + 1), &payload);
	}
}

/* What is written can be read, and the IP checksum is one. */
static void
test_written_is_found(void **state)
{
	char *bytes = NULL;
	size_t size = 0;
	FILE *file = open_memstream(&bytes, &size);
	BsPcapDatagram datagram = {.time_usec = INT64_C(1790000000123456),
							   .src_addr = 0xc0000201,
							   .dst_addr = 0x7f000001,
							   .src_port = 40000,
							   .dst_port = 2055,
							   .data = (const uint8_t *) PAYLOAD,
							   .len_bytes = PAYLOAD_LEN};
	Frame frame = {.intact = true};
	uint32_t sum = 0;

	(void) state;
	bs_pcap_begin(file);
	bs_pcap_add(file, &datagram);
	fclose(file);
	assert_int_equal(size, 24 + 16 + 28 + PAYLOAD_LEN);
	add(&frame, bytes + 40, (uint32_t) size - 40);
	assert_found(101, &frame, false);
	for (uint32_t i = 0; i < 20; i += 2)
		sum += (uint32_t) frame.bytes[i] << 8 | frame.bytes[i + 1];
	assert_int_equal((sum & 0xffff) + (sum >> 16), 0xffff);
	free(bytes);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_link_types),       cmocka_unit_test(test_padding_is_left_out),
		cmocka_unit_test(test_what_is_not_ours), cmocka_unit_test(test_damaged_frames),
		cmocka_unit_test(test_written_is_found),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
