/* Sessions and what the dead leave, on the engines that keep no records: answers, not accidents. */
#include <stddef.h>

#include "check.h"

static void sessions_need_an_engine_with_records(void) {
    size_t e;
    for (e = 0; e < ENGINES; e++) {
        turtle_options options = options_for(engines[e], 4, 8);
        turtle_buffer *ring;
        turtle_producer *producer = NULL;
        turtle_consumer *consumer = NULL;
        turtle_recovered was;
        size_t found = 99;
        if (engines[e] == TURTLE_WAIT_FREE) continue; /* it keeps records: sessions_come_back */
        options.path = fresh_name(turtle_strategy_name(engines[e]));
        ring = open_or_fail(&options);
        was.struct_size = sizeof was;
        EQUAL(turtle_producer_open(ring, 7, &was, &producer), TURTLE_ERR_UNSUPPORTED);
        CHECK(error_says("record"));
        EQUAL(turtle_consumer_open(ring, 7, NULL, &consumer), TURTLE_ERR_UNSUPPORTED);
        CHECK(producer == NULL && consumer == NULL);
        EQUAL(turtle_producer_open(ring, 0, &was, &producer), TURTLE_ERR_INVALID);
        CHECK(error_says("0 is no session"));
        EQUAL(turtle_forget_session(ring, TURTLE_PRODUCER, 7), TURTLE_ERR_UNSUPPORTED);
        EQUAL(turtle_forget_session(ring, 2, 7), TURTLE_ERR_INVALID);
        CHECK(error_says("TURTLE_CONSUMER"));
        OK(turtle_reclaim(ring, &found));
        EQUAL(found, 0);
        OK(turtle_reclaim(ring, NULL));
        turtle_free(ring);
    }
}

static void wrong_arguments_open_nothing(void) {
    turtle_buffer *ring = ring_of(TURTLE_TURN, 4, 8);
    turtle_producer *producer = NULL;
    turtle_recovered was;
    size_t done = 99;
    uint64_t element;
    memset(&was, 0, sizeof was);
    EQUAL(turtle_producer_open(ring, 7, &was, &producer), TURTLE_ERR_INVALID);
    CHECK(error_says("struct_size"));
    was.struct_size = sizeof was;
    EQUAL(turtle_producer_open(ring, 7, &was, NULL), TURTLE_ERR_INVALID);
    EQUAL(turtle_producer_open(NULL, 7, &was, &producer), TURTLE_ERR_INVALID);
    EQUAL(turtle_consumer_orphans(NULL, &element, 1, &done), TURTLE_ERR_INVALID);
    EQUAL(turtle_consumer_orphan_record(NULL, &element, 8, &done), TURTLE_ERR_INVALID);
    EQUAL(turtle_take_orphans(ring, NULL, 1, &done), TURTLE_ERR_INVALID);
    EQUAL(turtle_take_orphans(ring, &element, 1, NULL), TURTLE_ERR_INVALID);
    EQUAL(turtle_reclaim(NULL, &done), TURTLE_ERR_INVALID);
    EQUAL(done, 99);
    turtle_free(ring);
}

static void where_nobody_died_there_are_no_orphans(void) {
    turtle_options options = options_for(TURTLE_TURN, 4, 16);
    turtle_buffer *elements = open_or_fail(&options), *records;
    turtle_consumer *consumer;
    char room[16];
    size_t done = 99, len = 99;
    options.flags = TURTLE_RECORDS;
    records = open_or_fail(&options);
    EQUAL(turtle_take_orphans(elements, room, 1, &done), TURTLE_EMPTY);
    EQUAL(done, 0);
    OK(turtle_take_orphans(elements, NULL, 0, &done));
    EQUAL(turtle_take_orphan_record(elements, room, 16, &len), TURTLE_ERR_INVALID);
    CHECK(error_says("single elements"));
    EQUAL(turtle_take_orphan_record(records, room, 16, &len), TURTLE_EMPTY);
    EQUAL(turtle_take_orphan_record(records, room, 15, &len), TURTLE_ERR_INVALID);
    CHECK(error_says("16 bytes"));
    EQUAL(turtle_take_orphans(records, room, 1, &done), TURTLE_ERR_INVALID);
    CHECK(error_says("records"));
    OK(turtle_consumer_new(elements, &consumer));
    EQUAL(turtle_consumer_orphans(consumer, room, 1, &done), TURTLE_EMPTY);
    turtle_consumer_free(consumer);
    EQUAL(len, 99);
    turtle_free(elements);
    turtle_free(records);
}

