/* Opening rings: defaults, every option out of range, versions of the struct. */
#include "check.h"

#include <limits.h>

static void defaults_open_a_private_ring(void) {
    turtle_options options;
    turtle_buffer *ring;
    turtle_stats stats;
    OK(turtle_options_init(&options));
    EQUAL(options.struct_size, sizeof options);
    EQUAL(options.strategy, TURTLE_ANY);
    ring = open_or_fail(&options);
    EQUAL(turtle_capacity(ring), 1024);
    EQUAL(turtle_len(ring), 0);
    CHECK(!turtle_is_closed(ring));
    stats = stats_of(ring);
    EQUAL(stats.strategy, TURTLE_WAIT_FREE);
    EQUAL(stats.flags, 0);
    EQUAL(stats.capacity, 1024);
    EQUAL(stats.elem_size, 8);
    EQUAL(stats.elem_align, 8);
    EQUAL(stats.is_shared, 0);
    EQUAL(stats.is_closed, 0);
    turtle_free(ring);
}

static void zeroed_options_with_their_size_will_do(void) {
    turtle_options options;
    turtle_buffer *ring;
    memset(&options, 0, sizeof options);
    options.struct_size = sizeof options;
    options.strategy = TURTLE_SPSC;
    options.capacity = 3;
    options.elem_size = 5;
    ring = open_or_fail(&options);
    EQUAL(turtle_capacity(ring), 3);
    EQUAL(stats_of(ring).strategy, TURTLE_SPSC);
    EQUAL(stats_of(ring).elem_size, 5);
    turtle_free(ring);
}

static void capacities_and_sizes_are_kept_exactly(void) {
    static const size_t capacities[] = {1, 2, 3, 7, 8, 100, 1000};
    static const size_t sizes[] = {1, 3, 8, 16, 24, 64, 65, 4096};
    size_t e, c, s;
    for (e = 0; e < ENGINES; e++) {
        for (c = 0; c < sizeof capacities / sizeof capacities[0]; c++) {
            for (s = 0; s < sizeof sizes / sizeof sizes[0]; s++) {
                turtle_buffer *ring = ring_of(engines[e], capacities[c], sizes[s]);
                EQUAL(turtle_capacity(ring), capacities[c]);
                EQUAL(stats_of(ring).elem_size, sizes[s]);
                turtle_free(ring);
            }
        }
    }
}

static void largest_elements_and_alignments_open(void) {
    turtle_options options = options_for(TURTLE_TURN, 1, 16777216);
    void *slot;
    turtle_buffer *ring;
    options.elem_align = 4096;
    ring = open_or_fail(&options);
    OK(turtle_claim(ring, &slot));
    EQUAL((uintptr_t)slot % 4096, 0);
    memset(slot, 7, 16777216);
    OK(turtle_commit(ring, slot));
    turtle_free(ring);
}

static void refuses(turtle_options options, turtle_status status, const char *word) {
    turtle_buffer *untouched = (turtle_buffer *)&options;
    EQUAL(turtle_open(&options, &untouched), status);
    CHECK(untouched == (turtle_buffer *)&options);
    if (!error_says(word)) {
        fprintf(stderr, "'%s' does not say '%s'\n", turtle_last_error(), word);
        failed(__FILE__, __LINE__, "text", 0, 1);
    }
}

