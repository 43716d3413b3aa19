// One ring in the hands of a program in C++17 and of a library in the newest standard, whose symbols are hidden.
#include <cstdio>
#include <string>
#include <system_error>

#include <turtle.hpp>

#include "../check.hpp"
#include "two_standards.hpp"

int main() {
    static_assert(sizeof(turtle::ring_buffer<std::string>) == sizeof(void*), "a ring is one pointer in every standard");
    CHECK(there::standard() > __cplusplus);
    CHECK(there::size_of_ring() == sizeof(turtle::ring_buffer<std::string>));
    CHECK(there::size_of_producer() == sizeof(turtle::producer<std::string>));
    CHECK(there::size_of_claim() == sizeof(turtle::write_claim<std::string>));

    turtle::ring_buffer<std::string> ring(2);
    CHECK(there::fill(ring) == 2);
    CHECK(ring.pop() == "text 0" && ring.pop() == "text 1");
    turtle::ring_buffer<std::string> theirs = there::make();
    CHECK(theirs.push("x") && theirs.capacity() == 3);

    // The codes of both are the same codes.
    CHECK(there::full() == turtle::errc::full && there::full().category() == turtle::category());
    std::error_code thrown;
    try {
        there::misuse();
    } catch (const std::system_error& error) {
        thrown = error.code();
    }
    CHECK(thrown == turtle::errc::invalid);
    std::printf("two_standards: C++%ld and C++%ld share rings, codes and exceptions\n", __cplusplus / 100 % 100,
                there::standard() / 100 % 100);
}
