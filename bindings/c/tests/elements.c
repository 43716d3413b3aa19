/* Single elements and batches, one thread. */
#include "check.h"

static void elements_come_out_in_order(void) {
    size_t e, capacity;
    for (e = 0; e < ENGINES; e++) {
        for (capacity = 1; capacity <= 9; capacity++) {
            turtle_buffer *ring = ring_of(engines[e], capacity, sizeof(uint64_t));
            uint64_t in = 0, out = 0, x;
            while (out < 100) { /* fill it, drain it: every lap and every position */
                turtle_status status;
                while ((status = turtle_try_push(ring, &in)) == TURTLE_OK) {
                    in++;
                    EQUAL(turtle_len(ring), in - out);
                }
                EQUAL(status, TURTLE_FULL);
                EQUAL(in - out, capacity);
                while ((status = turtle_try_pop(ring, &x)) == TURTLE_OK) {
                    EQUAL(x, out);
                    out++;
                }
                EQUAL(status, TURTLE_EMPTY);
                EQUAL(in, out);
            }
            EQUAL(stats_of(ring).pushed, in);
            EQUAL(stats_of(ring).popped, out);
            EQUAL(stats_of(ring).full, stats_of(ring).empty);
            CHECK(stats_of(ring).full > 0);
            turtle_free(ring);
        }
    }
}

static void elements_of_any_size_lie_at_any_address(void) {
    static const size_t sizes[] = {1, 3, 8, 13, 16, 64, 100};
    unsigned char in[128], out[128];
    size_t e, s, i, shift;
    for (e = 0; e < ENGINES; e++) {
        for (s = 0; s < sizeof sizes / sizeof sizes[0]; s++) {
            size_t size = sizes[s];
            turtle_buffer *ring = ring_of(engines[e], 3, size);
            for (shift = 0; shift < 8; shift++) {
                for (i = 0; i < sizeof in; i++) {
                    in[i] = (unsigned char)(i * 7 + shift);
                }
                memset(out, 0xee, sizeof out);
                OK(turtle_try_push(ring, in + shift));
                OK(turtle_try_pop(ring, out + shift));
                EQUAL(memcmp(in + shift, out + shift, size), 0);
                EQUAL(out[shift + size], 0xee); /* and no byte more */
            }
            turtle_free(ring);
        }
    }
}

static void batches_take_what_there_is_room_for(void) {
    uint64_t in[16], out[16];
    size_t e, i, done;
    for (i = 0; i < 16; i++) {
        in[i] = i;
    }
    for (e = 0; e < ENGINES; e++) {
        turtle_buffer *ring = ring_of(engines[e], 10, sizeof(uint64_t));
        uint64_t next = 0;
        int lap;
        for (lap = 0; lap < 7; lap++) { /* the batch wraps somewhere else each time */
            done = 99;
            OK(turtle_try_push_n(ring, in, 0, &done));
            EQUAL(done, 0);
            OK(turtle_try_push_n(ring, in, 7, &done));
            EQUAL(done, 7);
            OK(turtle_try_push_n(ring, in + 7, 9, &done));
            EQUAL(done, 3); /* partly: there was room for 3 */
            EQUAL(turtle_try_push_n(ring, in + 10, 6, &done), TURTLE_FULL);
            EQUAL(done, 0);
            OK(turtle_pop_n(ring, out, 4, 0, &done));
            EQUAL(done, 4);
            OK(turtle_pop_n(ring, out + 4, 12, TURTLE_FOREVER, &done));
            EQUAL(done, 6);
            for (i = 0; i < 10; i++) {
                EQUAL(out[i], in[i]);
            }
            done = 99;
            EQUAL(turtle_pop_n(ring, out, 16, 0, &done), TURTLE_EMPTY);
            EQUAL(done, 0);
            OK(turtle_pop_n(ring, out, 0, TURTLE_FOREVER, &done));
            EQUAL(done, 0);
            OK(turtle_try_push(ring, &next)); /* moves the start on */
            OK(turtle_try_pop(ring, &next));
            next++;
        }
        /* More than any memory could hold is asked for; a ring never takes more than it has slots. */
        OK(turtle_try_push_n(ring, in, SIZE_MAX, &done));
        EQUAL(done, 10);
        OK(turtle_pop_n(ring, out, SIZE_MAX, 0, &done));
        EQUAL(done, 10);
        turtle_free(ring);
    }
}

