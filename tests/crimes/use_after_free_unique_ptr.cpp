// A plain pointer outlives the unique_ptr that owned the object.
#include "twin.h"
#include <cstdio>
#include <memory>

int main()
{
    std::unique_ptr<long> owner(new long(5)), other(new long(6)); // ALLOCATED
    long *p = TWIN(owner, other).get();
    owner.reset(); // FREED
    *p = 7; // CRIME
    std::puts("written");
}
