// Hand-over between processes: the ring is found by its name. This program starts itself a second time, as producer.
#include <cstdint>
#include <cstdio>
#include <string>

#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

#include <turtle.hpp>

#include "check.hpp"

struct tick { // plain data: what shared_ring asks for
    std::uint64_t number;
    double price;
};
constexpr std::uint64_t ticks = 100'000;

static int produce(const std::string& name) {
    auto ring = turtle::shared_ring<tick>::attach(name); // strategy and capacity: whatever is there
    for (std::uint64_t i = 0; i < ticks; ++i)
        if (!ring.push({i, 0.25 * static_cast<double>(i)})) return 1;
    ring.close();
    return 0;
}

int main(int argc, char** argv) {
    if (argc == 2) return produce(argv[1]);

    const std::string name = "/turtle-example-" + std::to_string(getpid());
    turtle::shared_ring<tick> ring(name, 128, turtle::strategy::spsc, turtle::open_mode::create_new);

    pid_t child = 0;
    char* const arguments[] = {argv[0], const_cast<char*>(name.c_str()), nullptr};
    CHECK(posix_spawn(&child, "/proc/self/exe", nullptr, nullptr, arguments, environ) == 0);

    std::uint64_t expected = 0;
    for (const tick& next : ring) { // ends when the producer has closed the ring
        CHECK(next.number == expected && next.price == 0.25 * static_cast<double>(expected));
        ++expected;
    }
    CHECK(expected == ticks);

    int status = -1;
    CHECK(waitpid(child, &status, 0) == child && WIFEXITED(status) && WEXITSTATUS(status) == 0);
    CHECK(turtle::unlink(name)); // the name goes; without this the ring stays
    std::printf("processes: %llu ticks from process %d, in order\n", static_cast<unsigned long long>(expected), child);
}
