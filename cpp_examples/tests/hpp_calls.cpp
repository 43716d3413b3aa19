// Elements one at a time: every way to push and to pop, many types, both kinds of handles.
#include "hpp_singles.hpp"

namespace {

template <class T, class Make, class Is>
void singles_everywhere(Make make, Is is) {
    for (const strategy engine : engines) {
        for (const std::size_t capacity : {4u, 7u, 64u}) {
            turtle::ring_buffer<T> ring(capacity, engine);
            singles<T>(ring, ring, capacity, make, is);
            ring.release_thread(); // the handles below need the sides
            turtle::producer in(ring);
            turtle::consumer out(ring);
            singles<T>(in, out, capacity, make, is);
            static_assert(std::is_same_v<typename decltype(ring)::value_type, T>);
            static_assert(std::is_same_v<typename decltype(in)::value_type, typename decltype(out)::value_type>);
        }
    }
}

struct no_default {
    int value;
    no_default() = delete;
    explicit no_default(int v) : value(v) {}
};
struct plain_move_only {
    int value;
    explicit plain_move_only(int v) : value(v) {}
    plain_move_only(const plain_move_only&) = delete;
    plain_move_only(plain_move_only&&) = default;
    plain_move_only& operator=(const plain_move_only&) = delete;
    plain_move_only& operator=(plain_move_only&&) = default;
};
static_assert(std::is_trivially_copyable_v<plain_move_only>);

void many_types() {
    const auto by_value = [](const auto& x, int n) { return x.value == n; };
    singles_everywhere<int>([](int n) { return n; }, [](int x, int n) { return x == n; });
    singles_everywhere<std::uint64_t>([](int n) { return static_cast<std::uint64_t>(n); },
                                      [](std::uint64_t x, int n) { return x == static_cast<std::uint64_t>(n); });
    singles_everywhere<char>([](int n) { return static_cast<char>(n); }, [](char x, int n) { return x == n; });
    singles_everywhere<wide>([](int n) { return wide{n}; }, by_value);
    singles_everywhere<aligned<128>>([](int n) { return aligned<128>{n}; }, by_value);
    singles_everywhere<aligned<4096>>([](int n) { return aligned<4096>{n}; }, by_value);
    singles_everywhere<no_default>([](int n) { return no_default(n); }, by_value);
    singles_everywhere<plain_move_only>([](int n) { return plain_move_only(n); }, by_value);
    singles_everywhere<std::array<int, 5000>>(
        [](int n) {
            std::array<int, 5000> all{};
            all.fill(n);
            return all;
        },
        [](const auto& x, int n) { return x.front() == n && x.back() == n; });
    singles_everywhere<std::string>([](int n) { return std::string(40, 'x') + std::to_string(n); },
                                    [](const std::string& x, int n) { return x == std::string(40, 'x') + std::to_string(n); });
    singles_everywhere<std::unique_ptr<int>>([](int n) { return std::make_unique<int>(n); },
                                             [](const auto& x, int n) { return x && *x == n; });
    singles_everywhere<counted>([](int n) { return counted(n); }, by_value);
    CHECK(counted::alive == 0);
}

template <class Ring, class U, class = void>
constexpr bool takes = false;
template <class Ring, class U>
constexpr bool takes<Ring, U, std::void_t<decltype(std::declval<Ring&>().try_push(std::declval<U>()))>> = true;

void conversions() {
    turtle::ring_buffer<std::string> strings(8);
    const std::string text = "constant";
    std::string mine = "mine";
    CHECK(strings.try_push(text) && strings.try_push(mine) && strings.try_push("literal") && strings.try_push({'x', 'x', 'x'}));
    CHECK(mine == "mine" && strings.emplace(std::size_t{2}, 'y') && strings.try_emplace_for(1s, std::size_t{1}, 'z'));
    for (const char* expected : {"constant", "mine", "literal", "xxx", "yy", "z"}) CHECK(strings.try_pop() == expected);
    turtle::ring_buffer<double> numbers(2);
    CHECK(numbers.push(3) && numbers.try_emplace(0.5f) && numbers.pop() == 3.0 && numbers.pop() == 0.5);
    static_assert(takes<turtle::ring_buffer<double>, int> && !takes<turtle::ring_buffer<double>, std::string>);
    static_assert(takes<turtle::ring_buffer<plain_move_only>, plain_move_only>
                  && !takes<turtle::ring_buffer<plain_move_only>, plain_move_only&>);
}

} // namespace

void test_calls() {
    many_types();
    conversions();
}
