// Worker loops for rivals that exist only in C++.
//
// A call through the C ABI for every item would charge these rivals for something their users do
// not pay. So the whole loop of a worker is C++; only its start and end cross the language border.
// Waiting, checking and the meaning of an item are those of the Rust side (`queue.rs`).

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

#ifdef HAVE_MOODYCAMEL
#include HAVE_MOODYCAMEL

namespace {
using Moody = moodycamel::ConcurrentQueue<std::uint64_t>;

template <class Body>
auto moody_push(Moody& queue, std::size_t batch, Body body) {
    moodycamel::ProducerToken token(queue);
    if (batch == 1) return body([&](std::uint64_t* items, std::size_t) { return std::size_t(queue.enqueue(token, *items)); });
    return body([&](std::uint64_t* items, std::size_t n) { return queue.enqueue_bulk(token, items, n) ? n : std::size_t(0); });
}

template <class Body>
auto moody_pop(Moody& queue, std::size_t batch, Body body) {
    moodycamel::ConsumerToken token(queue);
    if (batch == 1) return body([&](std::uint64_t* items, std::size_t) { return std::size_t(queue.try_dequeue(token, *items)); });
    return body([&](std::uint64_t* items, std::size_t n) { return queue.try_dequeue_bulk(token, items, n); });
}
}  // namespace

extern "C" {
void* rivals_moody_new(std::size_t capacity) { return new Moody(capacity); }
void rivals_moody_free(void* queue) { delete static_cast<Moody*>(queue); }
void rivals_moody_produce(void* queue, std::uint64_t producer, std::uint64_t items, std::size_t batch) {
    moody_push(*static_cast<Moody*>(queue), batch, [&](auto push) { produce(push, producer, items, batch); });
}
RivalsTally rivals_moody_consume(void* queue, std::uint64_t items, std::size_t batch, bool one_producer) {
    return moody_pop(*static_cast<Moody*>(queue), batch, [&](auto pop) { return consume(pop, items, batch, one_producer); });
}
std::uint64_t rivals_moody_pairs(void* queue, std::uint64_t items) {
    auto& q = *static_cast<Moody*>(queue);
    return moody_push(q, 1, [&](auto push) { return moody_pop(q, 1, [&](auto pop) { return pairs(push, pop, items); }); });
}
}
#endif

#ifdef HAVE_BOOST
#include HAVE_BOOST

namespace {
// The capacity as a constant is the faster of the two forms that its manual offers.
using Boost = boost::lockfree::spsc_queue<std::uint64_t, boost::lockfree::capacity<1024>>;

template <class Body>
auto boost_push(Boost& queue, std::size_t batch, Body body) {
    if (batch == 1) return body([&](std::uint64_t* items, std::size_t) { return std::size_t(queue.push(*items)); });
    return body([&](std::uint64_t* items, std::size_t n) { return queue.push(items, n); });
}

template <class Body>
auto boost_pop(Boost& queue, std::size_t batch, Body body) {
    if (batch == 1) return body([&](std::uint64_t* items, std::size_t) { return std::size_t(queue.pop(*items)); });
    return body([&](std::uint64_t* items, std::size_t n) { return queue.pop(items, n); });
}
}  // namespace

extern "C" {
std::size_t rivals_boost_capacity() { return 1024; }
void* rivals_boost_new() { return new Boost(); }
void rivals_boost_free(void* queue) { delete static_cast<Boost*>(queue); }
void rivals_boost_produce(void* queue, std::uint64_t producer, std::uint64_t items, std::size_t batch) {
    boost_push(*static_cast<Boost*>(queue), batch, [&](auto push) { produce(push, producer, items, batch); });
}
RivalsTally rivals_boost_consume(void* queue, std::uint64_t items, std::size_t batch, bool one_producer) {
    return boost_pop(*static_cast<Boost*>(queue), batch, [&](auto pop) { return consume(pop, items, batch, one_producer); });
}
std::uint64_t rivals_boost_pairs(void* queue, std::uint64_t items) {
    auto& q = *static_cast<Boost*>(queue);
    return boost_push(q, 1, [&](auto push) { return boost_pop(q, 1, [&](auto pop) { return pairs(push, pop, items); }); });
}
}
#endif