static void time_zero_is_the_same_as_trying(void) {
    size_t e;
    for (e = 0; e < ENGINES; e++) {
        turtle_buffer *ring = ring_of(engines[e], 1, sizeof(uint64_t));
        uint64_t x = 5;
        EQUAL(turtle_pop(ring, &x, 0), TURTLE_EMPTY);
        OK(turtle_push(ring, &x, 0));
        EQUAL(turtle_push(ring, &x, 0), TURTLE_FULL);
        x = 0;
        OK(turtle_pop(ring, &x, 0));
        EQUAL(x, 5);
        turtle_free(ring);
    }
}

static void time_runs_out(void) {
    size_t e;
    for (e = 0; e < ENGINES; e++) {
        turtle_buffer *ring = ring_of(engines[e], 1, sizeof(uint64_t));
        uint64_t x = 5;
        size_t done = 9;
        EQUAL(turtle_pop(ring, &x, 2000000), TURTLE_TIMEOUT);
        EQUAL(turtle_pop_n(ring, &x, 1, 1, &done), TURTLE_TIMEOUT);
        EQUAL(done, 0);
        OK(turtle_push(ring, &x, LONG_NS));
        EQUAL(turtle_push(ring, &x, 2000000), TURTLE_TIMEOUT);
        OK(turtle_pop(ring, &x, TURTLE_FOREVER));
        turtle_free(ring);
    }
}

static void closing_drains_and_is_for_good(void) {
    size_t e;
    for (e = 0; e < ENGINES; e++) {
        turtle_buffer *ring = ring_of(engines[e], 4, sizeof(uint64_t));
        uint64_t x;
        size_t done = 9;
        for (x = 0; x < 3; x++) {
            OK(turtle_try_push(ring, &x));
        }
        OK(turtle_close(ring));
        OK(turtle_close(ring));
        CHECK(turtle_is_closed(ring));
        EQUAL(stats_of(ring).is_closed, 1);
        EQUAL(turtle_try_push(ring, &x), TURTLE_CLOSED);
        EQUAL(turtle_push(ring, &x, TURTLE_FOREVER), TURTLE_CLOSED);
        EQUAL(turtle_try_push_n(ring, &x, 1, &done), TURTLE_CLOSED);
        EQUAL(done, 0);
        OK(turtle_try_pop(ring, &x));
        EQUAL(x, 0);
        OK(turtle_pop(ring, &x, TURTLE_FOREVER));
        EQUAL(x, 1);
        OK(turtle_pop_n(ring, &x, 1, TURTLE_FOREVER, &done));
        EQUAL(x, 2);
        EQUAL(turtle_try_pop(ring, &x), TURTLE_CLOSED);
        EQUAL(turtle_pop(ring, &x, TURTLE_FOREVER), TURTLE_CLOSED);
        EQUAL(turtle_pop_n(ring, &x, 1, TURTLE_FOREVER, &done), TURTLE_CLOSED);
        turtle_free(ring);
    }
}

typedef struct {
    uint64_t seen[16];
    size_t n;
} leftovers;

static void note(void *elem, void *ctx) {
    leftovers *left = (leftovers *)ctx;
    uint64_t x;
    memcpy(&x, elem, sizeof x);
    left->seen[left->n++] = x;
}

static void leftovers_are_dropped_once_in_order(void) {
    size_t e;
    for (e = 0; e < ENGINES; e++) {
        leftovers left;
        turtle_options options = options_for(engines[e], 5, sizeof(uint64_t));
        turtle_buffer *ring;
        turtle_producer *producer;
        uint64_t x;
        memset(&left, 0, sizeof left);
        options.drop = note;
        options.drop_ctx = &left;
        ring = open_or_fail(&options);
        OK(turtle_producer_new(ring, &producer));
        for (x = 0; x < 3; x++) {
            OK(turtle_producer_try_push(producer, &x));
        }
        OK(turtle_try_pop(ring, &x));
        for (x = 3; x < 6; x++) {
            OK(turtle_producer_try_push(producer, &x));
        }
        turtle_free(ring);
        EQUAL(left.n, 0); /* the producer still holds the ring */
        turtle_producer_free(producer);
        EQUAL(left.n, 5);
        for (x = 0; x < 5; x++) {
            EQUAL(left.seen[x], x + 1);
        }
    }
}

