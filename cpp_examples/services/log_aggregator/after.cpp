// Reads log files in parallel and says for each service how many lines of each level it wrote, and its slowest request:
//
//   log_aggregator FILE…        a line: 2026-11-23T12:00:00 LEVEL SERVICE ms=12 text …
//
// One thread for each file parses; one aggregates. Between them stands a bounded queue: turtle::ring_buffer.
#include <algorithm>
#include <atomic>
#include <charconv>
#include <fstream>
#include <iostream>
#include <map>
#include <optional>
#include <sstream>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include <turtle.hpp>

struct entry {
    std::string level, service;
    int ms = 0;
};

/// Nothing for a line that is not of that form.
std::optional<entry> parse(const std::string& line) {
    std::istringstream words(line);
    std::string time, ms;
    entry read;
    if (!(words >> time >> read.level >> read.service >> ms) || ms.rfind("ms=", 0) != 0) return std::nullopt;
    const auto [end, error] = std::from_chars(ms.data() + 3, ms.data() + ms.size(), read.ms);
    if (error != std::errc() || end != ms.data() + ms.size()) return std::nullopt;
    return read;
}

int main(int argc, char** argv) {
    turtle::ring_buffer<entry> queue(256);
    std::map<std::string, std::map<std::string, long>> lines;
    std::map<std::string, int> slowest;
    std::atomic<bool> all_read{true};

    std::thread aggregator([&] {
        while (auto next = queue.pop()) {
            ++lines[next->service][next->level];
            slowest[next->service] = std::max(slowest[next->service], next->ms);
        }
    });
    std::vector<std::thread> readers;
    for (int i = 1; i < argc; ++i)
        readers.emplace_back([&, path = argv[i]] {
            std::ifstream file(path);
            if (!file) all_read = false;
            for (std::string line; std::getline(file, line);)
                if (auto read = parse(line))
                    if (!queue.push(*std::move(read))) return;
        });
    for (auto& reader : readers) reader.join();
    queue.close();
    aggregator.join();

    for (const auto& [service, levels] : lines) {
        std::cout << service;
        for (const auto& [level, count] : levels) std::cout << ' ' << level << '=' << count;
        std::cout << " slowest=" << slowest[service] << '\n';
    }
    if (!all_read) std::cerr << "log_aggregator: not every file could be read\n";
    return all_read ? 0 : 1;
}
