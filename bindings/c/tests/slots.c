/* Claim and commit, peek and release: lent slots, and addresses that are none. */
#include "check.h"

static void slots_are_written_and_read_in_place(void) {
    size_t e, capacity, i;
    for (e = 0; e < ENGINES; e++) {
        for (capacity = 1; capacity <= 4; capacity++) {
            turtle_buffer *ring = ring_of(engines[e], capacity, 24);
            for (i = 0; i < 20; i++) {
                void *slot = NULL;
                const void *lent = NULL;
                OK(turtle_claim(ring, &slot));
                memset(slot, (int)i, 24);
                EQUAL(turtle_peek(ring, &lent), engines[e] == TURTLE_TURN ? TURTLE_BUSY : TURTLE_EMPTY);
                CHECK(lent == NULL);
                OK(turtle_commit(ring, slot));
                OK(turtle_peek(ring, &lent));
                EQUAL(*(const unsigned char *)lent, i);
                EQUAL(((const unsigned char *)lent)[23], i);
                EQUAL((uintptr_t)lent % 8, 0);
                OK(turtle_release(ring, lent));
            }
            EQUAL(stats_of(ring).pushed, 20);
            EQUAL(stats_of(ring).popped, 20);
            turtle_free(ring);
        }
    }
}

static void slots_are_aligned_as_asked(void) {
    size_t align, e;
    for (e = 0; e < ENGINES; e++) {
        for (align = 1; align <= 4096; align *= 2) {
            turtle_options options = options_for(engines[e], 3, 40);
            turtle_buffer *ring;
            int i;
            unsigned char out[40];
            options.elem_align = align;
            ring = open_or_fail(&options);
            for (i = 0; i < 4; i++) {
                void *slot;
                OK(turtle_claim(ring, &slot));
                EQUAL((uintptr_t)slot % align, 0);
                OK(turtle_commit(ring, slot));
                OK(turtle_try_pop(ring, out));
            }
            turtle_free(ring);
        }
    }
}

static void second_commits_and_strange_addresses_are_refused(void) {
    size_t e;
    for (e = 0; e < ENGINES; e++) {
        turtle_buffer *ring = ring_of(engines[e], 4, 16), *other = ring_of(engines[e], 4, 16);
        unsigned char mine[64];
        void *slot, *again;
        const void *lent;
        ptrdiff_t shift;
        OK(turtle_claim(ring, &slot));
        EQUAL(turtle_commit(ring, NULL), TURTLE_ERR_INVALID);
        EQUAL(turtle_commit(ring, mine), TURTLE_ERR_INVALID);
        EQUAL(turtle_commit(other, slot), TURTLE_ERR_INVALID);
        for (shift = -64; shift <= 64; shift++) { /* neighbours and the middle of the slot */
            if (shift != 0) {
                EQUAL(turtle_commit(ring, (char *)slot + shift), TURTLE_ERR_INVALID);
                EQUAL(turtle_abandon(ring, (char *)slot + shift), TURTLE_ERR_INVALID);
            }
        }
        CHECK(error_says("slot"));
        EQUAL(turtle_release(ring, slot), TURTLE_ERR_INVALID);
        EQUAL(turtle_len(other), 0);
        OK(turtle_commit(ring, slot));
        EQUAL(turtle_commit(ring, slot), TURTLE_ERR_INVALID);
        EQUAL(turtle_abandon(ring, slot), TURTLE_ERR_INVALID);
        EQUAL(turtle_len(ring), 1);
        OK(turtle_peek(ring, &lent));
        EQUAL(turtle_release(ring, NULL), TURTLE_ERR_INVALID);
        EQUAL(turtle_release(ring, mine), TURTLE_ERR_INVALID);
        EQUAL(turtle_release(other, lent), TURTLE_ERR_INVALID);
        EQUAL(turtle_release(ring, (const char *)lent + 8), TURTLE_ERR_INVALID);
        OK(turtle_release(ring, lent));
        EQUAL(turtle_release(ring, lent), TURTLE_ERR_INVALID);
        EQUAL(turtle_claim(ring, NULL), TURTLE_ERR_INVALID);
        EQUAL(turtle_peek(ring, NULL), TURTLE_ERR_INVALID);
        EQUAL(turtle_peek_record(ring, &lent, NULL), TURTLE_ERR_INVALID);
        /* After all that the ring is as good as new. */
        OK(turtle_claim(ring, &again));
        OK(turtle_commit(ring, again));
        OK(turtle_try_pop(ring, mine));
        EQUAL(turtle_try_pop(ring, mine), TURTLE_EMPTY);
        turtle_free(ring);
        turtle_free(other);
    }
}

