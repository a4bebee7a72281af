// The terminating zero falls behind an array of new char[13].
#include "twin.h"
#include <cstdio>

int main()
{
    volatile char *text = new char[13]; // ALLOCATED
    text[TWIN(13, 12)] = 0; // CRIME
    std::puts("written");
    delete[] text; // FOUND
}
