// Hand-over between threads: several producers and consumers share one ring.
#include <atomic>
#include <cstdint>
#include <cstdio>
#include <thread>
#include <vector>

#include <turtle.hpp>

#include "check.hpp"

int main() {
    constexpr std::uint64_t per_producer = 100'000;
    turtle::ring_buffer<std::uint64_t> ring(256, turtle::strategy::turn);

    std::vector<std::thread> producers;
    for (std::uint64_t p = 0; p < 3; ++p)
        producers.emplace_back([&ring, p] {
            for (std::uint64_t i = 0; i < per_producer; ++i)
                CHECK(ring.push(p * per_producer + i)); // waits while the ring is full
        });

    std::atomic<std::uint64_t> sum{0}, count{0};
    std::vector<std::thread> consumers;
    for (int c = 0; c < 2; ++c)
        consumers.emplace_back([&] {
            while (const auto number = ring.pop()) { // waits; ends when closed and drained
                sum += *number;
                ++count;
            }
        });

    for (auto& thread : producers) thread.join();
    ring.close();
    for (auto& thread : consumers) thread.join();

    constexpr std::uint64_t all = 3 * per_producer;
    CHECK(count == all);
    CHECK(sum == all * (all - 1) / 2);
    std::printf("threads: %llu numbers through a ring of %zu, each exactly once\n",
                static_cast<unsigned long long>(all), ring.capacity());
}