static void shared_rings_take_no_drop(void) {
    turtle_options options = options_for(TURTLE_TURN, 5, 8);
    turtle_buffer *ring = NULL;
    options.drop = note;
    options.path = fresh_name("other");
    EQUAL(turtle_open(&options, &ring), TURTLE_ERR_INVALID);
    CHECK(error_says("drop"));
    EQUAL(turtle_unlink(options.path), TURTLE_ERR_NOT_FOUND);
}

static void explicit_handles_do_what_the_ring_does(void) {
    size_t e, done;
    for (e = 0; e < ENGINES; e++) {
        turtle_buffer *ring = ring_of(engines[e], 4, sizeof(uint64_t));
        turtle_producer *producer;
        turtle_consumer *consumer;
        uint64_t in[4] = {1, 2, 3, 4}, out[4] = {0, 0, 0, 0};
        OK(turtle_producer_new(ring, &producer));
        OK(turtle_consumer_new(ring, &consumer));
        EQUAL(turtle_consumer_try_pop(consumer, out), TURTLE_EMPTY);
        EQUAL(turtle_consumer_pop(consumer, out, 1), TURTLE_TIMEOUT);
        OK(turtle_producer_try_push(producer, in));
        OK(turtle_producer_push(producer, in + 1, TURTLE_FOREVER));
        OK(turtle_producer_try_push_n(producer, in + 2, 2, &done));
        EQUAL(done, 2);
        EQUAL(turtle_producer_try_push(producer, in), TURTLE_FULL);
        OK(turtle_consumer_try_pop(consumer, out));
        OK(turtle_consumer_pop(consumer, out + 1, TURTLE_FOREVER));
        OK(turtle_consumer_pop_n(consumer, out + 2, 2, TURTLE_FOREVER, &done));
        EQUAL(done, 2);
        EQUAL(memcmp(in, out, sizeof in), 0);
        OK(turtle_producer_try_push(producer, in));
        turtle_free(ring); /* the handles keep it, and can close it */
        if (e % 2) {
            OK(turtle_producer_close(producer));
        }
        OK(turtle_consumer_close(consumer));
        OK(turtle_producer_close(producer));
        EQUAL(turtle_producer_try_push(producer, in), TURTLE_CLOSED);
        OK(turtle_consumer_try_pop(consumer, out));
        EQUAL(turtle_consumer_pop(consumer, out, TURTLE_FOREVER), TURTLE_CLOSED);
        turtle_producer_free(producer);
        turtle_consumer_free(consumer);
    }
    EQUAL(turtle_producer_close(NULL), TURTLE_ERR_INVALID);
    EQUAL(turtle_consumer_close(NULL), TURTLE_ERR_INVALID);
    turtle_producer_free(NULL);
    turtle_consumer_free(NULL);
}

static void spsc_gives_out_one_handle_a_side(void) {
    turtle_buffer *ring = ring_of(TURTLE_SPSC, 4, sizeof(uint64_t));
    turtle_producer *producer, *second = NULL;
    turtle_consumer *consumer, *third = NULL;
    uint64_t x = 1;
    OK(turtle_producer_new(ring, &producer));
    OK(turtle_consumer_new(ring, &consumer));
    EQUAL(turtle_producer_new(ring, &second), TURTLE_ERR_NO_HANDLE);
    CHECK(error_says("spsc"));
    EQUAL(turtle_consumer_new(ring, &third), TURTLE_ERR_NO_HANDLE);
    CHECK(second == NULL && third == NULL);
    EQUAL(turtle_try_push(ring, &x), TURTLE_ERR_NO_HANDLE);
    CHECK(error_says("turtle_release_thread"));
    EQUAL(turtle_try_pop(ring, &x), TURTLE_ERR_NO_HANDLE);
    turtle_producer_free(producer);
    OK(turtle_try_push(ring, &x)); /* now this thread has the side */
    EQUAL(turtle_producer_new(ring, &second), TURTLE_ERR_NO_HANDLE);
    OK(turtle_release_thread(ring));
    OK(turtle_release_thread(ring));
    OK(turtle_producer_new(ring, &second));
    turtle_producer_free(second);
    turtle_consumer_free(consumer);
    turtle_free(ring);
}

