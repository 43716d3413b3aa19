/* Arguments at random: whatever they are, a call answers. The sequence is the same in every run. */
#include "check.h"

static uint64_t state;

/* xorshift64*, Marsaglia's with Vigna's multiplier (ACM TOMS 42, 2016). */
static uint64_t draw(void) {
    state ^= state >> 12;
    state ^= state << 25;
    state ^= state >> 27;
    return state * UINT64_C(2685821657736338717);
}

static uint64_t below(uint64_t n) { return draw() % n; }

enum { ROOM = 4096, RINGS = 4, REMEMBERED = 8 };
static unsigned char room[ROOM + 64];
static void *remembered[REMEMBERED]; /* slots that were lent once */

/* Sizes of interest: small, at limits, absurd; never one that could be had and would take long to fill. */
static size_t some_size(void) {
    static const size_t sizes[] = {0, 1, 2, 3, 7, 8, 16, 63, 64, 100, 16777216, 16777217, SIZE_MAX, SIZE_MAX - 1,
                                   SIZE_MAX / 2, SIZE_MAX / 16, (size_t)1 << 48, 4096, 4097};
    return sizes[below(sizeof sizes / sizeof sizes[0])];
}

static uint64_t some_time(void) {
    static const uint64_t times[] = {0, 0, 0, 0, 0, 1, 1000};
    return times[below(sizeof times / sizeof times[0])];
}

/* Memory that a call may read and write, null, or an address that is no slot. */
static void *some_memory(void) { return below(8) == 0 ? NULL : room + below(32); }

static void *some_slot(const turtle_buffer *const *rings) {
    switch (below(5)) {
    case 0:
        return NULL;
    case 1:
        return (void *)(uintptr_t)draw(); /* anywhere: only compared, never followed */
    case 2:
        return (void *)((uintptr_t)rings[below(RINGS)] + (uintptr_t)below(8192) - 4096);
    case 3:
        return (void *)((uintptr_t)remembered[below(REMEMBERED)] + (uintptr_t)below(64) - 32);
    default:
        return remembered[below(REMEMBERED)];
    }
}

static size_t *some_out(size_t *out) {
    uint64_t kind = below(8);
    return kind == 0 ? NULL : kind == 1 ? (size_t *)((uintptr_t)out + 1) : out;
}

static void remember(void *slot) { remembered[below(REMEMBERED)] = slot; }

static void legal(turtle_status status) { CHECK(status >= TURTLE_ERR_EXISTS && status <= TURTLE_INTERRUPTED); }

static void one_call(turtle_buffer **rings) {
    turtle_buffer *ring = below(16) == 0 ? NULL : rings[below(RINGS)];
    size_t out[2] = {0, 0};
    void *slot = NULL;
    const void *lent = NULL;
    switch (below(18)) {
    case 0:
        legal(turtle_try_push(ring, some_memory()));
        break;
    case 1:
        legal(turtle_try_pop(ring, some_memory()));
        break;
    case 2:
        legal(turtle_push(ring, some_memory(), some_time()));
        break;
    case 3:
        legal(turtle_pop(ring, some_memory(), some_time()));
        break;
    case 4: /* a ring never takes more elements than it has slots, and all of them fit into the room */
        legal(turtle_try_push_n(ring, some_memory(), some_size(), some_out(out)));
        break;
    case 5:
        legal(turtle_pop_n(ring, some_memory(), some_size(), some_time(), some_out(out)));
        break;
    case 6:
        legal(turtle_push_record(ring, room, below(2) ? some_size() : below(80), some_time()));
        break;
    case 7: /* the room is as large as the largest record */
        legal(turtle_pop_record(ring, some_memory(), some_size(), some_out(out), some_time()));
        break;
    case 8:
    case 9:
        if (turtle_claim(ring, below(8) ? &slot : NULL) == TURTLE_OK) {
            remember(slot);
        }
        break;
    case 10:
        legal(turtle_commit(ring, some_slot((const turtle_buffer *const *)rings)));
        break;
    case 11:
        legal(turtle_commit_record(ring, some_slot((const turtle_buffer *const *)rings), below(2) ? some_size() : below(80)));
        break;
    case 12:
        legal(turtle_abandon(ring, some_slot((const turtle_buffer *const *)rings)));
        break;
    case 13:
        if (turtle_peek_record(ring, below(8) ? &lent : NULL, some_out(out)) == TURTLE_OK) {
            remember((void *)(uintptr_t)lent);
        }
        break;
    case 14:
    case 15:
        legal(turtle_release(ring, some_slot((const turtle_buffer *const *)rings)));
        break;
    case 16: {
        turtle_stats stats;
        stats.struct_size = below(3) ? sizeof stats : below(sizeof stats + 1);
        legal(turtle_get_stats(ring, &stats));
        break;
    }
    default:
        CHECK(turtle_len(ring) <= turtle_capacity(ring) || ring == NULL);
        CHECK(strlen(turtle_status_str((turtle_status)draw())) > 0);
        legal(turtle_release_thread(ring));
        break;
    }
}

