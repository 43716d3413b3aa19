// Many elements at a time, from and to contiguous and other memory.
#include <algorithm>
#include <forward_list>
#include <iterator>
#include <list>
#include <numeric>

#include "hpp_test.hpp"

namespace {

template <class T, class Make>
void batches(Make make) {
    const auto filled = [&](std::size_t n) {
        std::vector<T> all;
        for (std::size_t i = 0; i < n; ++i) all.push_back(make(i));
        return all;
    };
    const std::vector<T> reference = filled(1000);
    for (const strategy engine : engines) {
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
        CHECK(ring.try_pop_bulk_for(std::back_inserter(got), 10, 2ms, why) == 0 && why == errc::timeout);

        // Within a time: what fits by then, and why not all; what did not fit is as it was.
        source = filled(1000);
        CHECK(ring.try_push_bulk_for(moving(0), 1000, 5ms, why) == 600 && why == errc::timeout);
        CHECK(source[600] == reference[600] && ring.try_push_bulk_for(moving(600), 400, 0s, why) == 0 && why == errc::full);
        CHECK(ring.pop_bulk(std::back_inserter(got), 500, why) == 500 && !why);
        CHECK(ring.try_push_bulk_for(moving(600), 100, 1h, why) == 100 && !why && ring.try_push_bulk_for(moving(700), 10, 1h) == 10);
        CHECK(ring.push_bulk(moving(710), 10, why) == 10 && !why);
        CHECK(ring.try_pop_bulk_for(std::back_inserter(got), 1000, 1h, why) == 220 && !why);
        CHECK(std::equal(got.begin() + 600, got.end(), reference.begin()) && got.size() == 600 + 720);

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
        CHECK(ring.push_bulk(moving(0), 4, why) == 0 && why == errc::closed);
        CHECK(ring.try_push_bulk_for(moving(0), 4, 1h, why) == 0 && why == errc::closed);
        CHECK(source[0] == reference[0]);
        CHECK(ring.pop_bulk(got.begin(), 4, why) == 0 && why == errc::closed);
        CHECK(ring.pop_bulk(got.begin(), 4) == 0 && ring.try_pop_bulk(got.begin(), 4, why) == 0 && why == errc::closed);
        CHECK(ring.try_pop_bulk_for(got.begin(), 4, 1h) == 0);
    }
}

void batches_of_plain_data() {
    static_assert(turtle::detail::is_contiguous<int*, int>() && turtle::detail::is_contiguous<const int*, int>());
    static_assert(turtle::detail::is_contiguous<std::vector<int>::iterator, int>());
    static_assert(!turtle::detail::is_contiguous<std::list<int>::iterator, int>());
    static_assert(!turtle::detail::is_contiguous<long*, int>() && !turtle::detail::is_contiguous<std::vector<bool>::iterator, bool>());
    for (const strategy engine : engines) {
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
        ring.release_thread(); // the taker needs its side
        std::thread taker([&] {
            for (std::size_t done = 0; done < 250;) done += ring.pop_bulk(got.begin() + static_cast<long>(done), 250 - done);
        });
        CHECK(ring.push_bulk(numbers.begin(), 250) == 250);
        taker.join();
        CHECK(got == numbers);
        const std::list<int> linked(numbers.begin(), numbers.end()); // the same through the stack
        std::fill(got.begin(), got.end(), -1);
        std::thread again([&] {
            for (std::size_t done = 0; done < 250;) done += ring.pop_bulk(got.begin() + static_cast<long>(done), 250 - done);
        });
        CHECK(ring.push_bulk(linked.begin(), 250) == 250);
        again.join();
        CHECK(got == numbers);
#ifdef __cpp_lib_span
        CHECK(ring.push_bulk(std::span<const int>(numbers).first(10)) == 10);
        CHECK(ring.try_push_bulk(std::span<const int>(numbers).first(100)) == 90);
        CHECK(ring.try_pop_bulk(std::span<int>(got).first(5)) == 5 && ring.pop_bulk(std::span<int>(got)) == 95);
        std::error_code why;
        CHECK(ring.push_bulk(std::span<const int>(numbers).first(10), why) == 10 && !why);
        CHECK(ring.try_push_bulk(numbers, why) == 90 && !why); // a vector is a span
        CHECK(ring.pop_bulk(got, why) == 100 && !why && got[10] == 0 && got[99] == 89);
        CHECK(ring.try_pop_bulk(got, why) == 0 && why == errc::empty);
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

} // namespace

void test_batches() {
    batches<int>([](std::size_t n) { return static_cast<int>(n); });
    batches<std::array<std::uint64_t, 400>>([](std::size_t n) { return std::array<std::uint64_t, 400>{n}; });
    batches<std::string>([](std::size_t n) { return std::string(30, 'x') + std::to_string(n); });
    batches_of_plain_data();
}
