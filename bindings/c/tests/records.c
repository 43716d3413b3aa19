/* Records: bytes with a length. */
#include "check.h"

static turtle_buffer *record_ring(uint32_t strategy, size_t capacity, size_t elem_size) {
    turtle_options options = options_for(strategy, capacity, elem_size);
    options.flags = TURTLE_RECORDS;
    return open_or_fail(&options);
}

static void records_keep_their_bytes_and_lengths(void) {
    unsigned char in[100], out[101];
    size_t e, i, len;
    for (i = 0; i < sizeof in; i++) {
        in[i] = (unsigned char)(i + 1);
    }
    for (e = 0; e < ENGINES; e++) {
        turtle_buffer *ring = record_ring(engines[e], 3, 100);
        EQUAL(stats_of(ring).flags, TURTLE_RECORDS);
        EQUAL(stats_of(ring).elem_size, 100);
        for (len = 0; len <= 100; len++) {
            size_t got = 999;
            OK(turtle_push_record(ring, in, len, 0));
            memset(out, 0xee, sizeof out);
            OK(turtle_pop_record(ring, out, len, &got, TURTLE_FOREVER));
            EQUAL(got, len);
            EQUAL(memcmp(in, out, len), 0);
            EQUAL(out[len], 0xee);
        }
        OK(turtle_push_record(ring, NULL, 0, 0));
        OK(turtle_pop_record(ring, NULL, 0, &len, 0));
        EQUAL(len, 0);
        EQUAL(turtle_pop_record(ring, out, 100, &len, 0), TURTLE_EMPTY);
        EQUAL(turtle_pop_record(ring, out, 100, &len, 1000), TURTLE_TIMEOUT);
        turtle_free(ring);
    }
}

static void too_little_room_takes_nothing(void) {
    size_t e;
    for (e = 0; e < ENGINES; e++) {
        turtle_buffer *ring = record_ring(engines[e], 3, 64);
        char out[64];
        size_t len = 0;
        memset(out, 'x', sizeof out);
        OK(turtle_push_record(ring, "hello, ring", 11, 0));
        OK(turtle_push_record(ring, "b", 1, 0));
        EQUAL(turtle_pop_record(ring, out, 10, &len, TURTLE_FOREVER), TURTLE_ERR_INVALID);
        EQUAL(len, 11);
        CHECK(error_says("11 bytes"));
        EQUAL(out[0], 'x');
        len = 0;
        EQUAL(turtle_pop_record(ring, NULL, 0, &len, 0), TURTLE_ERR_INVALID);
        EQUAL(len, 11);
        EQUAL(turtle_len(ring), 2);
        EQUAL(stats_of(ring).popped, 0);
        OK(turtle_pop_record(ring, out, len, &len, 0));
        EQUAL(memcmp(out, "hello, ring", 11), 0);
        OK(turtle_pop_record(ring, out, 64, &len, 0));
        EQUAL(len, 1);
        turtle_free(ring);
    }
}

static void records_that_are_too_long_are_refused(void) {
    size_t e;
    for (e = 0; e < ENGINES; e++) {
        turtle_buffer *ring = record_ring(engines[e], 1, 10);
        char data[32] = "0123456789abcdef";
        void *slot;
        EQUAL(turtle_push_record(ring, data, 11, 0), TURTLE_ERR_INVALID);
        CHECK(error_says("elem_size is 10"));
        EQUAL(turtle_push_record(ring, data, SIZE_MAX, TURTLE_FOREVER), TURTLE_ERR_INVALID);
        EQUAL(turtle_push_record(ring, NULL, 3, 0), TURTLE_ERR_INVALID);
        EQUAL(turtle_len(ring), 0);
        OK(turtle_push_record(ring, data, 10, 0));
        EQUAL(turtle_push_record(ring, data, 10, 0), TURTLE_FULL);
        EQUAL(turtle_push_record(ring, data, 10, 1000), TURTLE_TIMEOUT);
        EQUAL(turtle_claim(ring, &slot), TURTLE_FULL);
        turtle_free(ring);
    }
}

