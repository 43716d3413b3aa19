/* Shared memory between processes that share nothing else, and what a fork does to rings. */
#include "check.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

/* The other process: "push NAME STRATEGY N" attaches, pushes 0..N-1 and ends; "hold NAME" takes spsc's producer, says
 * so by an element, and waits to be killed. */
int child_main(int argc, char **argv) {
    turtle_options options;
    turtle_buffer *ring;
    uint64_t x, n;
    CHECK(argc >= 3);
    alarm(100);
    options = options_for((uint32_t)strtoul(argv[2], NULL, 10), 0, 0);
    options.path = argv[1];
    options.flags = TURTLE_ATTACH;
    ring = open_or_fail(&options);
    EQUAL(stats_of(ring).elem_size, sizeof x);
    if (strcmp(argv[0], "hold") == 0) {
        x = 77;
        OK(turtle_push(ring, &x, LONG_NS));
        for (;;) {
            pause();
        }
    }
    CHECK(argc == 4);
    n = strtoull(argv[3], NULL, 10);
    for (x = 0; x < n; x++) {
        OK(turtle_push(ring, &x, LONG_NS));
    }
    OK(turtle_close(ring));
    turtle_free(ring);
    return 0;
}

static pid_t child(const char *what, const char *name, uint32_t strategy, uint64_t n) {
    char number[16], count[32];
    pid_t pid;
    snprintf(number, sizeof number, "%u", (unsigned)strategy);
    snprintf(count, sizeof count, "%llu", (unsigned long long)n);
    pid = fork();
    CHECK(pid >= 0);
    if (pid == 0) {
        execl(program, program, "child", what, name, number, count, (char *)NULL);
        _exit(127);
    }
    return pid;
}

static int end_of(pid_t pid) {
    int status = 0;
    while (waitpid(pid, &status, 0) < 0) {
        CHECK(errno == EINTR);
    }
    return status;
}

static void another_program_pushes_and_this_one_pops(void) {
    size_t e;
    for (e = 0; e < ENGINES; e++) {
        turtle_options options = options_for(engines[e], 16, sizeof(uint64_t));
        turtle_buffer *ring;
        uint64_t n = 20000 / (uint64_t)scale, x, expected = 0;
        turtle_status status;
        pid_t pid;
        options.path = fresh_name(e ? "other" : "shared");
        options.flags = TURTLE_CREATE | TURTLE_EXCLUSIVE;
        ring = open_or_fail(&options);
        EQUAL(stats_of(ring).is_shared, 1);
        pid = child("push", options.path, engines[e], n);
        while ((status = turtle_pop(ring, &x, LONG_NS)) == TURTLE_OK) {
            EQUAL(x, expected);
            expected++;
        }
        EQUAL(status, TURTLE_CLOSED);
        EQUAL(expected, n);
        EQUAL(end_of(pid), 0);
        EQUAL(stats_of(ring).pushed, n); /* positions are the ring's, not the process's */
        OK(turtle_unlink(options.path));
        EQUAL(turtle_unlink(options.path), TURTLE_ERR_NOT_FOUND);
        CHECK(turtle_is_closed(ring)); /* still there for who is attached */
        turtle_free(ring);
    }
}

static void names_are_found_refused_and_kept_apart(void) {
    turtle_options options = options_for(TURTLE_TURN, 16, sizeof(uint64_t));
    turtle_buffer *ring, *again, *none = NULL;
    struct stat file;
    char path[128];
    uint64_t x = 3;
    options.path = fresh_name("shared");
    options.flags = TURTLE_ATTACH;
    EQUAL(turtle_open(&options, &none), TURTLE_ERR_NOT_FOUND);
    CHECK(error_says(options.path));
    options.flags = TURTLE_CREATE | TURTLE_EXCLUSIVE;
    ring = open_or_fail(&options);
    snprintf(path, sizeof path, "/dev/shm%s", options.path);
    EQUAL(stat(path, &file), 0);
    EQUAL(file.st_mode & 0777, 0600);
    EQUAL(turtle_open(&options, &none), TURTLE_ERR_EXISTS);
    options.flags = 0;
    options.capacity = 17;
    EQUAL(turtle_open(&options, &none), TURTLE_ERR_MISMATCH);
    CHECK(error_says("16") && error_says("17"));
    options.capacity = 16;
    options.elem_size = 4;
    EQUAL(turtle_open(&options, &none), TURTLE_ERR_MISMATCH);
    options.elem_size = 8;
    options.strategy = TURTLE_SPSC;
    EQUAL(turtle_open(&options, &none), TURTLE_ERR_MISMATCH);
    CHECK(error_says("turn") && error_says("spsc"));
    options.strategy = TURTLE_TURN;
    options.flags = TURTLE_RECORDS;
    EQUAL(turtle_open(&options, &none), TURTLE_ERR_MISMATCH);
    CHECK(none == NULL);
    /* Whatever is there: strategy, capacity and element come from the ring. */
    options = options_for(TURTLE_ANY, 0, 0);
    options.path = path + strlen("/dev/shm");
    options.flags = TURTLE_ATTACH;
    again = open_or_fail(&options);
    EQUAL(turtle_capacity(again), 16);
    EQUAL(stats_of(again).strategy, TURTLE_TURN);
    OK(turtle_try_push(ring, &x));
    x = 0;
    OK(turtle_try_pop(again, &x));
    EQUAL(x, 3);
    turtle_free(ring);
    turtle_free(again);
    OK(turtle_unlink(options.path));
}

