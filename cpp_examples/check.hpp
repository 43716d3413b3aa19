// assert() goes away in release builds; examples and tests must not.
#pragma once

#include <cstdio>
#include <cstdlib>

#define CHECK(condition)                                                                      \
    do {                                                                                      \
        if (!(condition)) {                                                                   \
            std::fprintf(stderr, "%s:%d: not true: %s\n", __FILE__, __LINE__, #condition);     \
            std::abort();                                                                     \
        }                                                                                     \
    } while (false)