static void every_option_out_of_range_is_refused_with_its_name(void) {
    const turtle_options good = options_for(TURTLE_TURN, 4, 8);
    turtle_options bad;
#define REFUSES(field, value, status, word) (bad = good, bad.field = (value), refuses(bad, (status), (word)))
    REFUSES(capacity, 0, TURTLE_ERR_INVALID, "capacity");
    REFUSES(capacity, SIZE_MAX, TURTLE_ERR_INVALID, "capacity");
    REFUSES(capacity, SIZE_MAX / 2, TURTLE_ERR_INVALID, "capacity");
    REFUSES(elem_size, 0, TURTLE_ERR_INVALID, "elem_size");
    REFUSES(elem_size, 16777217, TURTLE_ERR_INVALID, "elem_size");
    REFUSES(elem_size, SIZE_MAX, TURTLE_ERR_INVALID, "elem_size");
    REFUSES(elem_align, 3, TURTLE_ERR_INVALID, "elem_align");
    REFUSES(elem_align, 8192, TURTLE_ERR_INVALID, "elem_align");
    REFUSES(strategy, 99, TURTLE_ERR_UNSUPPORTED, "strategy 99");
    REFUSES(strategy, UINT32_MAX - 1, TURTLE_ERR_UNSUPPORTED, "turn");
    REFUSES(flags, 16, TURTLE_ERR_INVALID, "0x10");
    REFUSES(flags, TURTLE_ATTACH, TURTLE_ERR_INVALID, "path");
    REFUSES(flags, TURTLE_EXCLUSIVE, TURTLE_ERR_INVALID, "TURTLE_CREATE");
    REFUSES(durability, TURTLE_SYNC, TURTLE_ERR_UNSUPPORTED, "persistent");
    REFUSES(durability, 3, TURTLE_ERR_INVALID, "durability");
    REFUSES(mode, 010000, TURTLE_ERR_INVALID, "mode");
    REFUSES(max_threads, 65537, TURTLE_ERR_INVALID, "max_threads");
    REFUSES(max_threads, UINT32_MAX, TURTLE_ERR_INVALID, "65536");
    REFUSES(path, "", TURTLE_ERR_INVALID, "name");
    REFUSES(path, "ticks", TURTLE_ERR_INVALID, "slash");
    REFUSES(path, "/", TURTLE_ERR_INVALID, "slash");
    REFUSES(path, "./ticks.ring", TURTLE_ERR_UNSUPPORTED, "persistent");
    REFUSES(path, "/a/b", TURTLE_ERR_UNSUPPORTED, "persistent");
    REFUSES(path, "/\xff\xfe", TURTLE_ERR_INVALID, "UTF-8");
#undef REFUSES
}

static void strategies_have_numbers_and_names(void) {
    uint32_t number = 0;
    EQUAL(strcmp(turtle_strategy_name(TURTLE_TURN), "turn"), 0);
    EQUAL(strcmp(turtle_strategy_name(TURTLE_SPSC), "spsc"), 0);
    for (; turtle_strategy_name(number); number++) {
        turtle_options options = options_for(number, 4, 8);
        turtle_buffer *ring = open_or_fail(&options);
        EQUAL(stats_of(ring).strategy, number);
        turtle_free(ring);
    }
    CHECK(number >= 2);
    CHECK(turtle_strategy_name(TURTLE_ANY) == NULL);
}

static void structs_of_other_versions_are_read(void) {
    struct {
        turtle_options known;
        uint64_t unknown[4];
    } newer;
    turtle_buffer *ring;
    memset(&newer, 0, sizeof newer);
    newer.known = options_for(TURTLE_TURN, 4, 8);
    newer.known.struct_size = sizeof newer;
    ring = open_or_fail(&newer.known);
    turtle_free(ring);
    newer.unknown[3] = 1;
    ring = NULL;
    EQUAL(turtle_open(&newer.known, &ring), TURTLE_ERR_UNSUPPORTED);
    CHECK(error_says("not zero"));
    /* Older: the fields from `mode` on do not exist for the caller. */
    newer.known.struct_size = offsetof(turtle_options, mode);
    newer.known.mode = 0xffffffff;
    newer.known.patience = 0xffffffff;
    ring = open_or_fail(&newer.known);
    turtle_free(ring);
}

static void sizes_that_cannot_be_are_refused(void) {
    static const size_t wild[] = {0, 4, 7, 12, 4104, SIZE_MAX, SIZE_MAX - 7};
    size_t i;
    for (i = 0; i < sizeof wild / sizeof wild[0]; i++) {
        turtle_options options = options_for(TURTLE_TURN, 4, 8);
        options.struct_size = wild[i];
        refuses(options, TURTLE_ERR_INVALID, "turtle_options_init");
    }
}

