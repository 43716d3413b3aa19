// Any movable type in one process: objects are built in the ring, and what is left inside is destroyed with it.
#include <cstdio>
#include <memory>
#include <string>
#include <thread>
#include <utility>

#include <turtle.hpp>

#include "check.hpp"

struct job {
    std::unique_ptr<int> id;
    std::string text;
};

int main() {
    turtle::ring_buffer<job> ring(16);

    std::thread worker([&ring] {
        int expected = 0;
        for (job& next : ring) { // ends when closed and drained
            CHECK(*next.id == expected && next.text == "job " + std::to_string(expected));
            ++expected;
        }
        CHECK(expected == 1000);
    });
    for (int i = 0; i < 1000; ++i) CHECK(ring.push({std::make_unique<int>(i), "job " + std::to_string(i)}));
    ring.close();
    worker.join();

    // A push that fails leaves the value alone.
    turtle::ring_buffer<std::unique_ptr<int>> small(1);
    CHECK(small.try_emplace(new int(1)));
    auto mine = std::make_unique<int>(2);
    CHECK(!small.try_push(std::move(mine)));
    CHECK(mine && *mine == 2);

    std::puts("move_only: 1000 jobs moved through, a refused one stayed with its owner");
} // `small` still holds an int, and frees it
