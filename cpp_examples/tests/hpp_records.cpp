// Records: bytes of varying length, by the calls of the other rings.
#include <algorithm>
#include <list>

#include "hpp_singles.hpp"

namespace {

void records() {
    check_throws(errc::invalid, [] { turtle::record_ring none(0); });
    for (const strategy engine : engines) {
        named name("records");
        turtle::options wanted;
        wanted.capacity = 3;
        wanted.strategy = engine;
        turtle::record_ring first(name.name, 104, wanted);
        turtle::options attach;
        attach.mode = turtle::open_mode::attach;
        turtle::record_ring second(name.name, 0, attach);
        CHECK(first.max_size() == 104 && second.max_size() == 104 && second.capacity() == 3);
        turtle::record_ring one_process(104, wanted);
        std::error_code code;
        CHECK(turtle::record_ring::create(name.name, 104, attach, code) && !code);
        CHECK(turtle::record_ring::create("", 8, wanted, code)->max_size() == 8 && !code);
        CHECK(!turtle::record_ring::create(name.name, 200, attach, code) && code == errc::mismatch);
        turtle::record_ring odd(97, wanted); // kept exactly
        CHECK(odd.max_size() == 97 && odd.try_push(std::string(97, 'x')) && !odd.try_push(std::string(98, 'x')));
        for (auto [in, out] : {std::pair(&first, &second), std::pair(&one_process, &one_process)}) {
            std::error_code why;
            std::string got = "untouched";
            CHECK(!out->try_pop(got) && !out->try_pop(got, why) && why == errc::empty && got == "untouched");
            CHECK(!out->try_pop_for(got, 2ms) && !out->try_pop());
            const std::string zeros(104, '\0');
            CHECK(in->try_push("") && in->push(zeros) && in->try_push_for("three", 1h));
            CHECK(!in->try_push("four") && !in->try_push("four", why) && why == errc::full && !in->try_push_for("four", 2ms));
            CHECK(out->try_pop(got) && got.empty());
            CHECK(out->pop(got) && got == zeros);
            CHECK(out->try_pop_for(got, 1h) && got == "three");
            CHECK(!in->try_push(std::string(105, 'x'), why) && why == errc::invalid);
            check_throws(errc::invalid, [ring = in] { static_cast<void>(ring->push(std::string(105, 'x'))); });
            CHECK(in->push("last"));
            in->close();
            CHECK(!in->push("late") && out->pop(got) && got == "last" && !out->pop(got) && got == "last");
        }
    }
}

// The very calls that elements have.
void records_are_elements() {
    const auto make = [](int n) { return std::string(static_cast<std::size_t>(n), 'x'); };
    const auto is = [](const std::string& x, int n) { return x.size() == static_cast<std::size_t>(n); };
    for (const strategy engine : engines) {
        turtle::options wanted;
        wanted.capacity = 12;
        wanted.strategy = engine;
        turtle::record_ring ring(99, wanted);
        singles<std::string>(ring, ring, 12, make, is);
        ring.release_thread();
        turtle::producer in(ring);
        turtle::consumer out(ring);
        singles<std::string>(in, out, 12, make, is);
        CHECK(in.max_size() == 99);
        CHECK(ring.take_orphans().empty() && out.take_orphans().empty());
        std::error_code why;
        CHECK(!in.push(make(100), why) && why == errc::invalid);
        CHECK(!turtle::producer<turtle::record>::create(ring, why) == (engine == strategy::spsc));

        const std::vector<std::string_view> words = {"a", "", "ccc", "dd"};
        CHECK(in.push_bulk(words.begin(), 4) == 4 && in.try_push_bulk(words.data(), 4, why) == 4 && !why);
        std::vector<std::string> got;
        CHECK(out.pop_bulk(std::back_inserter(got), 6) == 6 && out.try_pop_bulk(std::back_inserter(got), 6) == 2);
        CHECK(std::equal(words.begin(), words.end(), got.begin()) && std::equal(words.begin(), words.end(), got.begin() + 4));
        CHECK(in.push("one") && in.push("two"));
        ring.close();
        std::string all;
        for (const std::string& word : out) all += word;
        CHECK(all == "onetwo");
    }
}

template <class Push, class Pop>
void records_in_place(Push& in, Pop& out) {
    {
        auto slot = in.claim();
        CHECK(slot && slot.size() == 40 && slot.end() - slot.begin() == 40);
        CHECK(!slot.commit(41) && slot.why() == errc::invalid && slot); // still ours
        std::copy_n("abcdef", 6, slot.data());
        CHECK(slot.commit(3) && !slot && slot.size() == 0);
        CHECK(!slot.commit(3) && slot.why() == errc::invalid);
    }
    { auto forgotten = in.try_claim(); CHECK(forgotten); }
    {
        auto first = in.try_claim_for(1h);
        auto slot = std::move(first);
        CHECK(slot && !first && slot.size() == 40 && first.size() == 0); // NOLINT
#ifdef __cpp_lib_span
        const std::span<char> bytes(slot);
        CHECK(bytes.data() == slot.data() && bytes.size() == 40);
#endif
        CHECK(slot.commit(0));
    }
    auto first = out.peek();
    const auto record = std::move(first);
    CHECK(record && *record == "abc" && record.size() == 3 && record.end() - record.begin() == 3);
    CHECK(!first && first.why() == errc::invalid && first.size() == 0); // NOLINT
}

void claims_of_records() {
    for (const strategy engine : engines) {
        turtle::options wanted;
        wanted.capacity = 4;
        wanted.strategy = engine;
        turtle::record_ring ring(40, wanted);
        records_in_place(ring, ring);
        while (ring.try_pop()) {}
        ring.release_thread();
        turtle::producer in(ring);
        turtle::consumer out(ring);
        records_in_place(in, out);
        while (out.try_pop()) {}
        for (int i = 0; i < 4; ++i) CHECK(in.try_push("x")); // every slot is free again
        CHECK(!in.try_push("x") && in.try_claim().why() == errc::full && *out.try_peek() == "x");
        ring.close();
        CHECK(std::string(out.peek().data(), 1) == "x" && !in.push("late"));
    }
}

void attaching_records() {
    named name("attached-records");
    check_throws(errc::not_found, [&] { auto none = turtle::record_ring::attach(name.name); });
    turtle::record_ring first(name.name, 17);
    auto second = turtle::record_ring::attach(name.name);
    CHECK(first.push("hello") && second.max_size() == 17 && second.pop() == "hello");
}

} // namespace

void test_records() {
    records();
    records_are_elements();
    claims_of_records();
    attaching_records();
}