/* On every engine that has them, none of which need be in this build. */
static void sessions_come_back(void) {
    uint32_t engine;
    for (engine = 0; turtle_strategy_name(engine); engine++) {
        turtle_options options = options_for(engine, 8, 8);
        turtle_buffer *ring;
        turtle_producer *producer = NULL, *second = NULL;
        turtle_consumer *consumer = NULL;
        turtle_recovered was, older[2];
        uint64_t value;
        size_t done;
        int round;
        options.path = fresh_name(turtle_strategy_name(engine));
        options.max_threads = 2;
        ring = open_or_fail(&options);
        was.struct_size = sizeof was;
        if (turtle_producer_open(ring, 7, &was, &producer) == TURTLE_ERR_UNSUPPORTED) {
            turtle_free(ring);
            continue;
        }
        for (round = 0; round < 3; round++) {
            EQUAL(was.done, 2 * round);
            EQUAL(was.died, 0);
            EQUAL(was.orphans, 0);
            EQUAL(turtle_producer_open(ring, 7, NULL, &second), TURTLE_ERR_NO_HANDLE);
            CHECK(error_says("alive"));
            value = 10;
            OK(turtle_producer_try_push(producer, &value));
            OK(turtle_producer_push(producer, &value, LONG_NS));
            turtle_producer_free(producer);
            OK(turtle_consumer_open(ring, UINT64_MAX, NULL, &consumer));
            EQUAL(turtle_consumer_orphans(consumer, &value, 1, &done), TURTLE_EMPTY);
            OK(turtle_consumer_pop(consumer, &value, LONG_NS));
            OK(turtle_consumer_try_pop(consumer, &value));
            turtle_consumer_free(consumer);
            OK(turtle_producer_open(ring, 7, &was, &producer));
        }
        /* A caller that knows the first field only. */
        older[0].struct_size = offsetof(turtle_recovered, orphans);
        memset(&older[0].orphans, 0x55, sizeof older[0].orphans);
        OK(turtle_consumer_open(ring, UINT64_MAX, older, &consumer));
        EQUAL(older[0].done, 6);
        EQUAL(older[0].orphans, 0x5555555555555555);
        /* Both places are out. */
        OK(turtle_producer_open(ring, 8, NULL, &second));
        value = 11;
        EQUAL(turtle_try_push(ring, &value), TURTLE_ERR_NO_HANDLE);
        CHECK(error_says("max_threads"));
        EQUAL(turtle_forget_session(ring, TURTLE_PRODUCER, 8), TURTLE_ERR_NO_HANDLE);
        turtle_producer_free(second);
        OK(turtle_forget_session(ring, TURTLE_PRODUCER, 8));
        EQUAL(turtle_forget_session(ring, TURTLE_PRODUCER, 8), TURTLE_ERR_NOT_FOUND);
        OK(turtle_try_push(ring, &value));
        OK(turtle_release_thread(ring));
        turtle_producer_free(producer);
        turtle_consumer_free(consumer);
        turtle_free(ring);
    }
}

const test_case session_tests[] = {
    {"sessions_come_back", sessions_come_back},
    {"sessions_need_an_engine_with_records", sessions_need_an_engine_with_records},
    {"wrong_arguments_open_nothing", wrong_arguments_open_nothing},
    {"where_nobody_died_there_are_no_orphans", where_nobody_died_there_are_no_orphans},
    {NULL, NULL},
};
