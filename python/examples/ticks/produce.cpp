// Ticks into a shared ring: produce NAME COUNT. plot.py makes the ring, and reads them.
#include <cstdlib>
#include <iostream>
#include <turtle.hpp>

#include "ticks.hpp"

int main(int count_of_arguments, char** arguments) {
    if (count_of_arguments != 3) {
        std::cerr << "usage: produce NAME COUNT\n";
        return 2;
    }
    turtle::shared_ring<tick> ring(arguments[1]);
    const long count = std::atol(arguments[2]);
    std::uint32_t chance = 1;
    double price = 100;
    for (long n = 0; n < count; ++n) {
        chance = chance * 1664525 + 1013904223; // the same walk each time
        const bool up = (chance >> 16 & 1) != 0;
        price += up ? 0.01 : -0.01;
        if (!ring.push(tick{n * 1000, price, static_cast<std::int32_t>(chance >> 24) + 1, up ? 'B' : 'S'})) return 1;
    }
    ring.close();
    return 0;
}
