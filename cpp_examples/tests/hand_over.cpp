// For ThreadSanitizer: orders that a ring makes, and mistakes around it that must be reported.
//
//   hand_over ordered               nothing to report
//   hand_over touched_after_push    an object is written to after its address was pushed
//   hand_over buffer_written        a batch is written to while it is being pushed
//   hand_over buffer_read           what a pop writes is read meanwhile
//   hand_over other_ring            one ring orders nothing on another
//   hand_over refused_push          a push that is told "closed" is not ordered after what came before close()
#include <cstdio>
#include <memory>
#include <string>
#include <string_view>
#include <system_error>
#include <thread>
#include <vector>

#include <unistd.h>

#include <turtle.hpp>

#include "../check.hpp"

namespace {

struct job {
    int value = 0;
    std::string text;
};

// Elements, addresses and batches both ways; room, closing and handles carry an order, too; so do two maps of one segment.
void ordered() {
    for (const auto engine : {turtle::strategy::turn, turtle::strategy::spsc}) {
        turtle::ring_buffer<job*> there(4, engine), back(4, engine);
        turtle::ring_buffer<job> whole(4, engine);
        int last = 0;
        std::thread worker([&] {
            turtle::consumer in(there);
            while (const auto next = in.pop()) {
                ++(*next)->value;
                (*next)->text += "!";
                CHECK(back.push(*next));
            }
            CHECK(last == 1); // written before the ring was closed
            for (const job& next : whole) CHECK(next.text == "whole");
        });
        std::vector<job> jobs(50);
        std::size_t sent = 0, returned = 0;
        while (returned < jobs.size()) {
            if (sent < jobs.size()) {
                jobs[sent].text = "a text";
                CHECK(there.push(&jobs[sent++]));
            }
            while (const auto done = sent < jobs.size() ? back.try_pop() : back.pop()) {
                CHECK((*done)->value == 1 && (*done)->text == "a text!");
                ++returned;
                if (returned == jobs.size()) break;
            }
        }
        last = 1;
        there.close();
        for (int i = 0; i < 20; ++i) CHECK(whole.push({i, "whole"}));
        whole.close();
        worker.join();
    }
    { // what a consumer did before it made room is seen by the producer that finds it
        turtle::ring_buffer<int> ring(1);
        CHECK(ring.push(1));
        int before = 0;
        std::thread consumer([&] {
            before = 1;
            CHECK(ring.pop() == 1);
        });
        CHECK(ring.push(2) && before == 1);
        consumer.join();
    }
    {
        const std::string name = "/turtle-hand-over-" + std::to_string(getpid());
        turtle::shared_ring<int> one(name, 4, turtle::strategy::turn, turtle::open_mode::create_new);
        auto two = turtle::shared_ring<int>::attach(name);
        CHECK(turtle::unlink(name));
        int before = 0;
        std::thread other([&] { CHECK(two.pop() == 1 && before == 1); });
        before = 1;
        CHECK(one.push(1));
        other.join();
    }
    { // the last handle frees what others put in
        std::unique_ptr<turtle::ring_buffer<std::string>> ring(new turtle::ring_buffer<std::string>(4));
        turtle::producer in(*ring);
        std::thread other([in = std::move(in)]() mutable { CHECK(in.push("freed by whoever is last")); });
        ring.reset();
        other.join();
    }
}

void touched_after_push() {
    turtle::ring_buffer<job*> ring(4);
    job mine;
    std::thread consumer([&] { CHECK((*ring.pop())->value >= 0); });
    CHECK(ring.push(&mine));
    mine.value = 1;
    consumer.join();
}

void buffer_written() {
    turtle::ring_buffer<int> ring(1000);
    std::vector<int> numbers(1000);
    std::thread other([&] { numbers[500] = 1; });
    CHECK(ring.push_bulk(numbers.begin(), numbers.size()) == 1000);
    other.join();
}

void buffer_read() {
    turtle::ring_buffer<int> ring(4);
    CHECK(ring.push(1));
    int into = 0;
    std::thread other([&] { CHECK(into >= 0); });
    CHECK(ring.pop(into));
    other.join();
}

void other_ring() {
    turtle::ring_buffer<int> ring(4), unrelated(4);
    int data = 0;
    CHECK(unrelated.push(1));
    std::thread consumer([&] {
        while (ring.empty()) std::this_thread::yield(); // nothing is taken from it
        CHECK(unrelated.pop() == 1 && data >= 0);
    });
    data = 1;
    CHECK(ring.push(1));
    consumer.join();
}

void refused_push() {
    turtle::ring_buffer<int> ring(4);
    int data = 0;
    std::thread producer([&] {
        std::error_code why;
        while (why != turtle::errc::closed)
            if (!ring.try_push(1, why)) std::this_thread::yield();
        CHECK(data == 1);
    });
    data = 1;
    ring.close();
    producer.join();
}

} // namespace

int main(int argc, char** argv) {
    const std::string_view what = argc == 2 ? argv[1] : "";
    if (what == "ordered") ordered();
    else if (what == "touched_after_push") touched_after_push();
    else if (what == "buffer_written") buffer_written();
    else if (what == "buffer_read") buffer_read();
    else if (what == "other_ring") other_ring();
    else if (what == "refused_push") refused_push();
    else return 2;
    std::printf("hand_over: %s ends\n", argv[1]);
}
