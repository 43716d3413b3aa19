// Every method of turtle.hpp, on both strategies, with its errors. Waits are made certain by watching stats().waits,
// never by sleeping.
#include <cstdio>
#include <set>

#include <poll.h>

#include "hpp_test.hpp"

namespace {

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

void observers() {
    for (const strategy engine : engines) {
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
    const auto soon = [] { return std::chrono::steady_clock::now() + 1h; };
    CHECK(ring.try_push_for("t", 1h, turtle::as_expected) && ring.try_pop_for(1h, turtle::as_expected) == "t");
    CHECK(ring.try_push_until("u", soon(), turtle::as_expected) && ring.try_pop_until(soon(), turtle::as_expected) == "u");
    CHECK(ring.try_pop_for(2ms, turtle::as_expected).error() == errc::timeout);
    CHECK(ring.push("c", turtle::as_expected).has_value());
    CHECK(ring.try_push_for("d", 2ms, turtle::as_expected).error() == errc::timeout);
    ring.close();
    CHECK(ring.push("d", turtle::as_expected).error() == errc::closed);
    CHECK(ring.pop(turtle::as_expected).value() == "c" && ring.pop(turtle::as_expected).error() == errc::closed);
    wanted.mode = turtle::open_mode::attach;
    CHECK(turtle::shared_ring<int>::create(fresh_name("none"), wanted).error() == errc::not_found);
    CHECK(turtle::ring_buffer<int>::create(wanted).error() == errc::invalid);
    CHECK(turtle::record_ring::create(fresh_name("none"), 8, wanted).error() == errc::not_found);
    turtle::options one_each;
    one_each.strategy = strategy::spsc;
    turtle::ring_buffer<int> pair(one_each);
    auto in = turtle::producer<int>::create(pair);
    auto out = turtle::consumer<int>::create(pair);
    CHECK(in && out && in->push(1) && out->pop() == 1);
    CHECK(turtle::producer<int>::create(pair).error() == errc::no_handle);
    CHECK(turtle::consumer<int>::create(pair).error() == errc::no_handle);
    auto records = turtle::record_ring::create("", 8);
    CHECK(records && records->push("x", turtle::as_expected) && records->pop(turtle::as_expected) == "x");
#else
    std::puts("hpp_test: no std::expected here, its overloads are not tested");
#endif
}

} // namespace

int main() {
    codes();
    building();
    observers();
    expecteds();
    test_calls();
    test_batches();
    test_lifetimes();
    test_waiting();
    test_shared();
    test_records();
    std::printf("hpp_test: every call of turtle.hpp answers as it says (C++%ld)\n", __cplusplus / 100 % 100);
}
