// What the parts of the test of turtle.hpp share.
#pragma once

#include <array>
#include <atomic>
#include <chrono>
#include <cstdint>
#include <cstdio>
#include <memory>
#include <stdexcept>
#include <string>
#include <system_error>
#include <thread>
#include <utility>
#include <vector>

#include <unistd.h>

#include <turtle.hpp>

#include "../check.hpp"

using namespace std::chrono_literals;
using turtle::errc;
using turtle::strategy;

inline constexpr strategy engines[] = {strategy::turn, strategy::spsc, strategy::wait_free};

inline std::string fresh_name(const char* what) { return "/turtle-hpp-test-" + std::to_string(getpid()) + "-" + what; }

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

/// Makes a call with a deadline a little ahead, again if it had passed before the call began (on a busy machine): the
/// call must then tell that the time was up.
template <class Clock = std::chrono::steady_clock, class F>
void check_times_out(F&& call) {
    std::error_code why;
    typename Clock::time_point deadline;
    for (int round = 0; round < 1000 && why != errc::timeout; ++round) {
        deadline = Clock::now() + std::chrono::milliseconds(2);
        CHECK(!call(deadline, why));
    }
    CHECK(why == errc::timeout && Clock::now() >= deadline);
}

/// Wants more alignment than other elements: a cache line, a pair of them, a page.
template <std::size_t Alignment>
struct alignas(Alignment) aligned {
    int value;
};
using wide = aligned<64>;

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

inline void wait_for_a_sleeper(turtle::detail::ring_base& ring, std::uint64_t more_than) {
    while (ring.stats().waits <= more_than) std::this_thread::yield();
}

// The parts, each in the file of its name.
void test_calls();
void test_batches();
void test_lifetimes();
void test_waiting();
void test_shared();
void test_records();
