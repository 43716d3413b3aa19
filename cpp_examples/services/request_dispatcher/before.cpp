// Answers requests on several threads, in the order in which they came in:
//
//   request_dispatcher WORKERS <requests        a request: words TEXT… | bytes TEXT… | crc TEXT…
//
// The reader hands each request to whichever worker is free, through boost::lockfree::queue.
#include <atomic>
#include <cstdint>
#include <cstdlib>
#include <functional>
#include <iostream>
#include <map>
#include <memory>
#include <sstream>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include <boost/lockfree/queue.hpp>

struct request {
    std::size_t number = 0;
    std::string operation, text;
};

std::uint32_t crc32(const std::string& text) {
    std::uint32_t crc = 0xffffffffu;
    for (const char c : text) {
        crc ^= static_cast<unsigned char>(c);
        for (int bit = 0; bit < 8; ++bit) crc = (crc >> 1) ^ (0xedb88320u & (0u - (crc & 1u)));
    }
    return ~crc;
}

std::string answer(const request& asked) {
    static const std::map<std::string, std::function<std::size_t(const std::string&)>> operations = {
        {"bytes", [](const std::string& text) { return text.size(); }},
        {"crc", [](const std::string& text) { return crc32(text); }},
        {"words",
         [](const std::string& text) {
             std::istringstream words(text);
             std::size_t count = 0;
             for (std::string word; words >> word;) ++count;
             return count;
         }},
    };
    const auto found = operations.find(asked.operation);
    if (found == operations.end()) return "error: unknown operation " + asked.operation;
    return asked.operation + ' ' + std::to_string(found->second(asked.text));
}

int main(int argc, char** argv) {
    const int workers = argc == 2 ? std::atoi(argv[1]) : 0;
    if (argc != 2 || workers < 1) {
        std::cerr << "usage: request_dispatcher WORKERS <requests\n";
        return 1;
    }
    boost::lockfree::queue<request*, boost::lockfree::capacity<128>> queue;
    std::atomic<bool> closed{false};
    std::vector<std::vector<std::pair<std::size_t, std::string>>> answers(static_cast<std::size_t>(workers));

    std::vector<std::thread> pool;
    for (auto& mine : answers)
        pool.emplace_back([&] {
            for (request* taken = nullptr;;) {
                const bool last = closed; // looked at before the queue: nothing comes after that look
                if (queue.pop(taken)) {
                    const std::unique_ptr<request> next(taken);
                    mine.emplace_back(next->number, answer(*next));
                } else if (last) {
                    return;
                } else {
                    std::this_thread::yield();
                }
            }
        });

    std::size_t number = 0;
    for (std::string line; std::getline(std::cin, line); ++number) {
        const auto blank = line.find(' ');
        request next{number, line.substr(0, blank), blank == std::string::npos ? "" : line.substr(blank + 1)};
        auto owned = std::make_unique<request>(std::move(next));
        while (!queue.push(owned.get())) std::this_thread::yield();
        static_cast<void>(owned.release()); // the worker's now
    }
    closed = true;
    for (auto& thread : pool) thread.join();

    std::map<std::size_t, std::string> in_order;
    for (auto& mine : answers)
        for (auto& [of, text] : mine) in_order.emplace(of, std::move(text));
    for (const auto& [of, text] : in_order) std::cout << of << ' ' << text << '\n';
}
