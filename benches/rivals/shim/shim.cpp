// The rivals that exist only in C++.

#include <new>

#include "loops.hpp"

#ifdef HAVE_MOODYCAMEL
#include HAVE_MOODYCAMEL

namespace {
using Moody = moodycamel::ConcurrentQueue<std::uint64_t>;

template <class Body>
auto moody_push(Moody& queue, std::size_t batch, Body body) {
    moodycamel::ProducerToken token(queue);
    if (batch == 1) return body([&](std::uint64_t* items, std::size_t) { return std::size_t(queue.enqueue(token, *items)); });
    return body([&](std::uint64_t* items, std::size_t n) { return queue.enqueue_bulk(token, items, n) ? n : std::size_t(0); });
}

template <class Body>
auto moody_pop(Moody& queue, std::size_t batch, Body body) {
    moodycamel::ConsumerToken token(queue);
    if (batch == 1) return body([&](std::uint64_t* items, std::size_t) { return std::size_t(queue.try_dequeue(token, *items)); });
    return body([&](std::uint64_t* items, std::size_t n) { return queue.try_dequeue_bulk(token, items, n); });
}
}  // namespace

extern "C" {
void* rivals_moody_new(std::size_t capacity) { return new Moody(capacity); }
void rivals_moody_free(void* queue) { delete static_cast<Moody*>(queue); }
void rivals_moody_produce(void* queue, std::uint64_t producer, std::uint64_t items, std::size_t batch) {
    moody_push(*static_cast<Moody*>(queue), batch, [&](auto push) { produce(push, producer, items, batch); });
}
RivalsTally rivals_moody_consume(void* queue, std::uint64_t items, std::size_t batch, bool one_producer) {
    return moody_pop(*static_cast<Moody*>(queue), batch, [&](auto pop) { return consume(pop, items, batch, one_producer); });
}
std::uint64_t rivals_moody_pairs(void* queue, std::uint64_t items) {
    auto& q = *static_cast<Moody*>(queue);
    return moody_push(q, 1, [&](auto push) { return moody_pop(q, 1, [&](auto pop) { return pairs(push, pop, items); }); });
}
}
#endif

#ifdef HAVE_BOOST
#include HAVE_BOOST

namespace {
// The capacity as a constant is the faster of the two forms that its manual offers.
using Boost = boost::lockfree::spsc_queue<std::uint64_t, boost::lockfree::capacity<1024>>;

template <class Body>
auto boost_push(Boost& queue, std::size_t batch, Body body) {
    if (batch == 1) return body([&](std::uint64_t* items, std::size_t) { return std::size_t(queue.push(*items)); });
    return body([&](std::uint64_t* items, std::size_t n) { return queue.push(items, n); });
}

template <class Body>
auto boost_pop(Boost& queue, std::size_t batch, Body body) {
    if (batch == 1) return body([&](std::uint64_t* items, std::size_t) { return std::size_t(queue.pop(*items)); });
    return body([&](std::uint64_t* items, std::size_t n) { return queue.pop(items, n); });
}
}  // namespace

extern "C" {
std::size_t rivals_boost_capacity() { return 1024; }
void* rivals_boost_new() { return new Boost(); }
void rivals_boost_free(void* queue) { delete static_cast<Boost*>(queue); }
void rivals_boost_produce(void* queue, std::uint64_t producer, std::uint64_t items, std::size_t batch) {
    boost_push(*static_cast<Boost*>(queue), batch, [&](auto push) { produce(push, producer, items, batch); });
}
RivalsTally rivals_boost_consume(void* queue, std::uint64_t items, std::size_t batch, bool one_producer) {
    return boost_pop(*static_cast<Boost*>(queue), batch, [&](auto pop) { return consume(pop, items, batch, one_producer); });
}
std::uint64_t rivals_boost_pairs(void* queue, std::uint64_t items) {
    auto& q = *static_cast<Boost*>(queue);
    return boost_push(q, 1, [&](auto push) { return boost_pop(q, 1, [&](auto pop) { return pairs(push, pop, items); }); });
}
}
#endif

#ifdef HAVE_BOOST_QUEUE
#include HAVE_BOOST_QUEUE

namespace {
// Of a fixed capacity: its nodes come from an array, and nothing is allocated on the way.
using BoostQueue = boost::lockfree::queue<std::uint64_t, boost::lockfree::capacity<1024>>;

auto boost_queue_push(BoostQueue& queue) {
    return [&queue](std::uint64_t* items, std::size_t) { return std::size_t(queue.push(*items)); };
}
auto boost_queue_pop(BoostQueue& queue) {
    return [&queue](std::uint64_t* items, std::size_t) { return std::size_t(queue.pop(*items)); };
}
}  // namespace

extern "C" {
std::size_t rivals_boost_queue_capacity() { return 1024; }
void* rivals_boost_queue_new() { return new BoostQueue(); }
void rivals_boost_queue_free(void* queue) { delete static_cast<BoostQueue*>(queue); }
void rivals_boost_queue_produce(void* queue, std::uint64_t producer, std::uint64_t items, std::size_t) {
    produce(boost_queue_push(*static_cast<BoostQueue*>(queue)), producer, items, 1);
}
RivalsTally rivals_boost_queue_consume(void* queue, std::uint64_t items, std::size_t, bool one_producer) {
    return consume(boost_queue_pop(*static_cast<BoostQueue*>(queue)), items, 1, one_producer);
}
std::uint64_t rivals_boost_queue_pairs(void* queue, std::uint64_t items) {
    auto& q = *static_cast<BoostQueue*>(queue);
    return pairs(boost_queue_push(q), boost_queue_pop(q), items);
}
}
#endif

#ifdef HAVE_TBB
#include HAVE_TBB

namespace {
using Tbb = tbb::concurrent_bounded_queue<std::uint64_t>;

auto tbb_push(Tbb& queue) {
    return [&queue](std::uint64_t* items, std::size_t) { return std::size_t(queue.try_push(*items)); };
}
auto tbb_pop(Tbb& queue) {
    return [&queue](std::uint64_t* items, std::size_t) { return std::size_t(queue.try_pop(*items)); };
}
}  // namespace

extern "C" {
void* rivals_tbb_new(std::size_t capacity) {
    auto* queue = new Tbb();
    queue->set_capacity(static_cast<Tbb::size_type>(capacity));
    return queue;
}
void rivals_tbb_free(void* queue) { delete static_cast<Tbb*>(queue); }
void rivals_tbb_produce(void* queue, std::uint64_t producer, std::uint64_t items, std::size_t) {
    produce(tbb_push(*static_cast<Tbb*>(queue)), producer, items, 1);
}
RivalsTally rivals_tbb_consume(void* queue, std::uint64_t items, std::size_t, bool one_producer) {
    return consume(tbb_pop(*static_cast<Tbb*>(queue)), items, 1, one_producer);
}
std::uint64_t rivals_tbb_pairs(void* queue, std::uint64_t items) {
    auto& q = *static_cast<Tbb*>(queue);
    return pairs(tbb_push(q), tbb_pop(q), items);
}
}
#endif
