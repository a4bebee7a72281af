// Reads behind an array of the new[] that does not throw.
#include "twin.h"
#include <cstdio>
#include <new>

int main()
{
    volatile long *numbers = new (std::nothrow) long[6](); // ALLOCATED
    long number = numbers[TWIN(6, 5)]; // CRIME
    std::printf("%ld\n", number);
    delete[] numbers;
}
