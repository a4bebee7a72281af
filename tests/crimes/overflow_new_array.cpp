// Writes behind an array of new[].
#include "twin.h"
#include <cstdio>

int main()
{
    volatile int *numbers = new int[20]; // ALLOCATED
    numbers[TWIN(20, 19)] = 1; // CRIME
    std::puts("written");
    delete[] numbers;
}
