// The library's side of two_standards.cpp.
#include "two_standards.hpp"

namespace there {

long standard() { return __cplusplus; }
std::size_t size_of_ring() { return sizeof(turtle::ring_buffer<std::string>); }
std::size_t size_of_producer() { return sizeof(turtle::producer<std::string>); }
std::size_t size_of_claim() { return sizeof(turtle::write_claim<std::string>); }
int fill(turtle::ring_buffer<std::string>& ring) {
    int pushed = 0;
    while (ring.try_push("text " + std::to_string(pushed))) ++pushed;
    return pushed;
}
turtle::ring_buffer<std::string> make() { return turtle::ring_buffer<std::string>(3); }
std::error_code full() { return turtle::errc::full; }
void misuse() { turtle::ring_buffer<int> none(0); }

} // namespace there
