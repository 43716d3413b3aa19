// As main.c, through the C++ header.
#include <cstring>
#include <iostream>

#include <turtle.hpp>

int main(int argc, char **argv) {
    if (argc != 2) {
        return 2;
    }
    std::cout << "library " << turtle_version() << ", package " << argv[1] << '\n';
    return std::strcmp(turtle_version(), argv[1]) == 0 ? 0 : 1;
}