static void records_attach_by_themselves(void) {
    turtle_options options = options_for(TURTLE_SPSC, 4, 100);
    turtle_buffer *ring, *again;
    char out[100];
    size_t len = 0;
    options.path = fresh_name("shared");
    options.flags = TURTLE_RECORDS;
    options.mode = 0640;
    ring = open_or_fail(&options);
    options.strategy = TURTLE_ANY;
    options.elem_size = 0;
    options.capacity = 0;
    options.flags = TURTLE_ATTACH;
    again = open_or_fail(&options);
    EQUAL(stats_of(again).flags, TURTLE_RECORDS);
    EQUAL(stats_of(again).elem_size, 100);
    EQUAL(stats_of(again).strategy, TURTLE_SPSC);
    OK(turtle_push_record(ring, "record", 6, 0));
    OK(turtle_pop_record(again, out, sizeof out, &len, LONG_NS));
    EQUAL(len, 6);
    turtle_free(ring);
    turtle_free(again);
}

static void files_that_are_no_rings_are_refused(void) {
    turtle_options options = options_for(TURTLE_TURN, 16, 8);
    turtle_buffer *none = NULL;
    char path[128], junk[8192];
    int fd;
    options.path = fresh_name("other");
    snprintf(path, sizeof path, "/dev/shm%s", options.path);
    fd = open(path, O_CREAT | O_RDWR | O_EXCL, 0600);
    CHECK(fd >= 0);
    memset(junk, 0x5a, sizeof junk);
    EQUAL(write(fd, junk, sizeof junk), sizeof junk);
    EQUAL(turtle_open(&options, &none), TURTLE_ERR_CORRUPT);
    EQUAL(ftruncate(fd, 0), 0);
    EQUAL(turtle_open(&options, &none), TURTLE_ERR_CORRUPT);
    CHECK(none == NULL);
    EQUAL(close(fd), 0);
    OK(turtle_unlink(options.path));
}

static void a_killed_owner_leaves_its_side_free(void) {
    turtle_options options = options_for(TURTLE_SPSC, 4, sizeof(uint64_t));
    turtle_buffer *ring;
    turtle_producer *producer = NULL;
    uint64_t x = 0;
    pid_t pid;
    options.path = fresh_name("kill");
    ring = open_or_fail(&options);
    pid = child("hold", options.path, TURTLE_SPSC, 0);
    OK(turtle_pop(ring, &x, LONG_NS));
    EQUAL(x, 77);
    EQUAL(turtle_try_push(ring, &x), TURTLE_ERR_NO_HANDLE); /* the other process has it */
    EQUAL(kill(pid, SIGKILL), 0);
    CHECK(WIFSIGNALED(end_of(pid)));
    OK(turtle_producer_new(ring, &producer));
    OK(turtle_producer_try_push(producer, &x));
    turtle_producer_free(producer);
    OK(turtle_try_pop(ring, &x));
    turtle_free(ring);
}

static void count_drop(void *elem, void *ctx) {
    (void)elem;
    ++*(int *)ctx;
}

/* Kept for the leak checkers: a child that frees its parent's ring leaves the memory alone. */
static turtle_buffer *volatile parents_ring[ENGINES];
static turtle_producer *volatile parents_producer[ENGINES];