static void records_are_written_and_read_in_place(void) {
    size_t e, i;
    for (e = 0; e < ENGINES; e++) {
        turtle_options options = options_for(engines[e], 2, 50);
        turtle_buffer *ring;
        options.flags = TURTLE_RECORDS;
        options.elem_align = 64;
        ring = open_or_fail(&options);
        for (i = 0; i < 10; i++) {
            void *slot;
            const void *lent;
            size_t len = 0;
            OK(turtle_claim(ring, &slot));
            EQUAL((uintptr_t)slot % 64, 0);
            memset(slot, (int)i, 50);
            EQUAL(turtle_commit_record(ring, slot, 51), TURTLE_ERR_INVALID);
            EQUAL(turtle_commit(ring, slot), TURTLE_ERR_INVALID);
            CHECK(error_says("turtle_commit_record"));
            OK(turtle_commit_record(ring, slot, i * 5));
            EQUAL(turtle_commit_record(ring, slot, 1), TURTLE_ERR_INVALID);
            OK(turtle_peek_record(ring, &lent, &len));
            EQUAL(len, i * 5);
            CHECK(lent == slot);
            OK(turtle_release(ring, lent));
        }
        turtle_free(ring);
    }
}

static void record_calls_and_element_calls_do_not_mix(void) {
    size_t e, done = 5;
    for (e = 0; e < ENGINES; e++) {
        turtle_buffer *records = record_ring(engines[e], 2, 8), *elements = ring_of(engines[e], 2, 8);
        uint64_t x = 0;
        EQUAL(turtle_try_push(records, &x), TURTLE_ERR_INVALID);
        CHECK(error_says("_record"));
        EQUAL(turtle_push(records, &x, TURTLE_FOREVER), TURTLE_ERR_INVALID);
        EQUAL(turtle_try_push_n(records, &x, 1, &done), TURTLE_ERR_INVALID);
        EQUAL(done, 0);
        EQUAL(turtle_try_pop(records, &x), TURTLE_ERR_INVALID);
        EQUAL(turtle_pop(records, &x, TURTLE_FOREVER), TURTLE_ERR_INVALID);
        EQUAL(turtle_pop_n(records, &x, 1, TURTLE_FOREVER, &done), TURTLE_ERR_INVALID);
        EQUAL(turtle_push_record(elements, &x, 8, TURTLE_FOREVER), TURTLE_ERR_INVALID);
        CHECK(error_says("TURTLE_RECORDS"));
        EQUAL(turtle_pop_record(elements, &x, 8, &done, TURTLE_FOREVER), TURTLE_ERR_INVALID);
        turtle_free(records);
        turtle_free(elements);
    }
}

static void handles_carry_records(void) {
    size_t e;
    for (e = 0; e < ENGINES; e++) {
        turtle_buffer *ring = record_ring(engines[e], 2, 8);
        turtle_producer *producer;
        turtle_consumer *consumer;
        void *slot;
        const void *lent;
        char out[8];
        size_t len = 0;
        OK(turtle_producer_new(ring, &producer));
        OK(turtle_consumer_new(ring, &consumer));
        OK(turtle_producer_push_record(producer, "abc", 3, LONG_NS));
        OK(turtle_producer_claim(producer, &slot));
        memcpy(slot, "defgh", 5);
        OK(turtle_producer_commit_record(producer, slot, 5));
        OK(turtle_consumer_pop_record(consumer, out, 8, &len, LONG_NS));
        EQUAL(len, 3);
        EQUAL(memcmp(out, "abc", 3), 0);
        OK(turtle_consumer_peek_record(consumer, &lent, &len));
        EQUAL(len, 5);
        EQUAL(memcmp(lent, "defgh", 5), 0);
        OK(turtle_consumer_release(consumer, lent));
        turtle_producer_free(producer);
        turtle_consumer_free(consumer);
        turtle_free(ring);
    }
}

const test_case record_tests[] = {
    {"records_keep_their_bytes_and_lengths", records_keep_their_bytes_and_lengths},
    {"too_little_room_takes_nothing", too_little_room_takes_nothing},
    {"records_that_are_too_long_are_refused", records_that_are_too_long_are_refused},
    {"records_are_written_and_read_in_place", records_are_written_and_read_in_place},
    {"record_calls_and_element_calls_do_not_mix", record_calls_and_element_calls_do_not_mix},
    {"handles_carry_records", handles_carry_records},
    {NULL, NULL},
};
