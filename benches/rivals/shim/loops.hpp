// Worker loops for queues that are used from C++.
//
// A call through the C ABI for every item would charge these queues for something their users do
// not pay. So the whole loop of a worker is C++; only its start and end cross the language border.
// Waiting, checking and the meaning of an item are those of the Rust side (`queue.rs`).
#pragma once

#include <sched.h>

#include <cstddef>
#include <cstdint>
#include <new>

namespace {

inline void pause_once() {
#if defined(__x86_64__)
    __builtin_ia32_pause();
#elif defined(__aarch64__)
    asm volatile("isb" ::: "memory");
#endif
}

// `pause` up to 63 times, then give the core away; starts afresh after each success.
struct Wait {
    unsigned failures = 0;
    void operator()() {
        if (failures < 63) {
            ++failures;
            pause_once();
        } else {
            failures = 0;
            sched_yield();
        }
    }
};

constexpr std::size_t max_batch = 64;

}  // namespace

extern "C" struct RivalsTally {
    std::uint64_t count;
    std::uint64_t sum;
    std::uint64_t disorder;
};

namespace {

// Where the place of an item's producer is kept; the reasons stand in `queue.rs`.
enum class Places { one, runs, mixed };

template <Places places>
struct Checker {
    RivalsTally tally{0, 0, 0};
    std::uint64_t producer = 0;
    std::uint64_t expected = 0;
    std::uint64_t table[64] = {};

    void take(std::uint64_t id) {
        const std::uint64_t sequence = id & 0xffffffffu;
        if (places == Places::runs && (id >> 32) != producer) {
            table[producer & 63] = expected;
            producer = id >> 32;
            expected = table[producer & 63];
        }
        std::uint64_t& place = places == Places::mixed ? table[(id >> 32) & 63] : expected;
        tally.disorder += sequence < place;
        place = sequence + 1;
        tally.sum += id;
        ++tally.count;
    }
};

// `push(items, n)` and `pop(items, n)` answer how many they moved.
template <class Push>
void produce(Push push, std::uint64_t producer, std::uint64_t items, std::size_t batch) {
    std::uint64_t buffer[max_batch];
    for (std::uint64_t sequence = 0; sequence < items;) {
        std::size_t n = 0;
        while (n < batch && sequence < items) buffer[n++] = (producer << 32) | sequence++;
        Wait wait;
        for (std::size_t done = 0; done < n;) {
            const std::size_t moved = push(buffer + done, n - done);
            if (moved == 0) {
                wait();
            } else {
                done += moved;
                wait = Wait{};
            }
        }
    }
}

template <Places places, class Pop>
RivalsTally consume_checked(Pop pop, std::uint64_t items, std::size_t batch) {
    std::uint64_t buffer[max_batch];
    Checker<places> checker;
    Wait wait;
    while (checker.tally.count < items) {
        const std::uint64_t left = items - checker.tally.count;
        const std::size_t n = pop(buffer, left < batch ? static_cast<std::size_t>(left) : batch);
        if (n == 0) {
            wait();
            continue;
        }
        wait = Wait{};
        for (std::size_t i = 0; i < n; ++i) checker.take(buffer[i]);
    }
    return checker.tally;
}

template <class Pop>
RivalsTally consume(Pop pop, std::uint64_t items, std::size_t batch, bool one_producer) {
    if (one_producer) return consume_checked<Places::one>(pop, items, batch);
    if (batch == 1) return consume_checked<Places::mixed>(pop, items, batch);
    return consume_checked<Places::runs>(pop, items, batch);
}

// Push one, pop one, on one thread; the sum of what came out.
template <class Push, class Pop>
std::uint64_t pairs(Push push, Pop pop, std::uint64_t items) {
    std::uint64_t sum = 0;
    for (std::uint64_t i = 0; i < items; ++i) {
        std::uint64_t value = i;
        asm volatile("" : "+r"(value));
        while (push(&value, 1) == 0) {}
        while (pop(&value, 1) == 0) {}
        asm volatile("" : "+r"(value));
        sum += value;
    }
    return sum;
}

}  // namespace
