// Must not compile: a string points into the memory of its own process.
#include <string>

#include <turtle.hpp>

#ifdef TWIN
struct type {
    char text[16];
};
#else
using type = std::string;
#endif

int main() { turtle::shared_ring<type> ring("/never"); }
