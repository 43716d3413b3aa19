// Runs line_producer, whose path is the argument, and compares what arrives with what the files say.
#include <cstdint>
#include <cstdio>
#include <cstring>
#include <fstream>
#include <string>
#include <vector>

#include <fcntl.h>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

#include <turtle.hpp>

#include "../check.hpp"

namespace {

struct child {
    pid_t pid = 0;
    explicit child(std::vector<std::string> words) {
        std::vector<char*> argv;
        for (auto& word : words) argv.push_back(word.data());
        argv.push_back(nullptr);
        CHECK(posix_spawn(&pid, argv[0], nullptr, nullptr, argv.data(), environ) == 0);
    }
    int wait() const {
        int status = -1;
        CHECK(waitpid(pid, &status, 0) == pid && WIFEXITED(status));
        return WEXITSTATUS(status);
    }
};

void write(const std::string& path, const std::string& text) {
    std::ofstream file(path, std::ios::binary);
    file << text;
    CHECK(file.flush());
}

std::string read(const std::string& path) {
    std::ifstream file(path, std::ios::binary);
    return {std::istreambuf_iterator<char>(file), {}};
}

} // namespace

int main(int argc, char** argv) {
    CHECK(argc == 2);
    const std::string program = argv[1];
    const std::string me = std::to_string(getpid());
    const std::string folder = "line_producer_test." + me;
    const std::string name = "/turtle-lines-" + me;
    const std::string one = folder + ".1", two = folder + ".2", list = folder + ".list", pids = folder + ".pid";

    // Empty lines, a carriage return, bytes that are no text, no newline at the very end.
    const std::vector<std::string> lines = {"first", "", "with\rreturn", std::string("nul\0byte", 8), "\xff\xfe", "last"};
    write(one, lines[0] + "\n" + lines[1] + "\n" + lines[2] + "\n");
    write(two, lines[3] + "\n" + lines[4] + "\n" + lines[5]);
    write(list, one + "\n" + two + "\n");

    turtle::options wanted;
    wanted.capacity = 2; // the producer has to wait
    wanted.strategy = turtle::strategy::turn;
    wanted.mode = turtle::open_mode::create_new;
    turtle::record_ring ring(name, 24 + 101, wanted);

    std::uint64_t last_stamp = 0;
    const auto expect_from = [&](std::size_t start, std::uint32_t id, std::size_t step = 1) {
        std::string record;
        for (std::size_t i = start; i < lines.size(); i += step) {
            CHECK(ring.pop(record) && record.size() == 24 + lines[i].size());
            std::uint32_t producer = 0, reserved = 1;
            std::uint64_t number = 0, stamp = 0;
            std::memcpy(&producer, record.data(), 4);
            std::memcpy(&reserved, record.data() + 4, 4);
            std::memcpy(&number, record.data() + 8, 8);
            std::memcpy(&stamp, record.data() + 16, 8);
            CHECK(producer == id && reserved == 0 && number == i);
            CHECK(record.substr(24) == lines[i]);
            CHECK(last_stamp < stamp); // in the order of the pushes, on one clock
            last_stamp = stamp;
        }
    };
    {
        child all({program, name, list, "0", "--pid-file", pids});
        expect_from(0, 0);
        CHECK(all.wait() == 0);
        CHECK(read(pids) == std::to_string(all.pid) + "\n");
    }
    {
        child rest({program, name, list, "4"});
        expect_from(4, 0);
        CHECK(rest.wait() == 0);
    }
    {
        child odd({program, name, list, "2", "--id", "1", "--producers", "2"});
        expect_from(3, 1, 2);
        CHECK(odd.wait() == 0);
    }
    std::string record;
    CHECK(!ring.try_pop(record)); // nothing special at the end

    // Refusals: each ends with 1 and pushes nothing that is cut.
    CHECK(child({program, name, list}).wait() == 1);
    CHECK(child({program, name, list, "x"}).wait() == 1);
    CHECK(child({program, name, list, "0", "--what", "1"}).wait() == 1);
    CHECK(child({program, name, list, "0", "--id", "2", "--producers", "2"}).wait() == 1);
    CHECK(child({program, name, list, "0", "--producers", "0"}).wait() == 1);
    CHECK(child({program, name, folder + ".missing", "0"}).wait() == 1);
    CHECK(child({program, name + "-missing", list, "0"}).wait() == 1);
    write(one, "short\n" + std::string(102, 'x') + "\n");
    CHECK(child({program, name, list, "0"}).wait() == 1);
    CHECK(ring.try_pop(record) && record.substr(24) == "short");
    CHECK(!ring.try_pop(record));
    write(one, std::string(101, 'x') + "\n"); // exactly as long as fits
    write(list, one + "\n");
    CHECK(child({program, name, list, "0"}).wait() == 0);
    CHECK(ring.try_pop(record) && record.size() == 125);
    ring.close();
    CHECK(child({program, name, list, "0"}).wait() == 1);

    CHECK(turtle::unlink(name));
    for (const auto& path : {one, two, list, pids}) CHECK(std::remove(path.c_str()) == 0);
    std::puts("line_producer: lines arrive numbered and whole, mistakes are refused");
}
