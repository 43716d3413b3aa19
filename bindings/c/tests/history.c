/* Recorded histories: what is added is what is written. That `turtle check` reads it: cli/src/check/read.rs. */
#include <unistd.h>

#include "check.h"

static turtle_history *new_history(void) {
    turtle_history *history = NULL;
    OK(turtle_history_new(&history));
    CHECK(history != NULL);
    return history;
}

static const char *path(void) {
    static char path[64];
    snprintf(path, sizeof path, "/tmp/turtle-ctest-%ld.jsonl", (long)getpid());
    return path;
}

/* What was written, read whole; the file is removed. */
static const char *written(const turtle_history *history, size_t capacity, uint32_t flags) {
    static char text[1 << 20];
    FILE *file;
    size_t length;
    OK(turtle_history_write(history, capacity, flags, path()));
    file = fopen(path(), "r");
    CHECK(file != NULL);
    length = fread(text, 1, sizeof text - 1, file);
    text[length] = 0;
    fclose(file);
    unlink(path());
    return text;
}

static void calls_are_written_as_they_were(void) {
    turtle_history *history = new_history();
    CHECK(strcmp(written(history, 0, 0), "{\"history\":1,\"capacity\":null}\n") == 0);
    OK(turtle_history_add(history, 0, TURTLE_OP_PUSH, 7, 1, 2));
    OK(turtle_history_add(history, 1, TURTLE_OP_POP, 7, 3, TURTLE_PENDING));
    CHECK(strcmp(written(history, 4, TURTLE_DRAINED), "{\"history\":1,\"capacity\":4,\"drained\":true}\n"
                                                      "{\"thread\":0,\"call\":1,\"ret\":2,\"op\":\"push\",\"value\":7}\n"
                                                      "{\"thread\":1,\"call\":3,\"ret\":null,\"op\":\"pop\",\"value\":7}\n") ==
          0);
    turtle_history_free(history);
}

static void each_operation_has_its_number(void) {
    static const char *const words[] = {"push",      "push_full", "push_busy",  "push_closed", "push_abandoned", "pop",
                                        "pop_empty", "pop_busy",  "pop_closed", "pop_unknown", "close"};
    turtle_history *history = new_history();
    const char *text;
    uint32_t op;
    for (op = TURTLE_OP_PUSH; op <= TURTLE_OP_CLOSE; op++) {
        OK(turtle_history_add(history, 0, op, 1, op, op));
    }
    EQUAL(turtle_history_add(history, 0, op, 1, 1, 1), TURTLE_ERR_INVALID);
    CHECK(error_says("TURTLE_OP_"));
    text = written(history, 0, 0);
    for (op = TURTLE_OP_PUSH; op <= TURTLE_OP_CLOSE; op++) {
        char wanted[64];
        snprintf(wanted, sizeof wanted, "\"ret\":%lu,\"op\":\"%s\"", (unsigned long)op, words[op]);
        CHECK(strstr(text, wanted) != NULL);
    }
    turtle_history_free(history);
}

static void nonsense_is_refused(void) {
    turtle_history *history = new_history();
    EQUAL(turtle_history_new(NULL), TURTLE_ERR_INVALID);
    EQUAL(turtle_history_add(NULL, 0, TURTLE_OP_PUSH, 1, 1, 2), TURTLE_ERR_INVALID);
    EQUAL(turtle_history_add(history, 0, TURTLE_OP_PUSH, 1, 3, 2), TURTLE_ERR_INVALID);
    CHECK(error_says("before the call"));
    EQUAL(turtle_history_add(history, 0, TURTLE_OP_POP_EMPTY, 0, 3, TURTLE_PENDING), TURTLE_ERR_INVALID);
    CHECK(error_says("TURTLE_OP_POP_UNKNOWN"));
    EQUAL(turtle_history_add(history, 0, TURTLE_OP_PUSH, 1, 1, UINT64_MAX - 1), TURTLE_ERR_INVALID);
    CHECK(error_says("2^61"));
    EQUAL(turtle_history_write(history, 1, 2, path()), TURTLE_ERR_INVALID);
    EQUAL(turtle_history_write(history, 1, 0, NULL), TURTLE_ERR_INVALID);
    EQUAL(turtle_history_write(NULL, 1, 0, path()), TURTLE_ERR_INVALID);
    EQUAL(turtle_history_write(history, 4, 0, "/nowhere/at/all"), TURTLE_ERR_IO);
    CHECK(error_says("/nowhere/at/all"));
    EQUAL(turtle_history_now(NULL), 0);
    turtle_history_free(history);
    turtle_history_free(NULL);
}

typedef struct {
    turtle_history *history;
    uint32_t thread;
} recorder;

enum { EACH = 1000, THREADS = 4 };

static void *record(void *argument) {
    recorder *me = (recorder *)argument;
    uint64_t n;
    for (n = 0; n < EACH; n++) {
        uint64_t call = turtle_history_now(me->history);
        OK(turtle_history_add(me->history, me->thread, TURTLE_OP_PUSH, me->thread * EACH + n, call,
                              turtle_history_now(me->history)));
    }
    return NULL;
}

static void threads_record_at_once(void) {
    turtle_history *history = new_history();
    pthread_t threads[THREADS];
    recorder who[THREADS];
    static char seen[THREADS * EACH];
    const char *line;
    uint32_t i;
    size_t lines = 0;
    for (i = 0; i < THREADS; i++) {
        who[i].history = history;
        who[i].thread = i;
        threads[i] = start(record, &who[i]);
    }
    for (i = 0; i < THREADS; i++) {
        join(threads[i]);
    }
    EQUAL(turtle_history_now(history), 2 * THREADS * EACH + 1);
    for (line = strchr(written(history, 0, 0), '\n') + 1; *line; line = strchr(line, '\n') + 1) {
        unsigned long thread, call, ret, value;
        EQUAL(sscanf(line, "{\"thread\":%lu,\"call\":%lu,\"ret\":%lu,\"op\":\"push\",\"value\":%lu}", &thread, &call, &ret,
                     &value),
              4);
        CHECK(call < ret && thread == value / EACH && !seen[value]);
        seen[value] = 1;
        lines++;
    }
    EQUAL(lines, THREADS * EACH);
    turtle_history_free(history);
}

const test_case history_tests[] = {
    {"calls_are_written_as_they_were", calls_are_written_as_they_were},
    {"each_operation_has_its_number", each_operation_has_its_number},
    {"nonsense_is_refused", nonsense_is_refused},
    {"threads_record_at_once", threads_record_at_once},
    {NULL, NULL},
};
