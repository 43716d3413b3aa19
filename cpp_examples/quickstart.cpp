#include <cstdint>
#include <iostream>
#include <thread>
#include <turtle.hpp>

int main() {
    turtle::ring_buffer<std::uint64_t> ring(64, turtle::strategy::turn);
    std::thread worker([&ring] {
        for (std::uint64_t number = 1; number <= 1000; ++number)
            if (!ring.push(number)) return; // waits while the ring is full; false: closed
        ring.close();
    });
    std::uint64_t sum = 0;
    for (const std::uint64_t number : ring) sum += number; // ends when the ring is closed and drained
    worker.join();
    std::cout << "sum " << sum << '\n';
    return sum != 500'500;
}
