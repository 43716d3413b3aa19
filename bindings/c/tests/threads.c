/* Several threads: hand-over, waking, who owns a side of spsc. */
#include "check.h"

#include <poll.h>

typedef struct {
    turtle_buffer *ring;
    uint64_t from, n, sum, count;
    turtle_status status;
} job;

static void *push_range(void *argument) {
    job *j = (job *)argument;
    uint64_t x;
    for (x = j->from; x < j->from + j->n; x++) {
        OK(turtle_push(j->ring, &x, LONG_NS));
    }
    return NULL;
}

static void *pop_until_closed(void *argument) {
    job *j = (job *)argument;
    uint64_t batch[16];
    size_t done, i;
    while ((j->status = turtle_pop_n(j->ring, batch, 16, LONG_NS, &done)) == TURTLE_OK) {
        for (i = 0; i < done; i++) {
            j->sum += batch[i];
            j->count++;
        }
    }
    EQUAL(j->status, TURTLE_CLOSED);
    return NULL;
}

static void hand_over(uint32_t strategy, size_t capacity, size_t producers, size_t consumers) {
    uint64_t each = 20000 / (uint64_t)scale, sum = 0, count = 0, all = each * producers;
    turtle_buffer *ring = ring_of(strategy, capacity, sizeof(uint64_t));
    job push[4], pop[4];
    pthread_t pushing[4], popping[4];
    size_t i;
    memset(push, 0, sizeof push);
    memset(pop, 0, sizeof pop);
    for (i = 0; i < consumers; i++) {
        pop[i].ring = ring;
        popping[i] = start(pop_until_closed, &pop[i]);
    }
    for (i = 0; i < producers; i++) {
        push[i].ring = ring;
        push[i].from = i * each;
        push[i].n = each;
        pushing[i] = start(push_range, &push[i]);
    }
    for (i = 0; i < producers; i++) {
        join(pushing[i]);
    }
    OK(turtle_close(ring));
    for (i = 0; i < consumers; i++) {
        join(popping[i]);
        sum += pop[i].sum;
        count += pop[i].count;
    }
    EQUAL(count, all);
    EQUAL(sum, all * (all - 1) / 2);
    turtle_free(ring);
}

static void nothing_is_lost_between_threads(void) {
    hand_over(TURTLE_TURN, 64, 2, 2);
    hand_over(TURTLE_TURN, 3, 4, 3);
    hand_over(TURTLE_TURN, 1, 2, 2);
    hand_over(TURTLE_SPSC, 64, 1, 1);
    hand_over(TURTLE_SPSC, 1, 1, 1);
}

static void *one_pop(void *argument) {
    job *j = (job *)argument;
    j->status = turtle_pop(j->ring, &j->sum, TURTLE_FOREVER);
    return NULL;
}

static void *one_push(void *argument) {
    job *j = (job *)argument;
    j->status = turtle_push(j->ring, &j->from, TURTLE_FOREVER);
    return NULL;
}

static void interrupt_ends_waits_once(void) {
    size_t e;
    for (e = 0; e < ENGINES; e++) {
        job j;
        pthread_t thread;
        memset(&j, 0, sizeof j);
        j.ring = ring_of(engines[e], 1, sizeof(uint64_t));
        thread = start(one_pop, &j);
        wait_until_asleep(j.ring, 1);
        OK(turtle_interrupt(j.ring));
        join(thread);
        EQUAL(j.status, TURTLE_INTERRUPTED);
        OK(turtle_push(j.ring, &j.from, TURTLE_FOREVER)); /* a later call is not concerned */
        OK(turtle_release_thread(j.ring));
        thread = start(one_push, &j);
        wait_until_asleep(j.ring, stats_of(j.ring).waits + 1);
        OK(turtle_interrupt(j.ring));
        join(thread);
        EQUAL(j.status, TURTLE_INTERRUPTED);
        turtle_free(j.ring);
    }
}

