// The end of a stream: close() wakes everyone, refuses what comes later, and loses nothing that was accepted.
#include <cstdio>
#include <string>
#include <system_error>
#include <thread>

#include <turtle.hpp>

#include "check.hpp"

int main() {
    turtle::ring_buffer<std::string> ring(8);
    std::size_t lines = 0;
    std::thread consumer([&] {
        while (auto line = ring.pop()) lines += *line == "line";
    });
    std::size_t accepted = 0;
    for (; accepted < 5'000; ++accepted) CHECK(ring.push("line"));
    ring.close();
    consumer.join(); // it was told after the last line, not before
    CHECK(lines == accepted);

    // Closed is an answer of its own, neither full nor empty.
    std::error_code why;
    CHECK(!ring.push("too late", why) && why == turtle::errc::closed);
    CHECK(!ring.try_pop(why) && why == turtle::errc::closed);
    CHECK(ring.is_closed() && ring.empty());
    std::printf("close_and_drain: %zu lines accepted, %zu drained, then \"%s\"\n", accepted, lines, why.message().c_str());
}
