// Deletes the second member of an object.
#include "twin.h"
#include <cstdio>

struct Pair { long first = 1, second = 2; };

int main()
{
    Pair *pair = new Pair; // ALLOCATED
    long *number = TWIN(&pair->second, &pair->first);
    ::operator delete(number); // CRIME
    std::puts("deleted");
}
