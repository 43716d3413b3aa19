// Elements one at a time, on any kind of ring or handle.
#pragma once

#include <optional>

#include "hpp_test.hpp"

/// The calls without waiting, on anything with both sides. `make(i)` makes element i, `is(x, i)` knows it again.
template <class T, class Push, class Pop, class Make, class Is>
void singles(Push& in, Pop& out, std::size_t capacity, Make make, Is is) {
    std::error_code why;
    for (int round = 0; round < 2; ++round) {
        for (std::size_t i = 0; i < capacity; ++i) {
            const int n = static_cast<int>(i);
            switch (i % 4) {
            case 0: CHECK(in.try_push(make(n))); break;
            case 1: CHECK(in.try_push(make(n), why) && !why); break;
            case 2: CHECK(in.push(make(n))); break;
            case 3: CHECK(in.push(make(n), why) && !why); break;
            }
        }
        T spare = make(99);
        CHECK(!in.try_push(std::move(spare)));
        CHECK(is(spare, 99)); // NOLINT: it was not moved from
        CHECK(!in.try_push(make(1), why) && why == errc::full);
        CHECK(!in.try_push_for(make(1), 0s, why) && why == errc::full);
        CHECK(!in.try_push_for(make(1), -1s));
        CHECK(!in.try_push_for(std::move(spare), 2ms, why) && why == errc::timeout);
        CHECK(is(spare, 99)); // NOLINT
        check_times_out([&](auto when, auto& code) { return in.try_push_until(make(1), when, code); });
        CHECK(!in.try_push_until(make(1), std::chrono::system_clock::now() - 1h, why) && why == errc::full);
        CHECK(!in.try_emplace(make(1)) && !in.try_claim() && in.try_claim().why() == errc::full);
        CHECK(in.try_claim_for(2ms).why() == errc::timeout);

        for (std::size_t i = 0; i < capacity; ++i) {
            const int n = static_cast<int>(i);
            std::optional<T> got;
            T into = make(50);
            switch (i % 10) {
            case 0: got = out.try_pop(); break;
            case 1: got = out.try_pop(why); break;
            case 2: got = out.pop(); break;
            case 3: got = out.pop(why); break;
            case 4: CHECK(out.try_pop(into)); got.emplace(std::move(into)); break;
            case 5: CHECK(out.pop(into)); got.emplace(std::move(into)); break;
            case 6: CHECK(out.try_pop(into, why)); got.emplace(std::move(into)); break;
            case 7: CHECK(out.pop(into, why)); got.emplace(std::move(into)); break;
            case 8: CHECK(out.try_pop_for(into, 1h)); got.emplace(std::move(into)); break;
            case 9: CHECK(out.try_pop_for(into, 1h, why)); got.emplace(std::move(into)); break;
            }
            CHECK(!why || i % 10 == 0);
            CHECK(got && is(*got, n));
        }
        T into = make(50);
        CHECK(!out.try_pop() && !out.try_pop(why) && why == errc::empty);
        CHECK(!out.try_pop(into) && !out.try_pop(into, why) && why == errc::empty && is(into, 50));
        CHECK(!out.try_pop_for(into, 2ms) && !out.try_pop_for(into, 2ms, why) && why == errc::timeout && is(into, 50));
        CHECK(!out.try_pop_for(0s, why) && why == errc::empty);
        CHECK(!out.try_pop_for(2ms) && !out.try_pop_for(2ms, why) && why == errc::timeout);
        check_times_out([&](auto when, auto& code) { return out.try_pop_until(when, code).has_value(); });
        CHECK(!out.try_pop_until(std::chrono::steady_clock::now() - 2ms, why) && why == errc::empty);
        CHECK(!out.try_peek() && out.try_peek().why() == errc::empty && out.try_peek_for(2ms).why() == errc::timeout);

        CHECK(in.try_emplace(make(1)) && in.emplace(make(2)));
        CHECK(in.try_push_for(make(3), 1h));
        CHECK(in.try_push_until(make(4), std::chrono::system_clock::now() + 1h));
        for (int n = 1; n <= 2; ++n) CHECK(is(*out.try_pop_for(1h), n));
        for (int n = 3; n <= 4; ++n) CHECK(is(*out.try_pop_until(std::chrono::system_clock::now() + 1h), n));
        why.clear();
    }
}