static void abandoned_claims_leave_no_trace(void) {
    size_t e;
    for (e = 0; e < ENGINES; e++) {
        turtle_buffer *ring = ring_of(engines[e], 3, sizeof(uint64_t));
        uint64_t in, x;
        for (in = 0; in < 30; in++) {
            void *slot;
            OK(turtle_claim(ring, &slot));
            OK(turtle_abandon(ring, slot));
            EQUAL(turtle_abandon(ring, slot), TURTLE_ERR_INVALID);
            OK(turtle_try_push(ring, &in));
            OK(turtle_try_pop(ring, &x));
            EQUAL(x, in);
            EQUAL(turtle_try_pop(ring, &x), TURTLE_EMPTY);
        }
        turtle_free(ring);
    }
}

static void a_full_ring_lends_nothing(void) {
    size_t e;
    for (e = 0; e < ENGINES; e++) {
        turtle_buffer *ring = ring_of(engines[e], 2, sizeof(uint64_t));
        uint64_t x = 0;
        void *slot = &x;
        const void *lent;
        OK(turtle_try_push(ring, &x));
        OK(turtle_try_push(ring, &x));
        EQUAL(turtle_claim(ring, &slot), TURTLE_FULL);
        CHECK(slot == &x);
        EQUAL(turtle_claim_timeout(ring, &slot, 1000000), TURTLE_TIMEOUT);
        OK(turtle_peek(ring, &lent)); /* taken, and its slot not yet free, unless the engine gives another for it */
        if (engines[e] == TURTLE_WAIT_FREE) {
            OK(turtle_claim(ring, &slot));
            OK(turtle_abandon(ring, slot));
        } else {
            EQUAL(turtle_claim(ring, &slot), engines[e] == TURTLE_TURN ? TURTLE_BUSY : TURTLE_FULL);
        }
        OK(turtle_release(ring, lent));
        OK(turtle_claim_timeout(ring, &slot, TURTLE_FOREVER));
        OK(turtle_commit(ring, slot));
        turtle_free(ring);
    }
}

static void spsc_lends_one_slot_at_a_time(void) {
    turtle_buffer *ring = ring_of(TURTLE_SPSC, 4, 8), *texts;
    turtle_options options = options_for(TURTLE_SPSC, 2, 16);
    void *slot, *other = NULL;
    const void *lent, *next = NULL;
    uint64_t number = 7, out[2] = {0, 0};
    size_t done, len = 0;
    OK(turtle_claim(ring, &slot));
    memcpy(slot, &number, sizeof number);
    EQUAL(turtle_claim(ring, &other), TURTLE_ERR_INVALID);
    CHECK(error_says("turtle_commit") && error_says("turtle_abandon") && other == NULL);
    EQUAL(turtle_try_push(ring, out), TURTLE_ERR_INVALID);
    CHECK(error_says("turtle_commit"));
    EQUAL(turtle_push(ring, out, TURTLE_FOREVER), TURTLE_ERR_INVALID);
    EQUAL(turtle_try_push_n(ring, out, 2, &done), TURTLE_ERR_INVALID);
    EQUAL(done, 0);
    EQUAL(turtle_try_pop(ring, out), TURTLE_EMPTY);
    OK(turtle_commit(ring, slot));
    OK(turtle_try_push(ring, &number));
    OK(turtle_peek(ring, &lent));
    EQUAL(turtle_peek(ring, &next), TURTLE_ERR_INVALID);
    CHECK(error_says("turtle_release") && next == NULL);
    EQUAL(turtle_pop(ring, out, TURTLE_FOREVER), TURTLE_ERR_INVALID);
    CHECK(error_says("turtle_release"));
    EQUAL(turtle_pop_n(ring, out, 2, TURTLE_FOREVER, &done), TURTLE_ERR_INVALID);
    EQUAL(*(const uint64_t *)lent, 7);
    OK(turtle_release(ring, lent));
    OK(turtle_try_pop(ring, out));
    EQUAL(out[0], 7);
    turtle_free(ring);

    options.flags = TURTLE_RECORDS;
    texts = open_or_fail(&options);
    OK(turtle_claim(texts, &slot));
    EQUAL(turtle_push_record(texts, "no", 2, 0), TURTLE_ERR_INVALID);
    CHECK(error_says("turtle_commit"));
    memcpy(slot, "yes", 3);
    OK(turtle_commit_record(texts, slot, 3));
    OK(turtle_peek(texts, &lent));
    EQUAL(turtle_pop_record(texts, out, sizeof out, &len, 0), TURTLE_ERR_INVALID);
    CHECK(error_says("turtle_release") && len == 0);
    OK(turtle_release(texts, lent));
    turtle_free(texts);
}

