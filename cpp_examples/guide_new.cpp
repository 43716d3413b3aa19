// What docs/cpp.md shows of C++20 and 23, as far as the standard library has it.
#include <chrono>
#include <cstdio>
#include <thread>
#include <vector>

#include <turtle.hpp>

#include "check.hpp"

using namespace std::chrono_literals;

int main() {
#ifdef __cpp_lib_jthread
    turtle::ring_buffer<int> numbers(64);
    {
        std::jthread worker([&numbers](std::stop_token stop) {
            while (auto next = numbers.pop(stop)) CHECK(*next > 0); // nothing: closed, or asked to stop
        });
        CHECK(numbers.push(1));
    } // asks, and joins; the ring stays open
    CHECK(!numbers.is_closed());
#endif
#ifdef __cpp_lib_span
    turtle::ring_buffer<int> batch(64);
    std::vector<int> some(40, 1), room(64);
    CHECK(batch.push_bulk(some) == 40 && batch.pop_bulk(room) == 40); // anything that is a std::span
#endif
#ifdef __cpp_lib_expected
    turtle::ring_buffer<int> ring({.capacity = 4, .strategy = turtle::strategy::spsc});
    CHECK(ring.try_push(1, turtle::as_expected));
    CHECK(ring.pop(turtle::as_expected).value_or(0) == 1);
    CHECK(ring.try_pop_for(2ms, turtle::as_expected).error() == turtle::errc::timeout);
#endif
    std::puts("guide_new: what docs/cpp.md shows of newer standards is so");
}
