// turtle through turtle.hpp, and the same calls through turtle.h, as loops of a program in C++.
//
// A shared library of its own, in which the calls stay open: they are bound to the libturtle.so that
// the harness has loaded before, as in any program that links to it.

#include <memory>

#include <turtle.hpp>

#include "loops.hpp"

namespace {

using Ring = turtle::ring_buffer<std::uint64_t>;

// The calls of turtle.hpp that ask for least: a place to pop into.
struct Header {
    Ring& ring;
    std::size_t push(std::uint64_t* items, std::size_t) const { return ring.try_push(*items); }
    std::size_t pop(std::uint64_t* items, std::size_t) const { return ring.try_pop(*items); }
};
// The idiomatic one.
struct Optional : Header {
    std::size_t pop(std::uint64_t* items, std::size_t) const {
        const auto value = ring.try_pop();
        if (value) *items = *value;
        return value.has_value();
    }
};
struct Plain : Header {
    std::size_t push(std::uint64_t* items, std::size_t) const { return turtle_try_push(ring.raw(), items) == TURTLE_OK; }
    std::size_t pop(std::uint64_t* items, std::size_t) const { return turtle_try_pop(ring.raw(), items) == TURTLE_OK; }
};

void* open(unsigned strategy, std::size_t capacity) {
    return std::make_unique<Ring>(capacity, static_cast<turtle::strategy>(strategy)).release();
}
void close(void* ring) { delete static_cast<Ring*>(ring); }

template <class Face>
std::uint64_t face_pairs(void* ring, std::uint64_t items) {
    const Face face{*static_cast<Ring*>(ring)};
    return pairs([&](std::uint64_t* at, std::size_t n) { return face.push(at, n); },
                 [&](std::uint64_t* at, std::size_t n) { return face.pop(at, n); }, items);
}

// Workers have an explicit handle each, as moodycamel's have a token.
void header_produce(void* ring, std::uint64_t producer, std::uint64_t items, std::size_t batch) {
    turtle::producer in(*static_cast<Ring*>(ring));
    if (batch == 1)
        produce([&](std::uint64_t* at, std::size_t) { return std::size_t(in.try_push(*at)); }, producer, items, batch);
    else
        produce([&](std::uint64_t* at, std::size_t n) { return in.try_push_bulk(at, n); }, producer, items, batch);
}
RivalsTally header_consume(void* ring, std::uint64_t items, std::size_t batch, bool one_producer) {
    turtle::consumer out(*static_cast<Ring*>(ring));
    if (batch == 1)
        return consume([&](std::uint64_t* at, std::size_t) { return std::size_t(out.try_pop(*at)); }, items, batch, one_producer);
    return consume([&](std::uint64_t* at, std::size_t n) { return out.try_pop_bulk(at, n); }, items, batch, one_producer);
}

}  // namespace

extern "C" struct RivalsTurtle {
    void* (*open)(unsigned strategy, std::size_t capacity);
    void (*free)(void* ring);
    void (*produce)(void* ring, std::uint64_t producer, std::uint64_t items, std::size_t batch);
    RivalsTally (*consume)(void* ring, std::uint64_t items, std::size_t batch, bool one_producer);
    std::uint64_t (*pairs)(void* ring, std::uint64_t items);
};

extern "C" {
extern const RivalsTurtle rivals_turtle_header, rivals_turtle_optional, rivals_turtle_plain;
const RivalsTurtle rivals_turtle_header = {open, close, header_produce, header_consume, face_pairs<Header>};
const RivalsTurtle rivals_turtle_optional = {open, close, header_produce, header_consume, face_pairs<Optional>};
const RivalsTurtle rivals_turtle_plain = {open, close, header_produce, header_consume, face_pairs<Plain>};
}
