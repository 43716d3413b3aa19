// Pushes every line of many files, in order, into a shared ring of records that somebody else has created:
//
//   line_producer RING_NAME FILE_LIST START_LINE [--id N] [--producers P] [--session S] [--halt-at LINE] [--pid-file FILE]
//
// FILE_LIST has one path a line. Lines are numbered from 0 through all files; START_LINE is the first one to push, so
// that a producer that was killed can go on where it was. With --session it finds out by itself: started again with the
// same arguments it skips what arrived, to the line. Of P producers, number N pushes the lines whose number modulo P is
// N. With --halt-at it stops itself (SIGSTOP) halfway through pushing that line, for somebody to kill it there. A record is a head of 24 bytes, all little-endian: producer (u32), 0 (u32), line number (u64), nanoseconds of
// the monotonic clock just before the push (u64); then the line's bytes without its newline. A line that does not fit
// ends the program with an error: nothing is cut. The ring is not closed at the end, for there may be other producers.
#include <charconv>
#include <csignal>
#include <cstdint>
#include <cstdio>
#include <cstring>
#include <fstream>
#include <stdexcept>
#include <string>
#include <string_view>
#include <system_error>

#include <time.h>
#include <unistd.h>

#include <turtle.hpp>

static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__, "the record's head is little-endian");

namespace {

struct head {
    std::uint32_t producer;
    std::uint32_t reserved;
    std::uint64_t line;
    std::uint64_t nanos;
};
static_assert(sizeof(head) == 24);

struct arguments {
    std::string ring, list, pid_file;
    std::uint64_t start = 0, session = 0, halt_at = ~std::uint64_t{0};
    std::uint32_t id = 0, producers = 1;
};

template <class Number>
Number number(const char* what, std::string_view text) {
    Number value{};
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
    if (error != std::errc() || end != text.data() + text.size())
        throw std::invalid_argument(std::string(what) + " is no number: " + std::string(text));
    return value;
}

arguments parse(int argc, char** argv) {
    if (argc < 4 || argc % 2 != 0)
        throw std::invalid_argument("usage: line_producer RING_NAME FILE_LIST START_LINE "
                                    "[--id N] [--producers P] [--session S] [--halt-at LINE] [--pid-file FILE]");
    arguments given{argv[1], argv[2], "", number<std::uint64_t>("START_LINE", argv[3])};
    for (int i = 4; i < argc; i += 2) {
        const std::string_view option = argv[i];
        if (option == "--id")
            given.id = number<std::uint32_t>("--id", argv[i + 1]);
        else if (option == "--producers")
            given.producers = number<std::uint32_t>("--producers", argv[i + 1]);
        else if (option == "--session")
            given.session = number<std::uint64_t>("--session", argv[i + 1]);
        else if (option == "--halt-at")
            given.halt_at = number<std::uint64_t>("--halt-at", argv[i + 1]);
        else if (option == "--pid-file")
            given.pid_file = argv[i + 1];
        else
            throw std::invalid_argument("unknown option " + std::string(option));
    }
    if (given.id >= given.producers) throw std::invalid_argument("--id must be below --producers");
    return given;
}

std::ifstream open(const std::string& path) {
    std::ifstream file(path, std::ios::binary);
    if (!file) throw std::system_error(errno, std::generic_category(), path);
    return file;
}

void write_pid(const std::string& path) {
    std::ofstream file(path);
    if (!(file << getpid() << '\n' << std::flush)) throw std::runtime_error(path + ": cannot be written");
}

/// The clock that every process of the machine shares.
std::uint64_t monotonic_nanos() {
    timespec now{};
    clock_gettime(CLOCK_MONOTONIC, &now);
    return static_cast<std::uint64_t>(now.tv_sec) * 1'000'000'000 + static_cast<std::uint64_t>(now.tv_nsec);
}

/// Stops while a slot is claimed and not published.
void halt(turtle::producer<turtle::record>& out) {
    for (bool stopped = false; !stopped;)
        if (const auto slot = out.claim()) stopped = std::raise(SIGSTOP) == 0;
}

/// Pushes the lines from `given.start` on, without the first that this session pushed already; answers how many.
std::uint64_t produce(const arguments& given) {
    auto ring = turtle::record_ring::attach(given.ring); // sizes and strategy: whatever is there
    turtle::producer out = given.session != 0 ? turtle::producer(ring, turtle::session{given.session}) : turtle::producer(ring);
    std::uint64_t arrived = given.session != 0 ? out.recovered().done : 0;

    std::uint64_t line_number = 0, pushed = 0;
    std::string path, line, record;
    std::ifstream list = open(given.list);
    while (std::getline(list, path)) {
        std::ifstream file = open(path);
        for (; std::getline(file, line); ++line_number) {
            if (line_number < given.start || line_number % given.producers != given.id) continue;
            if (arrived > 0) {
                --arrived;
                continue;
            }
            if (line_number == given.halt_at) halt(out);
            const head prefix{given.id, 0, line_number, monotonic_nanos()};
            if (sizeof prefix + line.size() > ring.max_size())
                throw std::length_error(path + ": line " + std::to_string(line_number) + " has "
                                        + std::to_string(line.size()) + " bytes; a record has room for "
                                        + std::to_string(ring.max_size() - sizeof prefix));
            record.assign(reinterpret_cast<const char*>(&prefix), sizeof prefix);
            record += line;
            if (!out.push(record)) throw std::runtime_error("the ring was closed at line " + std::to_string(line_number));
            if (++pushed % 50'000 == 0)
                std::fprintf(stderr, "line_producer %u: %llu lines\n", given.id, static_cast<unsigned long long>(pushed));
        }
        if (file.bad()) throw std::runtime_error(path + ": cannot be read to its end");
    }
    if (list.bad()) throw std::runtime_error(given.list + ": cannot be read to its end");
    return pushed;
}

} // namespace

int main(int argc, char** argv) try {
    const arguments given = parse(argc, argv);
    if (!given.pid_file.empty()) write_pid(given.pid_file);
    const std::uint64_t pushed = produce(given);
    std::fprintf(stderr, "line_producer %u: done, %llu lines\n", given.id, static_cast<unsigned long long>(pushed));
} catch (const std::exception& error) {
    std::fprintf(stderr, "line_producer: %s\n", error.what());
    return 1;
}
