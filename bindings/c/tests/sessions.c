/* Sessions and what the dead leave, on the engines that keep no records: answers, not accidents. */
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

const test_case session_tests[] = {
    {"sessions_need_an_engine_with_records", sessions_need_an_engine_with_records},
    {"wrong_arguments_open_nothing", wrong_arguments_open_nothing},
    {"where_nobody_died_there_are_no_orphans", where_nobody_died_there_are_no_orphans},
    {NULL, NULL},
};