static void null_and_misaligned_pointers_are_refused(void) {
    turtle_options options = options_for(TURTLE_TURN, 4, 8);
    char room[sizeof options + 8];
    char *odd = room;
    turtle_buffer *ring = NULL;
    while ((uintptr_t)odd % 8 != 1) {
        odd++;
    }
    EQUAL(turtle_options_init(NULL), TURTLE_ERR_INVALID);
    CHECK(error_says("turtle_options"));
    EQUAL(turtle_options_init((turtle_options *)(void *)odd), TURTLE_ERR_INVALID);
    EQUAL(turtle_open(NULL, &ring), TURTLE_ERR_INVALID);
    EQUAL(turtle_open((turtle_options *)(void *)odd, &ring), TURTLE_ERR_INVALID);
    EQUAL(turtle_open(&options, NULL), TURTLE_ERR_INVALID);
    EQUAL(turtle_open(&options, (turtle_buffer **)(void *)odd), TURTLE_ERR_INVALID);
    CHECK(ring == NULL);
    EQUAL(turtle_unlink(NULL), TURTLE_ERR_INVALID);
    turtle_free(NULL);
}

static void texts_are_there_for_every_status(void) {
    int status;
    for (status = -12; status <= 6; status++) {
        CHECK(strlen(turtle_status_str(status)) > 3);
        CHECK(strcmp(turtle_status_str(status), "unknown status") != 0);
    }
    EQUAL(strcmp(turtle_status_str(INT_MAX), "unknown status"), 0);
    EQUAL(strcmp(turtle_status_str(INT_MIN), "unknown status"), 0);
}

static void header_and_library_are_of_one_version(void) {
    char version[64];
    snprintf(version, sizeof version, "%d.%d.%d", TURTLE_VERSION_MAJOR, TURTLE_VERSION_MINOR, TURTLE_VERSION_PATCH);
    EQUAL(strcmp(turtle_version(), TURTLE_VERSION), 0);
    EQUAL(strcmp(turtle_version(), version), 0);
}

static void stats_of_other_versions_are_written(void) {
    struct {
        turtle_stats known;
        uint64_t unknown[2];
    } newer;
    turtle_buffer *ring = ring_of(TURTLE_TURN, 4, 8);
    uint64_t x = 1;
    OK(turtle_try_push(ring, &x));
    memset(&newer, 0xff, sizeof newer);
    newer.known.struct_size = sizeof newer;
    OK(turtle_get_stats(ring, &newer.known));
    EQUAL(newer.known.struct_size, sizeof newer);
    EQUAL(newer.known.pushed, 1);
    EQUAL(newer.unknown[0] + newer.unknown[1], 0);
    memset(&newer, 0xff, sizeof newer);
    newer.known.struct_size = offsetof(turtle_stats, popped);
    OK(turtle_get_stats(ring, &newer.known));
    EQUAL(newer.known.pushed, 1);
    EQUAL(newer.known.popped, UINT64_MAX); /* beyond what the caller knows: untouched */
    newer.known.struct_size = 0;
    EQUAL(turtle_get_stats(ring, &newer.known), TURTLE_ERR_INVALID);
    CHECK(error_says("turtle_stats"));
    EQUAL(turtle_get_stats(ring, NULL), TURTLE_ERR_INVALID);
    EQUAL(turtle_get_stats(NULL, &newer.known), TURTLE_ERR_INVALID);
    turtle_free(ring);
}

const test_case options_tests[] = {
    {"defaults_open_a_private_ring", defaults_open_a_private_ring},
    {"zeroed_options_with_their_size_will_do", zeroed_options_with_their_size_will_do},
    {"capacities_and_sizes_are_kept_exactly", capacities_and_sizes_are_kept_exactly},
    {"largest_elements_and_alignments_open", largest_elements_and_alignments_open},
    {"every_option_out_of_range_is_refused_with_its_name", every_option_out_of_range_is_refused_with_its_name},
    {"strategies_have_numbers_and_names", strategies_have_numbers_and_names},
    {"structs_of_other_versions_are_read", structs_of_other_versions_are_read},
    {"sizes_that_cannot_be_are_refused", sizes_that_cannot_be_are_refused},
    {"null_and_misaligned_pointers_are_refused", null_and_misaligned_pointers_are_refused},
    {"texts_are_there_for_every_status", texts_are_there_for_every_status},
    {"header_and_library_are_of_one_version", header_and_library_are_of_one_version},
    {"stats_of_other_versions_are_written", stats_of_other_versions_are_written},
    {NULL, NULL},
};
