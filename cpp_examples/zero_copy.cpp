// Zero copy: large frames are written and read where they lie in the ring.
#include <array>
#include <cstdint>
#include <cstdio>
#include <numeric>
#include <thread>

#include <turtle.hpp>

#include "check.hpp"

struct frame {
    std::uint64_t number;
    std::array<std::uint8_t, 16 * 1024> pixels;
};

int main() {
    constexpr std::uint64_t frames = 2'000;
    turtle::ring_buffer<frame> ring(8, turtle::strategy::spsc);

    std::thread camera([&ring] {
        for (std::uint64_t i = 0; i < frames; ++i) {
            auto slot = ring.claim(); // waits for a free slot
            CHECK(slot);
            slot->number = i;
            slot->pixels.fill(static_cast<std::uint8_t>(i));
            CHECK(slot.commit()); // now consumers see it
        }
        { auto never_mind = ring.claim(); } // a claim without commit leaves no trace
        ring.close();
    });

    std::uint64_t seen = 0;
    while (const auto picture = ring.peek()) { // waits; the slot is ours until `picture` ends
        CHECK(picture->number == seen);
        const auto& pixels = picture->pixels;
        CHECK(std::accumulate(pixels.begin(), pixels.end(), std::uint64_t{0}) == (seen & 255) * pixels.size());
        ++seen;
    }
    camera.join();
    CHECK(seen == frames);
    std::printf("zero_copy: %llu frames of %zu bytes, none copied\n", static_cast<unsigned long long>(seen), sizeof(frame));
}
