// Rings with a name, forked children.
#include <sys/wait.h>

#include "hpp_singles.hpp"

namespace {

/// On every strategy that has them, none of which need be in this build.
void sessions() {
    for (std::uint32_t number = 0; turtle_strategy_name(number) != nullptr; ++number) {
        named name(("sessions-" + std::to_string(number)).c_str());
        turtle::options wanted;
        wanted.capacity = 8;
        wanted.strategy = static_cast<strategy>(number);
        wanted.max_threads = 2;
        wanted.patience = turtle::impatient;
        turtle::shared_ring<int> ring(name.name, wanted);
        std::error_code why;
        auto in = turtle::producer<int>::create(ring, turtle::session{7}, why);
        if (why == errc::unsupported) continue;
        CHECK(in && in->recovered().done == 0 && !in->recovered().died);
        check_throws(errc::no_handle, [&] { turtle::producer none(ring, turtle::session{7}); });
        check_throws(errc::no_handle, [&] { ring.forget_producer(turtle::session{7}); });
        CHECK(in->push(1) && in->try_push(2));
        in.reset();
        turtle::producer again(ring, turtle::session{7});
        CHECK(again.recovered().done == 2);
        turtle::consumer out(ring, turtle::session{7}); // of the other side
        CHECK(out.pop() == 1 && out.recovered().done == 0 && out.take_orphans().empty());
        CHECK(ring.forget_producer(turtle::session{9}) == false);
        turtle::producer second(ring);
        CHECK(!turtle::producer<int>::create(ring, why) && why == errc::no_handle);
        CHECK(second.push(3) && out.pop() == 2 && out.pop() == 3);
        wanted.max_threads = 3;
        check_throws(errc::mismatch, [&] { turtle::shared_ring<int> none(name.name, wanted); });
    }
}

void shared() {
    named ring("shared");
    turtle::options attach;
    attach.mode = turtle::open_mode::attach;
    check_throws(errc::not_found, [&] { turtle::shared_ring<int> none(ring.name, attach); });
    std::error_code why;
    CHECK(!turtle::shared_ring<int>::create(ring.name, attach, why) && why == errc::not_found);
    check_throws(errc::invalid, [] { turtle::shared_ring<int> none("no slash"); });
    CHECK(!turtle::unlink(ring.name));
    check_throws(errc::invalid, [] { turtle::unlink("no slash"); });

    turtle::options wanted;
    wanted.capacity = 20;
    wanted.strategy = strategy::turn;
    wanted.mode = turtle::open_mode::create_new;
    turtle::shared_ring<int> first(ring.name, wanted);
    check_throws(errc::exists, [&] { turtle::shared_ring<int> none(ring.name, wanted); });
    auto second = turtle::shared_ring<int>::create(ring.name, attach, why);
    CHECK(second && !why && second->capacity() == 20 && second->stats().is_shared == 1);
    CHECK(second->stats().strategy == TURTLE_TURN);
    check_throws(errc::mismatch, [&] { turtle::shared_ring<std::array<char, 40>> none(ring.name, attach); });
    check_throws(errc::mismatch, [&] { turtle::record_ring none(ring.name, 100, attach); });
    check_throws(errc::mismatch, [&] { turtle::record_ring none(ring.name, 0, attach); });
    attach.capacity = 21;
    check_throws(errc::mismatch, [&] { turtle::shared_ring<int> none(ring.name, attach); });
    check_throws(errc::mismatch, [&] { turtle::shared_ring<int> none(ring.name, 21); });
    check_throws(errc::exists, [&] { turtle::shared_ring<int> none(ring.name, 20, strategy::turn, turtle::open_mode::create_new); });
    check_throws(errc::invalid, [&] { turtle::shared_ring<int> none(ring.name, 0); });
    check_throws(errc::not_found, [&] { auto none = turtle::shared_ring<int>::attach(ring.name + "-none"); });
    turtle::shared_ring<int> third(ring.name, 20);
    auto fourth = turtle::shared_ring<int>::attach(ring.name);
    CHECK(third.push(3) && fourth.capacity() == 20 && fourth.try_pop() == 3);

    CHECK(first.push(1) && second->pop() == 1);
    singles<int>(first, *second, 20, [](int n) { return n; }, [](int x, int n) { return x == n; });
    // Sessions are for strategies that keep a record of each participant.
    check_throws(errc::unsupported, [&] { turtle::producer none(first, turtle::session{7}); });
    check_throws(errc::unsupported, [&] { turtle::consumer none(first, turtle::session{7}); });
    check_throws(errc::invalid, [&] { turtle::producer none(first, turtle::session{0}); });
    check_throws(errc::unsupported, [&] { first.forget_producer(turtle::session{7}); });
    CHECK(!turtle::producer<int>::create(first, turtle::session{7}, why) && why == errc::unsupported);
    CHECK(!turtle::consumer<int>::create(first, turtle::session{7}, why) && why == errc::unsupported);
    CHECK(first.take_orphans().empty() && first.reclaim() == 0);

    turtle::producer in(first);
    turtle::consumer out(*second);
    CHECK(in.recovered().done == 0 && out.take_orphans().empty());
    CHECK(in.push(2) && out.pop() == 2);
    second->close();
    CHECK(first.is_closed() && !first.push(3));
    CHECK(turtle::unlink(ring.name) && !turtle::unlink(ring.name));
}

template <class F>
int in_a_child(F&& f) {
    const pid_t child = fork();
    if (child == 0) _exit(f() ? 0 : 1);
    int status = -1;
    CHECK(waitpid(child, &status, 0) == child && WIFEXITED(status));
    return WEXITSTATUS(status);
}

void forked() {
    turtle::ring_buffer<int> mine(4);
    turtle::ring_buffer<std::string> text(4);
    CHECK(mine.push(1) && text.push("x"));
    named name("forked");
    turtle::options wanted;
    wanted.strategy = strategy::turn;
    turtle::shared_ring<int> ours(name.name, wanted);
    CHECK(in_a_child([&] {
              std::error_code why;
              const bool refused = !mine.try_push(2, why) && why == errc::invalid && !mine.pop(why) && why == errc::invalid
                  && !text.try_pop(why) && why == errc::invalid;
              return refused && ours.push(7) && ours.push(8);
          }) == 0);
    CHECK(mine.try_pop() == 1 && ours.try_pop() == 7 && ours.try_pop() == 8);
}

} // namespace

void test_shared() {
    shared();
    sessions();
    forked();
}
