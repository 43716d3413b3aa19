/* Runs the tests: PREFIX names the variant in the output. With "child ..." it is a process of a test instead. */
#include "check.h"

#include <errno.h>
#include <sched.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

int child_main(int argc, char **argv);

int scale = 1;
const char *program;
static char unlink_at_end[8][64];
static int names;

enum { PASSED = 0, FAILED = 1, SKIPPED = 77, SECONDS = 120 };

void failed(const char *file, int line, const char *what, long long got, long long wanted) {
    fflush(stdout);
    fprintf(stderr, "%s:%d: %s is %lld, expected %lld; last error: %s\n", file, line, what, got, wanted,
            turtle_last_error());
    _exit(FAILED);
}

void skip(const char *reason) {
    printf("SKIP: %s\n", reason);
    fflush(stdout);
    _exit(SKIPPED);
}

turtle_options options_for(uint32_t strategy, size_t capacity, size_t elem_size) {
    turtle_options options;
    OK(turtle_options_init(&options));
    options.strategy = strategy;
    options.capacity = capacity;
    options.elem_size = elem_size;
    return options;
}

turtle_buffer *open_or_fail(const turtle_options *options) {
    turtle_buffer *ring = NULL;
    OK(turtle_open(options, &ring));
    CHECK(ring != NULL);
    return ring;
}

turtle_buffer *ring_of(uint32_t strategy, size_t capacity, size_t elem_size) {
    turtle_options options = options_for(strategy, capacity, elem_size);
    return open_or_fail(&options);
}

int error_says(const char *word) { return strstr(turtle_last_error(), word) != NULL; }

turtle_stats stats_of(const turtle_buffer *ring) {
    turtle_stats stats;
    memset(&stats, 0, sizeof stats);
    stats.struct_size = sizeof stats;
    OK(turtle_get_stats(ring, &stats));
    return stats;
}

pthread_t start(void *(*body)(void *), void *argument) {
    pthread_t thread;
    EQUAL(pthread_create(&thread, NULL, body, argument), 0);
    return thread;
}

void *join(pthread_t thread) {
    void *result = NULL;
    EQUAL(pthread_join(thread, &result), 0);
    return result;
}

void wait_until_asleep(const turtle_buffer *ring, uint64_t waits) {
    while (stats_of(ring).waits < waits) {
        sched_yield();
    }
}

const char *fresh_name(const char *what) {
    char *name = unlink_at_end[names];
    CHECK(names < 8);
    names++;
    snprintf(name, sizeof unlink_at_end[0], "/turtle-ctest-%s-%ld", what, (long)getpid());
    return name;
}

/* In the parent of the test's process: also after a failure nothing is left in shared memory. */
static void unlink_names_of(long pid) {
    static const char *const what[] = {"shared", "other", "kill", "fork", "event", "event1", "fuzz"};
    char name[64];
    size_t i;
    for (i = 0; i < sizeof what / sizeof what[0]; i++) {
        snprintf(name, sizeof name, "/turtle-ctest-%s-%ld", what[i], pid);
        turtle_unlink(name);
    }
}

static int run_one(const test_case *test) {
    int status;
    pid_t pid;
    fflush(NULL);
    pid = fork();
    if (pid == 0) {
        alarm(SECONDS);
        test->run();
        fflush(NULL);
        exit(PASSED);
    }
    while (waitpid(pid, &status, 0) < 0 && errno == EINTR) {
    }
    unlink_names_of((long)pid);
    if (WIFSIGNALED(status)) {
        fprintf(stderr, "%s: ended by signal %d%s\n", test->name, WTERMSIG(status),
                WTERMSIG(status) == SIGALRM ? " (it took too long)" : "");
        return FAILED;
    }
    return WEXITSTATUS(status);
}

int main(int argc, char **argv) {
    const test_case *const lists[] = {options_tests, element_tests, slot_tests, record_tests,
                                      thread_tests,  process_tests, fuzz_tests,   session_tests, history_tests};
    const char *prefix = argc > 1 ? argv[1] : "plain";
    const char *only = argc > 2 ? argv[2] : "";
    int passed = 0, bad = 0;
    size_t i;
    program = argv[0];
    if (getenv("TURTLE_TEST_SCALE")) {
        scale = atoi(getenv("TURTLE_TEST_SCALE"));
    }
    if (argc > 1 && strcmp(argv[1], "child") == 0) {
        return child_main(argc - 2, argv + 2);
    }
    for (i = 0; i < sizeof lists / sizeof lists[0]; i++) {
        const test_case *test;
        for (test = lists[i]; test->name; test++) {
            int result;
            if (!strstr(test->name, only)) {
                continue;
            }
            result = run_one(test);
            if (result == PASSED) {
                printf("PASS: %s: %s\n", prefix, test->name);
                passed++;
            } else if (result != SKIPPED) {
                printf("FAIL: %s: %s\n", prefix, test->name);
                bad++;
            }
            fflush(stdout);
        }
    }
    return bad > 0 || passed == 0;
}
