/* turtle.h: one bounded FIFO, many engines. Generated from bindings/c; do not edit.
 *
 * SPDX-License-Identifier: MIT OR Apache-2.0
 *
 *   turtle_options options;
 *   turtle_buffer *ring;
 *   uint64_t sum = 0, x;
 *   turtle_options_init(&options);
 *   options.strategy = TURTLE_SPSC;
 *   options.capacity = 64;
 *   if (turtle_open(&options, &ring) != TURTLE_OK) { fputs(turtle_last_error(), stderr); return 1; }
 *   for (x = 1; turtle_try_push(ring, &x) == TURTLE_OK; x++) { }
 *   turtle_close(ring);
 *   while (turtle_pop(ring, &x, TURTLE_FOREVER) == TURTLE_OK) { sum += x; }
 *   turtle_free(ring);
 *
 * Conventions
 *
 * Names.     turtle_try_ never waits; the plain word may wait and takes a time; _n is many, _record is bytes with a length.
 * Units.     Capacity and lengths in elements, sizes in bytes, times in nanoseconds.
 * Status.    0 done, above 0 an everyday outcome, below 0 an error whose text turtle_last_error has.
 *            TURTLE_FULL and TURTLE_EMPTY are exact: true at some moment of the call.
 * Outputs.   Through pointers, written on success only; `done` always; `len` of a record that does not fit, too.
 * Threads.   "any": any number of threads at once. "one at a time": the caller sees to it.
 *            On TURTLE_SPSC the first thread to push (to pop) on a turtle_buffer owns that side, until it calls
 *            turtle_release_thread or ends; others get TURTLE_ERR_NO_HANDLE. A turtle_producer (turtle_consumer) owns
 *            it until it is freed. Strategies that keep a record of each participant have `max_threads` places on each
 *            side: a thread takes one with its first call there, and keeps it likewise.
 * Progress.  What a call may wait for. "always returns": never for another thread. The text at TURTLE_TURN and its
 *            neighbours says what a stopped thread does to others.
 * Pointers.  Null and misaligned ones are errors, not accidents. A dangling one, or memory smaller than promised, is the
 *            caller's.
 * Fork.      In a forked child calls on a private ring answer TURTLE_ERR_INVALID; a shared one goes on working.
 * Panics.    None leaves the library; TURTLE_ERR_PANIC tells of one.
 * Trust.     Whoever may write to a shared ring's memory can spoil its data and stop its service, but not make this
 *            process access anything outside of it. Check what you pop from somebody you do not trust.
 */


#ifndef TURTLE_H
#define TURTLE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/** The version of this header. */
#define TURTLE_VERSION "0.1.0"
#define TURTLE_VERSION_MAJOR 0
#define TURTLE_VERSION_MINOR 1
#define TURTLE_VERSION_PATCH 0

/**
 * Strategy: producers many, consumers many.
 * Its calls return always; repeats only when another call got through.
 * A stopped thread can hold others `Busy`.
 */
#define TURTLE_TURN 0

/**
 * Strategy: producers one, consumers one.
 * Its calls return always, within 14 shared accesses, a wake-up apart.
 * A stopped thread holds up only the other side.
 */
#define TURTLE_SPSC 1

/**
 * Strategy: producers many, consumers many.
 * Its calls return always, within O(participants) of its own shared accesses.
 * A stopped thread holds up nobody.
 */
#define TURTLE_WAIT_FREE 2


/**
 * Strategy: attach to whatever is there; where nothing is, create the default one, TURTLE_WAIT_FREE.
 */
#define TURTLE_ANY UINT32_MAX

/**
 * Flag: create the ring of that name if there is none. Without TURTLE_EXCLUSIVE an existing one is attached.
 */
#define TURTLE_CREATE 1

/**
 * Flag: attach to the ring of that name; alone, a missing one is TURTLE_ERR_NOT_FOUND.
 */
#define TURTLE_ATTACH 2

/**
 * Flag, with TURTLE_CREATE: an existing ring of that name is TURTLE_ERR_EXISTS.
 */
#define TURTLE_EXCLUSIVE 4

/**
 * Flag: a slot holds a length and up to `elem_size` bytes. Use the `_record` calls.
 */
#define TURTLE_RECORDS 8

/**
 * Patience: none. A call that does not succeed at once lets others help.
 */
#define TURTLE_IMPATIENT UINT32_MAX

/**
 * Durability: as safe as the process. The only one of rings in memory.
 */
#define TURTLE_PROCESS 0

/**
 * Durability: handed to the system; survives the process (persistent strategy).
 */
#define TURTLE_BUFFERED 1

/**
 * Durability: on the disk when the call returns (persistent strategy).
 */
#define TURTLE_SYNC 2

/**
 * Timeout: wait for ever.
 */
#define TURTLE_FOREVER UINT64_MAX

/**
 * Side of a ring: those who push.
 */
#define TURTLE_PRODUCER 0

/**
 * Side of a ring: those who pop.
 */
#define TURTLE_CONSUMER 1

/**
 * The return stamp of a call that never returned.
 */
#define TURTLE_PENDING UINT64_MAX

/**
 * For turtle_history_write: everything was popped in the end, so an element that never came out is lost.
 */
#define TURTLE_DRAINED 1

/**
 * Operation of a history: the value was accepted; with TURTLE_PENDING: it may have been.
 */
#define TURTLE_OP_PUSH 0

/**
 * Operation of a history: a push was refused because the queue was full.
 */
#define TURTLE_OP_PUSH_FULL 1

