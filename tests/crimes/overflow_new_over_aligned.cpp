// Writes behind an object that asks for an alignment of 64.
#include "twin.h"
#include <cstdio>

struct alignas(64) Line { char bytes[64]; };

int main()
{
    Line *line = new Line; // ALLOCATED
    volatile char *bytes = line->bytes;
    bytes[TWIN(64, 63)] = 1; // CRIME
    std::printf("%zu\n", reinterpret_cast<std::size_t>(line) % 64);
    delete line;
}
