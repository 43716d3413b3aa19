/* Recorded histories: any queue, and the rings of this library, held against a simple queue. */
#include <unistd.h>

#include "check.h"

static turtle_history *new_history(void) {
    turtle_history *history = NULL;
    OK(turtle_history_new(&history));
    CHECK(history != NULL);
    return history;
}

static int says(const turtle_history *history, const char *word) {
    return strstr(turtle_history_text(history), word) != NULL;
}

/* A file of this process, read whole; it is removed. */
static const char *taken(const char *path) {
    static char text[8192];
    FILE *file = fopen(path, "r");
    size_t length;
    CHECK(file != NULL);
    length = fread(text, 1, sizeof text - 1, file);
    text[length] = 0;
    fclose(file);
    unlink(path);
    return text;
}

static const char *path_of(const char *end) {
    static char path[64];
    snprintf(path, sizeof path, "/tmp/turtle-ctest-%ld.%s", (long)getpid(), end);
    return path;
}

static void a_wrong_answer_is_found_and_written_down(void) {
    turtle_history *history = new_history();
    const char *text;
    bool fine = false;
    CHECK(strcmp(turtle_history_text(history), "") == 0);
    OK(turtle_history_add(history, 0, TURTLE_OP_PUSH, 7, 1, 2));
    OK(turtle_history_add(history, 1, TURTLE_OP_POP, 7, 3, TURTLE_PENDING));
    OK(turtle_history_check(history, 4, TURTLE_DRAINED, &fine));
    CHECK(fine && says(history, "fine: 2 events explained"));

    OK(turtle_history_add(history, 0, TURTLE_OP_PUSH, 8, 4, 5));
    OK(turtle_history_add(history, 2, TURTLE_OP_POP_EMPTY, 0, 6, 7));
    OK(turtle_history_check(history, 0, 0, &fine));
    CHECK(!fine);
    CHECK(says(history, "A pop of thread 2 answered Empty, but 8 was inside during the whole call."));

    OK(turtle_history_write(history, 4, TURTLE_DRAINED, path_of("jsonl")));
    text = taken(path_of("jsonl"));
    CHECK(strncmp(text, "{\"history\":1,\"capacity\":4,\"drained\":true}\n", 42) == 0);
    CHECK(strstr(text, "{\"thread\":1,\"call\":3,\"ret\":null,\"op\":\"pop\",\"value\":7}\n") != NULL);
    EQUAL(turtle_history_write(history, 4, 0, "/nowhere/at/all"), TURTLE_ERR_IO);
    CHECK(error_says("/nowhere/at/all"));
    turtle_history_free(history);
}

static void each_operation_has_its_number(void) {
    static const char *const words[] = {"push",        "push_full", "push_busy", "push_closed", "push_abandoned", "pop",
                                        "pop_empty",   "pop_busy",  "pop_closed", "pop_unknown", "close"};
    turtle_history *history = new_history();
    const char *text;
    uint32_t op;
    for (op = TURTLE_OP_PUSH; op <= TURTLE_OP_CLOSE; op++) {
        OK(turtle_history_add(history, 0, op, 1, op, op));
    }
    EQUAL(turtle_history_add(history, 0, op, 1, 1, 1), TURTLE_ERR_INVALID);
    CHECK(error_says("TURTLE_OP_"));
    OK(turtle_history_write(history, 0, 0, path_of("jsonl")));
    text = taken(path_of("jsonl"));
    for (op = TURTLE_OP_PUSH; op <= TURTLE_OP_CLOSE; op++) {
        char wanted[64];
        snprintf(wanted, sizeof wanted, "\"ret\":%lu,\"op\":\"%s\"", (unsigned long)op, words[op]);
        CHECK(strstr(text, wanted) != NULL);
    }
    turtle_history_free(history);
}