/**
 * Operation of a history: a push was refused because a pop was halfway.
 */
#define TURTLE_OP_PUSH_BUSY 2

/**
 * Operation of a history: a push was refused because the queue was closed.
 */
#define TURTLE_OP_PUSH_CLOSED 3

/**
 * Operation of a history: a claim that was given up, or is still held. It may keep pops busy meanwhile.
 */
#define TURTLE_OP_PUSH_ABANDONED 4

/**
 * Operation of a history: the value was taken.
 */
#define TURTLE_OP_POP 5

/**
 * Operation of a history: the queue was empty.
 */
#define TURTLE_OP_POP_EMPTY 6

/**
 * Operation of a history: a pop was refused because a push was halfway.
 */
#define TURTLE_OP_POP_BUSY 7

/**
 * Operation of a history: the queue was closed and everything in it had been taken.
 */
#define TURTLE_OP_POP_CLOSED 8

/**
 * Operation of a history: a pop of a thread or process that died: it may have taken one element or none.
 */
#define TURTLE_OP_POP_UNKNOWN 9

/**
 * Operation of a history: the queue was closed.
 */
#define TURTLE_OP_CLOSE 10

/**
 * A ring. Any thread may use it, several at once.
 */
typedef struct turtle_buffer turtle_buffer;

/**
 * An explicit consumer of a ring: one thread at a time may use it, and it may move between threads.
 */
typedef struct turtle_consumer turtle_consumer;

/**
 * Recorded calls of a queue, be it of this library or not. The command `turtle check` reads what turtle_history_write
 * wrote and says whether every answer was right, and if not, which few calls show it; docs/checking.md explains it.
 *
 * Number the elements: each pushed value must be different.
 */
typedef struct turtle_history turtle_history;

/**
 * An explicit producer of a ring: one thread at a time may use it, and it may move between threads.
 */
typedef struct turtle_producer turtle_producer;

/**
 * How a call ended: 0 done, above 0 an outcome that a program meets every day, below 0 an error.
 *
 * Later versions may answer numbers that this header does not list; the sign tells what they are.
 */
typedef int32_t turtle_status;

/**
 * How a ring is built or attached. Call turtle_options_init, then set what you want otherwise.
 *
 * Fields are appended, never reordered. A caller with an older, smaller struct gets the defaults of what it does not
 * know. A caller with a newer, larger one is served if the bytes that this library does not know are zero.
 */
typedef struct turtle_options {
    /**
     * Bytes of this struct as the caller knows it, a multiple of 8. Set by turtle_options_init.
     */
    size_t struct_size;
    /**
     * TURTLE_TURN, TURTLE_SPSC, ... or TURTLE_ANY (the default).
     */
    uint32_t strategy;
    /**
     * TURTLE_CREATE | TURTLE_ATTACH | TURTLE_EXCLUSIVE | TURTLE_RECORDS; without the first two: create or attach.
     */
    uint32_t flags;
    /**
     * TURTLE_PROCESS; the others are for the persistent strategy only.
     */
    uint32_t durability;
    /**
     * Participants of each side, for strategies that keep a record of each: 1 to 65536; 0 means 64, or, where a ring is
     * there, as many as it has. Others ignore it.
     */
    uint32_t max_threads;
    /**
     * Elements, at least 1; any number, kept exactly. With TURTLE_ATTACH 0 means: whatever is there. Default 1024.
     */
    size_t capacity;
    /**
     * Bytes of an element or of the longest record, 1 to 16777216. With a path 0 means: whatever is there (size,
     * alignment and TURTLE_RECORDS are taken from the ring; turtle_get_stats tells them). Default 8.
     */
    size_t elem_size;
    /**
     * Alignment of a slot in bytes, a power of two up to 4096; 0 means 8. Only calls that lend a slot need it:
     * elements that are copied may lie anywhere.
     */
    size_t elem_align;
    /**
     * NULL: private memory. "/ticks", with one slash in front and 1 to 250 bytes after it: shared memory of that name.
     * Anything else with a slash or a dot: a file (persistent strategy).
     */
    const char *path;
    /**
     * Called for each element that is left when a private ring ends, oldest first, by whichever thread frees the last
     * handle. It must not throw and must not call into this ring. NULL: nothing is called. Private rings only.
     */
    void (*drop)(void *elem, void *ctx);
    /**
     * Passed to `drop`.
     */
    void *drop_ctx;
    /**
     * Permission bits of a shared ring that is created; 0 means 0600 (octal).
     */
    uint32_t mode;
    /**
     * Attempts that a call of such a strategy makes before it lets others help: a knob that makes calls faster or
     * slower, never different. 0: the strategy's choice. TURTLE_IMPATIENT: none, it asks at once. Of this process.
     */
    uint32_t patience;
} turtle_options;

/**
 * What a ring is and what has happened to it. Set `struct_size` to sizeof(turtle_stats), then call turtle_get_stats.
 *
 * `pushed` and `popped` are exact and the same for all processes; the counters after them are what this process saw,
 * and calls on the ring itself by several threads at once may lose a count. Fields are appended, never reordered.
 */