static void random_arguments_are_answered(void) {
    turtle_buffer *rings[RINGS];
    uint64_t calls = 100000 / (uint64_t)scale, i;
    size_t r;
    state = UINT64_C(0x7475727469657321);
    for (r = 0; r < RINGS; r++) {
        rings[r] = NULL;
    }
    for (i = 0; i < calls; i++) {
        if (i % 1000 == 0) { /* leaked claims and takes clog a ring: new ones now and then */
            for (r = 0; r < RINGS; r++) {
                turtle_options options = options_for(engines[r % ENGINES], 1 + below(12), 1 + below(64));
                options.flags = r < 2 ? 0 : TURTLE_RECORDS;
                turtle_free(rings[r]);
                rings[r] = open_or_fail(&options);
            }
            for (r = 0; r < REMEMBERED; r++) {
                remembered[r] = NULL; /* addresses of a ring that is gone may be those of a new one */
            }
        }
        one_call(rings);
    }
    for (r = 0; r < RINGS; r++) {
        turtle_free(rings[r]);
    }
}

static void random_options_are_answered(void) {
    uint64_t calls = 20000 / (uint64_t)scale, i, opened = 0;
    char name[64];
    snprintf(name, sizeof name, "%s", fresh_name("fuzz"));
    state = UINT64_C(0x6f7074696f6e7321);
    for (i = 0; i < calls; i++) {
        const char *const paths[] = {NULL, NULL, NULL, name, "", "/", "x", "a.b", "/x/y", "/\x01\xff", "//", "/.", "/.."};
        turtle_options options;
        turtle_buffer *ring = NULL;
        turtle_status status;
        memset(&options, 0, sizeof options);
        options.struct_size = below(4) ? sizeof options : below(sizeof options + 9);
        if (options.struct_size > sizeof options) {
            options.struct_size = SIZE_MAX - below(100); /* a size that the memory has not */
        }
        options.strategy = below(3) ? (uint32_t)below(3) : (uint32_t)draw();
        options.flags = below(3) ? (uint32_t)below(16) : (uint32_t)draw();
        options.durability = below(8) ? 0 : (uint32_t)below(5);
        options.max_threads = below(16) ? (uint32_t)below(100) : (uint32_t)draw();
        options.capacity = below(2) ? below(20) : some_size();
        options.elem_size = below(2) ? below(40) : some_size();
        options.elem_align = below(2) ? (size_t)1 << below(14) : some_size();
        options.path = paths[below(sizeof paths / sizeof paths[0])];
        options.mode = below(4) ? 0 : (uint32_t)draw();
        if (options.mode) {
            options.mode |= 0600;
        }
        options.patience = below(2) ? 0 : (uint32_t)draw();
        if (options.elem_size > 4096 && options.elem_size <= 16777216 && options.capacity > 2) {
            options.capacity = 2; /* legal, and a third of a gigabyte */
        }
        if (options.capacity > 20 && options.capacity <= 16777217) {
            options.capacity = 64;
        }
        status = turtle_open(&options, &ring);
        legal(status);
        CHECK((status == TURTLE_OK) == (ring != NULL));
        if (status == TURTLE_OK) {
            opened++;
            CHECK(turtle_capacity(ring) > 0);
            turtle_free(ring);
        } else {
            CHECK(strlen(turtle_last_error()) > 10);
        }
        if (below(20) == 0) {
            legal(turtle_unlink(paths[below(sizeof paths / sizeof paths[0])]));
        }
    }
    CHECK(opened > calls / 100); /* otherwise only refusals were tested */
}

const test_case fuzz_tests[] = {
    {"random_arguments_are_answered", random_arguments_are_answered},
    {"random_options_are_answered", random_options_are_answered},
    {NULL, NULL},
};