static void a_forked_child_leaves_private_rings_alone(void) {
    size_t e;
    for (e = 0; e < ENGINES; e++) {
        turtle_options options = options_for(engines[e], 4, sizeof(uint64_t));
        turtle_buffer *ring;
        turtle_producer *producer, *none = NULL;
        uint64_t x = 1;
        size_t done = 0;
        int drops = 0, fd;
        pid_t pid;
        void *slot;
        const void *lent;
        turtle_stats stats;
        options.drop = count_drop;
        options.drop_ctx = &drops;
        ring = open_or_fail(&options);
        OK(turtle_producer_new(ring, &producer));
        OK(turtle_producer_try_push(producer, &x));
        parents_ring[e] = ring;
        parents_producer[e] = producer;
        pid = fork();
        if (pid == 0) {
            EQUAL(turtle_try_push(ring, &x), TURTLE_ERR_INVALID);
            CHECK(error_says("forked"));
            EQUAL(turtle_try_pop(ring, &x), TURTLE_ERR_INVALID);
            EQUAL(turtle_push(ring, &x, TURTLE_FOREVER), TURTLE_ERR_INVALID);
            EQUAL(turtle_pop(ring, &x, TURTLE_FOREVER), TURTLE_ERR_INVALID);
            EQUAL(turtle_try_push_n(ring, &x, 1, &done), TURTLE_ERR_INVALID);
            EQUAL(turtle_pop_n(ring, &x, 1, TURTLE_FOREVER, &done), TURTLE_ERR_INVALID);
            EQUAL(turtle_claim(ring, &slot), TURTLE_ERR_INVALID);
            EQUAL(turtle_peek(ring, &lent), TURTLE_ERR_INVALID);
            EQUAL(turtle_producer_try_push(producer, &x), TURTLE_ERR_INVALID);
            EQUAL(turtle_producer_new(ring, &none), TURTLE_ERR_INVALID);
            EQUAL(turtle_close(ring), TURTLE_ERR_INVALID);
            EQUAL(turtle_interrupt(ring), TURTLE_ERR_INVALID);
            EQUAL(turtle_release_thread(ring), TURTLE_ERR_INVALID);
            EQUAL(turtle_event_fd(ring, &fd), TURTLE_ERR_INVALID);
            stats.struct_size = sizeof stats;
            EQUAL(turtle_get_stats(ring, &stats), TURTLE_ERR_INVALID);
            turtle_producer_free(producer);
            turtle_free(ring);
            EQUAL(drops, 0); /* the elements are the parent's */
            ring = ring_of(engines[e], 4, sizeof(uint64_t)); /* its own rings work */
            OK(turtle_try_push(ring, &x));
            OK(turtle_try_pop(ring, &x));
            turtle_free(ring);
            _exit(0); /* without the leak check: what is the parent's stays */
        }
        EQUAL(end_of(pid), 0);
        CHECK(!turtle_is_closed(ring));
        turtle_producer_free(producer);
        turtle_free(ring);
        EQUAL(drops, 1);
    }
}

static void a_forked_child_goes_on_with_shared_rings(void) {
    turtle_options options = options_for(TURTLE_TURN, 4, sizeof(uint64_t));
    turtle_buffer *ring;
    uint64_t x = 0;
    pid_t pid;
    options.path = fresh_name("fork");
    ring = open_or_fail(&options);
    pid = fork();
    if (pid == 0) {
        x = 5;
        OK(turtle_push(ring, &x, LONG_NS));
        turtle_free(ring);
        _exit(0);
    }
    OK(turtle_pop(ring, &x, LONG_NS));
    EQUAL(x, 5);
    EQUAL(end_of(pid), 0);
    turtle_free(ring);
}

static void a_forked_child_does_not_inherit_spsc_sides(void) {
    turtle_options options = options_for(TURTLE_SPSC, 4, sizeof(uint64_t));
    turtle_buffer *ring;
    turtle_consumer *consumer;
    uint64_t x = 1;
    pid_t pid;
    options.path = fresh_name("fork");
    ring = open_or_fail(&options);
    OK(turtle_consumer_new(ring, &consumer));
    OK(turtle_try_push(ring, &x));
    pid = fork();
    if (pid == 0) {
        EQUAL(turtle_try_push(ring, &x), TURTLE_ERR_NO_HANDLE);
        EQUAL(turtle_try_push(ring, &x), TURTLE_ERR_NO_HANDLE);
        EQUAL(turtle_consumer_try_pop(consumer, &x), TURTLE_ERR_NO_HANDLE);
        EQUAL(turtle_try_pop(ring, &x), TURTLE_ERR_NO_HANDLE);
        _exit(0);
    }
    EQUAL(end_of(pid), 0);
    OK(turtle_consumer_try_pop(consumer, &x)); /* the parent's are as they were */
    OK(turtle_try_push(ring, &x));
    turtle_consumer_free(consumer);
    turtle_free(ring);
}

const test_case process_tests[] = {
    {"another_program_pushes_and_this_one_pops", another_program_pushes_and_this_one_pops},
    {"names_are_found_refused_and_kept_apart", names_are_found_refused_and_kept_apart},
    {"records_attach_by_themselves", records_attach_by_themselves},
    {"files_that_are_no_rings_are_refused", files_that_are_no_rings_are_refused},
    {"a_killed_owner_leaves_its_side_free", a_killed_owner_leaves_its_side_free},
    {"a_forked_child_leaves_private_rings_alone", a_forked_child_leaves_private_rings_alone},
    {"a_forked_child_goes_on_with_shared_rings", a_forked_child_goes_on_with_shared_rings},
    {"a_forked_child_does_not_inherit_spsc_sides", a_forked_child_does_not_inherit_spsc_sides},
    {NULL, NULL},
};