typedef struct turtle_stats {
    /**
     * Bytes of this struct as the caller knows it. Set by the caller.
     */
    size_t struct_size;
    /**
     * Which engine: TURTLE_TURN, TURTLE_SPSC, ...
     */
    uint32_t strategy;
    /**
     * TURTLE_RECORDS, or 0.
     */
    uint32_t flags;
    /**
     * Elements it can hold.
     */
    uint64_t capacity;
    /**
     * Bytes of an element, or of the longest record.
     */
    uint64_t elem_size;
    /**
     * Alignment of a slot in bytes.
     */
    uint64_t elem_align;
    /**
     * 1 if it lies in shared memory.
     */
    uint32_t is_shared;
    /**
     * 1 if it has been closed.
     */
    uint32_t is_closed;
    /**
     * Elements inside, about.
     */
    uint64_t len;
    /**
     * Elements pushed since it was built.
     */
    uint64_t pushed;
    /**
     * Elements popped since it was built.
     */
    uint64_t popped;
    /**
     * Pushes that found it full.
     */
    uint64_t full;
    /**
     * Pops that found it empty.
     */
    uint64_t empty;
    /**
     * Calls that found another one halfway.
     */
    uint64_t busy;
    /**
     * Times that a call went to sleep.
     */
    uint64_t waits;
    /**
     * Sleepers woken.
     */
    uint64_t wakes;
    /**
     * Calls completed for another thread (strategies that help).
     */
    uint64_t helps;
    /**
     * Participants that this process found dead (shared rings of strategies that keep records).
     */
    uint64_t dead_participants;
} turtle_stats;

/**
 * What a participant learns that opens its session again. Set `struct_size` to sizeof(turtle_recovered) first.
 *
 * Fields are appended, never reordered.
 */
typedef struct turtle_recovered {
    /**
     * Bytes of this struct as the caller knows it. Set by the caller.
     */
    size_t struct_size;
    /**
     * Elements that were pushed (popped) under this session so far, exactly. 0: the session is new.
     */
    uint64_t done;
    /**
     * Of a consumer: elements that the last one had taken, of which nobody knows whether it used them;
     * turtle_consumer_orphans hands them out. They count in `done`.
     */
    uint64_t orphans;
    /**
     * 1 if the last one that had the session did not give it back: it was killed, or ended without freeing its
     * handle.
     */
    uint32_t died;
    /**
     * 0.
     */
    uint32_t reserved;
} turtle_recovered;

/**
 * Done.
 */
#define TURTLE_OK 0

/**
 * The ring held `capacity` elements at some moment of the call.
 */
#define TURTLE_FULL 1

/**
 * The ring held no element at some moment of the call.
 */
#define TURTLE_EMPTY 2

/**
 * Another call is halfway through the slot that comes next. Calls that wait go on waiting then.
 */
#define TURTLE_BUSY 3

/**
 * The ring has been closed; for a pop: and everything in it was taken.
 */
#define TURTLE_CLOSED 4

/**
 * The time is up. Never answered for a time of 0.
 */
#define TURTLE_TIMEOUT 5

/**
 * turtle_interrupt ended the wait.
 */
#define TURTLE_INTERRUPTED 6

/**
 * An argument that cannot be, or a private ring in a forked child.
 */
#define TURTLE_ERR_INVALID -1

/**
 * No memory, or no room in shared memory.
 */
#define TURTLE_ERR_NOMEM -2

/**
 * This build, strategy or machine cannot do it.
 */
#define TURTLE_ERR_UNSUPPORTED -3

/**
 * The system refused: permissions, descriptors.
 */
#define TURTLE_ERR_IO -4

/**
 * What has that name is no ring, or a damaged one.
 */
#define TURTLE_ERR_CORRUPT -5

/**
 * Every producer (consumer) that the strategy or `max_threads` allows is out, perhaps on another thread; or a session.
 */
#define TURTLE_ERR_NO_HANDLE -6

/**
 * A process that was needed has died.
 */
#define TURTLE_ERR_PEER_DIED -7

/**
 * An earlier failure left the ring unusable.
 */
#define TURTLE_ERR_POISONED -8

/**
 * A bug in the library: it panicked, and the panic stopped here. Please report it.
 */
#define TURTLE_ERR_PANIC -9

/**
 * The ring of that name has another strategy, capacity or element.
 */
#define TURTLE_ERR_MISMATCH -10

/**
 * There is no ring of that name.
 */
#define TURTLE_ERR_NOT_FOUND -11

/**
 * There is a ring of that name already.
 */
#define TURTLE_ERR_EXISTS -12

