// What docs/cpp.md shows, built and run. scripts/test-readme.py compares the page with this file.
#include <array>
#include <chrono>
#include <cstdint>
#include <cstdio>
#include <cstring>
#include <iterator>
#include <memory>
#include <stdexcept>
#include <string>
#include <system_error>
#include <thread>
#include <utility>
#include <vector>

#include <poll.h>
#include <unistd.h>

#include <turtle.hpp>

#include "check.hpp"

using namespace std::chrono_literals;

namespace {

struct job {
    int id = 0;
    std::unique_ptr<std::string> text;
};

void ways_to_push_and_pop() {
    turtle::ring_buffer<job> jobs(2);
    job mine{1, std::make_unique<std::string>("x")};

    std::error_code why;
    if (!jobs.try_push(std::move(mine), why)) { // at once
        if (why == turtle::errc::full) CHECK(mine.text != nullptr); // refused: `mine` is as it was
    }
    CHECK(jobs.try_emplace()); // constructed in its slot
    CHECK(!jobs.try_push_for(job{2, nullptr}, 5ms, why) && why == turtle::errc::timeout);

    if (auto next = jobs.try_pop()) CHECK(next->id == 1); // std::optional<job>
    job into;
    CHECK(jobs.try_pop_until(std::chrono::steady_clock::now() + 1s)); // any clock
    CHECK(!jobs.try_pop_for(into, 5ms) && !jobs.try_pop(into)); // into an object that is there
}

void closing() {
    turtle::ring_buffer<int> ring(8);
    std::error_code why;
    CHECK(ring.push(1));
    ring.close(); // any thread, any number of times; wakes everybody
    CHECK(!ring.push(2)); // false: closed. Nothing that was accepted is lost:
    CHECK(ring.pop() == 1);
    CHECK(!ring.pop(why) && why == turtle::errc::closed); // closed, and drained
}

void errors() {
    try {
        auto ring = turtle::shared_ring<int>::attach("/nobody-made-this");
    } catch (const std::system_error& error) {
        CHECK(error.code() == turtle::errc::not_found);
        CHECK(error.code() == std::errc::no_such_file_or_directory); // the same, in the standard's words
    }
    std::error_code why;
    turtle::options wanted;
    wanted.capacity = 64;
    wanted.strategy = turtle::strategy::spsc;
    auto ring = turtle::ring_buffer<int>::create(wanted, why); // std::optional; does not throw
    CHECK(ring && !why);
}

void batches() {
    turtle::ring_buffer<int> ring(512);
    std::vector<int> out(300, 7), in;
    CHECK(ring.push_bulk(out.begin(), out.size()) == 300); // waits for room as often as it must
    while (ring.size_approx() > 0)
        CHECK(ring.pop_bulk(std::back_inserter(in), 64) > 0); // waits for one, takes up to 64
    CHECK(in == out);
}

void zero_copy() {
    struct frame {
        std::uint64_t number;
        std::array<unsigned char, 65536> pixels;
    };
    turtle::ring_buffer<frame> frames(4);
    if (auto slot = frames.claim()) { // lent: fill it, then commit
        slot->number = 1;
        slot->pixels.fill(200);
        CHECK(slot.commit()); // without it the slot goes back and leaves no trace
    }
    if (const auto seen = frames.peek()) // taken, and lent to read until `seen` ends
        CHECK(seen->number == 1 && seen->pixels[9] == 200);

    turtle::ring_buffer<std::string> texts(4);
    auto slot = texts.claim();
    slot.emplace(1000u, 'x'); // objects are constructed in the slot
    CHECK(slot.commit() && texts.peek()->size() == 1000);
}

void handles() {
    turtle::ring_buffer<int> ring(64, turtle::strategy::spsc);
    turtle::producer in(ring); // takes the producing side, until it ends
    turtle::consumer out(ring);
    std::thread worker([in = std::move(in)]() mutable { CHECK(in.push(1)); }); // may move to another thread
    CHECK(out.pop() == 1);
    worker.join();
}

struct tick {
    std::uint64_t number;
    double price;
};

void processes(const std::string& name) {
    // One process creates …
    turtle::shared_ring<tick> ticks(name, 1024, turtle::strategy::spsc);
    CHECK(ticks.push({1, 99.5}));
    // … another attaches, whatever the capacity and the engine.
    auto same = turtle::shared_ring<tick>::attach(name);
    CHECK(same.pop()->price == 99.5);
    turtle::unlink(name); // without this the ring and what is in it stay
}

void sessions(const std::string& name) {
    turtle::shared_ring<tick> ticks(name, 1024);
    std::error_code why;
    if (auto out = turtle::producer<tick>::create(ticks, turtle::session{7}, why)) {
        for (auto next = out->recovered().done; next < 100; ++next) // behind the last one that arrived
            CHECK(out->push({next, 99.5}));
    } else {
        CHECK(why == turtle::errc::unsupported); // this strategy keeps no records
    }
    turtle::unlink(name);
}

void records(const std::string& name) {
    turtle::record_ring lines(name, 4096); // strings of up to 4096 bytes
    CHECK(lines.push("a line"));
    if (auto slot = lines.claim()) { // or written where it will lie
        const int length = std::snprintf(slot.data(), slot.size(), "%d bottles", 99);
        CHECK(slot.commit(static_cast<std::size_t>(length)));
    }
    CHECK(lines.pop() == "a line"); // std::optional<std::string>
    CHECK(*lines.peek() == "99 bottles"); // std::string_view of the slot
    turtle::unlink(name);
}

void polling() {
    turtle::ring_buffer<int> ring(8);
    pollfd events[] = {{ring.event_fd(), POLLIN, 0}}; // beside sockets and timers
    CHECK(ring.push(7));
    CHECK(poll(events, 1, -1) == 1);
    while (auto next = ring.try_pop()) CHECK(*next == 7); // until empty: that arms it again
}

} // namespace

int main() {
    const std::string name = "/turtle-guide-" + std::to_string(getpid());
    ways_to_push_and_pop();
    closing();
    errors();
    batches();
    zero_copy();
    handles();
    processes(name + "-ticks");
    sessions(name + "-sessions");
    records(name + "-lines");
    polling();
    std::puts("guide: what docs/cpp.md shows is so");
}
