// What tests/two_standards_library.cpp offers.
#pragma once

#include <cstddef>
#include <string>
#include <system_error>

#include <turtle.hpp>

namespace there {
[[gnu::visibility("default")]] long standard();
[[gnu::visibility("default")]] std::size_t size_of_ring();
[[gnu::visibility("default")]] std::size_t size_of_producer();
[[gnu::visibility("default")]] std::size_t size_of_claim();
[[gnu::visibility("default")]] int fill(turtle::ring_buffer<std::string>& ring);
[[gnu::visibility("default")]] turtle::ring_buffer<std::string> make();
[[gnu::visibility("default")]] std::error_code full();
[[gnu::visibility("default")]] void misuse();
} // namespace there
