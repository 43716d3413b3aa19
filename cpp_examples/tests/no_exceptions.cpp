// The header without exceptions and run-time types: everything works, and what would throw ends the program with a word.
#include <csignal>
#include <cstdio>
#include <string>
#include <system_error>

#include <sys/wait.h>
#include <unistd.h>

#include <turtle.hpp>

#include "../check.hpp"

#if defined(__cpp_exceptions) || defined(__cpp_rtti)
#error "this test is about -fno-exceptions -fno-rtti"
#endif

namespace {

/// What a child that runs `f` writes on stderr before it aborts.
template <class F>
std::string last_words(F&& f) {
    int ends[2];
    CHECK(pipe(ends) == 0);
    const pid_t child = fork();
    CHECK(child >= 0);
    if (child == 0) {
        dup2(ends[1], STDERR_FILENO);
        f();
        _exit(0);
    }
    close(ends[1]);
    std::string said;
    char some[256];
    for (ssize_t n; (n = read(ends[0], some, sizeof some)) > 0;) said.append(some, static_cast<std::size_t>(n));
    close(ends[0]);
    int status = -1;
    CHECK(waitpid(child, &status, 0) == child && WIFSIGNALED(status) && WTERMSIG(status) == SIGABRT);
    return said;
}

} // namespace

int main() {
    std::error_code why;
    turtle::options wanted;
    wanted.capacity = 2;
    wanted.strategy = turtle::strategy::spsc;
    auto ring = turtle::ring_buffer<std::string>::create(wanted, why);
    CHECK(ring && !why);
    auto in = turtle::producer<std::string>::create(*ring, why);
    CHECK(in && !why && !turtle::producer<std::string>::create(*ring, why) && why == turtle::errc::no_handle);
    CHECK(in->push("one", why) && in->push("two") && !in->try_push("three", why) && why == turtle::errc::full);
    CHECK(ring->pop() == "one" && ring->pop(why) == "two" && !ring->try_pop(why) && why == turtle::errc::empty);
    ring->close();
    CHECK(!in->push("late") && ring->begin() == ring->end());

    const std::string zero = last_words([] { turtle::ring_buffer<int> none(0); });
    CHECK(zero.find("turtle: a ring holds at least 1 element: ") == 0);
    const std::string taken = last_words([&] { turtle::producer<std::string> second(*ring); });
    CHECK(taken.find("turtle: ") == 0);
    std::puts("no_exceptions: codes instead of exceptions; what has no code ends the program and says why");
}