static void nonsense_is_refused(void) {
    turtle_history *history = new_history();
    bool fine = true;
    EQUAL(turtle_history_new(NULL), TURTLE_ERR_INVALID);
    EQUAL(turtle_history_add(NULL, 0, TURTLE_OP_PUSH, 1, 1, 2), TURTLE_ERR_INVALID);
    EQUAL(turtle_history_add(history, 0, TURTLE_OP_PUSH, 1, 3, 2), TURTLE_ERR_INVALID);
    CHECK(error_says("before the call"));
    EQUAL(turtle_history_add(history, 0, TURTLE_OP_PUSH, 1, 1, UINT64_MAX - 1), TURTLE_ERR_INVALID);
    CHECK(error_says("2^61"));
    EQUAL(turtle_history_check(NULL, 1, 0, &fine), TURTLE_ERR_INVALID);
    EQUAL(turtle_history_check(history, 1, 0, NULL), TURTLE_ERR_INVALID);
    EQUAL(turtle_history_check(history, 1, 2, &fine), TURTLE_ERR_INVALID);
    EQUAL(turtle_history_write(history, 1, 0, NULL), TURTLE_ERR_INVALID);
    EQUAL(turtle_history_write(NULL, 1, 0, "x"), TURTLE_ERR_INVALID);
    EQUAL(turtle_history_now(NULL), 0);
    CHECK(strcmp(turtle_history_text(NULL), "") == 0);
    OK(turtle_history_add(history, 0, TURTLE_OP_PUSH, 1, 1, 2));
    OK(turtle_history_add(history, 0, TURTLE_OP_PUSH, 1, 3, 4));
    EQUAL(turtle_history_check(history, 1, 0, &fine), TURTLE_ERR_INVALID);
    CHECK(error_says("pushed twice") && fine);
    turtle_history_free(history);
    turtle_history_free(NULL);
}

typedef struct {
    turtle_buffer *ring;
    turtle_history *history;
    uint32_t thread;
} recorded;

enum { EACH = 2000, CAPACITY = 3 };

static uint32_t op_of(turtle_status status, int push) {
    switch (status) {
    case TURTLE_OK: return push ? TURTLE_OP_PUSH : TURTLE_OP_POP;
    case TURTLE_FULL: return TURTLE_OP_PUSH_FULL;
    case TURTLE_EMPTY: return TURTLE_OP_POP_EMPTY;
    case TURTLE_BUSY: return push ? TURTLE_OP_PUSH_BUSY : TURTLE_OP_POP_BUSY;
    default: failed(__FILE__, __LINE__, "a status of a try", status, 0); return 0;
    }
}

static void *push_and_record(void *argument) {
    recorded *me = argument;
    uint64_t n;
    for (n = 0; n < (uint64_t)(EACH / scale); n++) {
        uint64_t value = me->thread * 1000000 + n, call = turtle_history_now(me->history);
        turtle_status status = turtle_try_push(me->ring, &value);
        OK(turtle_history_add(me->history, me->thread, op_of(status, 1), value, call, turtle_history_now(me->history)));
    }
    return NULL;
}

static void *pop_and_record(void *argument) {
    recorded *me = argument;
    uint64_t n;
    for (n = 0; n < (uint64_t)(EACH / scale); n++) {
        uint64_t value = 0, call = turtle_history_now(me->history);
        turtle_status status = turtle_try_pop(me->ring, &value);
        OK(turtle_history_add(me->history, me->thread, op_of(status, 0), value, call, turtle_history_now(me->history)));
    }
    return NULL;
}

static void rings_answer_as_a_queue_does(void) {
    size_t e;
    for (e = 0; e < ENGINES; e++) {
        uint32_t sides = engines[e] == TURTLE_SPSC ? 1 : 2, i;
        recorded who[4];
        pthread_t threads[4];
        turtle_history *history = new_history();
        turtle_buffer *ring = ring_of(engines[e], CAPACITY, 8);
        bool fine = false;
        for (i = 0; i < 2 * sides; i++) {
            who[i].ring = ring;
            who[i].history = history;
            who[i].thread = i;
            threads[i] = start(i < sides ? push_and_record : pop_and_record, &who[i]);
        }
        for (i = 0; i < 2 * sides; i++) {
            join(threads[i]);
        }
        OK(turtle_history_check(history, CAPACITY, 0, &fine));
        if (!fine) {
            fputs(turtle_history_text(history), stderr);
        }
        CHECK(fine);
        turtle_free(ring);
        turtle_history_free(history);
    }
}

const test_case history_tests[] = {
    {"a_wrong_answer_is_found_and_written_down", a_wrong_answer_is_found_and_written_down},
    {"each_operation_has_its_number", each_operation_has_its_number},
    {"nonsense_is_refused", nonsense_is_refused},
    {"rings_answer_as_a_queue_does", rings_answer_as_a_queue_does},
    {NULL, NULL},
};
