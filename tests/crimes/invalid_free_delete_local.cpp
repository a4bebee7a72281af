// Deletes a local variable.
#include "twin.h"
#include <cstdio>

int main()
{
    long local = 5;
    long *number = TWIN(&local, nullptr);
    delete number; // CRIME
    std::printf("%ld\n", local);
}
