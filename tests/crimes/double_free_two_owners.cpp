// Two shared_ptr, made of one plain pointer, do not know of each other.
#include "twin.h"
#include <cstdio>
#include <memory>

int main()
{
    long *number = new long(1); // ALLOCATED
    std::shared_ptr<long> one(number);
    std::shared_ptr<long> two(TWIN(number, new long(2)));
    one.reset(); // FREED
    two.reset(); // CRIME
    std::puts("released");
}
