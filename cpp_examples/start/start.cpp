#include <cstddef>
#include <iostream>
#include <string>
#include <thread>
#include <turtle.hpp>

int main() {
    turtle::ring_buffer<std::string> lines(256);
    std::thread reader([&lines] {
        for (int i = 0; i < 1000; ++i)
            if (!lines.push("line " + std::to_string(i))) return; // waits for room; false: somebody closed it
        lines.close();
    });
    std::size_t bytes = 0;
    while (auto line = lines.pop()) bytes += line->size(); // waits; ends when closed and drained
    reader.join();
    std::cout << bytes << " bytes\n";
    return bytes == 7890 ? 0 : 1;
}
