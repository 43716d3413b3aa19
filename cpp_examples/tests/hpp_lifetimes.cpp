// Claims, and the lives of objects in slots.
#include <optional>

#include "hpp_test.hpp"

namespace {

template <class wide>
void claims() {
    for (const strategy engine : engines) {
        turtle::ring_buffer<wide> ring(3, engine);
        {
            auto slot = ring.claim();
            CHECK(slot && reinterpret_cast<std::uintptr_t>(slot.get()) % alignof(wide) == 0);
            slot->value = 1;
            (*slot).value += 1;
            CHECK(slot.commit() && !slot);
            CHECK(!slot.commit() && slot.why() == errc::invalid); // once
            slot.abandon();                                       // does nothing any more
        }
        {
            auto forgotten = ring.claim();
            CHECK(forgotten);
            auto moved = std::move(forgotten);
            CHECK(moved && !forgotten); // NOLINT
        }
        {
            const auto element = ring.peek();
            CHECK(reinterpret_cast<std::uintptr_t>(element.get()) % alignof(wide) == 0);
            CHECK(element && element->value == 2 && (*element).value == 2);
            static_assert(std::is_same_v<decltype(*element), const wide&>);
        }
        CHECK(!ring.try_pop());
        CHECK(ring.emplace(wide{3}));
        auto element = ring.try_peek();
        CHECK(element && element->value == 3);
        auto same = std::move(element);
        CHECK(same->value == 3 && !element); // NOLINT
        same.release();
        CHECK(!same && !ring.try_peek());
        same.release(); // does nothing any more
        CHECK(ring.emplace(wide{4}) && ring.try_peek_for(1h)->value == 4);
        static_assert(!std::is_move_assignable_v<decltype(same)> && !std::is_copy_constructible_v<decltype(same)>);
        for (int i = 0; i < 3; ++i) CHECK(ring.try_push(wide{i})); // all slots are free again
        CHECK(!ring.try_push(wide{9}));

        ring.release_thread();
        turtle::producer in(ring);
        turtle::consumer out(ring);
        CHECK(out.peek()->value == 0);
        auto slot = in.try_claim_for(1h);
        CHECK(slot);
        slot.emplace(wide{5});
        slot.emplace(wide{6});
        CHECK(slot.commit());
        for (const int expected : {1, 2, 6}) CHECK(out.try_peek()->value == expected);
    }
}

/// Not plain, and on a cache line of its own.
struct alignas(64) padded_text {
    std::string text;
};

void aligned_objects() {
    for (const strategy engine : engines) {
        turtle::ring_buffer<padded_text> ring(3, engine);
        for (int i = 0; i < 7; ++i) {
            auto slot = ring.claim();
            CHECK(reinterpret_cast<std::uintptr_t>(&slot.emplace()) % 64 == 0);
            slot->text = std::string(30, 'x') + std::to_string(i);
            CHECK(slot.commit());
            const auto element = ring.peek();
            CHECK(reinterpret_cast<std::uintptr_t>(element.get()) % 64 == 0 && element->text.back() == '0' + i);
        }
        CHECK(ring.push({"left inside: the ring destroys it"}));
    }
}

void lifetimes() {
    for (const strategy engine : engines) {
        CHECK(counted::alive == 0);
        {
            turtle::ring_buffer<counted> ring(4, engine);
            { // a claim without an object, and one with
                auto nothing = ring.claim();
                CHECK(!nothing.commit() && nothing.why() == errc::invalid);
                nothing.emplace(1);
                CHECK(counted::alive == 1);
                nothing.emplace(2); // replaces
                CHECK(counted::alive == 1);
            }
            CHECK(counted::alive == 0 && !ring.try_pop());
            { // a constructor that throws leaves nothing behind
                bool thrown = false;
                try {
                    static_cast<void>(ring.emplace(-1));
                } catch (const std::runtime_error&) {
                    thrown = true;
                }
                CHECK(thrown && counted::alive == 0 && !ring.try_pop());
            }
            { // peek: moved from, then destroyed with the guard
                CHECK(ring.emplace(3) && ring.emplace(4));
                auto first = ring.peek();
                const counted mine(std::move(*first));
                CHECK(mine.value == 3 && first->value == -1 && counted::alive == 3);
                first.release();
                CHECK(counted::alive == 2);
            }
            { // a move that throws: that element is gone, the ring goes on
                counted::throw_on_move = true;
                bool thrown = false;
                try {
                    static_cast<void>(ring.pop());
                } catch (const std::runtime_error&) {
                    thrown = true;
                }
                counted::throw_on_move = false;
                CHECK(thrown && counted::alive == 0 && ring.emplace(5) && ring.pop()->value == 5);
            }
            for (int i = 0; i < 4; ++i) CHECK(ring.try_emplace(i));
            CHECK(counted::alive == 4);
            CHECK(ring.try_pop()->value == 0);
            CHECK(counted::alive == 3);
        }
        CHECK(counted::alive == 0); // the ring destroyed what was left
        { // a handle keeps the ring and its elements alive
            std::optional<turtle::consumer<counted>> out;
            {
                turtle::ring_buffer<counted> ring(4, engine);
                out.emplace(ring);
                CHECK(ring.emplace(1) && ring.emplace(2));
            }
            CHECK(counted::alive == 2);
            CHECK(out->try_pop()->value == 1);
        }
        CHECK(counted::alive == 0);
    }
}

/// Closes its ring while it is being moved into a slot of it: between claim and commit.
struct closer {
    turtle::ring_buffer<closer>* ring = nullptr;
    std::string text;
    closer(turtle::ring_buffer<closer>* r, std::string t) : ring(r), text(std::move(t)) {}
    closer(closer&& other) noexcept : ring(std::exchange(other.ring, nullptr)), text(std::move(other.text)) {
        if (ring != nullptr) ring->close();
    }
    closer& operator=(closer&& other) noexcept {
        ring = nullptr;
        text = std::move(other.text);
        return *this;
    }
};

void closing_between_claim_and_commit() {
    for (const strategy engine : engines) {
        turtle::ring_buffer<closer> ring(2, engine);
        closer value(&ring, "a text too long for the small buffer");
        std::error_code why;
        if (ring.push(std::move(value), why)) { // the claim was before the seal: accepted, and drained before the end
            CHECK(!why && ring.pop(why)->text == "a text too long for the small buffer");
        } else {
            CHECK(why == errc::closed && value.text == "a text too long for the small buffer"); // NOLINT: moved back
        }
        CHECK(!ring.pop(why) && why == errc::closed);

        turtle::ring_buffer<counted> other(2, engine);
        {
            auto slot = other.claim();
            slot.emplace(7);
            other.close();
            if (slot.commit())
                CHECK(other.pop()->value == 7);
            else
                CHECK(slot && slot.why() == errc::closed && slot->value == 7 && !slot.commit());
        }
        CHECK(counted::alive == 0 && !other.pop());
        CHECK(!other.push(counted(1)));
        CHECK(counted::alive == 0);
        CHECK(other.peek().why() == errc::closed);
        auto late = other.claim(); // spsc decides at the commit, turn at the claim
        if (late) {
            late.emplace(8);
            CHECK(!late.commit());
        }
        CHECK(late.why() == errc::closed);
    }
}

} // namespace

void test_lifetimes() {
    claims<aligned<8>>();
    claims<wide>();
    claims<aligned<128>>();
    claims<aligned<4096>>();
    aligned_objects();
    lifetimes();
    closing_between_claim_and_commit();
    CHECK(counted::alive == 0);
}
