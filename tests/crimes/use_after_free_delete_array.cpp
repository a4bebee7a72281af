// Writes a deleted array.
#include "twin.h"
#include <cstdio>

int main()
{
    volatile short *gone = new short[50]; // ALLOCATED
    volatile short *live = new short[50];
    delete[] gone; // FREED
    TWIN(gone, live)[10] = 3; // CRIME
    std::puts("written");
    delete[] live;
}
