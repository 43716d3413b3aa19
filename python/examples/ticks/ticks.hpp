// One trade, as both programs see it. plot.py has the same as a NumPy dtype.
#pragma once
#include <cstdint>

struct tick {
    std::int64_t time; // nanoseconds since the start
    double price;
    std::int32_t size;
    char side; // 'B' or 'S'
};
static_assert(sizeof(tick) == 24, "the dtype in plot.py says so, too");
