// C++20: a waiting call ends when its thread is asked to stop. The ring stays open for everybody else.
#include <cstdio>
#include <thread>

#include <turtle.hpp>

#include "check.hpp"

#ifdef __cpp_lib_jthread
int main() {
    turtle::ring_buffer<int> ring(4);
    int taken = 0;
    {
        std::jthread worker([&](std::stop_token stop) {
            while (ring.pop(stop)) ++taken;
        });
        for (int i = 0; i < 100; ++i) CHECK(ring.push(i));
        while (!ring.empty()) std::this_thread::yield();
    } // asks the worker to stop, and joins it
    CHECK(taken == 100);
    CHECK(!ring.is_closed() && ring.try_push(1));
    std::printf("stop_token: a waiting consumer stopped after %d numbers\n", taken);
}
#else
int main() { std::puts("stop_token: skipped, this standard library has no std::stop_token"); }
#endif
