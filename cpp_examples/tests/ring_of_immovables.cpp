// Must not compile: nothing could ever come out.
#include <mutex>

#include <turtle.hpp>

#ifdef TWIN
using type = std::unique_lock<std::mutex>;
#else
using type = std::mutex;
#endif

int main() {
    turtle::ring_buffer<type> ring(1);
    ring.close();
}
