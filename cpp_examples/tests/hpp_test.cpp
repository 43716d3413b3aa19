// Every method of turtle.hpp, on both strategies, with its errors. Waits are made certain by watching stats().waits,
// never by sleeping.
#include <algorithm>
#include <array>
#include <atomic>
#include <chrono>
#include <cstdint>
#include <cstdio>
#include <forward_list>
#include <iterator>
#include <limits>
#include <list>
#include <memory>
#include <numeric>
#include <optional>
#include <set>
#include <stdexcept>
#include <string>
#include <system_error>
#include <thread>
#include <utility>
#include <vector>

#include <poll.h>
#include <sys/wait.h>
#include <unistd.h>

#include <turtle.hpp>

#include "../check.hpp"

using namespace std::chrono_literals;
using turtle::errc;
using turtle::strategy;

namespace {

constexpr strategy both[] = {strategy::turn, strategy::spsc};

std::string fresh_name(const char* what) { return "/turtle-hpp-test-" + std::to_string(getpid()) + "-" + what; }

/// Removes a shared ring's name however the test ends.
struct named {
    std::string name;
    explicit named(const char* what) : name(fresh_name(what)) { turtle::unlink(name); }
    ~named() { turtle_unlink(name.c_str()); }
};

/// Runs `f`, which must throw this error.
template <class F>
void check_throws(errc expected, F&& f) {
    bool thrown = false;
    try {
        f();
    } catch (const std::system_error& error) {
        thrown = true;
        CHECK(error.code() == expected);
        CHECK(std::string(error.what()).find(turtle::make_error_code(expected).message()) != std::string::npos);
    }
    CHECK(thrown);
}

/// Lives in slots: counts itself, can be told to throw.
struct counted {
    static inline std::atomic<int> alive{0};
    static inline std::atomic<bool> throw_on_move{false};
    int value = 0;
    explicit counted(int v) : value(v) {
        if (v < 0) throw std::runtime_error("negative");
        ++alive;
    }
    counted(counted&& other) : value(other.value) {
        if (throw_on_move) throw std::runtime_error("move");
        other.value = -1;
        ++alive;
    }
    counted& operator=(counted&& other) noexcept {
        value = std::exchange(other.value, -1);
        return *this;
    }
    ~counted() { --alive; }
};
static_assert(!std::is_trivially_copyable_v<counted> && !std::is_copy_constructible_v<counted>);

void wait_for_a_sleeper(turtle::detail::ring_base& ring, std::uint64_t more_than) {
    while (ring.stats().waits <= more_than) std::this_thread::yield();
}

// ------------------------------------------------------------------------------------------------------ codes, options

void codes() {
    const std::error_code full = errc::full;
    CHECK(full.category() == turtle::category() && std::string(full.category().name()) == "turtle");
    CHECK(full == errc::full && full != errc::empty && full.value() == TURTLE_FULL);
    CHECK(!std::error_code(errc::success) && full);
    CHECK(full == std::errc::resource_unavailable_try_again);
    CHECK(std::error_code(errc::timeout) == std::errc::timed_out);
    CHECK(std::error_code(errc::not_found) == std::errc::no_such_file_or_directory);
    CHECK(std::error_code(errc::exists) == std::errc::file_exists);
    CHECK(std::error_code(errc::invalid) == std::errc::invalid_argument);
    CHECK(std::error_code(errc::closed).default_error_condition().category() == turtle::category());
    std::set<std::string> texts;
    for (int code = TURTLE_ERR_EXISTS; code <= TURTLE_INTERRUPTED; ++code) texts.insert(turtle::category().message(code));
    CHECK(texts.size() == 19);
}

void building() {
    check_throws(errc::invalid, [] { turtle::ring_buffer<int> none(0); });
    turtle::ring_buffer<int> seven(7);
    CHECK(seven.capacity() == 7 && seven.empty() && seven.size_approx() == 0 && !seven.is_closed());
    turtle::options wanted;
    turtle::ring_buffer<int> standard(wanted);
    CHECK(standard.capacity() == 1024);

    std::error_code why = errc::busy;
    wanted.capacity = 5;
    wanted.strategy = strategy::spsc;
    auto made = turtle::ring_buffer<std::string>::create(wanted, why);
    CHECK(made && !why && made->capacity() == 5 && made->stats().strategy == TURTLE_SPSC);
    wanted.strategy = static_cast<strategy>(1000);
    CHECK(!turtle::ring_buffer<int>::create(wanted, why) && why == errc::unsupported);
    check_throws(errc::unsupported, [&] { turtle::ring_buffer<int> none(wanted); });
    wanted.strategy = strategy::any;
    wanted.capacity = SIZE_MAX / 2;
    CHECK(!turtle::ring_buffer<int>::create(wanted, why) && why);

    // Moving: the new ring is the ring, the old one answers `invalid`.
    turtle::ring_buffer<int> first(2);
    CHECK(first.try_push(1));
    turtle::ring_buffer<int> second(std::move(first));
    CHECK(second.try_pop() == 1);
    CHECK(!first.try_push(1, why) && why == errc::invalid); // NOLINT: that is the point
    CHECK(first.capacity() == 0 && first.is_closed());
    check_throws(errc::invalid, [&] { static_cast<void>(first.pop()); });
    check_throws(errc::invalid, [&] { static_cast<void>(first.stats()); });
    check_throws(errc::invalid, [&] { turtle::producer none(first); });
    check_throws(errc::invalid, [&] { static_cast<void>(first.event_fd()); });
    CHECK(!first.try_claim() && !first.try_peek());
    first.close();
    first.interrupt();
    first.release_thread();
    first = std::move(second);
    CHECK(first.try_push(2) && first.try_pop() == 2);
    static_assert(!std::is_copy_constructible_v<turtle::ring_buffer<int>>);
    static_assert(std::is_nothrow_move_constructible_v<turtle::ring_buffer<int>>);
    static_assert(std::is_nothrow_move_assignable_v<turtle::shared_ring<int>>);
}

// ------------------------------------------------------------------------------------------------------- one at a time

/// The calls without waiting, on anything with both sides. `make(i)` makes element i, `is(x, i)` knows it again.
template <class T, class Push, class Pop, class Make, class Is>
void singles(Push& in, Pop& out, std::size_t capacity, Make make, Is is) {
    std::error_code why;
    for (int round = 0; round < 2; ++round) {
        for (std::size_t i = 0; i < capacity; ++i) {
            const int n = static_cast<int>(i);
            switch (i % 4) {
            case 0: CHECK(in.try_push(make(n))); break;
            case 1: CHECK(in.try_push(make(n), why) && !why); break;
            case 2: CHECK(in.push(make(n))); break;
            case 3: CHECK(in.push(make(n), why) && !why); break;
            }
        }
        T spare = make(99);
        CHECK(!in.try_push(std::move(spare)));
        CHECK(is(spare, 99)); // NOLINT: it was not moved from
        CHECK(!in.try_push(make(1), why) && why == errc::full);
        CHECK(!in.try_push_for(make(1), 0s, why) && why == errc::full);
        CHECK(!in.try_push_for(make(1), -1s));
        CHECK(!in.try_push_for(std::move(spare), 2ms, why) && why == errc::timeout);
        CHECK(is(spare, 99)); // NOLINT
        CHECK(!in.try_push_until(make(1), std::chrono::steady_clock::now() + 2ms, why) && why == errc::timeout);
        CHECK(!in.try_push_until(make(1), std::chrono::system_clock::now() - 1h, why) && why == errc::full);
        CHECK(!in.try_emplace(make(1)) && !in.try_claim() && in.try_claim().why() == errc::full);
        CHECK(in.try_claim_for(2ms).why() == errc::timeout);

        for (std::size_t i = 0; i < capacity; ++i) {
            const int n = static_cast<int>(i);
            std::optional<T> got;
            T into = make(50);
            switch (i % 6) {
            case 0: got = out.try_pop(); break;
            case 1: got = out.try_pop(why); break;
            case 2: got = out.pop(); break;
            case 3: got = out.pop(why); break;
            case 4: CHECK(out.try_pop(into)); got.emplace(std::move(into)); break;
            case 5: CHECK(out.pop(into)); got.emplace(std::move(into)); break;
            }
            CHECK(!why || i % 6 == 0);
            CHECK(got && is(*got, n));
        }
        T into = make(50);
        CHECK(!out.try_pop() && !out.try_pop(why) && why == errc::empty);
        CHECK(!out.try_pop(into) && is(into, 50));
        CHECK(!out.try_pop_for(0s, why) && why == errc::empty);
        CHECK(!out.try_pop_for(2ms) && !out.try_pop_for(2ms, why) && why == errc::timeout);
        CHECK(!out.try_pop_until(std::chrono::steady_clock::now() + 2ms, why) && why == errc::timeout);
        CHECK(!out.try_pop_until(std::chrono::steady_clock::now() - 2ms, why) && why == errc::empty);
        CHECK(!out.try_peek() && out.try_peek().why() == errc::empty && out.try_peek_for(2ms).why() == errc::timeout);

        CHECK(in.try_emplace(make(1)) && in.emplace(make(2)));
        CHECK(in.try_push_for(make(3), 1h));
        CHECK(in.try_push_until(make(4), std::chrono::system_clock::now() + 1h));
        for (int n = 1; n <= 2; ++n) CHECK(is(*out.try_pop_for(1h), n));
        for (int n = 3; n <= 4; ++n) CHECK(is(*out.try_pop_until(std::chrono::system_clock::now() + 1h), n));
        why.clear();
    }
}

template <class T, class Make, class Is>
void singles_everywhere(Make make, Is is) {
    for (const strategy engine : both) {
        for (const std::size_t capacity : {4u, 7u, 64u}) {
            turtle::ring_buffer<T> ring(capacity, engine);
            singles<T>(ring, ring, capacity, make, is);
            ring.release_thread(); // the handles below need the sides
            turtle::producer in(ring);
            turtle::consumer out(ring);
            singles<T>(in, out, capacity, make, is);
        }
    }
}

struct alignas(64) wide {
    int value;
};
struct no_default {
    int value;
    no_default() = delete;
    explicit no_default(int v) : value(v) {}
};
struct plain_move_only {
    int value;
    explicit plain_move_only(int v) : value(v) {}
    plain_move_only(const plain_move_only&) = delete;
    plain_move_only(plain_move_only&&) = default;
    plain_move_only& operator=(const plain_move_only&) = delete;
    plain_move_only& operator=(plain_move_only&&) = default;
};
static_assert(std::is_trivially_copyable_v<plain_move_only>);

void many_types() {
    const auto by_value = [](const auto& x, int n) { return x.value == n; };
    singles_everywhere<int>([](int n) { return n; }, [](int x, int n) { return x == n; });
    singles_everywhere<std::uint64_t>([](int n) { return static_cast<std::uint64_t>(n); },
                                      [](std::uint64_t x, int n) { return x == static_cast<std::uint64_t>(n); });
    singles_everywhere<char>([](int n) { return static_cast<char>(n); }, [](char x, int n) { return x == n; });
    singles_everywhere<wide>([](int n) { return wide{n}; }, by_value);
    singles_everywhere<no_default>([](int n) { return no_default(n); }, by_value);
    singles_everywhere<plain_move_only>([](int n) { return plain_move_only(n); }, by_value);
    singles_everywhere<std::array<int, 5000>>(
        [](int n) {
            std::array<int, 5000> all{};
            all.fill(n);
            return all;
        },
        [](const auto& x, int n) { return x.front() == n && x.back() == n; });
    singles_everywhere<std::string>([](int n) { return std::string(40, 'x') + std::to_string(n); },
                                    [](const std::string& x, int n) { return x == std::string(40, 'x') + std::to_string(n); });
    singles_everywhere<std::unique_ptr<int>>([](int n) { return std::make_unique<int>(n); },
                                             [](const auto& x, int n) { return x && *x == n; });
    singles_everywhere<counted>([](int n) { return counted(n); }, by_value);
    CHECK(counted::alive == 0);
}

template <class Ring, class U, class = void>
constexpr bool takes = false;
template <class Ring, class U>
constexpr bool takes<Ring, U, std::void_t<decltype(std::declval<Ring&>().try_push(std::declval<U>()))>> = true;

void conversions() {
    turtle::ring_buffer<std::string> strings(8);
    const std::string text = "constant";
    std::string mine = "mine";
    CHECK(strings.try_push(text) && strings.try_push(mine) && strings.try_push("literal") && strings.try_push({'x', 'x', 'x'}));
    CHECK(mine == "mine" && strings.emplace(2, 'y'));
    for (const char* expected : {"constant", "mine", "literal", "xxx", "yy"}) CHECK(strings.try_pop() == expected);
    turtle::ring_buffer<double> numbers(2);
    CHECK(numbers.push(3) && numbers.try_emplace(0.5f) && numbers.pop() == 3.0 && numbers.pop() == 0.5);
    static_assert(takes<turtle::ring_buffer<double>, int> && !takes<turtle::ring_buffer<double>, std::string>);
    static_assert(takes<turtle::ring_buffer<plain_move_only>, plain_move_only>
                  && !takes<turtle::ring_buffer<plain_move_only>, plain_move_only&>);
}

// -------------------------------------------------------------------------------------------------------------- batches

template <class T, class Make>
void batches(Make make) {
    const auto filled = [&](std::size_t n) {
        std::vector<T> all;
        for (std::size_t i = 0; i < n; ++i) all.push_back(make(i));
        return all;
    };
    const std::vector<T> reference = filled(1000);
    for (const strategy engine : both) {
        turtle::ring_buffer<T> ring(600, engine);
        std::error_code why;
        auto source = filled(1000);
        const auto moving = [&](std::size_t at) { return std::make_move_iterator(source.begin() + static_cast<long>(at)); };

        CHECK(ring.try_push_bulk(moving(0), 0, why) == 0 && !why);
        CHECK(ring.try_push_bulk(moving(0), 500) == 500); // 1: through the stack, or one by one
        CHECK(ring.try_push_bulk(moving(500), 500, why) == 100 && !why);
        CHECK(source[600] == reference[600]); // what did not fit is as it was
        CHECK(ring.try_push_bulk(moving(600), 400, why) == 0 && why == errc::full);

        std::vector<T> got;
        CHECK(ring.try_pop_bulk(std::back_inserter(got), 0, why) == 0 && !why);
        CHECK(ring.try_pop_bulk(std::back_inserter(got), 550) == 550);
        CHECK(ring.pop_bulk(std::back_inserter(got), 1000) == 50);
        CHECK(std::equal(got.begin(), got.end(), reference.begin()) && got.size() == 600);
        CHECK(ring.try_pop_bulk(std::back_inserter(got), 10, why) == 0 && why == errc::empty);
        CHECK(ring.try_pop_bulk_for(std::back_inserter(got), 10, 2ms) == 0);

        std::list<T> chain; // no contiguous memory
        for (std::size_t i = 0; i < 300; ++i) chain.push_back(make(i));
        CHECK(ring.push_bulk(std::make_move_iterator(chain.begin()), 300) == 300);
        std::list<T> received(300);
        CHECK(ring.pop_bulk(received.begin(), 300) == 300);
        CHECK(std::equal(received.begin(), received.end(), reference.begin()));

        ring.close();
        source = filled(4);
        CHECK(ring.try_push_bulk(moving(0), 4, why) == 0 && why == errc::closed);
        CHECK(ring.push_bulk(moving(0), 4) == 0);
        CHECK(source[0] == reference[0]);
        CHECK(ring.pop_bulk(got.begin(), 4) == 0 && ring.try_pop_bulk(got.begin(), 4, why) == 0 && why == errc::closed);
        CHECK(ring.try_pop_bulk_for(got.begin(), 4, 1h) == 0);
    }
}

void batches_of_plain_data() {
    static_assert(turtle::detail::is_contiguous<int*, int>() && turtle::detail::is_contiguous<const int*, int>());
    static_assert(turtle::detail::is_contiguous<std::vector<int>::iterator, int>());
    static_assert(!turtle::detail::is_contiguous<std::list<int>::iterator, int>());
    static_assert(!turtle::detail::is_contiguous<long*, int>() && !turtle::detail::is_contiguous<std::vector<bool>::iterator, bool>());
    for (const strategy engine : both) {
        turtle::ring_buffer<int> ring(100, engine);
        std::vector<int> numbers(250), got(250, -1);
        std::iota(numbers.begin(), numbers.end(), 0);
        CHECK(ring.try_push_bulk(numbers.data(), 60) == 60);
        CHECK(ring.try_push_bulk(numbers.begin() + 60, 60) == 40);
        CHECK(ring.try_pop_bulk(got.data(), 70) == 70);
        CHECK(ring.pop_bulk(got.begin() + 70, 180) == 30);
        CHECK(std::equal(got.begin(), got.begin() + 100, numbers.begin()) && got[100] == -1);

        const std::vector<short> shorts = {1, 2, 3}; // another type: converted one by one
        CHECK(ring.push_bulk(shorts.begin(), 3) == 3);
        std::vector<long> longs(3);
        CHECK(ring.pop_bulk(longs.begin(), 3) == 3 && longs == std::vector<long>({1, 2, 3}));
        std::forward_list<int> chain = {7, 8};
        CHECK(ring.try_push_bulk(chain.begin(), 2) == 2 && ring.try_pop() == 7 && ring.try_pop() == 8);

        // More than fits: the rest goes in as somebody takes.
        std::thread taker([&] {
            for (std::size_t done = 0; done < 250;) done += ring.pop_bulk(got.begin() + static_cast<long>(done), 250 - done);
        });
        ring.release_thread();
        CHECK(ring.push_bulk(numbers.begin(), 250) == 250);
        taker.join();
        CHECK(got == numbers);
#ifdef __cpp_lib_span
        CHECK(ring.push_bulk(std::span<const int>(numbers).first(10)) == 10);
        CHECK(ring.try_push_bulk(std::span<const int>(numbers).first(100)) == 90);
        CHECK(ring.try_pop_bulk(std::span<int>(got).first(5)) == 5 && ring.pop_bulk(std::span<int>(got)) == 95);
#endif
    }
    turtle::ring_buffer<bool> bits(10);
    std::vector<bool> pattern = {true, false, true}, back(3);
    CHECK(bits.try_push_bulk(pattern.begin(), 3) == 3 && bits.try_pop_bulk(back.begin(), 3) == 3 && back == pattern);
    turtle::ring_buffer<int> four(4);
    turtle::producer in(four);
    turtle::consumer out(four);
    const int some[] = {1, 2, 3};
    int back4[4] = {};
    CHECK(in.push_bulk(some, 3) == 3 && out.pop_bulk(back4, 4) == 3 && back4[2] == 3);
}

// ------------------------------------------------------------------------------------------------- claims and lifetimes

void claims() {
    for (const strategy engine : both) {
        turtle::ring_buffer<wide> ring(3, engine);
        {
            auto slot = ring.claim();
            CHECK(slot && reinterpret_cast<std::uintptr_t>(slot.get()) % 64 == 0);
            slot->value = 1;
            (*slot).value += 1;
            CHECK(slot.commit() && !slot);
            CHECK(!slot.commit() && slot.why() == errc::invalid); // once
            slot.abandon();                                       // does nothing any more
        }
        {
            auto forgotten = ring.claim();
            CHECK(forgotten);
            auto moved = std::move(forgotten);
            CHECK(moved && !forgotten); // NOLINT
        }
        {
            const auto element = ring.peek();
            CHECK(element && element->value == 2 && (*element).value == 2);
            static_assert(std::is_same_v<decltype(*element), const wide&>);
        }
        CHECK(!ring.try_pop());
        CHECK(ring.emplace(wide{3}));
        auto element = ring.try_peek();
        CHECK(element && element->value == 3);
        auto same = std::move(element);
        CHECK(same->value == 3 && !element); // NOLINT
        same.release();
        CHECK(!same && !ring.try_peek());
        same.release(); // does nothing any more
        CHECK(ring.emplace(wide{4}) && ring.try_peek_for(1h)->value == 4);
        static_assert(!std::is_move_assignable_v<decltype(same)> && !std::is_copy_constructible_v<decltype(same)>);
        for (int i = 0; i < 3; ++i) CHECK(ring.try_push(wide{i})); // all slots are free again
        CHECK(!ring.try_push(wide{9}));

        ring.release_thread();
        turtle::producer in(ring);
        turtle::consumer out(ring);
        CHECK(out.peek()->value == 0);
        auto slot = in.try_claim_for(1h);
        CHECK(slot);
        slot.emplace(wide{5});
        slot.emplace(wide{6});
        CHECK(slot.commit());
        for (const int expected : {1, 2, 6}) CHECK(out.try_peek()->value == expected);
    }
}

void lifetimes() {
    for (const strategy engine : both) {
        CHECK(counted::alive == 0);
        {
            turtle::ring_buffer<counted> ring(4, engine);
            { // a claim without an object, and one with
                auto nothing = ring.claim();
                CHECK(!nothing.commit() && nothing.why() == errc::invalid);
                nothing.emplace(1);
                CHECK(counted::alive == 1);
                nothing.emplace(2); // replaces
                CHECK(counted::alive == 1);
            }
            CHECK(counted::alive == 0 && !ring.try_pop());
            { // a constructor that throws leaves nothing behind
                bool thrown = false;
                try {
                    static_cast<void>(ring.emplace(-1));
                } catch (const std::runtime_error&) {
                    thrown = true;
                }
                CHECK(thrown && counted::alive == 0 && !ring.try_pop());
            }
            { // peek: moved from, then destroyed with the guard
                CHECK(ring.emplace(3) && ring.emplace(4));
                auto first = ring.peek();
                const counted mine(std::move(*first));
                CHECK(mine.value == 3 && first->value == -1 && counted::alive == 3);
                first.release();
                CHECK(counted::alive == 2);
            }
            { // a move that throws: that element is gone, the ring goes on
                counted::throw_on_move = true;
                bool thrown = false;
                try {
                    static_cast<void>(ring.pop());
                } catch (const std::runtime_error&) {
                    thrown = true;
                }
                counted::throw_on_move = false;
                CHECK(thrown && counted::alive == 0 && ring.emplace(5) && ring.pop()->value == 5);
            }
            for (int i = 0; i < 4; ++i) CHECK(ring.try_emplace(i));
            CHECK(counted::alive == 4);
            CHECK(ring.try_pop()->value == 0);
            CHECK(counted::alive == 3);
        }
        CHECK(counted::alive == 0); // the ring destroyed what was left
        { // a handle keeps the ring and its elements alive
            std::optional<turtle::consumer<counted>> out;
            {
                turtle::ring_buffer<counted> ring(4, engine);
                out.emplace(ring);
                CHECK(ring.emplace(1) && ring.emplace(2));
            }
            CHECK(counted::alive == 2);
            CHECK(out->try_pop()->value == 1);
        }
        CHECK(counted::alive == 0);
    }
}

/// Closes its ring while it is being moved into a slot of it: between claim and commit.
struct closer {
    turtle::ring_buffer<closer>* ring = nullptr;
    std::string text;
    closer(turtle::ring_buffer<closer>* r, std::string t) : ring(r), text(std::move(t)) {}
    closer(closer&& other) noexcept : ring(std::exchange(other.ring, nullptr)), text(std::move(other.text)) {
        if (ring != nullptr) ring->close();
    }
    closer& operator=(closer&& other) noexcept {
        ring = nullptr;
        text = std::move(other.text);
        return *this;
    }
};

void closing_between_claim_and_commit() {
    for (const strategy engine : both) {
        turtle::ring_buffer<closer> ring(2, engine);
        closer value(&ring, "a text too long for the small buffer");
        std::error_code why;
        if (ring.push(std::move(value), why)) { // the claim was before the seal: accepted, and drained before the end
            CHECK(!why && ring.pop(why)->text == "a text too long for the small buffer");
        } else {
            CHECK(why == errc::closed && value.text == "a text too long for the small buffer"); // NOLINT: moved back
        }
        CHECK(!ring.pop(why) && why == errc::closed);

        turtle::ring_buffer<counted> other(2, engine);
        {
            auto slot = other.claim();
            slot.emplace(7);
            other.close();
            if (slot.commit())
                CHECK(other.pop()->value == 7);
            else
                CHECK(slot && slot.why() == errc::closed && slot->value == 7 && !slot.commit());
        }
        CHECK(counted::alive == 0 && !other.pop());
        CHECK(!other.push(counted(1)));
        CHECK(counted::alive == 0);
        CHECK(other.peek().why() == errc::closed);
        auto late = other.claim(); // spsc decides at the commit, turn at the claim
        if (late) {
            late.emplace(8);
            CHECK(!late.commit());
        }
        CHECK(late.why() == errc::closed);
    }
}

// ---------------------------------------------------------------------------------------------------- waiting and ending

template <class T, class Make>
void waiting(Make make) {
    for (const strategy engine : both) {
        { // a pop waits for a push
            turtle::ring_buffer<T> ring(1, engine);
            std::thread consumer([&] { CHECK(*ring.pop() == make(1)); });
            wait_for_a_sleeper(ring, 0);
            CHECK(ring.push(make(1)));
            consumer.join();
        }
        { // a push waits for a pop
            turtle::ring_buffer<T> ring(1, engine);
            CHECK(ring.push(make(1)));
            ring.release_thread();
            std::thread producer([&] { CHECK(ring.push(make(2))); });
            wait_for_a_sleeper(ring, 0);
            CHECK(*ring.pop() == make(1) && *ring.pop() == make(2));
            producer.join();
        }
        { // close ends waits on both sides, and only after what was accepted
            turtle::ring_buffer<T> ring(1, engine);
            std::thread consumer([&] { CHECK(!ring.pop()); });
            wait_for_a_sleeper(ring, 0);
            ring.close();
            consumer.join();
            CHECK(ring.is_closed());
            turtle::ring_buffer<T> full(1, engine);
            CHECK(full.push(make(1)));
            full.release_thread();
            std::thread producer([&] {
                T value = make(2);
                std::error_code why;
                CHECK(!full.push(std::move(value), why) && why == errc::closed && value == make(2)); // NOLINT
            });
            wait_for_a_sleeper(full, 0);
            full.close();
            producer.join();
            full.release_thread();
            CHECK(*full.pop() == make(1) && !full.pop() && !full.push(make(3)));
        }
        { // interrupt ends a wait once, by an exception or a code
            turtle::ring_buffer<T> ring(1, engine);
            std::thread consumer([&] {
                check_throws(errc::interrupted, [&] { static_cast<void>(ring.pop()); });
                std::error_code why;
                CHECK(!ring.pop(why) && why == errc::interrupted);
                CHECK(*ring.pop() == make(1));
            });
            for (std::uint64_t round = 0; round < 2; ++round) {
                const auto seen = ring.stats().waits;
                wait_for_a_sleeper(ring, seen);
                ring.interrupt();
            }
            CHECK(ring.push(make(1)));
            consumer.join();
        }
    }
}

void times() {
    turtle::ring_buffer<int> ring(1);
    const auto start = std::chrono::steady_clock::now();
    std::error_code why;
    CHECK(!ring.try_pop_for(20ms, why) && why == errc::timeout);
    CHECK(std::chrono::steady_clock::now() - start >= 20ms);
    CHECK(!ring.try_pop_until(start + 40ms, why) && why == errc::timeout);
    CHECK(std::chrono::steady_clock::now() - start >= 40ms);
    CHECK(!ring.try_pop_for(std::chrono::duration<double, std::milli>(0.5), why) && why == errc::timeout);
    using turtle::detail::within;
    CHECK(within(0s).ns == 0 && within(-1h).ns == 0 && within(std::chrono::nanoseconds::min()).ns == 0);
    CHECK(within(1ns).ns == 1 && within(3us).ns == 3000 && within(1s).ns == 1'000'000'000);
    CHECK(within(std::chrono::duration<double, std::nano>(1.25)).ns == 2); // never early
    CHECK(within(std::chrono::nanoseconds::max()).ns == INT64_MAX);
    CHECK(within(std::chrono::hours::max()).ns == TURTLE_FOREVER);
    CHECK(within(std::chrono::duration<double>(1e300)).ns == TURTLE_FOREVER);
    CHECK(within(std::chrono::duration<double>(-1e300)).ns == 0);
    CHECK(within(std::chrono::duration<double>(std::numeric_limits<double>::quiet_NaN())).ns == 0);
    CHECK(ring.try_push_for(1, std::chrono::hours::max()));
    CHECK(!ring.try_push_until(1, std::chrono::steady_clock::now() + 5ms, why) && why == errc::timeout);
}

/// A clock of which no two reads are the same moment, and that runs ten times slower than the library's.
struct slow_clock {
    using duration = std::chrono::nanoseconds;
    using rep = duration::rep;
    using period = duration::period;
    using time_point = std::chrono::time_point<slow_clock>;
    static constexpr bool is_steady = true;
    static time_point now() { return time_point(std::chrono::steady_clock::now().time_since_epoch() / 10); }
};

void other_clocks() {
    turtle::ring_buffer<int> ring(1);
    std::error_code why;
    const auto deadline = slow_clock::now() + 2ms;
    CHECK(!ring.try_pop_until(deadline, why) && why == errc::timeout);
    CHECK(slow_clock::now() >= deadline);
}

void iterating() {
    for (const strategy engine : both) {
        turtle::ring_buffer<int> ring(100, engine);
        for (int i = 0; i < 10; ++i) CHECK(ring.push(i));
        int first = 0;
        for (const int x : ring) { // leaving early takes no more than was seen
            CHECK(x == first++);
            if (x == 4) break;
        }
        ring.close();
        const std::vector<int> rest(ring.begin(), ring.end());
        CHECK(rest == std::vector<int>({5, 6, 7, 8, 9}));
        CHECK(ring.begin() == ring.end());

        turtle::ring_buffer<std::unique_ptr<int>> pointers(4, engine);
        CHECK(pointers.push(std::make_unique<int>(1)) && pointers.push(std::make_unique<int>(2)));
        pointers.close();
        pointers.release_thread();
        turtle::consumer out(pointers);
        std::vector<std::unique_ptr<int>> mine;
        for (auto& x : out) mine.push_back(std::move(x));
        CHECK(mine.size() == 2 && *mine[1] == 2);
        static_assert(std::is_same_v<std::iterator_traits<turtle::ring_buffer<int>::iterator>::iterator_category,
                                     std::input_iterator_tag>);
#ifdef __cpp_lib_ranges
        static_assert(std::input_iterator<turtle::ring_buffer<int>::iterator>);
        static_assert(std::ranges::input_range<turtle::ring_buffer<int>>);
#endif
    }
}

// ------------------------------------------------------------------------------------------------------- many threads

template <class T, class Make, class Number>
void stress(strategy engine, int producers, int consumers, int each, Make make, Number number) {
    turtle::ring_buffer<T> ring(64, engine);
    std::vector<std::thread> threads;
    std::vector<std::vector<int>> got(static_cast<std::size_t>(consumers));
    std::atomic<int> left{producers};
    for (int p = 0; p < producers; ++p)
        threads.emplace_back([&, p] {
            turtle::producer in(ring);
            for (int i = 0; i < each; ++i) CHECK(in.push(make(p * each + i)));
            if (--left == 0) ring.close();
        });
    for (auto& mine : got)
        threads.emplace_back([&] {
            turtle::consumer out(ring);
            for (auto& x : out) mine.push_back(number(x));
        });
    for (auto& thread : threads) thread.join();
    std::vector<int> all;
    for (auto& mine : got) {
        for (int p = 0; p < producers; ++p) { // what one consumer sees of one producer is in order
            int last = -1;
            for (const int x : mine)
                if (x / each == p) {
                    CHECK(x > last);
                    last = x;
                }
        }
        all.insert(all.end(), mine.begin(), mine.end());
    }
    std::sort(all.begin(), all.end());
    std::vector<int> expected(static_cast<std::size_t>(producers * each));
    std::iota(expected.begin(), expected.end(), 0);
    CHECK(all == expected);
}

void many_threads() {
    const auto text = [](int n) { return std::string(30, '.') + std::to_string(n); };
    const auto of_text = [](const std::string& x) { return std::stoi(x.substr(30)); };
    const auto same = [](int n) { return n; };
    stress<int>(strategy::turn, 3, 3, 20'000, same, same);
    stress<std::string>(strategy::turn, 3, 3, 10'000, text, of_text);
    stress<int>(strategy::spsc, 1, 1, 50'000, same, same);
    stress<std::string>(strategy::spsc, 1, 1, 20'000, text, of_text);
}

void sides_of_spsc() {
    turtle::ring_buffer<int> ring(4, strategy::spsc);
    CHECK(ring.try_push(1)); // this thread is the producer now
    std::thread other([&] {
        std::error_code why;
        CHECK(!ring.try_push(2, why) && why == errc::no_handle);
        check_throws(errc::no_handle, [&] { static_cast<void>(ring.push(2)); });
        check_throws(errc::no_handle, [&] { turtle::producer none(ring); });
        CHECK(!turtle::producer<int>::create(ring, why) && why == errc::no_handle);
        const int some[] = {1, 2};
        CHECK(ring.try_push_bulk(some, 2, why) == 0 && why == errc::no_handle);
        check_throws(errc::no_handle, [&] { static_cast<void>(ring.push_bulk(some, 2)); });
        CHECK(ring.try_claim().why() == errc::no_handle);
        CHECK(ring.try_pop() == 1); // and the consumer, until it ends
    });
    other.join();
    std::error_code why;
    CHECK(!ring.try_pop(why) && why == errc::empty);
    ring.release_thread();
    {
        auto in = turtle::producer<int>::create(ring, why);
        auto out = turtle::consumer<int>::create(ring, why);
        CHECK(in && out && !why && in->raw() != nullptr && out->raw() != nullptr);
        check_throws(errc::no_handle, [&] { turtle::consumer none(ring); });
        CHECK(!turtle::consumer<int>::create(ring, why) && why == errc::no_handle);
        turtle::producer<int> moved(std::move(*in));
        CHECK(moved.push(5) && out->pop() == 5);
        CHECK(!in->try_push(6, why) && why == errc::invalid); // NOLINT: moved from
    }
    turtle::producer again(ring); // the side is free again
    CHECK(again.try_push(6));
}

// ------------------------------------------------------------------------------------------------------------- the rest

void observers() {
    for (const strategy engine : both) {
        turtle::ring_buffer<int> ring(10, engine);
        for (int i = 0; i < 3; ++i) CHECK(ring.try_push(i));
        CHECK(ring.size_approx() == 3 && !ring.empty() && ring.try_pop() == 0);
        const turtle::statistics now = ring.stats();
        CHECK(now.struct_size == sizeof now && now.strategy == static_cast<std::uint32_t>(engine));
        CHECK(now.capacity == 10 && now.elem_size == 4 && now.elem_align == 8 && now.is_shared == 0 && now.is_closed == 0);
        CHECK(now.pushed == 3 && now.popped == 1 && now.len == 2);

        pollfd event{ring.event_fd(), POLLIN, 0};
        CHECK(poll(&event, 1, 10'000) == 1);
        while (ring.try_pop()) {}
        event.revents = 0;
        CHECK(poll(&event, 1, 0) == 0);
        CHECK(ring.try_push(1) && poll(&event, 1, 10'000) == 1);
        CHECK(turtle_len(ring.raw()) == 1); // both interfaces at once
    }
}

void shared() {
    named ring("shared");
    turtle::options attach;
    attach.mode = turtle::open_mode::attach;
    check_throws(errc::not_found, [&] { turtle::shared_ring<int> none(ring.name, attach); });
    std::error_code why;
    CHECK(!turtle::shared_ring<int>::create(ring.name, attach, why) && why == errc::not_found);
    check_throws(errc::invalid, [] { turtle::shared_ring<int> none("no slash"); });
    CHECK(!turtle::unlink(ring.name));
    check_throws(errc::invalid, [] { turtle::unlink("no slash"); });

    turtle::options wanted;
    wanted.capacity = 20;
    wanted.strategy = strategy::turn;
    wanted.mode = turtle::open_mode::create_new;
    turtle::shared_ring<int> first(ring.name, wanted);
    check_throws(errc::exists, [&] { turtle::shared_ring<int> none(ring.name, wanted); });
    auto second = turtle::shared_ring<int>::create(ring.name, attach, why);
    CHECK(second && !why && second->capacity() == 20 && second->stats().is_shared == 1);
    CHECK(second->stats().strategy == TURTLE_TURN);
    check_throws(errc::mismatch, [&] { turtle::shared_ring<std::array<char, 40>> none(ring.name, attach); });
    check_throws(errc::mismatch, [&] { turtle::record_ring none(ring.name, 100, attach); });
    check_throws(errc::mismatch, [&] { turtle::record_ring none(ring.name, 0, attach); });
    attach.capacity = 21;
    check_throws(errc::mismatch, [&] { turtle::shared_ring<int> none(ring.name, attach); });

    CHECK(first.push(1) && second->pop() == 1);
    singles<int>(first, *second, 20, [](int n) { return n; }, [](int x, int n) { return x == n; });
    turtle::producer in(first);
    turtle::consumer out(*second);
    CHECK(in.push(2) && out.pop() == 2);
    second->close();
    CHECK(first.is_closed() && !first.push(3));
    CHECK(turtle::unlink(ring.name) && !turtle::unlink(ring.name));
}

template <class F>
int in_a_child(F&& f) {
    const pid_t child = fork();
    if (child == 0) _exit(f() ? 0 : 1);
    int status = -1;
    CHECK(waitpid(child, &status, 0) == child && WIFEXITED(status));
    return WEXITSTATUS(status);
}

void forked() {
    turtle::ring_buffer<int> mine(4);
    turtle::ring_buffer<std::string> text(4);
    CHECK(mine.push(1) && text.push("x"));
    named name("forked");
    turtle::options wanted;
    wanted.strategy = strategy::turn;
    turtle::shared_ring<int> ours(name.name, wanted);
    CHECK(in_a_child([&] {
              std::error_code why;
              const bool refused = !mine.try_push(2, why) && why == errc::invalid && !mine.pop(why) && why == errc::invalid
                  && !text.try_pop(why) && why == errc::invalid;
              return refused && ours.push(7) && ours.push(8);
          }) == 0);
    CHECK(mine.try_pop() == 1 && ours.try_pop() == 7 && ours.try_pop() == 8);
}

void records() {
    check_throws(errc::invalid, [] { turtle::record_ring none(0); });
    for (const strategy engine : both) {
        named name("records");
        turtle::options wanted;
        wanted.capacity = 3;
        wanted.strategy = engine;
        turtle::record_ring first(name.name, 104, wanted);
        turtle::options attach;
        attach.mode = turtle::open_mode::attach;
        turtle::record_ring second(name.name, 0, attach);
        CHECK(first.max_size() == 104 && second.max_size() == 104 && second.capacity() == 3);
        turtle::record_ring one_process(97, wanted);
        CHECK(one_process.max_size() == 104); // rounded up
        for (auto [in, out] : {std::pair(&first, &second), std::pair(&one_process, &one_process)}) {
            std::error_code why;
            std::string got = "untouched";
            CHECK(!out->try_pop(got) && !out->try_pop(got, why) && why == errc::empty && got == "untouched");
            CHECK(!out->try_pop_for(got, 2ms));
            const std::string zeros(104, '\0');
            CHECK(in->try_push("") && in->push(zeros) && in->try_push_for("three", 1h));
            CHECK(!in->try_push("four") && !in->try_push("four", why) && why == errc::full && !in->try_push_for("four", 2ms));
            CHECK(out->try_pop(got) && got.empty());
            CHECK(out->pop(got) && got == zeros);
            CHECK(out->try_pop_for(got, 1h) && got == "three");
            CHECK(!in->try_push(std::string(105, 'x'), why) && why == errc::invalid);
            check_throws(errc::invalid, [&] { static_cast<void>(in->push(std::string(105, 'x'))); });
            CHECK(in->push("last"));
            in->close();
            CHECK(!in->push("late") && out->pop(got) && got == "last" && !out->pop(got) && got == "last");
        }
    }
}

void stop_tokens() {
#ifdef __cpp_lib_jthread
    for (const strategy engine : both) {
        turtle::ring_buffer<std::string> ring(1, engine);
        std::error_code why;
        std::stop_source source;
        CHECK(ring.push("a", source.get_token()) && ring.pop(source.get_token()) == "a");
        CHECK(ring.push("b", source.get_token(), why) && !why && !ring.try_push_for("c", 15ms, source.get_token()));
        ring.release_thread();
        {
            std::jthread producer([&](std::stop_token stop) {
                std::string mine = "c";
                CHECK(!ring.push(std::move(mine), stop) && mine == "c"); // NOLINT: it was not moved from
                CHECK(!ring.push("c", stop, why) && why == errc::interrupted);
                CHECK(!ring.try_push_for("c", 1h, stop));
            });
            wait_for_a_sleeper(ring, 0);
        }
        CHECK(ring.pop() == "b" && !ring.try_pop_for(15ms, source.get_token()));
        ring.release_thread();
        const auto seen = ring.stats().waits;
        {
            std::jthread consumer([&](std::stop_token stop) {
                CHECK(!ring.pop(stop) && !ring.pop(stop, why) && why == errc::interrupted && !ring.try_pop_for(1h, stop));
            });
            wait_for_a_sleeper(ring, seen);
        }
        CHECK(!ring.is_closed());
        ring.close();
        CHECK(!ring.pop(source.get_token(), why) && why == errc::closed && !ring.pop(source.get_token()));
        CHECK(!ring.push("d", source.get_token()));
    }
#else
    std::puts("hpp_test: no std::stop_token here, its overloads are not tested");
#endif
}

void expecteds() {
#ifdef __cpp_lib_expected
    turtle::options wanted;
    wanted.capacity = 1;
    auto made = turtle::ring_buffer<std::string>::create(wanted);
    CHECK(made && made->capacity() == 1);
    auto& ring = *made;
    CHECK(ring.try_push("a", turtle::as_expected));
    CHECK(ring.try_push("b", turtle::as_expected).error() == errc::full);
    CHECK(ring.try_pop(turtle::as_expected) == "a");
    CHECK(ring.try_pop(turtle::as_expected).error() == errc::empty);
    CHECK(ring.push("c", turtle::as_expected).has_value());
    ring.close();
    CHECK(ring.push("d", turtle::as_expected).error() == errc::closed);
    CHECK(ring.pop(turtle::as_expected).value() == "c" && ring.pop(turtle::as_expected).error() == errc::closed);
    wanted.mode = turtle::open_mode::attach;
    CHECK(turtle::shared_ring<int>::create(fresh_name("none"), wanted).error() == errc::not_found);
    CHECK(turtle::ring_buffer<int>::create(wanted).error() == errc::invalid);
#else
    std::puts("hpp_test: no std::expected here, its overloads are not tested");
#endif
}

} // namespace

int main() {
    codes();
    building();
    many_types();
    conversions();
    batches<int>([](std::size_t n) { return static_cast<int>(n); });
    batches<std::array<std::uint64_t, 400>>([](std::size_t n) { return std::array<std::uint64_t, 400>{n}; });
    batches<std::string>([](std::size_t n) { return std::string(30, 'x') + std::to_string(n); });
    batches_of_plain_data();
    claims();
    lifetimes();
    closing_between_claim_and_commit();
    waiting<int>([](int n) { return n; });
    waiting<std::string>([](int n) { return std::string(30, 'x') + std::to_string(n); });
    times();
    other_clocks();
    iterating();
    many_threads();
    sides_of_spsc();
    observers();
    shared();
    forked();
    records();
    stop_tokens();
    expecteds();
    CHECK(counted::alive == 0);
    std::printf("hpp_test: every call of turtle.hpp answers as it says (C++ %ld)\n", __cplusplus / 100 % 100);
}