static void closing_meets_claims(void) {
    size_t e;
    for (e = 0; e < ENGINES; e++) {
        turtle_buffer *ring = ring_of(engines[e], 3, sizeof(uint64_t));
        uint64_t x = 7;
        void *slot;
        const void *lent;
        OK(turtle_try_push(ring, &x));
        OK(turtle_claim(ring, &slot));
        memcpy(slot, &x, sizeof x);
        OK(turtle_close(ring));
        if (engines[e] == TURTLE_TURN) { /* the claim was the push: it counts */
            OK(turtle_commit(ring, slot));
        } else {
            EQUAL(turtle_commit(ring, slot), TURTLE_CLOSED);
            EQUAL(turtle_commit(ring, slot), TURTLE_CLOSED); /* the claim is kept … */
            OK(turtle_abandon(ring, slot));                  /* … until it is given back */
        }
        if (turtle_claim(ring, &slot) == TURTLE_OK) { /* an engine may say it at the commit only */
            EQUAL(engines[e], TURTLE_SPSC);
            EQUAL(turtle_commit(ring, slot), TURTLE_CLOSED);
            OK(turtle_abandon(ring, slot));
        }
        EQUAL(turtle_try_push(ring, &x), TURTLE_CLOSED);
        OK(turtle_peek(ring, &lent));
        OK(turtle_release(ring, lent));
        if (engines[e] == TURTLE_TURN) {
            OK(turtle_peek_timeout(ring, &lent, NULL, TURTLE_FOREVER));
            OK(turtle_release(ring, lent));
        }
        EQUAL(turtle_peek(ring, &lent), TURTLE_CLOSED);
        turtle_free(ring);
    }
}

static void handles_lend_slots_too(void) {
    size_t e, len = 0;
    for (e = 0; e < ENGINES; e++) {
        turtle_buffer *ring = ring_of(engines[e], 2, 16);
        turtle_producer *producer;
        turtle_consumer *consumer;
        void *slot;
        const void *lent;
        OK(turtle_producer_new(ring, &producer));
        OK(turtle_consumer_new(ring, &consumer));
        EQUAL(turtle_consumer_peek(consumer, &lent), TURTLE_EMPTY);
        OK(turtle_producer_claim(producer, &slot));
        OK(turtle_producer_abandon(producer, slot));
        OK(turtle_producer_claim_timeout(producer, &slot, LONG_NS));
        memset(slot, 3, 16);
        EQUAL(turtle_producer_commit_record(producer, slot, 3), TURTLE_ERR_INVALID);
        CHECK(error_says("TURTLE_RECORDS"));
        OK(turtle_producer_commit(producer, slot));
        OK(turtle_consumer_peek_timeout(consumer, &lent, &len, LONG_NS));
        EQUAL(len, 16);
        EQUAL(*(const char *)lent, 3);
        OK(turtle_consumer_release(consumer, lent));
        EQUAL(turtle_consumer_release(consumer, lent), TURTLE_ERR_INVALID);
        turtle_producer_free(producer);
        turtle_consumer_free(consumer);
        turtle_free(ring);
    }
}

const test_case slot_tests[] = {
    {"slots_are_written_and_read_in_place", slots_are_written_and_read_in_place},
    {"slots_are_aligned_as_asked", slots_are_aligned_as_asked},
    {"second_commits_and_strange_addresses_are_refused", second_commits_and_strange_addresses_are_refused},
    {"abandoned_claims_leave_no_trace", abandoned_claims_leave_no_trace},
    {"a_full_ring_lends_nothing", a_full_ring_lends_nothing},
    {"spsc_lends_one_slot_at_a_time", spsc_lends_one_slot_at_a_time},
    {"closing_meets_claims", closing_meets_claims},
    {"handles_lend_slots_too", handles_lend_slots_too},
    {NULL, NULL},
};
