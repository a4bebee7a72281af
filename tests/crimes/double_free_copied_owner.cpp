// The rule of three, broken: a copy of an object gives back the same block.
#include "twin.h"
#include <cstdio>

struct Buffer {
    char *bytes;
    Buffer() : bytes(new char[64]) {} // ALLOCATED
    ~Buffer() { delete[] bytes; } // CRIME, FREED
};

int main()
{
    Buffer one;
    Buffer two = TWIN(one, Buffer());
    std::puts("copied");
}
