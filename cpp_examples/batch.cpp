// Batches: one call moves many elements, which costs a fraction of as many calls.
#include <cstdio>
#include <iterator>
#include <numeric>
#include <thread>
#include <vector>

#include <turtle.hpp>

#include "check.hpp"

int main() {
    turtle::ring_buffer<int> ring(512);
    std::vector<int> sent(200'000);
    std::iota(sent.begin(), sent.end(), 0);

    std::thread producer([&] {
        CHECK(ring.push_bulk(sent.data(), sent.size()) == sent.size()); // waits for room as often as it must
        ring.close();
    });

    std::vector<int> received;
    received.reserve(sent.size());
    std::size_t calls = 0;
    // Waits for one element, then takes what is there, up to 64. 0: closed and drained.
    while (ring.pop_bulk(std::back_inserter(received), 64) > 0) ++calls;
    producer.join();

    CHECK(received == sent);
    CHECK(calls < sent.size());
    std::printf("batch: %zu numbers in order, by %zu calls\n", received.size(), calls);
}