#ifdef __cplusplus
extern "C" {
#endif // __cplusplus

/**
 * Tells what a status means, in a few English words.
 *
 * Answers never null; a text for numbers it does not know, too. The text is static.
 * Threads: any. Progress: always returns.
 */
const char *turtle_status_str(turtle_status status);

/**
 * Sets every field to its default: a private ring of the default strategy for 1024 elements of 8 bytes.
 *
 * Returns TURTLE_OK, or TURTLE_ERR_INVALID for a null or misaligned pointer.
 * Threads: any. Progress: always returns.
 */
turtle_status turtle_options_init(struct turtle_options *options);

/**
 * Builds a ring, or attaches to one, as the options say.
 *
 * `*out` is written on success only; turtle_free ends it. A shared ring outlives the processes that use it, until
 * turtle_unlink removes its name and the last one detaches.
 * Returns TURTLE_OK; TURTLE_ERR_INVALID for an option out of range; TURTLE_ERR_NOMEM; TURTLE_ERR_UNSUPPORTED for a
 * strategy, durability or path that this build does not have; and with a path TURTLE_ERR_IO, TURTLE_ERR_EXISTS,
 * TURTLE_ERR_NOT_FOUND, TURTLE_ERR_MISMATCH or TURTLE_ERR_CORRUPT. turtle_last_error says which value and what would do.
 * Threads: any. Progress: may allocate and make system calls.
 */
turtle_status turtle_open(const struct turtle_options *options,
                          struct turtle_buffer **out);

/**
 * Ends the use of a ring in this process. Null is allowed and does nothing.
 *
 * A private ring is freed with its last handle; `drop` is called for what is left inside. A shared one is detached,
 * with everything in it staying for others. Explicit handles stay valid until they are freed themselves. In a forked
 * child a private ring of the parent is left alone: nothing is called, its memory goes when the child ends.
 * Threads: any, but no other call with this pointer may run now or later.
 */
void turtle_free(struct turtle_buffer *buffer);

/**
 * Removes the name of a shared ring, and the FIFO of its event descriptors. Processes that are attached keep it; the next turtle_open builds a new one.
 *
 * Returns TURTLE_OK, TURTLE_ERR_NOT_FOUND, TURTLE_ERR_INVALID, TURTLE_ERR_UNSUPPORTED or TURTLE_ERR_IO.
 * Threads: any. Progress: one system call.
 */
turtle_status turtle_unlink(const char *path);

/**
 * Appends one element, or says at once why not.
 *
 * Copies `elem_size` bytes from `elem`, which may lie at any address.
 * Returns TURTLE_OK, TURTLE_FULL, TURTLE_BUSY, TURTLE_CLOSED; TURTLE_ERR_NO_HANDLE, TURTLE_ERR_INVALID.
 * Threads: any; the first thread to push owns that side of TURTLE_SPSC.
 * Progress: always returns, no system call but to wake a sleeper.
 */
turtle_status turtle_try_push(struct turtle_buffer *buffer, const void *elem);

/**
 * Takes the oldest element, or says at once why not.
 *
 * Copies `elem_size` bytes to `elem`, which may lie at any address.
 * Returns TURTLE_OK, TURTLE_EMPTY, TURTLE_BUSY, TURTLE_CLOSED; TURTLE_ERR_NO_HANDLE, TURTLE_ERR_INVALID.
 * Threads: any; the first thread to pop owns that side of TURTLE_SPSC.
 * Progress: always returns, no system call but to wake a sleeper
 * (two or three when it answers TURTLE_EMPTY after turtle_event_fd).
 */
turtle_status turtle_try_pop(struct turtle_buffer *buffer, void *elem);

/**
 * Appends one element; waits for room up to `timeout_ns` nanoseconds, or TURTLE_FOREVER.
 *
 * 0 is the same as turtle_try_push. A signal does not end the wait; turtle_interrupt and turtle_close do.
 * Returns as turtle_try_push, and TURTLE_TIMEOUT, TURTLE_INTERRUPTED; TURTLE_FULL and TURTLE_BUSY only for time 0.
 * Threads: any, as turtle_try_push. Progress: waits; spins a little, then sleeps.
 */
turtle_status turtle_push(struct turtle_buffer *buffer, const void *elem, uint64_t timeout_ns);

/**
 * Takes the oldest element; waits for one up to `timeout_ns` nanoseconds, or TURTLE_FOREVER.
 *
 * 0 is the same as turtle_try_pop. A signal does not end the wait; turtle_interrupt and turtle_close do.
 * Returns as turtle_try_pop, and TURTLE_TIMEOUT, TURTLE_INTERRUPTED; TURTLE_EMPTY and TURTLE_BUSY only for time 0.
 * Threads: any, as turtle_try_pop. Progress: waits; spins a little, then sleeps.
 */
turtle_status turtle_pop(struct turtle_buffer *buffer, void *elem, uint64_t timeout_ns);

/**
 * Appends as many of `n` elements as there is room for, in order; never waits.
 *
 * The elements lie one after the other, `elem_size` bytes each. `*done` says how many were pushed.
 * Returns TURTLE_OK with `*done` above 0 (or `n` 0), otherwise the reason as turtle_try_push with `*done` 0.
 * Threads: any, as turtle_try_push.
 * Progress: always returns, no system call but to wake a sleeper.
 */
turtle_status turtle_try_push_n(struct turtle_buffer *buffer, const void *elems, size_t n, size_t *done);

/**
 * Waits for one element, then takes up to `max` without waiting.
 *
 * `elems` has room for `max` elements of `elem_size` bytes. `*done` says how many were taken.
 * Returns TURTLE_OK with `*done` above 0 (or `max` 0), otherwise the reason as turtle_pop with `*done` 0.
 * Threads: any, as turtle_try_pop. Progress: waits as turtle_pop; `timeout_ns` 0 always returns at once.
 */
turtle_status turtle_pop_n(struct turtle_buffer *buffer, void *elems, size_t max, uint64_t timeout_ns, size_t *done);

/**
 * Appends a record of `len` bytes, 0 to `elem_size`, to a ring opened with TURTLE_RECORDS.
 *
 * Returns as turtle_push; TURTLE_ERR_INVALID also for a record that is too long, or a ring without records.
 * Threads: any, as turtle_try_push. Progress: waits as turtle_push; `timeout_ns` 0 always returns at once.
 */
turtle_status turtle_push_record(struct turtle_buffer *buffer, const void *data, size_t len, uint64_t timeout_ns);

/**
 * Takes the oldest record into `cap` bytes at `data`; `*len` says how many it has.
 *
 * If it has more than `cap`: TURTLE_ERR_INVALID, `*len` is set, and nothing is taken. Room for `elem_size` bytes is
 * always enough. Otherwise returns as turtle_pop.
 * Threads: any, as turtle_try_pop. Progress: waits as turtle_pop; `timeout_ns` 0 always returns at once (wait_free: with less
 * room than `elem_size` lock-free only).
 */
turtle_status turtle_pop_record(struct turtle_buffer *buffer,
                                void *data,
                                size_t cap,
                                size_t *len,
                                uint64_t timeout_ns);

/**
 * Lends a slot to write in: `elem_size` bytes, aligned as the options say. turtle_commit publishes it.
 *
 * What the bytes are before is unspecified. Each claim is ended by one commit or abandon; one that is forgotten keeps
 * its slot: later pops of TURTLE_TURN answer TURTLE_BUSY there. TURTLE_SPSC lends one slot at a time: until it is
 * committed or abandoned, every other push and claim answers TURTLE_ERR_INVALID; so does TURTLE_WAIT_FREE to the thread (or
 * handle) that has the claim, and to no other. There a claim keeps no slot: turtle_commit may answer TURTLE_FULL.
 * TURTLE_SPSC says TURTLE_CLOSED at the commit only.
 * Returns as turtle_try_push; `*slot` is written on success only.
 * Threads: any, as turtle_try_push.
 * Progress: always returns, no system call but to wake a sleeper.
 */
turtle_status turtle_claim(struct turtle_buffer *buffer,
                           void **slot);

/**
 * As turtle_claim; waits for room up to `timeout_ns` nanoseconds, or TURTLE_FOREVER.
 *
 * Returns as turtle_push. Threads and progress: as turtle_push.
 */
turtle_status turtle_claim_timeout(struct turtle_buffer *buffer, void **slot, uint64_t timeout_ns);

/**
 * Publishes a claimed slot.
 *
 * Returns TURTLE_OK; TURTLE_FULL or TURTLE_CLOSED, which keep the claim: commit again or abandon it;
 * TURTLE_ERR_INVALID if the slot is not claimed from this ring now (a second commit, another address).
 * Threads: any on TURTLE_TURN, otherwise the one that was lent the slot. Progress: always returns; a system call
 * only to wake a sleeper.
 */
turtle_status turtle_commit(struct turtle_buffer *buffer, void *slot);

/**
 * Publishes a claimed slot of a ring with records; its first `len` bytes are the record.
 *
 * Returns as turtle_commit; TURTLE_ERR_INVALID also for `len` above `elem_size`.
 * Threads and progress: as turtle_commit.
 */
turtle_status turtle_commit_record(struct turtle_buffer *buffer, void *slot, size_t len);

/**
 * Gives a claimed slot back; consumers never see it.
 *
 * Returns TURTLE_OK, or TURTLE_ERR_INVALID if the slot is not claimed from this ring now.
 * Threads and progress: as turtle_commit.
 */
turtle_status turtle_abandon(struct turtle_buffer *buffer, void *slot);

/**
 * Takes the oldest element and lends its slot to read, until turtle_release.
 *
 * The slot counts as taken for the room in the ring only when it is released; on TURTLE_WAIT_FREE at once. TURTLE_SPSC
 * lends one at a time, TURTLE_WAIT_FREE one to each thread (or handle): until it is released, every other pop and peek
 * (of that thread) answers TURTLE_ERR_INVALID.
 * Returns as turtle_try_pop; `*slot` is written on success only.
 * Threads: any, as turtle_try_pop.
 * Progress: always returns, no system call but to wake a sleeper.
 */
turtle_status turtle_peek(struct turtle_buffer *buffer, const void **slot);

/**
 * As turtle_peek; `*len` says how many bytes the record has (without records: `elem_size`).
 */
turtle_status turtle_peek_record(struct turtle_buffer *buffer, const void **slot, size_t *len);

/**
 * As turtle_peek_record; waits for an element up to `timeout_ns` nanoseconds, or TURTLE_FOREVER. `len` may be null.
 *
 * Returns as turtle_pop. Threads and progress: as turtle_pop.
 */
turtle_status turtle_peek_timeout(struct turtle_buffer *buffer, const void **slot, size_t *len, uint64_t timeout_ns);

/**
 * Gives a slot that was peeked at back to the producers.
 *
 * Returns TURTLE_OK, or TURTLE_ERR_INVALID if the slot is not lent by a peek of this ring now.
 * Threads: any on TURTLE_TURN, otherwise the one that was lent the slot. Progress: always returns; a system call
 * only to wake a sleeper.
 */
turtle_status turtle_release(struct turtle_buffer *buffer, const void *slot);

/**
 * Gives back what the calling thread owns of a ring: the sides of TURTLE_SPSC, its places where the strategy keeps a
 * record of each participant. A thread that ends does so by itself.
 *
 * Returns TURTLE_OK, also when it owned nothing, or TURTLE_ERR_INVALID.
 * Threads: any. Progress: always returns.
 */
turtle_status turtle_release_thread(struct turtle_buffer *buffer);

/**
 * Closes a ring, for all processes and for good. Everybody who waits is woken.
 *
 * From now on pushes answer TURTLE_CLOSED. Pops take what was accepted before, then answer TURTLE_CLOSED.
 * Returns TURTLE_OK, also for a ring that is closed already, or TURTLE_ERR_INVALID.
 * Threads: any. Progress: always returns; system calls to wake sleepers.
 */
turtle_status turtle_close(struct turtle_buffer *buffer);

/**
 * Tells whether a ring has been closed. True for null.
 *
 * Threads: any. Progress: always returns.
 */
bool turtle_is_closed(const struct turtle_buffer *buffer);

/**
 * Ends every wait of this process on this ring, once, with TURTLE_INTERRUPTED. Nothing is taken or lost by it.
 *
 * Calls that begin later are not concerned. Returns TURTLE_OK or TURTLE_ERR_INVALID.
 * Threads: any; not for signal handlers. Progress: always returns; system calls to wake sleepers.
 */
turtle_status turtle_interrupt(struct turtle_buffer *buffer);

/**
 * Tells how many elements are inside: exact when nobody is active, otherwise true for some moment nearby. 0 for null.
 *
 * Threads: any. Progress: always returns.
 */
size_t turtle_len(const struct turtle_buffer *buffer);

/**
 * Tells how many elements fit. 0 for null.
 *
 * Threads: any. Progress: always returns.
 */
size_t turtle_capacity(const struct turtle_buffer *buffer);

/**
 * Writes what the ring is and what has happened to it. `out->struct_size` says how much of the struct is known.
 *
 * Looks for dead participants first, as turtle_reclaim does.
 * Returns TURTLE_OK or TURTLE_ERR_INVALID. Threads: any. Progress: takes a lock that only this call and the making
 * and freeing of handles take.
 */
turtle_status turtle_get_stats(const struct turtle_buffer *buffer, struct turtle_stats *out);

/**
 * Gives a descriptor for poll, select or epoll that is readable when an element may be there, or the ring is closed.
 *
 * Wait for it, then pop until TURTLE_EMPTY or TURTLE_CLOSED: the answer TURTLE_EMPTY makes it quiet and ready again.
 * That of a shared ring is also readable 10 ms after it became quiet: a peer may be killed before it tells.
 * One descriptor a ring and process, for one consumer loop; it belongs to the ring, do not read or close it. Several
 * processes may poll the same ring. A forked child asks again and gets its own, under the same number.
 * Returns TURTLE_OK; TURTLE_ERR_IO when the process is out of descriptors, or something else has the place of the FIFO
 * beside a shared ring, which turtle_last_error names; TURTLE_ERR_INVALID.
 * Threads: any; none is made. Progress: the first call makes system calls.
 */
turtle_status turtle_event_fd(struct turtle_buffer *buffer, int *fd);

/**
 * Tells the name of a strategy, "turn" for TURTLE_TURN; null if this build does not have the number.
 *
 * Numbers begin at 0 and have no gaps. The text is static. Threads: any. Progress: always returns.
 */
const char *turtle_strategy_name(uint32_t strategy);

/**
 * Tells the version of the library, "0.1.0". Compare with TURTLE_VERSION, which is the header's.
 *
 * The text is static. Threads: any. Progress: always returns.
 */
const char *turtle_version(void);

/**
 * Makes an explicit producer. It keeps the ring alive after turtle_free, until it is freed itself.
 *
 * `*out` is written on success only.
 * Returns TURTLE_OK; TURTLE_ERR_NO_HANDLE when the strategy, or `max_threads`, allows no more; TURTLE_ERR_INVALID.
 * Threads: any. Progress: allocates.
 */
turtle_status turtle_producer_new(struct turtle_buffer *buffer, struct turtle_producer **out);

/**
 * Closes the ring of a producer, as turtle_close does.
 *
 * Returns TURTLE_OK, also for a ring that is closed already, or TURTLE_ERR_INVALID.
 * Threads: any, also while another one uses the producer. Progress: always returns; system calls to wake sleepers.
 */
turtle_status turtle_producer_close(struct turtle_producer *producer);

/**
 * Frees a producer; where the strategy allows one, the next one may be made. Null is allowed and does nothing.
 *
 * Threads: any, but no other call with this pointer may run now or later.
 */
void turtle_producer_free(struct turtle_producer *producer);

/**
 * As turtle_try_push, through this handle.
 * Threads: one at a time. Progress: as turtle_try_push.
 */
turtle_status turtle_producer_try_push(struct turtle_producer *producer, const void *elem);

/**
 * As turtle_push, through this handle.
 * Threads: one at a time. Progress: as turtle_push.
 */
turtle_status turtle_producer_push(struct turtle_producer *producer, const void *elem, uint64_t timeout_ns);

/**
 * As turtle_try_push_n, through this handle.
 * Threads: one at a time. Progress: as turtle_try_push_n.
 */
turtle_status turtle_producer_try_push_n(struct turtle_producer *producer, const void *elems, size_t n, size_t *done);

/**
 * As turtle_push_record, through this handle.
 * Threads: one at a time. Progress: as turtle_push_record.
 */
turtle_status turtle_producer_push_record(struct turtle_producer *producer,
                                          const void *data,
                                          size_t len,
                                          uint64_t timeout_ns);

/**
 * As turtle_claim, through this handle.
 * Threads: one at a time. Progress: as turtle_claim.
 */
turtle_status turtle_producer_claim(struct turtle_producer *producer, void **slot);

/**
 * As turtle_claim_timeout, through this handle.
 * Threads: one at a time. Progress: as turtle_claim_timeout.
 */
turtle_status turtle_producer_claim_timeout(struct turtle_producer *producer, void **slot, uint64_t timeout_ns);

/**
 * As turtle_commit, through this handle.
 * Threads: one at a time. Progress: as turtle_commit.
 */
turtle_status turtle_producer_commit(struct turtle_producer *producer, void *slot);

/**
 * As turtle_commit_record, through this handle.
 * Threads: one at a time. Progress: as turtle_commit_record.
 */
turtle_status turtle_producer_commit_record(struct turtle_producer *producer, void *slot, size_t len);

/**
 * As turtle_abandon, through this handle.
 * Threads: one at a time. Progress: as turtle_abandon.
 */
turtle_status turtle_producer_abandon(struct turtle_producer *producer, void *slot);

/**
 * Makes an explicit consumer. It keeps the ring alive after turtle_free, until it is freed itself.
 *
 * `*out` is written on success only.
 * Returns TURTLE_OK; TURTLE_ERR_NO_HANDLE when the strategy, or `max_threads`, allows no more; TURTLE_ERR_INVALID.
 * Threads: any. Progress: allocates.
 */
turtle_status turtle_consumer_new(struct turtle_buffer *buffer, struct turtle_consumer **out);

/**
 * Closes the ring of a consumer, as turtle_close does.
 *
 * Returns TURTLE_OK, also for a ring that is closed already, or TURTLE_ERR_INVALID.
 * Threads: any, also while another one uses the consumer. Progress: always returns; system calls to wake sleepers.
 */
turtle_status turtle_consumer_close(struct turtle_consumer *consumer);

/**
 * Frees a consumer; where the strategy allows one, the next one may be made. Null is allowed and does nothing.
 *
 * Threads: any, but no other call with this pointer may run now or later.
 */
void turtle_consumer_free(struct turtle_consumer *consumer);

/**
 * As turtle_try_pop, through this handle.
 * Threads: one at a time. Progress: as turtle_try_pop.
 */
turtle_status turtle_consumer_try_pop(struct turtle_consumer *consumer, void *elem);

/**
 * As turtle_pop, through this handle.
 * Threads: one at a time. Progress: as turtle_pop.
 */
turtle_status turtle_consumer_pop(struct turtle_consumer *consumer, void *elem, uint64_t timeout_ns);

/**
 * As turtle_pop_n, through this handle.
 * Threads: one at a time. Progress: as turtle_pop_n.
 */
turtle_status turtle_consumer_pop_n(struct turtle_consumer *consumer,
                                    void *elems,
                                    size_t max,
                                    uint64_t timeout_ns,
                                    size_t *done);

/**
 * As turtle_pop_record, through this handle.
 * Threads: one at a time. Progress: as turtle_pop_record.
 */
turtle_status turtle_consumer_pop_record(struct turtle_consumer *consumer,
                                         void *data,
                                         size_t cap,
                                         size_t *len,
                                         uint64_t timeout_ns);

/**
 * As turtle_peek, through this handle.
 * Threads: one at a time. Progress: as turtle_peek.
 */
turtle_status turtle_consumer_peek(struct turtle_consumer *consumer, const void **slot);

/**
 * As turtle_peek_record, through this handle.
 * Threads: one at a time. Progress: as turtle_peek_record.
 */
turtle_status turtle_consumer_peek_record(struct turtle_consumer *consumer, const void **slot, size_t *len);

/**
 * As turtle_peek_timeout, through this handle.
 * Threads: one at a time. Progress: as turtle_peek_timeout.
 */
turtle_status turtle_consumer_peek_timeout(struct turtle_consumer *consumer,
                                           const void **slot,
                                           size_t *len,
                                           uint64_t timeout_ns);

/**
 * As turtle_release, through this handle.
 * Threads: one at a time. Progress: as turtle_release.
 */
turtle_status turtle_consumer_release(struct turtle_consumer *consumer, const void *slot);

/**
 * Makes an explicit producer that is known by `session`, any number but 0, and tells what became of the session's
 * pushes so far: a producer that was killed goes on behind element `recovered->done`, without loss or duplicate.
 *
 * For shared rings of strategies that keep a record of each participant. As long as the producer is not freed and its
 * process lives nobody else has the session. The session keeps its place, one of `max_threads`, until
 * turtle_forget_session. In a forked child the handle is the parent's and answers TURTLE_ERR_NO_HANDLE.
 * `recovered` may be null. `*out` is written on success only; turtle_producer_free gives the session back.
 * Returns TURTLE_OK; TURTLE_ERR_NO_HANDLE while its owner is alive, or when there is no free place;
 * TURTLE_ERR_UNSUPPORTED for a private ring or another strategy; TURTLE_ERR_INVALID; TURTLE_ERR_IO.
 * Threads: any. Progress: allocates and makes system calls; may wait up to a second for another process that is
 * putting the session's place right.
 */
turtle_status turtle_producer_open(struct turtle_buffer *buffer,
                                   uint64_t session,
                                   struct turtle_recovered *recovered,
                                   struct turtle_producer **out);

/**
 * Makes an explicit consumer that is known by `session`, and tells what became of the session's pops so far.
 *
 * As turtle_producer_open; sessions of producers and of consumers are apart. `recovered->orphans` elements wait in
 * the new handle for turtle_consumer_orphans (of records: turtle_consumer_orphan_record): take them first, they go
 * with it. turtle_consumer_free gives the session back.
 * Returns and threads as turtle_producer_open. Progress: as turtle_producer_open.
 */
turtle_status turtle_consumer_open(struct turtle_buffer *buffer,
                                   uint64_t session,
                                   struct turtle_recovered *recovered,
                                   struct turtle_consumer **out);

/**
 * Gives what the last consumer of this one's session had taken and perhaps not used, oldest first, each once.
 *
 * `elems` has room for `max` elements of `elem_size` bytes. `*done` says how many were given.
 * Returns TURTLE_OK with `*done` above 0 (or `max` 0); TURTLE_EMPTY when there are no more; TURTLE_ERR_INVALID, also
 * on a ring of records.
 * Threads: one at a time. Progress: always returns.
 */
turtle_status turtle_consumer_orphans(struct turtle_consumer *consumer, void *elems, size_t max, size_t *done);

/**
 * As turtle_consumer_orphans, for a ring of records: one record, into `cap` bytes at `data`; `*len` says how long it
 * is.
 *
 * Returns TURTLE_OK; TURTLE_EMPTY when there are no more; TURTLE_ERR_INVALID, also when `cap` is less than
 * `elem_size`, and nothing is taken then.
 * Threads: one at a time. Progress: always returns.
 */
turtle_status turtle_consumer_orphan_record(struct turtle_consumer *consumer, void *data, size_t cap, size_t *len);

/**
 * Gives elements that consumers without a session had taken when they died, of which nobody knows whether they were
 * used. Each is given once, to whoever asks first; until then they keep the places of their consumers.
 *
 * `elems` has room for `max` elements of `elem_size` bytes. `*done` says how many were given.
 * Returns TURTLE_OK with `*done` above 0 (or `max` 0); TURTLE_EMPTY when there are none; TURTLE_ERR_INVALID, also on
 * a ring of records.
 * Threads: any. Progress: never waits; makes system calls.
 */
turtle_status turtle_take_orphans(struct turtle_buffer *buffer, void *elems, size_t max, size_t *done);

/**
 * As turtle_take_orphans, for a ring of records: one record, into `cap` bytes at `data`; `*len` says how long it is.
 *
 * Returns TURTLE_OK; TURTLE_EMPTY when there are none; TURTLE_ERR_INVALID, also when `cap` is less than `elem_size`,
 * and nothing is taken then.
 * Threads: any. Progress: never waits; makes system calls.
 */
turtle_status turtle_take_orphan_record(struct turtle_buffer *buffer, void *data, size_t cap, size_t *len);

/**
 * Ends a session that nobody has now: its count is forgotten and its place is free. `side` is TURTLE_PRODUCER or
 * TURTLE_CONSUMER.
 *
 * Returns TURTLE_OK; TURTLE_ERR_NOT_FOUND; TURTLE_ERR_NO_HANDLE while its owner is alive; TURTLE_ERR_INVALID, also
 * while elements wait for its next consumer; TURTLE_ERR_UNSUPPORTED and TURTLE_ERR_IO as turtle_producer_open.
 * Threads: any. Progress: as turtle_producer_open.
 */
turtle_status turtle_forget_session(struct turtle_buffer *buffer, uint32_t side, uint64_t session);

/**
 * Looks for participants that died and puts right what they left; `*found` says how many there were. `found` may be
 * null.
 *
 * Nobody has to call it: who waits looks about every 50 ms, and so does who finds no free place. 0 for private rings
 * and for strategies that keep no record of their participants. A stopped participant is not dead.
 * Returns TURTLE_OK or TURTLE_ERR_INVALID. Threads: any. Progress: never waits; a system call for each participant of
 * another process.
 */
turtle_status turtle_reclaim(struct turtle_buffer *buffer, size_t *found);

/**
 * Makes an empty history.
 *
 * `*out` is written on success only. Returns TURTLE_OK or TURTLE_ERR_INVALID. Threads: any. Progress: allocates.
 */
turtle_status turtle_history_new(struct turtle_history **out);

/**
 * Frees a history. Null is allowed.
 *
 * Threads: one, when no other uses it any more. Progress: always returns.
 */
void turtle_history_free(struct turtle_history *history);

/**
 * Takes a stamp: one before a call of the queue, one after it.
 *
 * Stamps of one history are all different, and their order is the order in time: a counter that all threads share. It
 * costs a full barrier, which may hide missing ones inside the queue. Any other clock that all threads share does, too
 * (nanoseconds, say); a coarse one loses findings and causes none.
 * Answers 0 for a null history. Threads: any. Progress: always returns.
 */
uint64_t turtle_history_now(struct turtle_history *history);

/**
 * Adds one call: which thread, what it did, between which two stamps.
 *
 * `thread` is any number; `op` one of TURTLE_OP_...; `value` names the element of a push or pop and is not looked at
 * otherwise; `call` and `ret` are below 2^61, and `ret` is TURTLE_PENDING for a call that never returned. A call that
 * moves several elements is added once for each, in their order, with the same thread and stamps.
 * Returns TURTLE_OK or TURTLE_ERR_INVALID. Threads: any. Progress: may allocate, and wait for a thread that adds.
 */
turtle_status turtle_history_add(struct turtle_history *history,
                                 uint32_t thread,
                                 uint32_t op,
                                 uint64_t value,
                                 uint64_t call,
                                 uint64_t ret);

/**
 * Writes what was added so far as JSON lines, which the command `turtle check` reads.
 *
 * The first line says what the queue is: its exact `capacity` (0: without a limit), and with TURTLE_DRAINED in `flags`
 * that everything was popped in the end. A file of that name is replaced.
 * Returns TURTLE_OK, TURTLE_ERR_INVALID or TURTLE_ERR_IO. Threads: any. Progress: writes.
 */
turtle_status turtle_history_write(const struct turtle_history *history,
                                   size_t capacity,
                                   uint32_t flags,
                                   const char *path);

/**
 * Tells what the last failed call of this thread found wrong, and what to do about it.
 *
 * Only calls that answered a number below 0 leave a text; it stays until the next such call of the same thread,
 * and so does the pointer. Answers never null; an empty text when nothing has failed.
 * Threads: any, each has its own text. Progress: always returns.
 */
const char *turtle_last_error(void);

#ifdef __cplusplus
}  // extern "C"
#endif  // __cplusplus

#endif  /* TURTLE_H */