static void null_and_misaligned_arguments_are_refused(void) {
    size_t e;
    for (e = 0; e < ENGINES; e++) {
        turtle_buffer *ring = ring_of(engines[e], 4, sizeof(uint64_t));
        turtle_buffer *odd = (turtle_buffer *)(void *)((char *)ring + 1);
        size_t *odd_size = (size_t *)(void *)((char *)ring + 1);
        uint64_t x = 1;
        size_t done = 9;
        EQUAL(turtle_try_push(NULL, &x), TURTLE_ERR_INVALID);
        CHECK(error_says("turtle_open"));
        EQUAL(turtle_try_push(odd, &x), TURTLE_ERR_INVALID);
        EQUAL(turtle_try_push(ring, NULL), TURTLE_ERR_INVALID);
        CHECK(error_says("elem_size"));
        EQUAL(turtle_try_pop(NULL, &x), TURTLE_ERR_INVALID);
        EQUAL(turtle_try_pop(ring, NULL), TURTLE_ERR_INVALID);
        EQUAL(turtle_push(ring, NULL, 0), TURTLE_ERR_INVALID);
        EQUAL(turtle_pop(ring, NULL, 0), TURTLE_ERR_INVALID);
        EQUAL(turtle_try_push_n(ring, NULL, 1, &done), TURTLE_ERR_INVALID);
        EQUAL(turtle_try_push_n(ring, &x, 1, NULL), TURTLE_ERR_INVALID);
        EQUAL(turtle_try_push_n(ring, &x, 1, odd_size), TURTLE_ERR_INVALID);
        EQUAL(turtle_pop_n(ring, NULL, 1, 0, &done), TURTLE_ERR_INVALID);
        EQUAL(turtle_pop_n(ring, &x, 1, 0, NULL), TURTLE_ERR_INVALID);
        EQUAL(turtle_pop_n(ring, &x, 1, 0, odd_size), TURTLE_ERR_INVALID);
        EQUAL(turtle_close(NULL), TURTLE_ERR_INVALID);
        EQUAL(turtle_interrupt(NULL), TURTLE_ERR_INVALID);
        EQUAL(turtle_release_thread(NULL), TURTLE_ERR_INVALID);
        EQUAL(turtle_event_fd(ring, NULL), TURTLE_ERR_INVALID);
        EQUAL(turtle_event_fd(NULL, (int *)&x), TURTLE_ERR_INVALID);
        EQUAL(turtle_producer_new(NULL, NULL), TURTLE_ERR_INVALID);
        EQUAL(turtle_producer_new(ring, NULL), TURTLE_ERR_INVALID);
        EQUAL(turtle_consumer_new(ring, NULL), TURTLE_ERR_INVALID);
        EQUAL(turtle_producer_try_push(NULL, &x), TURTLE_ERR_INVALID);
        EQUAL(turtle_consumer_try_pop(NULL, &x), TURTLE_ERR_INVALID);
        CHECK(turtle_is_closed(NULL));
        EQUAL(turtle_len(NULL) + turtle_capacity(NULL), 0);
        EQUAL(done, 9); /* arguments that cannot be leave everything as it is */
        EQUAL(turtle_len(ring), 0);
        turtle_free(ring);
    }
}

const test_case element_tests[] = {
    {"elements_come_out_in_order", elements_come_out_in_order},
    {"elements_of_any_size_lie_at_any_address", elements_of_any_size_lie_at_any_address},
    {"batches_take_what_there_is_room_for", batches_take_what_there_is_room_for},
    {"time_zero_is_the_same_as_trying", time_zero_is_the_same_as_trying},
    {"time_runs_out", time_runs_out},
    {"closing_drains_and_is_for_good", closing_drains_and_is_for_good},
    {"leftovers_are_dropped_once_in_order", leftovers_are_dropped_once_in_order},
    {"shared_rings_take_no_drop", shared_rings_take_no_drop},
    {"explicit_handles_do_what_the_ring_does", explicit_handles_do_what_the_ring_does},
    {"spsc_gives_out_one_handle_a_side", spsc_gives_out_one_handle_a_side},
    {"null_and_misaligned_arguments_are_refused", null_and_misaligned_arguments_are_refused},
    {NULL, NULL},
};