static void closing_wakes_everybody(void) {
    size_t e;
    for (e = 0; e < ENGINES; e++) {
        job pop, push;
        pthread_t thread;
        memset(&pop, 0, sizeof pop);
        memset(&push, 0, sizeof push);
        pop.ring = ring_of(engines[e], 1, sizeof(uint64_t));
        push.ring = ring_of(engines[e], 1, sizeof(uint64_t));
        thread = start(one_pop, &pop);
        wait_until_asleep(pop.ring, 1);
        OK(turtle_close(pop.ring));
        join(thread);
        EQUAL(pop.status, TURTLE_CLOSED);
        OK(turtle_try_push(push.ring, &push.from));
        OK(turtle_release_thread(push.ring));
        thread = start(one_push, &push);
        wait_until_asleep(push.ring, 1);
        OK(turtle_close(push.ring));
        join(thread);
        EQUAL(push.status, TURTLE_CLOSED);
        turtle_free(pop.ring);
        turtle_free(push.ring);
    }
}

static void an_element_wakes_who_waits_for_it(void) {
    size_t e;
    for (e = 0; e < ENGINES; e++) {
        job j;
        pthread_t thread;
        uint64_t x = 42;
        memset(&j, 0, sizeof j);
        j.ring = ring_of(engines[e], 1, sizeof(uint64_t));
        thread = start(one_pop, &j);
        wait_until_asleep(j.ring, 1);
        OK(turtle_try_push(j.ring, &x));
        join(thread);
        EQUAL(j.status, TURTLE_OK);
        EQUAL(j.sum, 42);
        turtle_free(j.ring);
    }
}

static void *try_both_sides(void *argument) {
    job *j = (job *)argument;
    uint64_t x = 9;
    j->status = turtle_try_push(j->ring, &x);
    j->sum = (uint64_t)(int64_t)turtle_try_pop(j->ring, &x);
    return NULL;
}

static void spsc_sides_belong_to_the_first_thread_until_it_lets_go(void) {
    job j;
    uint64_t x = 1;
    memset(&j, 0, sizeof j);
    j.ring = ring_of(TURTLE_SPSC, 4, sizeof(uint64_t));
    OK(turtle_try_push(j.ring, &x));
    OK(turtle_try_pop(j.ring, &x));
    join(start(try_both_sides, &j));
    EQUAL(j.status, TURTLE_ERR_NO_HANDLE);
    EQUAL((int64_t)j.sum, TURTLE_ERR_NO_HANDLE);
    OK(turtle_release_thread(j.ring));
    join(start(try_both_sides, &j));
    EQUAL(j.status, TURTLE_OK);
    EQUAL(j.sum, TURTLE_OK);
    /* That thread has ended, so its sides are free again, without a word. */
    OK(turtle_try_push(j.ring, &x));
    OK(turtle_try_pop(j.ring, &x));
    turtle_free(j.ring);
}

static void *leave_without_a_word(void *argument) {
    uint64_t x = 1;
    turtle_buffer *ring = *(turtle_buffer **)argument;
    OK(turtle_try_push(ring, &x));
    turtle_free(ring); /* frees it while this thread owns a side: its end must not touch the ring */
    return NULL;
}

static void a_ring_may_be_freed_by_the_thread_that_owns_a_side(void) {
    turtle_buffer *ring = ring_of(TURTLE_SPSC, 4, sizeof(uint64_t));
    join(start(leave_without_a_word, &ring));
}

static void *fail_here(void *argument) {
    (void)argument;
    EQUAL(strlen(turtle_last_error()), 0);
    EQUAL(turtle_unlink("/turtle-ctest-never-there"), TURTLE_ERR_NOT_FOUND);
    CHECK(strlen(turtle_last_error()) > 0);
    return NULL;
}

static void errors_are_told_to_the_thread_that_made_them(void) {
    char before[256];
    uint64_t x = 0;
    EQUAL(turtle_try_push(NULL, &x), TURTLE_ERR_INVALID);
    snprintf(before, sizeof before, "%s", turtle_last_error());
    join(start(fail_here, NULL));
    EQUAL(strcmp(before, turtle_last_error()), 0);
}

