// Deletes an object twice.
#include "twin.h"
#include <cstdio>

int main()
{
    long *number = new long(5); // ALLOCATED
    delete number; // FREED
    delete TWIN(number, (long *)nullptr); // CRIME
    std::puts("deleted");
}
