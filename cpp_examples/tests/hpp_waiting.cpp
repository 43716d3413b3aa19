// Calls that wait, what ends them, and many threads at once.
#include <algorithm>
#include <iterator>
#include <limits>
#include <numeric>

#include "hpp_test.hpp"

namespace {

template <class T, class Make>
void waiting(Make make) {
    for (const strategy engine : engines) {
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
        { // a handle closes as well, also when the ring object is gone
            std::optional<turtle::ring_buffer<T>> ring(std::in_place, 1, engine);
            turtle::producer in(*ring);
            turtle::consumer out(*ring);
            std::thread consumer([&] { CHECK(*out.pop() == make(1) && !out.pop()); });
            CHECK(in.push(make(1)));
            ring.reset();
            in.close();
            consumer.join();
            std::error_code why;
            CHECK(!in.try_push(make(2), why) && why == errc::closed);
            turtle::ring_buffer<T> full(1, engine);
            turtle::producer blocked(full);
            turtle::consumer ends(full);
            CHECK(blocked.push(make(1)));
            std::thread producer([&] { CHECK(!blocked.push(make(2))); });
            wait_for_a_sleeper(full, 0);
            ends.close();
            producer.join();
            CHECK(full.is_closed() && *ends.pop() == make(1) && !ends.pop());
        }
        { // constructed in place, within a time or until one: a push
            turtle::ring_buffer<T> ring(1, engine);
            CHECK(ring.try_emplace_for(1h, make(1)));
            CHECK(!ring.try_emplace_for(2ms, make(2)) && !ring.try_emplace_for(0s, make(2)));
            const auto before = std::chrono::steady_clock::now();
            CHECK(!ring.try_emplace_until(before + 3ms, make(2)) && std::chrono::steady_clock::now() >= before + 3ms);
            ring.release_thread();
            std::thread producer([&] { CHECK(ring.try_emplace_for(1h, make(3))); });
            wait_for_a_sleeper(ring, 0);
            CHECK(*ring.pop() == make(1) && *ring.pop() == make(3));
            producer.join();
        }
        { // interrupt ends a wait once, by an exception or a code
            turtle::ring_buffer<T> ring(1, engine);
            std::atomic<std::uint64_t> finished{0};
            std::thread consumer([&] {
                check_throws(errc::interrupted, [&] { static_cast<void>(ring.pop()); });
                finished = 1;
                std::error_code why;
                CHECK(!ring.pop(why) && why == errc::interrupted);
                finished = 2;
                CHECK(*ring.pop() == make(1));
            });
            for (std::uint64_t round = 0; round < 2; ++round) {
                while (finished != round) std::this_thread::yield();
                const auto seen = ring.stats().waits;
                wait_for_a_sleeper(ring, seen);
                ring.interrupt();
            }
            while (finished != 2) std::this_thread::yield(); // an element that is there already would end the wait, too
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
    check_times_out([&](auto when, auto& code) { return ring.try_push_until(1, when, code); });
    check_times_out<std::chrono::system_clock>([&](auto when, auto& code) { return ring.try_push_until(1, when, code); });
}

/// A clock of which no two reads are the same moment, and that runs ten times slower than the library's.
struct slow_clock {
    using duration = std::chrono::nanoseconds;
    using rep = duration::rep;
    using period = duration::period;
    using time_point = std::chrono::time_point<slow_clock>;
    [[maybe_unused]] static constexpr bool is_steady = true;
    static time_point now() { return time_point(std::chrono::steady_clock::now().time_since_epoch() / 10); }
};

void other_clocks() {
    turtle::ring_buffer<int> ring(1);
    check_times_out<slow_clock>([&](auto when, auto& why) { return ring.try_pop_until(when, why).has_value(); });
}

void iterating() {
    for (const strategy engine : engines) {
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
        {
            turtle::ring_buffer<std::string> words(4, engine);
            CHECK(words.push("one") && words.push("two"));
            words.close();
            auto it = words.begin();
            const std::string first_word = *it++;
            CHECK(first_word == "one" && *it == "two" && it->size() == 3 && ++it == words.end());
        }

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

void stop_tokens() {
#ifdef __cpp_lib_jthread
    for (const strategy engine : engines) {
        turtle::ring_buffer<std::string> ring(1, engine);
        std::error_code why;
        std::stop_source source;
        CHECK(ring.push("a", source.get_token()) && ring.pop(source.get_token()) == "a");
        CHECK(ring.push("b", source.get_token(), why) && !why && !ring.try_push_for("c", 15ms, source.get_token()));
        ring.release_thread();
        auto seen = ring.stats().waits;
        {
            std::jthread producer([&](std::stop_token stop) {
                std::string mine = "c";
                CHECK(!ring.push(std::move(mine), stop) && mine == "c"); // NOLINT: it was not moved from
                CHECK(!ring.push("c", stop, why) && why == errc::interrupted);
                CHECK(!ring.try_push_for("c", 1h, stop));
            });
            wait_for_a_sleeper(ring, seen);
        }
        CHECK(ring.pop() == "b" && !ring.try_pop_for(15ms, source.get_token()));
        ring.release_thread();
        seen = ring.stats().waits;
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

/// Fills the ring while it is being made, as another producer may between the two steps of a push.
struct meddles {
    int number;
    meddles(turtle::producer<meddles>* other, int n) : number(n) {
        if (other != nullptr) CHECK(other->try_emplace(nullptr, 1));
    }
    meddles(meddles&& other) noexcept : number(std::exchange(other.number, 0)) {}
    meddles& operator=(meddles&& other) noexcept { return number = std::exchange(other.number, 0), *this; }
    ~meddles() {} // not plain data: it lives in the slot
};

/// On an engine that decides at the commit others may take the room meanwhile: the push waits again, and a try or a
/// timed one says so.
void room_taken_meanwhile() {
    turtle::ring_buffer<meddles> ring(1, strategy::wait_free);
    turtle::producer other(ring);
    CHECK(!ring.try_emplace(&other, 2));
    CHECK(ring.pop()->number == 1);
    CHECK(!ring.try_emplace_for(1ms, &other, 2));
    CHECK(ring.pop()->number == 1);
    ring.release_thread();
    std::thread producer([&] { CHECK(ring.emplace(&other, 2)); });
    CHECK(ring.pop()->number == 1 && ring.pop()->number == 2);
    producer.join();
}

} // namespace

void test_waiting() {
    waiting<int>([](int n) { return n; });
    waiting<std::string>([](int n) { return std::string(30, 'x') + std::to_string(n); });
    times();
    other_clocks();
    iterating();
    stop_tokens();
    many_threads();
    sides_of_spsc();
    room_taken_meanwhile();
}
