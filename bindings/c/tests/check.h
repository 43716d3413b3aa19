/* A test is a function; each runs in a process of its own, so a crash or a hang is one failure and no more. */
#ifndef CHECK_H
#define CHECK_H

#ifndef _POSIX_C_SOURCE
#define _POSIX_C_SOURCE 200809L
#endif

#include <pthread.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "turtle.h"

typedef struct {
    const char *name;
    void (*run)(void);
} test_case;

/* One list a file; main.c joins them. */
extern const test_case options_tests[], element_tests[], slot_tests[], record_tests[], thread_tests[], process_tests[],
    fuzz_tests[], session_tests[], history_tests[];

/* What is expected may differ under a tool that makes everything slow. */
extern int scale; /* 1, or more where loops are to be shorter by that factor */
extern const char *program; /* the path of this program, for children */

void failed(const char *file, int line, const char *what, long long got, long long wanted);
void skip(const char *reason); /* ends the test */

#define CHECK(condition)                                                                                               \
    do {                                                                                                               \
        if (!(condition)) {                                                                                            \
            failed(__FILE__, __LINE__, #condition, 0, 1);                                                              \
        }                                                                                                              \
    } while (0)
#define EQUAL(got, wanted)                                                                                             \
    do {                                                                                                               \
        long long got_ = (long long)(got), wanted_ = (long long)(wanted);                                              \
        if (got_ != wanted_) {                                                                                         \
            failed(__FILE__, __LINE__, #got, got_, wanted_);                                                           \
        }                                                                                                              \
    } while (0)
#define OK(call) EQUAL(call, TURTLE_OK)

/* Long enough for any machine, short enough that a lost wake-up is seen before the test's own end. */
#define LONG_NS UINT64_C(20000000000)

/* The statuses that every engine may answer when nobody else is active. */
static const uint32_t engines[] = {TURTLE_TURN, TURTLE_SPSC, TURTLE_WAIT_FREE};
#define ENGINES (sizeof engines / sizeof engines[0])

turtle_options options_for(uint32_t strategy, size_t capacity, size_t elem_size);
turtle_buffer *ring_of(uint32_t strategy, size_t capacity, size_t elem_size);
turtle_buffer *open_or_fail(const turtle_options *options);
int error_says(const char *word); /* whether turtle_last_error has the word */
turtle_stats stats_of(const turtle_buffer *ring);
pthread_t start(void *(*body)(void *), void *argument);
void *join(pthread_t thread);
void wait_until_asleep(const turtle_buffer *ring, uint64_t waits); /* until that many waits have been counted */
const char *fresh_name(const char *what); /* of a shared ring; unlinked when the test ends */

#endif