static int readable(int fd, int milliseconds) {
    struct pollfd poll_fd;
    poll_fd.fd = fd;
    poll_fd.events = POLLIN;
    poll_fd.revents = 0;
    return poll(&poll_fd, 1, milliseconds) == 1 && (poll_fd.revents & POLLIN);
}

static void *drain_by_poll(void *argument) {
    job *j = (job *)argument;
    int fd = (int)j->from;
    for (;;) {
        uint64_t x;
        turtle_status status;
        CHECK(readable(fd, 20000)); /* a lost signal ends here */
        while ((status = turtle_try_pop(j->ring, &x)) == TURTLE_OK) {
            j->sum += x;
            j->count++;
        }
        if (status == TURTLE_CLOSED) {
            return NULL;
        }
        CHECK(status == TURTLE_EMPTY || status == TURTLE_BUSY);
    }
}

/* Whether the answer TURTLE_EMPTY makes it quiet. That of a shared ring is readable again 10 ms later, and this process
 * may have been slow in between. */
static int quiet(turtle_buffer *ring, int fd) {
    uint64_t x;
    int i;
    for (i = 0; i < 1000; i++) {
        EQUAL(turtle_try_pop(ring, &x), TURTLE_EMPTY);
        if (!readable(fd, 0)) {
            return 1;
        }
    }
    return 0;
}

static void poll_over(uint32_t strategy, const char *path) {
    turtle_options options = options_for(strategy, 8, sizeof(uint64_t));
    job j;
    uint64_t x = 1, n = 2000 / (uint64_t)scale;
    int fd = -1, again = -1;
    pthread_t thread;
    memset(&j, 0, sizeof j);
    options.path = path;
    j.ring = open_or_fail(&options);
    OK(turtle_event_fd(j.ring, &fd));
    OK(turtle_event_fd(j.ring, &again));
    EQUAL(fd, again);
    CHECK(fd >= 0);
    CHECK(quiet(j.ring, fd));
    OK(turtle_push(j.ring, &x, LONG_NS));
    CHECK(readable(fd, 20000));
    OK(turtle_try_pop(j.ring, &x));
    CHECK(quiet(j.ring, fd));
    OK(turtle_release_thread(j.ring));
    j.from = (uint64_t)fd;
    thread = start(drain_by_poll, &j);
    for (x = 0; x < n; x++) {
        OK(turtle_push(j.ring, &x, LONG_NS));
    }
    OK(turtle_close(j.ring));
    join(thread);
    EQUAL(j.count, n);
    EQUAL(j.sum, n * (n - 1) / 2);
    CHECK(readable(fd, 20000)); /* a closed ring stays readable: nobody waits for nothing */
    turtle_free(j.ring);
}

static void poll_tells_of_elements(void) {
    poll_over(TURTLE_TURN, NULL);
    poll_over(TURTLE_SPSC, NULL);
    poll_over(TURTLE_TURN, fresh_name("event"));
    poll_over(TURTLE_SPSC, fresh_name("event1"));
}

const test_case thread_tests[] = {
    {"nothing_is_lost_between_threads", nothing_is_lost_between_threads},
    {"interrupt_ends_waits_once", interrupt_ends_waits_once},
    {"closing_wakes_everybody", closing_wakes_everybody},
    {"an_element_wakes_who_waits_for_it", an_element_wakes_who_waits_for_it},
    {"spsc_sides_belong_to_the_first_thread_until_it_lets_go", spsc_sides_belong_to_the_first_thread_until_it_lets_go},
    {"a_ring_may_be_freed_by_the_thread_that_owns_a_side", a_ring_may_be_freed_by_the_thread_that_owns_a_side},
    {"errors_are_told_to_the_thread_that_made_them", errors_are_told_to_the_thread_that_made_them},
    {"poll_tells_of_elements", poll_tells_of_elements},
    {NULL, NULL},
};
