// Must not compile: a pointer, or what holds one, means nothing in another process.
#include <string_view>

#include <turtle.hpp>

#ifdef TWIN
using type = char;
#elif defined(POINTER)
using type = const char*;
#else
using type = std::string_view;
#endif

int main() { turtle::shared_ring<type> ring("/never"); }
